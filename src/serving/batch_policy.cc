#include "serving/batch_policy.h"

#include <algorithm>

namespace brim::serving {
namespace {

constexpr double kGainMin = 0.1;
constexpr std::uint32_t kTrySingleEvery = 16;
constexpr std::uint32_t kTryOtherEvery = 256;

struct Prefix {  // The longest front of the queue that may run as one.
  std::size_t count = 0;
  std::size_t preferred = 0;  // The longest that makes a preferred size.
  bool full = false;          // No more rows fit.
  bool bounded = false;       // The next request cannot be joined.
  Time expires = Time::max();
};

Prefix LongestPrefix(std::span<const Waiting> queue, const BatchLimits& limits) {
  Prefix prefix;
  std::uint64_t rows = 0;
  for (const Waiting& next : queue) {
    const std::uint32_t more = std::max(next.rows, 1u);
    if (prefix.count > 0) {
      if (!limits.join || next.group != queue.front().group || next.group == 0) {
        prefix.bounded = true;
        return prefix;
      }
      if (rows + more > limits.rows_max) {
        prefix.full = true;
        return prefix;
      }
    }
    rows += more;
    ++prefix.count;
    prefix.expires = std::min(prefix.expires, next.expires);
    if (std::binary_search(limits.preferred_rows.begin(), limits.preferred_rows.end(), rows)) {
      prefix.preferred = prefix.count;
    }
    if (rows >= limits.rows_max) {
      prefix.full = true;
      return prefix;
    }
  }
  return prefix;
}

bool CompanyIsLikely(const BatchLimits& limits) {
  return limits.join && limits.delay_max > Duration::zero() &&
         limits.arrival_interval <= limits.delay_max;
}

}  // namespace

BatchDecision DecideBatch(std::span<const Waiting> queue, const BatchLimits& limits, Time now) {
  std::size_t expired = 0;
  while (expired < queue.size() && queue[expired].expires <= now) ++expired;
  if (expired > 0) return Shed{expired};

  const Prefix prefix = LongestPrefix(queue, limits);
  if (prefix.preferred > 0 && !prefix.bounded) return Launch{prefix.preferred};
  const bool alone = queue.front().group == 0;
  if (prefix.full || prefix.bounded || alone || !CompanyIsLikely(limits)) {
    return Launch{prefix.count};
  }
  Time until = queue.front().enqueued + limits.delay_max;
  // Leaves time to run before the first of them expires.
  if (prefix.expires != Time::max()) until = std::min(until, prefix.expires - limits.usual_run);
  if (until <= now) return Launch{prefix.count};
  return Wait{until};
}

BatchGain JudgeBatchGain(const RowCosts& costs) {
  const double single = costs.ns[0];
  double joined = 0;
  for (std::size_t i = 1; i < RowCosts::kBuckets; ++i) {
    if (costs.ns[i] > 0 && (joined == 0 || costs.ns[i] < joined)) joined = costs.ns[i];
  }
  if (single <= 0 || joined <= 0) return BatchGain::kUnknown;
  return joined <= single * (1 - kGainMin) ? BatchGain::kPays : BatchGain::kDoesNotPay;
}

bool JoinThisTime(BatchGain gain, const RowCosts& costs, std::uint32_t choices) {
  if (gain == BatchGain::kUnknown) {
    const bool single_unmeasured = costs.ns[0] <= 0;
    return !(single_unmeasured && choices % kTrySingleEvery == kTrySingleEvery - 1);
  }
  const bool try_other = choices % kTryOtherEvery == kTryOtherEvery - 1;
  return (gain == BatchGain::kPays) != try_other;
}

Duration ExpectedRun(const RowCosts& costs, std::uint32_t rows) {
  const std::size_t want = RowCosts::BucketOf(rows);
  for (std::size_t distance = 0; distance < RowCosts::kBuckets; ++distance) {
    double row_ns = 0;
    if (distance <= want) row_ns = costs.ns[want - distance];
    if (row_ns <= 0 && want + distance < RowCosts::kBuckets) row_ns = costs.ns[want + distance];
    if (row_ns > 0) return Duration(static_cast<std::int64_t>(row_ns * std::max(rows, 1u)));
  }
  return Duration::zero();
}

}  // namespace brim::serving
