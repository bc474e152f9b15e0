// KServe v2 inference in JSON: requests in, answers out, with the binary tensor extension.
//
// Sources: Open Inference Protocol inference_rest.md; Triton
// docs/protocol/extension_binary_data.md, extension_classification.md, extension_parameters.md,
// extension_schedule_policy.md. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/json_parser.h"
#include "api/kserve_message.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/tensor.h"

namespace brim::api {

// Reads an inference request: `body` is the whole body, of which the first json_bytes are JSON and
// the rest the binary tensors. Bytes behind body must be readable (ByteBuffer::kPadding). Views in
// *message point into body. kInvalidArgument for everything malformed.
Status ReadInferJson(JsonParser& parser, std::span<const std::byte> body, std::size_t json_bytes,
                     const KserveLimits& limits, KserveMessage* message);

// Repository requests: {"ready": true}; {"parameters": {"config": "...", "file:1/model.onnx":
// "<base64>"}}. An empty body is an empty object.
struct RepositoryJson {
  bool ready = false;
  std::string config;
  std::vector<std::pair<std::string, std::string>> files;  // Path without "file:", decoded bytes.
};
Status ReadRepositoryJson(JsonParser& parser, std::span<const std::byte> body,
                          const KserveLimits& limits, RepositoryJson* out);

// One output of an answer.
struct KserveAnswerTensor {
  model::TensorView tensor;
  bool binary = false;
  // Its data was put into shared memory: nothing but name, type and shape is told, as by Triton
  // (its C++ client takes any parameters for those of binary data).
  bool elsewhere = false;
};
struct KserveAnswer {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  std::span<const KserveParameter> parameters;
  std::span<const KserveAnswerTensor> outputs;
};

// Appends JSON and then the binary tensors to *out (one allocation when all are binary);
// *json_bytes is the JSON's length, 0 when no output is binary (then there is no
// Inference-Header-Content-Length to send). kInvalidArgument for FP16 and BF16 as JSON.
Status WriteInferJson(const KserveAnswer& answer, ByteBuffer* out, std::size_t* json_bytes);

}  // namespace brim::api
