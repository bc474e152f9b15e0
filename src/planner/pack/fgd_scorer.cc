// Fragmentation gradient descent (Weng et al., USENIX ATC 2023).
//
// Score = floor(100 / (1 + exp(-d / 1000))), where d is by how many milli-cards the node's expected
// fragment shrinks; the integer makes steps of about 40 milli-cards around no change, and their
// ties go to the first node. That rounding is part of the method: with ties broken at random the
// published allocation on the all-shared trace drops by five points. Here the steps are found in a
// table of the 99 values of d where the score changes, in units of the exact integer fragment.
#include "planner/pack/fgd_scorer.h"

#include <algorithm>
#include <cmath>

#include "planner/pack/card_choice.h"

namespace brim::planner {

FgdScorer::FgdScorer(const Occupancy& occupancy, const PodMix& typical)
    : occupancy_(occupancy), fragmentation_(occupancy.cluster(), typical) {
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const double share = static_cast<double>(s + 1) / 100;
    steps_[s] = static_cast<std::int64_t>(std::ceil(std::log(share / (1 - share)) * 1000 *
                                                    static_cast<double>(fragmentation_.pods())));
  }
  steps_[49] = 0;  // log(1), whatever the division above made of it.
}

std::int32_t FgdScorer::Rounded(std::int64_t less_fragment) const {
  return static_cast<std::int32_t>(std::upper_bound(steps_.begin(), steps_.end(), less_fragment) -
                                   steps_.begin());
}

std::pair<std::int32_t, std::int32_t> FgdScorer::Best(const Pod& pod, std::int32_t node) const {
  const FreeNode& free = occupancy_.free(node);
  const std::int64_t before = fragmentation_.Of(free);
  const auto view = fragmentation_.At(free.card_model, free.cpu_milli - pod.cpu_milli);
  std::int64_t usable = 0;
  for (const std::int32_t milli : free.card_milli) usable += view.Usable(milli);
  const std::int64_t left = (free.card_milli_sum - pod.demand_milli()) * fragmentation_.pods();
  const bool share = pod.cards == 1 && pod.card_milli < kCardMilli;
  if (!share) {
    usable += view.UsableWhole(free.whole_cards - pod.cards) - pod.cards * view.Usable(kCardMilli);
    return {Rounded(before - (left - usable)), -1};
  }
  std::pair<std::int32_t, std::int32_t> best{-1, -1};
  const auto cards = static_cast<std::int32_t>(free.card_milli.size());
  std::int32_t last = -1;  // Cards with as much free score the same; the first one counts.
  for (std::int32_t card = 0; card < cards; ++card) {
    const std::int32_t milli = free.card_milli[card];
    if (milli == last || !occupancy_.FitsCard(pod, node, card)) continue;
    last = milli;
    const std::int32_t whole = free.whole_cards - (milli == kCardMilli ? 1 : 0);
    const std::int64_t after = left - usable + view.Usable(milli) -
                               view.Usable(milli - pod.card_milli) - view.UsableWhole(whole);
    const std::int32_t score = Rounded(before - after);
    if (score > best.first) best = {score, card};
  }
  return best;
}

std::uint64_t FgdScorer::Cards(const Pod& pod, std::int32_t node) {
  const std::int32_t card = Best(pod, node).second;
  return card < 0 ? FirstCards(occupancy_, pod, node) : CardBit(card);
}

std::vector<ScoreTerm> FgdScorer::Terms(const Pod& pod, std::int32_t node) {
  return {{"fragment_shrinks", static_cast<double>(Score(pod, node) - 50)}, {"no_change", 50}};
}

}  // namespace brim::planner
