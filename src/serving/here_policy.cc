#include "serving/here_policy.h"

namespace brim::serving {
namespace {

// A loop that got this many longest runs behind hands over: a burst must not serialise on one core.
constexpr int kLateRunsMax = 4;
// Inputs this much larger than usual make no usual run.
constexpr std::uint64_t kBytesFactorMax = 4;
constexpr std::uint64_t kBytesAlwaysUsual = 4096;

// Requests that come so many at a time are worth a hand-over, which costs about half a run of a
// model that is worth joining.
constexpr double kBurstMin = 3;
constexpr double kGatherMin = 4;
// A version whose joining does not pay is queued all the same in so many of its runs: only a queue
// can be joined, now and then, to see whether that is still so.
constexpr std::uint64_t kTryEvery = 4096;
constexpr std::uint64_t kTryRuns = 256;
// A body takes time to arrive, through no fault of the loop: 100 MB/s.
constexpr Duration kArrivalPerByte{10};

// Joining saves CPU, and enough arrives to join: several at a time, or more than one core could run
// one by one.
bool ShouldJoin(const HereState& state) {
  if (!state.batches || state.gain == BatchGain::kDoesNotPay) return false;
  if (state.delay_max > Duration::zero()) return true;  // Its owner asks to wait for company.
  if (state.burst >= kBurstMin) return true;
  return state.arrival_interval > Duration::zero() && state.arrival_interval < state.expected_run;
}

}  // namespace

Here DecideHere(const HereState& state) {
  if (!state.caller_allows || state.preserve_order) return Here::kHandOver;
  if (state.runs < kHereRunsMin || state.expected_run > state.run_max) return Here::kHandOver;
  const auto arrival = kArrivalPerByte * static_cast<std::int64_t>(state.bytes);
  if (state.late > kLateRunsMax * state.run_max + arrival) return Here::kHandOver;
  if (state.bytes > kBytesAlwaysUsual && state.bytes / kBytesFactorMax > state.usual_bytes) {
    return Here::kHandOver;
  }
  const bool tries = state.runs % kTryEvery < kTryRuns;
  const bool joins = state.batches && (state.gain != BatchGain::kDoesNotPay || tries);
  // Those that wait go first: they may be joined, or their turn comes at the end of the round.
  if (state.has_round) return joins || state.waiting > 0 ? Here::kRoundEnd : Here::kNow;
  return state.waiting > 0 || ShouldJoin(state) ? Here::kHandOver : Here::kNow;
}

bool ShouldGather(double burst) { return burst >= kGatherMin; }

bool MayRunAtRoundEnd(const RoundState& state) {
  return state.expected_run <= state.run_max && state.late <= kLateRunsMax * state.run_max;
}

}  // namespace brim::serving
