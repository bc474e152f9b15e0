// Holds a model's own signature against what config.pbtxt says of its inputs and outputs.
//
// Every configured tensor must exist, with the same type and dimensions that can be equal; every
// input of the model must be configured when any is. Where the model leaves a dimension open and
// the configuration states it, the configuration's is served. Pure; any thread.
#pragma once

#include "base/status.h"
#include "model/signature.h"
#include "serving/model_config.h"

namespace brim::serving {

// kInvalidArgument (signature_mismatch) names both sides. Only the default signature is looked at:
// it is the one that Triton's protocol can reach.
Status CheckSignature(const ModelConfig& config, model::ModelInfo* info);

}  // namespace brim::serving
