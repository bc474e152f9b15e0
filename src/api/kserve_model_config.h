// A loaded version as Triton's ModelConfig, which load tools ask for before they send anything.
//
// Built from what was really loaded: dims come from the signature (without the batch dimension when
// max_batch_size > 0), instance_group counts the compiled copies held now. Field numbers:
// proto/kserve/model_config.proto. Threads: any.
#pragma once

#include <string>

#include "base/bytes.h"
#include "serving/version.h"

namespace brim::api {

std::string ModelConfigJson(const serving::Version& version);
// ModelConfigResponse: the configuration in field 1.
ByteBuffer ModelConfigProto(const serving::Version& version);

}  // namespace brim::api
