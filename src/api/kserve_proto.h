// KServe v2 inference as protobuf: ModelInferRequest in, ModelInferResponse out, without a protobuf
// runtime.
//
// Field numbers: proto/kserve/grpc_predict_v2.proto. Strings and raw tensors are views into the
// request; typed contents are decoded, but for a packed run of floats, which is used in place.
// Answers are always raw, as Triton's. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/kserve_json.h"
#include "api/kserve_message.h"
#include "base/bytes.h"
#include "base/status.h"

namespace brim::api {

// kInvalidArgument for malformed protobuf, typed contents that do not fit their datatype, typed and
// raw contents mixed, and missing data. Views in *message point into `bytes`.
Status ReadInferProto(std::span<const std::byte> bytes, const KserveLimits& limits,
                      KserveMessage* message);

// ModelInferResponse with raw_output_contents, in `room` (empty), or one allocation if that is too
// small. `binary` of the outputs is ignored.
ByteBuffer WriteInferProto(const KserveAnswer& answer, ByteBuffer room = {});
// ModelStreamInferResponse around it, marked triton_final_response.
ByteBuffer WriteStreamAnswer(const KserveAnswer& answer);
// ModelStreamInferResponse with error_message, and the request's id, name and version in an empty
// answer.
ByteBuffer WriteStreamError(std::string_view error, std::string_view id, std::string_view model,
                            std::string_view version);

// The requests that hold a name (field 1) and a version (field 2): ModelReady, ModelMetadata,
// ModelConfig, ModelStatistics; shared memory status and unregister have the name alone.
struct NamedRequest {
  std::string_view name;
  std::string_view version;
};
Status ReadNamedRequest(std::span<const std::byte> bytes, NamedRequest* out);

// RepositoryIndexRequest.ready.
Status ReadIndexRequest(std::span<const std::byte> bytes, bool* ready);

// RepositoryModelLoadRequest and …UnloadRequest: Triton's form has the name in field 2 (field 1 is
// the repository), KServe's own Python server has it in field 1; the latter is believed when field
// 2 is empty.
struct RepositoryProto {
  std::string_view name;
  std::string config;
  std::vector<std::pair<std::string, std::string>> files;  // Path without "file:", bytes.
};
Status ReadRepositoryProto(std::span<const std::byte> bytes, const KserveLimits& limits,
                           RepositoryProto* out);

// Whether a settings request (LogSettings, TraceSetting) asks to change anything: field 1 is there.
Status ReadSettingsRequest(std::span<const std::byte> bytes, bool* changes);

}  // namespace brim::api
