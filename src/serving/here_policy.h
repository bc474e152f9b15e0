// Decides whether a request runs on the thread that brought it (a loop), with no hand-over to a
// worker: at once, or at the end of the loop's round, joined with what else the round brought.
//
// Pure: no lock, no clock, no heap. A hand-over costs a wake-up: some 5 us of CPU and 30 to 70 us
// of latency where cores sleep, which a model of 10 us must not pay. But a loop that computes does
// not read: so only what is known to be quick runs here, and not when the loop is already late.
// Whether workers are busy does not matter: a loop that wakes for a quick request gets a core
// before workers that have long run, which is what keeps a light model's latency flat beside a
// heavy one.
//
// Requests of a model that joins wait for the end of the round: those that come together are joined
// at no cost but that of reading the others, and their answers leave in one write per connection.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "serving/batch_policy.h"

namespace brim::serving {

struct HereState {
  bool caller_allows = false;
  bool preserve_order = false;
  std::uint32_t waiting = 0;  // Requests of this version that wait: they go first.
  std::uint64_t runs = 0;     // Measured runs of this version.
  Duration expected_run{0};   // Of this request.
  Duration run_max{0};
  Duration late{0};         // Since the request's first byte was read.
  std::uint64_t bytes = 0;  // Of this request's inputs.
  std::uint64_t usual_bytes = 0;
  bool has_round = false;  // The caller can run it at the end of its round.
  // Of the version's batching, if its requests may be joined.
  bool batches = false;
  BatchGain gain = BatchGain::kUnknown;
  Duration delay_max{0};
  Duration arrival_interval{0};  // Zero: not known.
  double burst = 0;              // Mean requests that one round of a loop brings; zero: not known.
};

// A version whose runs are fewer is not known to be quick.
inline constexpr std::uint64_t kHereRunsMin = 3;

enum class Here : std::uint8_t { kNow, kRoundEnd, kHandOver };
Here DecideHere(const HereState& state);

// Whether a loop should look for more requests before it runs what its round brought, given the
// mean that one round brings of such: from a few at a time on, more come while it looks, and the
// looking (a give-away of the core and a system call) is spread over them. With fewer, latency
// would be paid for nothing.
bool ShouldGather(double burst);

// At the end of a round: whether the next batch, which should take `expected_run`, still runs here.
struct RoundState {
  Duration expected_run{0};
  Duration run_max{0};
  Duration late{0};  // Since the round began.
};
bool MayRunAtRoundEnd(const RoundState& state);

}  // namespace brim::serving
