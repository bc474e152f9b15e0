// Packer and plain packing. One thread.
#include "planner/pack/packing.h"

#include "base/check.h"

namespace brim::planner {

Packer::Packer(const Cluster& cluster, const PackOptions& options)
    : policy_(options.policy),
      occupancy_(cluster),
      scorer_(MakeScorer(options.policy, occupancy_, options.expected, options.seed)),
      placer_(occupancy_, *scorer_,
              {options.policy.any_node ? Ties::kRandom : options.ties, options.seed,
               options.memo_bytes_max}) {}

Pod Packer::AsPlaced(const Pod& pod) const {
  Pod placed = pod;
  if (policy_.whole_cards && pod.cards > 0) placed.card_milli = kCardMilli;
  return placed;
}

Choice Packer::Choose(const Pod& pod) {
  return policy_.whole_cards ? placer_.Choose(AsPlaced(pod)) : placer_.Choose(pod);
}

void Packer::Put(const Pod& pod, const Choice& choice) {
  if (policy_.whole_cards) {
    occupancy_.Place(AsPlaced(pod), choice.spot);
  } else {
    occupancy_.Place(pod, choice.spot);
  }
  placer_.Changed(choice.spot.node);
  declared_milli_ += pod.demand_milli();
  if (choice.tied()) ++tied_;
}

Choice Packer::Add(const Pod& pod) {
  const Choice choice = Choose(pod);
  if (choice.spot.placed()) Put(pod, choice);
  return choice;
}

void Packer::Remove(const Pod& pod, const Spot& spot) {
  occupancy_.Remove(AsPlaced(pod), spot);
  placer_.Changed(spot.node);
  declared_milli_ -= pod.demand_milli();
}

namespace {

// Fits no node even when empty.
bool Never(const Occupancy& empty, const Pod& pod) {
  for (std::int32_t node = 0; node < empty.nodes(); ++node) {
    if (empty.Fits(pod, node)) return false;
  }
  return true;
}

}  // namespace

Packing Pack(const Cluster& cluster, const std::vector<Pod>& pods, const PackOptions& options,
             const Progress& progress) {
  Packer packer(cluster, options);
  const Occupancy empty(cluster);
  Packing packing;
  packing.spots.resize(pods.size());
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (progress && i % 256 == 0) {
      progress("pods placed", static_cast<std::int64_t>(i), static_cast<std::int64_t>(pods.size()));
    }
    const Choice choice = packer.Add(pods[i]);
    packing.spots[i] = choice.spot;
    if (choice.spot.placed()) continue;
    packing.refusals.push_back({static_cast<std::int64_t>(i), choice.nearest(), choice.misfits,
                                Never(empty, packer.AsPlaced(pods[i]))});
  }
  packing.declared_milli = packer.declared_milli();
  packing.used_cards = packer.occupancy().used_cards();
  packing.tied = packer.tied();
  for (std::int32_t node = 0; node < packer.occupancy().nodes(); ++node) {
    if (!packer.occupancy().free(node).used()) continue;
    ++packing.used_nodes;
    packing.used_node_cards += cluster.nodes[node].cards;
  }
  return packing;
}

}  // namespace brim::planner
