// Checks a request against a signature before any vendor code sees it, and puts inputs in signature
// order.
//
// Messages say which tensor, what came and what is expected. Pure; any thread.
#pragma once

#include <vector>

#include "base/status.h"
#include "model/signature.h"
#include "model/tensor.h"

namespace brim::serving {

// kInvalidArgument for: missing, extra or repeated inputs, wrong dtype, wrong rank or dimension,
// byte counts that do not match, unequal batch dimensions among inputs when `batches`. On success
// `inputs` is in signature order. Optional inputs do not exist here: every input is needed.
Status ValidateInputs(const model::Signature& signature, bool batches,
                      std::vector<model::TensorView>* inputs);

// kInvalidArgument for an index out of range or repeated; fills in all when empty.
Status ValidateOutputs(const model::Signature& signature, std::vector<std::uint32_t>* outputs);

}  // namespace brim::serving
