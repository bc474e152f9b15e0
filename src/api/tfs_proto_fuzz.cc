// Fuzzes the readers of TensorFlow Serving's protobuf requests. Accepted tensors must hold
// together, and survive being written as an answer and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/tfs_proto.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> message(reinterpret_cast<const std::byte*>(data), size);
  const brim::api::TfsProtoLimits limits{.tensors_max = 16, .decoded_bytes_max = 1u << 20};
  brim::api::TfsPredictMessage predict;
  if (brim::api::ParsePredict(message, limits, &predict).ok()) {
    brim::api::OwnedTensors tensors;
    if (brim::api::DecodeInputs(predict.inputs, limits, &tensors).ok()) {
      for (const auto& view : tensors.views) {
        if (!brim::model::CheckData(view).ok()) std::abort();
      }
      brim::ByteBuffer out;
      brim::api::WritePredictResponse({"m", 1, "s"}, tensors.views, &out);
    }
  }
  brim::api::TfsSpecMessage spec;
  if (brim::api::ParseSpec(message, limits, &spec).ok()) {
    brim::api::OwnedTensors tensors;
    if (brim::api::DecodeExamples(spec.input, "inputs", limits, &tensors).ok() &&
        !brim::model::CheckData(tensors.views[0]).ok()) {
      std::abort();
    }
  }
  return 0;
}
