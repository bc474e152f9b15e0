// tensorflow.Example from JSON: the "examples" and "context" of a classify or regress request.
// Internal to api.
//
// Source: tensorflow/core/example/{example,feature}.proto. Pure; any thread.
#pragma once

#include <string_view>

#include "api/tfs_json.h"
#include "api/tfs_json_value.h"
#include "base/status.h"

namespace brim::api {

// See TfsJsonRequest::FillExamples.
Status ReadExamples(const JsonElement& root, std::string_view input_name, OwnedTensors* tensors);

}  // namespace brim::api
