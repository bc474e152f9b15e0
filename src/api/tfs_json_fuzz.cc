// Fuzzes the JSON reader of TensorFlow Serving's REST API: the first byte chooses signature and
// kind of request. Whatever it accepts must be tensors that hold together, and writing them back
// must not fail badly.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/tfs_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using brim::model::DType;
  if (size == 0) return 0;
  const brim::ByteBuffer body(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  brim::api::TfsJsonRequest request({.depth_max = 50});
  if (!request.Parse(body.span()).ok()) return 0;
  brim::api::OwnedTensors tensors;
  constexpr DType kTypes[] = {DType::kFp32,  DType::kFp64,  DType::kInt8,   DType::kInt32,
                              DType::kInt64, DType::kUint8, DType::kUint64, DType::kBool,
                              DType::kBytes, DType::kFp16,  DType::kUint32};
  const unsigned choice = data[0];
  if (choice % 8 == 7) {
    if (!request.FillExamples("inputs", &tensors).ok()) return 0;
  } else {
    brim::model::Signature signature;
    signature.inputs.push_back({"x", kTypes[choice / 8 % 11], {}, false});
    if (choice % 2 != 0) signature.inputs.push_back({"y", kTypes[choice / 3 % 11], {}, false});
    brim::api::TfsFormat format{};
    if (!request.FillInputs(signature, &tensors, &format).ok()) return 0;
    brim::ByteBuffer out;
    static_cast<void>(brim::api::WritePredictions(format, tensors.views, &out).ok());
  }
  for (const auto& view : tensors.views) {
    if (!brim::model::CheckData(view).ok()) std::abort();
  }
  return 0;
}
