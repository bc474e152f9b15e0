// TensorFlow Serving's protobuf messages: requests read in place, answers written. Field numbers
// are those of tensorflow_serving/apis/*.proto and tensorflow/core/framework/tensor.proto (proto/
// holds our own copies).
//
// A request is read in two steps, so that an unknown model is told before a bad tensor:
// ParsePredict() finds the parts, DecodeInputs() decodes tensors. Tensors are views into the
// message wherever it holds them as they are needed (tensor_content, packed float_val and
// double_val). Pure; any thread. Bounds: see TfsProtoLimits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "api/tfs_json.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/signature.h"
#include "model/tensor.h"

namespace brim::api {

struct TfsProtoLimits {
  std::uint32_t tensors_max = 1024;  // Inputs, and names in output_filter.
  // What decoding may allocate beyond the message: strings, varints, and lists that repeat their
  // last value.
  std::uint64_t decoded_bytes_max = 256u << 20;
};

// ModelSpec. Views into the message.
struct TfsModelSpec {
  std::string_view name;
  std::optional<std::int64_t> version;
  std::string_view label;  // At most one of version and label is set.
  std::string_view signature_name;
};

struct TfsNamedTensor {
  std::string_view name;
  std::string_view proto;  // A serialized TensorProto.
};

struct TfsPredictMessage {
  std::optional<TfsModelSpec> spec;
  std::vector<TfsNamedTensor> inputs;  // A name once; of repeated ones the last, as maps are read.
  std::vector<std::string_view> output_filter;
};

// GetModelStatusRequest, GetModelMetadataRequest, ClassificationRequest, RegressionRequest.
struct TfsSpecMessage {
  std::optional<TfsModelSpec> spec;
  std::vector<std::string_view> metadata_fields;  // GetModelMetadataRequest's.
  std::string_view input;                         // A serialized Input, of classify and regress.
};

// All fail with kInvalidArgument when the bytes are no such message.
Status ParsePredict(std::span<const std::byte> message, const TfsProtoLimits& limits,
                    TfsPredictMessage* parsed);
Status ParseSpec(std::span<const std::byte> message, const TfsProtoLimits& limits,
                 TfsSpecMessage* parsed);

// "tensor parsing error: <name>: why". Fills one view per input, in their order.
Status DecodeInputs(const std::vector<TfsNamedTensor>& inputs, const TfsProtoLimits& limits,
                    OwnedTensors* tensors);

// A serialized Input (examples, and perhaps a context) as one string tensor of serialized
// tensorflow.Example.
Status DecodeExamples(std::string_view input, std::string_view input_name,
                      const TfsProtoLimits& limits, OwnedTensors* tensors);

// Who answered: the resolved version, and the signature's name, which may be empty (then it is left
// out).
struct TfsAnswerSpec {
  std::string_view model;
  std::int64_t version = 0;
  std::string_view signature_name;
};

// PredictResponse with typed values (float_val and so on), as TensorFlow Serving answers by
// default.
void WritePredictResponse(const TfsAnswerSpec& spec, std::span<const model::TensorView> outputs,
                          ByteBuffer* out);
// As WriteClassifications and WriteRegressions (tfs_json.h).
void WriteClassificationResponse(const TfsAnswerSpec& spec, const model::TensorView* labels,
                                 const model::TensorView* scores, ByteBuffer* out);
void WriteRegressionResponse(const TfsAnswerSpec& spec, const model::TensorView& values,
                             ByteBuffer* out);

// GetModelMetadataResponse with "signature_def", a SignatureDefMap in an Any. TensorInfo.name is
// the tensor's name in the signature, for the graph's own is not known here.
void WriteMetadataResponse(const TfsAnswerSpec& spec, std::span<const model::Signature> signatures,
                           ByteBuffer* out);

struct TfsVersionStatus {
  std::int64_t version = 0;
  std::int32_t state =
      0;  // ModelVersionStatus.State: START 10, LOADING 20, AVAILABLE 30, UNLOADING 40, END 50.
  Status status;
};
void WriteStatusResponse(std::span<const TfsVersionStatus> versions, ByteBuffer* out);

}  // namespace brim::api
