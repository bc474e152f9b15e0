#include "serving/schedule_policy.h"

#include <algorithm>
#include <tuple>

namespace brim::serving {
namespace {

// Its deadline is still met if it runs now, but not if it waits for about another run of its own.
bool IsUrgent(const Candidate& candidate, Time now) {
  if (candidate.expires == Time::max()) return false;
  const Duration slack = candidate.expires - now - candidate.usual_run;
  return slack >= Duration::zero() && slack < candidate.usual_run;
}

// Smaller runs first.
auto Rank(const Candidate& candidate, std::int64_t least_ns, Time now) {
  const bool may_borrow = candidate.virtual_ns - least_ns <= kLeadMaxNs;
  const bool urgent = may_borrow && IsUrgent(candidate, now);
  return std::make_tuple(may_borrow ? candidate.priority : UINT32_MAX,
                         urgent ? candidate.expires : Time::max(), candidate.virtual_ns,
                         candidate.oldest);
}

}  // namespace

std::size_t PickVersion(std::span<const Candidate> candidates, Time now) {
  std::int64_t least_ns = INT64_MAX;
  for (const Candidate& candidate : candidates) {
    least_ns = std::min(least_ns, candidate.virtual_ns);
  }
  std::size_t best = 0;
  auto best_rank = Rank(candidates[0], least_ns, now);
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const auto rank = Rank(candidates[i], least_ns, now);
    if (rank < best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  return best;
}

std::int64_t JoinVirtualTime(std::int64_t own_ns, std::int64_t clock_ns) {
  // What it was given ahead of the others is forgotten beyond the lead: an old burst is no debt for
  // ever.
  return std::clamp(own_ns, clock_ns, clock_ns + kLeadMaxNs);
}

}  // namespace brim::serving
