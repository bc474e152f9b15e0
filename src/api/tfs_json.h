// The JSON of TensorFlow Serving's REST API: a predict, classify or regress request into tensors,
// tensors into its answer. Rules and error texts are those of
// tensorflow_serving/util/json_tensor.cc and g3doc/api_rest.md.
//
//   TfsJsonRequest request(limits);
//   BRIM_RETURN_IF_ERROR(request.Parse(body));
//   ... find the signature by request.signature_name() ...
//   BRIM_RETURN_IF_ERROR(request.FillInputs(signature, &tensors, &format));
//
// Different from it: answers are compact, not pretty-printed; a text after the object is refused;
// an integer that does not fit its narrow type (int8, int16, uint8) is refused instead of cut; text
// that is no UTF-8 is answered with U+FFFD. NaN, Infinity and -Infinity are read and written as
// those bare words, as there. Threads: a TfsJsonRequest belongs to one; the functions are pure.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "model/signature.h"
#include "model/tensor.h"

namespace brim::api {

// Tensors with the memory that their views point into (or into the request's body). Views stay
// valid when this moves.
struct OwnedTensors {
  std::vector<model::TensorView> views;
  std::vector<ByteBuffer> storage;
};

enum class TfsFormat : std::uint8_t {
  kRow,       // "instances" -> "predictions"
  kColumnar,  // "inputs" -> "outputs"
};

struct TfsJsonLimits {
  std::uint32_t depth_max = 100;  // Nesting of the document.
};

class TfsJsonRequest {
 public:
  explicit TfsJsonRequest(const TfsJsonLimits& limits);
  ~TfsJsonRequest();
  TfsJsonRequest(const TfsJsonRequest&) = delete;
  TfsJsonRequest& operator=(const TfsJsonRequest&) = delete;

  // kInvalidArgument: no JSON object, or a signature_name that is no string. REQUIRES:
  // ByteBuffer::kPadding readable bytes behind body. The document is copied as it is read: body may
  // go afterwards.
  Status Parse(std::span<const std::byte> body);

  // Empty: the default one. Valid as long as this.
  std::string_view signature_name() const;

  // Predict: dtypes come from the signature, shapes from the nesting. Names of views are the
  // signature's. Shapes are not compared with the signature here. kUnimplemented: a column of half,
  // bfloat16 or uint16, which the format cannot carry.
  Status FillInputs(const model::Signature& signature, OwnedTensors* tensors,
                    TfsFormat* format) const;

  // Classify and regress: one string tensor named `input_name` of as many serialized
  // tensorflow.Example as there are examples, the optional context put in front of each.
  Status FillExamples(std::string_view input_name, OwnedTensors* tensors) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The predict answer. kInvalidArgument: row form of outputs that have no common first dimension; a
// dtype that the format cannot carry. `out` is then unspecified.
Status WritePredictions(TfsFormat format, std::span<const model::TensorView> outputs,
                        ByteBuffer* out);

// What TensorFlow calls a dtype in messages: "float", "int32", "string".
std::string_view TfsTypeWord(model::DType dtype);

// One classification per example: {"results": [[[label, score], ...], ...]}. Either tensor may be
// null, not both; both are [examples, classes], labels strings, scores FP32. REQUIRES: they are
// that.
void WriteClassifications(const model::TensorView* labels, const model::TensorView* scores,
                          ByteBuffer* out);
// {"results": [value, ...]} of an FP32 tensor of one value per example.
void WriteRegressions(const model::TensorView& values, ByteBuffer* out);

}  // namespace brim::api
