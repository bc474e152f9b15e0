#include "serving/admission_policy.h"

#include <algorithm>
#include <chrono>

namespace brim::serving {
namespace {

constexpr Duration kRetryMin = std::chrono::milliseconds(10);
constexpr Duration kRetryMax = std::chrono::seconds(30);
// With fewer waiting the estimate is mostly noise.
constexpr std::uint64_t kHopelessWaitingMin = 4;

// How long what waits will take. Saturates at kRetryMax, so that no product overflows.
Duration Backlog(const AdmissionState& state) {
  const std::int64_t run = state.usual_run.count();
  if (run <= 0 || state.waiting == 0) return Duration::zero();
  const auto parallel = static_cast<std::int64_t>(std::max(state.parallel, 1u));
  if (run >= kRetryMax.count()) return kRetryMax;
  const auto waiting = static_cast<std::int64_t>(std::min<std::uint64_t>(state.waiting, 1u << 20));
  return std::min(Duration(run * waiting / parallel), kRetryMax);
}

}  // namespace

AdmissionDecision DecideAdmission(const AdmissionState& state) {
  const Duration backlog = Backlog(state);
  const Duration retry = std::clamp(backlog, kRetryMin, kRetryMax);
  if (state.draining) return {Admission::kDraining, retry};
  if (state.deadline <= state.now) return {Admission::kExpired, Duration::zero()};
  if (state.waiting_max > 0 && state.waiting >= state.waiting_max) {
    return {Admission::kQueueFull, retry};
  }
  if (state.all_waiting >= state.all_waiting_max) return {Admission::kServerFull, retry};
  if (state.deadline != Time::max() && state.waiting >= kHopelessWaitingMin &&
      backlog / 2 > state.deadline - state.now) {
    return {Admission::kHopeless, retry};
  }
  return {};
}

}  // namespace brim::serving
