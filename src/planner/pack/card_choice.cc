// Card choice: one pass over a node's cards each. Pure.
#include "planner/pack/card_choice.h"

#include "base/check.h"

namespace brim::planner {

std::int32_t TightestCard(const Occupancy& occupancy, const Pod& pod, std::int32_t node) {
  const FreeNode& free = occupancy.free(node);
  const auto cards = static_cast<std::int32_t>(free.card_milli.size());
  std::int32_t best = -1;
  for (std::int32_t card = 0; card < cards; ++card) {
    if (!occupancy.FitsCard(pod, node, card)) continue;
    if (best < 0 || free.card_milli[card] < free.card_milli[best]) best = card;
  }
  return best;
}

std::int32_t FreestCard(const Occupancy& occupancy, const Pod& pod, std::int32_t node) {
  const FreeNode& free = occupancy.free(node);
  const auto cards = static_cast<std::int32_t>(free.card_milli.size());
  std::int32_t best = -1;
  for (std::int32_t card = 0; card < cards; ++card) {
    if (!occupancy.FitsCard(pod, node, card)) continue;
    if (best < 0 || free.card_milli[card] > free.card_milli[best]) best = card;
  }
  return best;
}

std::uint64_t FirstCards(const Occupancy& occupancy, const Pod& pod, std::int32_t node) {
  const auto cards = static_cast<std::int32_t>(occupancy.free(node).card_milli.size());
  std::uint64_t mask = 0;
  std::int32_t found = 0;
  for (std::int32_t card = 0; card < cards && found < pod.cards; ++card) {
    if (!occupancy.FitsCard(pod, node, card)) continue;
    mask |= CardBit(card);
    ++found;
  }
  BRIM_CHECK(found == pod.cards);
  return mask;
}

}  // namespace brim::planner
