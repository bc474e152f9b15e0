// Decodes InferTensorContents, the typed form of a tensor's data in protobuf.
//
// May throw protozero::exception, which kserve_proto.cc catches. Pure; any thread.
#pragma once

#include <span>

#include "api/kserve_message.h"
#include "base/status.h"
#include "model/tensor.h"

namespace brim::api {

// Sets tensor->data from `contents`: a view into it when that is one packed run of floats, else
// decoded bytes that message->owned holds. kInvalidArgument when a field does not fit the datatype,
// a number does not fit its width, or there are not exactly as many elements as the shape says.
Status DecodeContents(std::span<const std::byte> contents, model::TensorView* tensor,
                      KserveMessage* message);

}  // namespace brim::api
