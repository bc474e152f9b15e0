#include "model/dtype.h"

#include <array>
#include <cstddef>

namespace brim::model {
namespace {

struct Names {
  std::uint32_t bytes;
  std::string_view kserve;
  std::string_view tensorflow;
  int tensorflow_number;
  std::string_view triton_config;
};

// Indexed by DType.
constexpr std::array<Names, 15> kNames = {{
    {0, "INVALID", "DT_INVALID", 0, "TYPE_INVALID"},
    {1, "BOOL", "DT_BOOL", 10, "TYPE_BOOL"},
    {1, "UINT8", "DT_UINT8", 4, "TYPE_UINT8"},
    {2, "UINT16", "DT_UINT16", 17, "TYPE_UINT16"},
    {4, "UINT32", "DT_UINT32", 22, "TYPE_UINT32"},
    {8, "UINT64", "DT_UINT64", 23, "TYPE_UINT64"},
    {1, "INT8", "DT_INT8", 6, "TYPE_INT8"},
    {2, "INT16", "DT_INT16", 5, "TYPE_INT16"},
    {4, "INT32", "DT_INT32", 3, "TYPE_INT32"},
    {8, "INT64", "DT_INT64", 9, "TYPE_INT64"},
    {2, "FP16", "DT_HALF", 19, "TYPE_FP16"},
    {4, "FP32", "DT_FLOAT", 1, "TYPE_FP32"},
    {8, "FP64", "DT_DOUBLE", 2, "TYPE_FP64"},
    {0, "BYTES", "DT_STRING", 7, "TYPE_STRING"},
    {2, "BF16", "DT_BFLOAT16", 14, "TYPE_BF16"},
}};

const Names& Of(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return kNames[index < kNames.size() ? index : 0];
}

template <typename Match>
std::optional<DType> FindDType(Match match) {
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    if (match(kNames[i])) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t ElementBytes(DType dtype) { return Of(dtype).bytes; }

std::string_view KServeName(DType dtype) { return Of(dtype).kserve; }

std::optional<DType> FromKServeName(std::string_view name) {
  return FindDType([&](const Names& names) { return names.kserve == name; });
}

std::string_view TensorFlowName(DType dtype) { return Of(dtype).tensorflow; }

int TensorFlowNumber(DType dtype) { return Of(dtype).tensorflow_number; }

std::optional<DType> FromTensorFlowNumber(int number) {
  return FindDType([&](const Names& names) { return names.tensorflow_number == number; });
}

std::string_view TritonConfigName(DType dtype) { return Of(dtype).triton_config; }

std::optional<DType> FromTritonConfigName(std::string_view name) {
  return FindDType([&](const Names& names) { return names.triton_config == name; });
}

}  // namespace brim::model
