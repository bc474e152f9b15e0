// Bounds that need no solver: sums, and Martello and Toth's L2.
//
// L2: choose K up to half a card. Shares above 1000 - K stand alone: nothing of at least K fits
// beside them. Shares above a half stand on cards of their own too. Shares from K to a half go
// where the latter leave room; what does not fit there by area needs further cards. The best K is
// one of the sizes, so O(sizes) sums over prefix sums. Without its last rounding up, each K is a
// set of dual prices (1, size and 0), so the bound never exceeds the pattern LP's.
#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "planner/bound/bound.h"
#include "planner/bound/pattern_lp.h"

namespace brim::planner {

std::vector<SizeCount> SharedSizes(std::span<const Pod> pods) {
  std::map<std::int32_t, std::int64_t> counts;
  for (const Pod& pod : pods) {
    if (pod.cards > 0 && !pod.whole()) counts[pod.card_milli] += pod.cards;
  }
  std::vector<SizeCount> sizes;
  for (const auto& [milli, count] : counts) sizes.push_back({milli, count});
  return sizes;
}

std::int64_t WholeCards(std::span<const Pod> pods) {
  std::int64_t cards = 0;
  for (const Pod& pod : pods) cards += pod.whole() ? pod.cards : 0;
  return cards;
}

Bound AreaBound(std::span<const SizeCount> sizes) {
  double milli = 0;
  for (const SizeCount& size : sizes) {
    milli += static_cast<double>(size.milli) * static_cast<double>(size.count);
  }
  return {"area", milli / kCardMilli, "sum of the demands: pods could be split"};
}

Bound L2Bound(std::span<const SizeCount> sizes) {
  Bound bound{"L2", 0, "pods above half a card stand apart; only what fits beside them does"};
  std::vector<SizeCount> merged = Merged(sizes);
  std::vector<std::int32_t> thresholds = {0};
  for (const SizeCount& size : merged) {
    if (2 * size.milli <= kCardMilli) thresholds.push_back(size.milli);
    // K just above what a large share leaves, so that the share stands alone.
    if (2 * size.milli > kCardMilli && size.milli < kCardMilli) {
      thresholds.push_back(kCardMilli - size.milli + 1);
    }
  }
  for (const std::int32_t k : thresholds) {
    if (2 * k > kCardMilli) continue;
    double alone = 0, halves = 0, area = 0;
    for (const SizeCount& size : merged) {
      const auto count = static_cast<double>(size.count);
      if (size.milli > kCardMilli - k) {
        alone += count;
      } else if (size.milli >= k) {
        halves += 2 * size.milli > kCardMilli ? count : 0;
        area += count * size.milli / kCardMilli;
      }
    }
    bound.value = std::max(bound.value, alone + std::max(halves, area));
  }
  return bound;
}

Bound FluidBound(std::span<const Pod> pods) {
  std::vector<std::pair<double, std::int64_t>> changes;
  for (const Pod& pod : pods) {
    changes.emplace_back(pod.arrives_s, pod.demand_milli());
    if (pod.leaves_s >= 0) changes.emplace_back(pod.leaves_s, -pod.demand_milli());
  }
  // At one moment the leaving pods make room first: the negative sorts before.
  std::sort(changes.begin(), changes.end());
  std::int64_t now = 0, most = 0;
  for (const auto& [time, milli] : changes) most = std::max(most, now += milli);
  return {"fluid", static_cast<double>(most) / kCardMilli,
          "the most wanted at one moment: pods could be split and moved at no cost"};
}

const Bound* Tightest(const std::vector<Bound>& bounds) {
  const Bound* tightest = nullptr;
  for (const Bound& bound : bounds) {
    if (tightest == nullptr || bound.value > tightest->value) tightest = &bound;
  }
  return tightest;
}

}  // namespace brim::planner
