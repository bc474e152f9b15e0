// Signature: what a model takes and gives under one name, as its file declares it.
//
// Shapes include the batch dimension when the model has one. Pure values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/dtype.h"
#include "model/shape.h"

namespace brim::model {

inline constexpr std::string_view kDefaultSignature = "serving_default";

struct TensorSpec {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;
  bool rank_known = true;  // False: any shape (a TensorFlow signature may not say).
};

struct Signature {
  std::string name = std::string(kDefaultSignature);
  std::string method_name;  // TensorFlow's, e.g. "tensorflow/serving/predict"; may be empty.
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;

  const TensorSpec* FindInput(std::string_view tensor) const;
  const TensorSpec* FindOutput(std::string_view tensor) const;
  // Whether rows of several requests may be joined along axis 0: every input and output has a known
  // rank of at least 1 and a dynamic first dimension.
  bool Batchable() const;
  // Whether nothing but the rows differs from one valid input to the next: the same as Batchable(),
  // all other dimensions fixed, and no strings.
  bool OnlyRowsVary() const;
};

struct ModelInfo {
  std::string
      platform;  // As KServe v2 lists them: "onnxruntime_onnx", "openvino", "tensorflow_savedmodel"
  std::string runtime;                // "openvino", "tensorflow", "fake"
  std::string precision;              // "f32", "bf16", …: what the runtime really computes in.
  std::string device;                 // The runtime's own name, e.g. "CPU".
  std::vector<Signature> signatures;  // At least one.
  std::uint64_t memory_bytes = 0;     // Measured growth of the process at load; 0 when unknown.
  std::string note;  // What the runtime does otherwise than its owner would expect; usually empty.

  const Signature* Find(std::string_view signature) const;
  // kDefaultSignature if there is one, else the first.
  const Signature& Default() const;
};

}  // namespace brim::model
