// TensorProto (tensorflow/core/framework/tensor.proto) to a tensor and back. Internal to api.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "api/tfs_json.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/tensor.h"

namespace brim::api {

// Adds one view, which is into `proto` where that holds the values as they are needed
// (tensor_content, one packed list of all values), else into storage. `budget` is what storage may
// still grow by; it is taken from. A list of values that is shorter than the shape repeats its last
// one, an empty one is zeros, of a longer one the first count. kInvalidArgument: "tensor parsing
// error: <name>: why".
Status DecodeTensorProto(std::string_view name, std::string_view proto, std::uint64_t* budget,
                         OwnedTensors* tensors);

// A map entry of PredictResponse.outputs (field 1): key 1, value 2. Values are typed (float_val,
// int_val, …), never tensor_content.
void WriteNamedTensor(const model::TensorView& tensor, ByteBuffer* out);

}  // namespace brim::api
