// DType: the element types that cross the wire, with their names in both protocols.
//
// Sources: KServe v2 "Tensor Data Types" (BOOL … BYTES, plus BF16 as Triton adds it); TensorFlow's
// DataType enum (tensorflow/core/framework/types.proto). Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace brim::model {

// The numbers are part of the runtime C ABI (runtimes/runtime.h): append only.
enum class DType : std::uint8_t {
  kInvalid = 0,
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kFp32 = 11,
  kFp64 = 12,
  kBytes = 13,  // Strings: see tensor.h for their encoding.
  kBf16 = 14,
};

// Bytes of one element; 0 for kBytes (variable) and kInvalid.
std::uint32_t ElementBytes(DType dtype);

// "FP32"; "INVALID" for kInvalid. Static storage.
std::string_view KServeName(DType dtype);
std::optional<DType> FromKServeName(std::string_view name);

// "DT_FLOAT" and 1. kInvalid maps to DT_INVALID = 0.
std::string_view TensorFlowName(DType dtype);
int TensorFlowNumber(DType dtype);
std::optional<DType> FromTensorFlowNumber(int number);

// "TYPE_FP32", "TYPE_STRING": the names in Triton's config.pbtxt.
std::string_view TritonConfigName(DType dtype);
std::optional<DType> FromTritonConfigName(std::string_view name);

}  // namespace brim::model
