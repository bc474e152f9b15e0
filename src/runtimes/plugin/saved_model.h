// Reads the signatures of a TensorFlow SavedModel off its bytes, without TensorFlow.
//
// Sources: tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
// framework/tensor_shape.proto. Pure but for ReadSavedModel; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtimes/plugin/parts.h"

namespace brim::runtimes {

struct SavedSignature {
  SignatureDeclaration declaration;        // Tensors sorted by name.
  std::vector<std::string> input_tensors;  // "serving_default_x:0", as in declaration.inputs.
  std::vector<std::string> output_tensors;
  // Not empty: why it cannot be served (sparse tensors, element types without a name here).
  std::string refused;
};

// BRIM_INVALID when there is none; reference types count as what they refer to.
std::int32_t FromTensorFlowType(int number);

// The signatures of an encoded MetaGraphDef, sorted by name, without those that TensorFlow keeps
// for itself ("__saved_model_init_op"). False when the bytes are malformed.
bool ParseMetaGraph(std::string_view bytes, std::vector<SavedSignature>* signatures);

// Those of the graph tagged "serve" in directory/saved_model.pb (at most 2 GiB).
brim_code ReadSavedModel(const std::string& directory, std::vector<SavedSignature>* signatures,
                         brim_error* error);

// Whether directory holds a saved_model.pb.
bool IsSavedModel(const std::string& directory);

}  // namespace brim::runtimes
