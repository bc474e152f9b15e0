// Occupancy: one counter per node resource and one per card; every change is checked first.
// One thread.
#include "planner/cluster/occupancy.h"

#include <bit>

#include "base/check.h"

namespace brim::planner {

std::string_view MisfitText(Misfit misfit) {
  switch (misfit) {
    case Misfit::kNone:
      return "fits";
    case Misfit::kCardModel:
      return "no card of an accepted model";
    case Misfit::kCards:
      return "too few cards with enough free units";
    case Misfit::kCardMemory:
      return "too few cards with enough free memory";
    case Misfit::kCpu:
      return "too little free CPU";
    case Misfit::kMemory:
      return "too little free memory";
  }
  return "unknown";
}

Occupancy::Occupancy(const Cluster& cluster) : cluster_(cluster) {
  free_.resize(cluster.nodes.size());
  for (std::size_t i = 0; i < free_.size(); ++i) {
    const Node& node = cluster.nodes[i];
    BRIM_CHECK(node.cards >= 0 && node.cards <= kCardsPerNodeMax);
    BRIM_CHECK(node.card_model < kCardModelsMax);
    FreeNode& free = free_[i];
    free.cpu_milli = node.cpu_milli;
    free.memory_mib = node.memory_mib;
    free.card_milli.assign(node.cards, kCardMilli);
    if (node.card_memory_mib > 0) free.card_memory_mib.assign(node.cards, node.card_memory_mib);
    free.card_model = node.card_model;
    free.card_milli_sum = std::int64_t{node.cards} * kCardMilli;
    free.whole_cards = node.cards;
  }
}

bool Occupancy::FitsCard(const Pod& pod, std::int32_t node, std::int32_t card) const {
  const FreeNode& free = free_[node];
  return free.card_milli[card] >= pod.card_milli &&
         (free.card_memory_mib.empty() || free.card_memory_mib[card] >= pod.card_memory_mib);
}

Misfit Occupancy::WhyNot(const Pod& pod, std::int32_t node) const {
  const FreeNode& free = free_[node];
  if (pod.cards > 0) {
    if (pod.card_models != 0 &&
        (free.card_model < 0 || (pod.card_models >> free.card_model & 1) == 0)) {
      return Misfit::kCardModel;
    }
    std::int32_t roomy = 0;
    std::int32_t fitting = 0;
    const auto cards = static_cast<std::int32_t>(free.card_milli.size());
    for (std::int32_t card = 0; card < cards; ++card) {
      if (free.card_milli[card] < pod.card_milli) continue;
      ++roomy;
      if (FitsCard(pod, node, card)) ++fitting;
    }
    if (roomy < pod.cards) return Misfit::kCards;
    if (fitting < pod.cards) return Misfit::kCardMemory;
  }
  if (free.cpu_milli < pod.cpu_milli) return Misfit::kCpu;
  if (free.memory_mib < pod.memory_mib) return Misfit::kMemory;
  return Misfit::kNone;
}

void Occupancy::Place(const Pod& pod, const Spot& spot) {
  BRIM_CHECK(spot.node >= 0 && spot.node < nodes());
  BRIM_CHECK(std::popcount(spot.cards) == pod.cards);
  FreeNode& free = free_[spot.node];
  BRIM_CHECK(free.cpu_milli >= pod.cpu_milli && free.memory_mib >= pod.memory_mib);
  BRIM_CHECK(pod.cards == 0 || pod.card_models == 0 ||
             (free.card_model >= 0 && (pod.card_models >> free.card_model & 1) != 0));
  for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
    const int card = std::countr_zero(left);
    BRIM_CHECK(card < static_cast<int>(free.card_milli.size()) && pod.card_milli > 0);
    BRIM_CHECK(FitsCard(pod, spot.node, card));
    if (free.card_milli[card] == kCardMilli) {
      --free.whole_cards;
      ++used_cards_;
    }
    free.card_milli[card] -= pod.card_milli;
    if (!free.card_memory_mib.empty()) free.card_memory_mib[card] -= pod.card_memory_mib;
  }
  free.cpu_milli -= pod.cpu_milli;
  free.memory_mib -= pod.memory_mib;
  free.card_milli_sum -= pod.demand_milli();
  ++free.pods;
  placed_milli_ += pod.demand_milli();
}

void Occupancy::Remove(const Pod& pod, const Spot& spot) {
  BRIM_CHECK(spot.node >= 0 && spot.node < nodes());
  BRIM_CHECK(std::popcount(spot.cards) == pod.cards);
  const Node& node = cluster_.nodes[spot.node];
  FreeNode& free = free_[spot.node];
  BRIM_CHECK(free.pods > 0);
  BRIM_CHECK(free.cpu_milli + pod.cpu_milli <= node.cpu_milli);
  BRIM_CHECK(free.memory_mib + pod.memory_mib <= node.memory_mib);
  for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
    const int card = std::countr_zero(left);
    BRIM_CHECK(card < node.cards);
    free.card_milli[card] += pod.card_milli;
    BRIM_CHECK(free.card_milli[card] <= kCardMilli);
    if (!free.card_memory_mib.empty()) {
      free.card_memory_mib[card] += pod.card_memory_mib;
      BRIM_CHECK(free.card_memory_mib[card] <= node.card_memory_mib);
    }
    if (free.card_milli[card] == kCardMilli) {
      ++free.whole_cards;
      --used_cards_;
    }
  }
  free.cpu_milli += pod.cpu_milli;
  free.memory_mib += pod.memory_mib;
  free.card_milli_sum += pod.demand_milli();
  --free.pods;
  placed_milli_ -= pod.demand_milli();
}

}  // namespace brim::planner
