#include "model/tensor.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace brim::model {
namespace {

Status SizeError(const TensorView& tensor, std::uint64_t want) {
  return Status(
      Code::kInvalidArgument, "byte_count_mismatch",
      fmt::format("tensor '{}' has {} bytes of data, but {} {} needs {}", tensor.name,
                  tensor.data.size(), KServeName(tensor.dtype), tensor.shape.ToString(), want));
}

Status CheckStrings(const TensorView& tensor, std::uint64_t elements) {
  std::span<const std::byte> rest = tensor.data;
  for (std::uint64_t i = 0; i < elements; ++i) {
    if (rest.size() < 4) {
      return Status(Code::kInvalidArgument, "string_truncated",
                    fmt::format("tensor '{}' ends before the length of string {} of {}",
                                tensor.name, i, elements));
    }
    const auto length = LoadLittle<std::uint32_t>(rest.data());
    rest = rest.subspan(4);
    if (length > rest.size()) {
      return Status(Code::kInvalidArgument, "string_truncated",
                    fmt::format("tensor '{}': string {} says it has {} bytes, but {} are left",
                                tensor.name, i, length, rest.size()));
    }
    rest = rest.subspan(length);
  }
  if (!rest.empty()) {
    return Status(Code::kInvalidArgument, "byte_count_mismatch",
                  fmt::format("tensor '{}' has {} bytes after its {} strings", tensor.name,
                              rest.size(), elements));
  }
  return OkStatus();
}

}  // namespace

std::optional<std::uint64_t> DenseBytes(DType dtype, const Shape& shape) {
  const std::uint64_t element = ElementBytes(dtype);
  const std::optional<std::uint64_t> elements = shape.Elements();
  if (element == 0 || !elements) return std::nullopt;
  if (*elements > (std::uint64_t{1} << 62) / element) return std::nullopt;
  return *elements * element;
}

Status CheckData(const TensorView& tensor) {
  const std::optional<std::uint64_t> elements = tensor.shape.Elements();
  if (!elements) {
    return Status(Code::kInvalidArgument, "shape_invalid",
                  fmt::format("tensor '{}' has shape {}: every dimension must be 0 or more and "
                              "their product below 2^62",
                              tensor.name, tensor.shape.ToString()));
  }
  if (tensor.dtype == DType::kBytes) return CheckStrings(tensor, *elements);
  const std::optional<std::uint64_t> want = DenseBytes(tensor.dtype, tensor.shape);
  if (!want) {
    return Status(Code::kInvalidArgument, "shape_invalid",
                  fmt::format("tensor '{}' of {} {} is too large", tensor.name,
                              KServeName(tensor.dtype), tensor.shape.ToString()));
  }
  return *want == tensor.data.size() ? OkStatus() : SizeError(tensor, *want);
}

bool StringElements::Next(std::string_view* element) {
  if (rest_.size() < 4) return false;
  const auto length = LoadLittle<std::uint32_t>(rest_.data());
  rest_ = rest_.subspan(4);
  if (length > rest_.size()) return false;
  *element = {reinterpret_cast<const char*>(rest_.data()), length};
  rest_ = rest_.subspan(length);
  return true;
}

}  // namespace brim::model
