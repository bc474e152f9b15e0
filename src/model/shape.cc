#include "model/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace brim::model {

Shape::Shape(std::initializer_list<std::int64_t> dims) {
  for (const std::int64_t dim : dims) BRIM_CHECK(Append(dim));
}

std::optional<Shape> Shape::Of(std::span<const std::int64_t> dims) {
  Shape shape;
  for (const std::int64_t dim : dims) {
    if (!shape.Append(dim)) return std::nullopt;
  }
  return shape;
}

bool Shape::Append(std::int64_t dim) {
  if (rank_ == kRankMax) return false;
  dims_[rank_++] = dim;
  return true;
}

bool Shape::Prepend(std::int64_t dim) {
  if (rank_ == kRankMax) return false;
  std::copy_backward(dims_.begin(), dims_.begin() + rank_, dims_.begin() + rank_ + 1);
  dims_[0] = dim;
  ++rank_;
  return true;
}

void Shape::RemoveFirst() {
  BRIM_CHECK(rank_ > 0);
  std::copy(dims_.begin() + 1, dims_.begin() + rank_, dims_.begin());
  --rank_;
}

std::optional<std::uint64_t> Shape::Elements() const {
  static constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 62;
  std::uint64_t elements = 1;
  bool zero = false;
  for (const std::int64_t dim : dims()) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      zero = true;
      continue;
    }
    if (elements > kElementsMax / static_cast<std::uint64_t>(dim)) return std::nullopt;
    elements *= static_cast<std::uint64_t>(dim);
  }
  return zero ? 0 : elements;
}

bool Shape::IsStatic() const {
  return std::all_of(dims().begin(), dims().end(), [](std::int64_t dim) { return dim >= 0; });
}

bool Shape::Admits(const Shape& request) const {
  if (request.rank() != rank()) return false;
  for (std::size_t axis = 0; axis < rank(); ++axis) {
    if (dims_[axis] != kDynamic && dims_[axis] != request[axis]) return false;
  }
  return true;
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (std::size_t axis = 0; axis < rank(); ++axis) {
    if (axis > 0) text.push_back(',');
    const fmt::format_int dim(dims_[axis]);
    text.append(dim.data(), dim.size());
  }
  text.push_back(']');
  return text;
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.dims().begin(), a.dims().end(), b.dims().begin(), b.dims().end());
}

}  // namespace brim::model
