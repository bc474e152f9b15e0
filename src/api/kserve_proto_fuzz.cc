// Fuzzes the readers of KServe protobuf, and writes back what was read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "api/kserve_proto.h"
#include "api/kserve_shared_memory.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  brim::api::KserveMessage message;
  brim::api::KserveLimits limits;
  limits.decoded_bytes_max = 1 << 20;
  if (brim::api::ReadInferProto(bytes, limits, &message).ok()) {
    std::vector<brim::api::KserveAnswerTensor> outputs;
    for (const brim::model::TensorView& input : message.inputs) outputs.push_back({input, true});
    static_cast<void>(brim::api::WriteStreamAnswer(
        {message.model_name, message.model_version, message.id, message.parameters, outputs}));
  }
  brim::api::NamedRequest named;
  static_cast<void>(brim::api::ReadNamedRequest(bytes, &named));
  brim::api::RepositoryProto repository;
  static_cast<void>(brim::api::ReadRepositoryProto(bytes, limits, &repository));
  brim::api::SharedRegionInfo region;
  static_cast<void>(brim::api::ReadRegisterProto(bytes, &region));
  bool flag = false;
  static_cast<void>(brim::api::ReadIndexRequest(bytes, &flag));
  static_cast<void>(brim::api::ReadSettingsRequest(bytes, &flag));
  return 0;
}
