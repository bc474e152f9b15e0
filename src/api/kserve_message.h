// KserveMessage: what one ModelInfer request says, whatever encoding it came in.
//
// The parsers (kserve_json.h, kserve_proto.h) fill it in; kserve_infer.h turns it into a serving
// request. Names and tensor data are views into the request's bytes where they lie there as needed;
// what had to be decoded (JSON numbers, typed protobuf contents, escaped strings) lives in the
// message. Not for several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "model/tensor.h"
#include "serving/version.h"

namespace brim::api {

struct KserveLimits {
  std::uint32_t json_depth_max = 100;
  std::uint32_t tensors_max = 1024;    // Inputs, and outputs, of one request.
  std::uint32_t parameters_max = 256;  // Of a request or of one tensor.
  std::uint32_t id_bytes_max = 1024;
  std::uint64_t decoded_bytes_max = 1u << 30;  // What one request's tensors may decode to in all.
};

struct KserveParameter {
  enum class Kind : std::uint8_t { kBool, kInt, kUint, kDouble, kText };
  std::string_view key;
  Kind kind = Kind::kBool;
  bool boolean = false;
  std::int64_t integer = 0;
  std::uint64_t natural = 0;
  double number = 0;
  std::string_view text;
};

// Where in registered shared memory a tensor lies or is to go; region empty: in the message.
struct KserveSharedPart {
  std::string_view region;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
};

struct KserveOutput {  // A requested output.
  std::string_view name;
  std::uint64_t classes = 0;   // "classification"; 0: the tensor itself.
  std::optional<bool> binary;  // "binary_data", REST only.
  KserveSharedPart shared{};
};

struct KserveSharedInput {
  std::size_t input = 0;  // Index into inputs, whose data is empty.
  KserveSharedPart part;
};

struct KserveMessage {
  std::string_view model_name;  // Of the request's body; REST takes it from the path.
  std::string_view model_version;
  std::string_view id;
  std::vector<KserveParameter> parameters;  // Those without a meaning here: echoed in the answer.
  std::uint64_t priority = 0;
  std::uint64_t timeout_us = 0;  // 0: none.
  bool binary_output = false;    // REST: outputs are binary unless one says otherwise.
  std::vector<model::TensorView> inputs;
  std::vector<KserveOutput> outputs;             // Empty: all, as tensors.
  std::vector<KserveSharedInput> shared_inputs;  // Ascending.

  // Storage behind the views: moving a ByteBuffer leaves its bytes where they are.
  std::vector<ByteBuffer> owned;

  // Has what few requests have, in memory of its own.
  bool IsUnusual() const {
    return parameters.capacity() > 0 || owned.capacity() > 0 || shared_inputs.capacity() > 0;
  }
  // As new, but for the memory of `inputs` and `outputs`. REQUIRES: not unusual.
  void Clear() {
    std::vector<model::TensorView> kept_inputs = std::move(inputs);
    std::vector<KserveOutput> kept_outputs = std::move(outputs);
    *this = KserveMessage();
    kept_inputs.clear();
    kept_outputs.clear();
    inputs = std::move(kept_inputs);
    outputs = std::move(kept_outputs);
  }

  // A copy of `text` that lives as long as the message.
  std::string_view Keep(std::string_view text) { return owned.emplace_back(text).view(); }
};

// Takes one request-level parameter: reserved ones are checked and used, others kept for the
// answer. What Triton reserves: sequence_*, priority, timeout, headers, binary_data_output,
// triton_*. Sequence parameters are accepted and, as no model here is stateful, mean nothing.
Status TakeParameter(const KserveParameter& parameter, const KserveLimits& limits,
                     KserveMessage* message);

// The three parameters that place a tensor in shared memory (Triton's extension_shared_memory.md).
inline bool IsSharedParameter(std::string_view key) { return key.starts_with("shared_memory_"); }
// Takes one; and checks them once all are taken. REQUIRES: IsSharedParameter.
Status TakeSharedParameter(const KserveParameter& parameter, KserveSharedPart* part);
Status CheckSharedPart(const KserveSharedPart& part, std::string_view tensor);

// The input of a request whose whole body is one tensor (Inference-Header-Content-Length: 0): rows
// 1 when the model batches, at most one other dynamic dimension, which the size tells; strings:
// shape [1], the body is the element.
Status TakeRawBody(const serving::Version& version, std::span<const std::byte> body,
                   KserveMessage* message);

}  // namespace brim::api
