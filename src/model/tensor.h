// TensorView: a named tensor that lives in somebody else's memory.
//
// Data is dense, row-major, little-endian, at any alignment. Strings (DType::kBytes) are encoded as
// in the KServe v2 binary extension: per element a uint32 length, then that many bytes; this one
// encoding is used everywhere inside, the runtime C ABI included. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "model/dtype.h"
#include "model/shape.h"

namespace brim::model {

struct TensorView {
  std::string_view name;
  DType dtype = DType::kInvalid;
  Shape shape;
  std::span<const std::byte> data;
};

// Exact bytes of a tensor; null for kBytes, for dynamic shapes and on overflow.
std::optional<std::uint64_t> DenseBytes(DType dtype, const Shape& shape);

// Checks that data holds exactly the elements that dtype and shape say (for strings: walks every
// length prefix). The message names the tensor and both counts.
Status CheckData(const TensorView& tensor);

// Walks the elements of an encoded string tensor; REQUIRES: CheckData was ok.
class StringElements {
 public:
  explicit StringElements(std::span<const std::byte> data) : rest_(data) {}
  bool Next(std::string_view* element);  // False at the end.

 private:
  std::span<const std::byte> rest_;
};

}  // namespace brim::model
