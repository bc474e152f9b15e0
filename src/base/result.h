// Result<T>: a value or the Status that says why there is none.
//
//   Result<Shape> shape = ParseShape(text);
//   if (!shape.ok()) return shape.status();
//   Use(*shape);
#pragma once

#include <utility>
#include <variant>

#include "base/check.h"
#include "base/status.h"

namespace brim {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : rep_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : rep_(std::in_place_index<1>, std::move(status)) {  // NOLINT
    BRIM_CHECK(!std::get<1>(rep_).ok());
  }

  bool ok() const { return rep_.index() == 0; }
  Status status() const { return ok() ? Status() : std::get<1>(rep_); }

  // REQUIRES: ok().
  T& value() & { return Checked(), *std::get_if<0>(&rep_); }
  const T& value() const& { return Checked(), *std::get_if<0>(&rep_); }
  T&& value() && { return Checked(), std::move(*std::get_if<0>(&rep_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void Checked() const { BRIM_CHECK(ok()); }

  std::variant<T, Status> rep_;
};

}  // namespace brim
