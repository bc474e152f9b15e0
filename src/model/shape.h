// Shape: the dimensions of a tensor, outermost first. A value without heap.
//
// A dimension is 0 or more; -1 (kDynamic) stands for "any" in a signature and never in a request.
// Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

namespace brim::model {

inline constexpr std::int64_t kDynamic = -1;
inline constexpr std::size_t kRankMax = 16;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);  // REQUIRES: at most kRankMax.
  static std::optional<Shape> Of(std::span<const std::int64_t> dims);  // Null above kRankMax.

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t axis) const { return dims_[axis]; }
  void Set(std::size_t axis, std::int64_t dim) { dims_[axis] = dim; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), rank_}; }
  bool Append(std::int64_t dim);   // False (unchanged) above kRankMax.
  bool Prepend(std::int64_t dim);  // False (unchanged) above kRankMax.
  void RemoveFirst();              // REQUIRES: rank() > 0.

  // Product of the dimensions; 1 for rank 0. Null when a dimension is negative or it overflows
  // 2^62.
  std::optional<std::uint64_t> Elements() const;
  bool IsStatic() const;

  // Whether a request's shape satisfies this one: same rank, and equal wherever this is not
  // dynamic.
  bool Admits(const Shape& request) const;

  std::string ToString() const;  // "[-1,3,48,320]"
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kRankMax> dims_{};
  std::uint8_t rank_ = 0;
};

}  // namespace brim::model
