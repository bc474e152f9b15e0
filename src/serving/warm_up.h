// Runs a freshly loaded model once with zeros, so that its first caller does not pay for lazy work.
//
// Open dimensions are taken as 1, or as config.pbtxt states them (CheckSignature put those in the
// signature); strings are empty. Threads: the loader's; waits for the run.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "model/signature.h"
#include "runtimes/host.h"

namespace brim::serving {

enum class WarmUpEnd : std::uint8_t {
  kDone,
  kSkipped,  // Zeros of a guessed shape did not fit: no verdict on the model. `status` says why.
  kFailed,   // The shapes are the model's own and the run failed.
};

struct WarmUpResult {
  WarmUpEnd end = WarmUpEnd::kDone;
  Status status;
};

// Inputs of more than 256 MiB together are not made: skipped.
WarmUpResult WarmUp(const model::ModelInfo& info, runtimes::Instance* instance);

}  // namespace brim::serving
