#include "api/kserve_classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <type_traits>
#include <vector>

namespace brim::api {
namespace {

template <typename T>
void AppendRow(const std::byte* row, std::size_t elements, std::size_t k, ByteBuffer* out) {
  const auto value = [&](std::uint32_t i) { return LoadLittle<T>(row + i * sizeof(T)); };
  std::vector<std::uint32_t> order(elements);
  std::iota(order.begin(), order.end(), 0u);
  const auto higher = [&](std::uint32_t a, std::uint32_t b) {
    const T x = value(a);
    const T y = value(b);
    if constexpr (std::is_floating_point_v<T>) {
      // NaN ranks last: a comparison that is always false would be no order.
      if (std::isnan(x) || std::isnan(y))
        return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
    }
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    higher);
  fmt::memory_buffer text;
  for (std::size_t i = 0; i < k; ++i) {
    text.clear();
    if constexpr (std::is_floating_point_v<T>) {
      fmt::format_to(std::back_inserter(text), "{:f}:{}", value(order[i]), order[i]);
    } else {
      fmt::format_to(std::back_inserter(text), "{}:{}", +value(order[i]), order[i]);
    }
    StoreLittle(out->Extend(sizeof(std::uint32_t)), static_cast<std::uint32_t>(text.size()));
    out->Append(std::string_view(text.data(), text.size()));
  }
}

using RowFn = void (*)(const std::byte*, std::size_t, std::size_t, ByteBuffer*);

RowFn RowFnOf(model::DType dtype) {
  using model::DType;
  switch (dtype) {
    case DType::kUint8:
      return AppendRow<std::uint8_t>;
    case DType::kUint16:
      return AppendRow<std::uint16_t>;
    case DType::kUint32:
      return AppendRow<std::uint32_t>;
    case DType::kUint64:
      return AppendRow<std::uint64_t>;
    case DType::kInt8:
      return AppendRow<std::int8_t>;
    case DType::kInt16:
      return AppendRow<std::int16_t>;
    case DType::kInt32:
      return AppendRow<std::int32_t>;
    case DType::kInt64:
      return AppendRow<std::int64_t>;
    case DType::kFp32:
      return AppendRow<float>;
    case DType::kFp64:
      return AppendRow<double>;
    case DType::kBool:
    case DType::kFp16:
    case DType::kBf16:
    case DType::kBytes:
    case DType::kInvalid:
      break;
  }
  return nullptr;
}

}  // namespace

Status Classify(const model::TensorView& tensor, bool batched, std::uint64_t classes,
                ByteBuffer* storage, model::TensorView* result) {
  const RowFn append_row = RowFnOf(tensor.dtype);
  if (append_row == nullptr) {
    return Status(Code::kInvalidArgument, "classification_type",
                  fmt::format("class result not available for output '{}' due to unsupported type "
                              "'{}'",
                              tensor.name, model::KServeName(tensor.dtype)));
  }
  batched = batched && tensor.shape.rank() > 0;
  const auto rows = batched ? static_cast<std::uint64_t>(tensor.shape[0]) : 1;
  const std::size_t row_bytes = rows == 0 ? 0 : tensor.data.size() / rows;
  const std::uint64_t elements = row_bytes / model::ElementBytes(tensor.dtype);
  if (elements > kClassesMax) {
    return Status(Code::kInvalidArgument, "classification_size",
                  fmt::format("classification output tensor too large: a row of '{}' has {} "
                              "elements, at most {} are ranked",
                              tensor.name, elements, kClassesMax));
  }
  const std::uint64_t k = std::min(classes, elements);
  const std::size_t start = storage->size();
  for (std::uint64_t row = 0; row < rows; ++row) {
    append_row(tensor.data.data() + row * row_bytes, elements, k, storage);
  }
  *result = {tensor.name, model::DType::kBytes, model::Shape(), storage->span().subspan(start)};
  if (batched) result->shape.Append(static_cast<std::int64_t>(rows));
  result->shape.Append(static_cast<std::int64_t>(k));
  return OkStatus();
}

}  // namespace brim::api
