// The baselines: what stock schedulers and short rules do. Each is a node score and a card rule.
// One thread; each keeps a reference to the occupancy.
#pragma once

#include <memory>

#include "planner/pack/placer.h"

namespace brim::planner {

// Kubernetes' NodeResourcesFit: mean free (used, for `most`) share of CPU and memory after
// placing, in percent, as an integer; the first free cards.
std::unique_ptr<NodeScorer> NodeResourcesScorer(const Occupancy& occupancy, bool most);

// Share of the node's cards in use after placing, in tenths of a percent: the fullest node first
// (`node_binpack`) or the emptiest; then within the node the tightest card (`card_binpack`) or the
// freest. Nodes without cards count as full.
std::unique_ptr<NodeScorer> CardShareScorer(const Occupancy& occupancy, bool node_binpack,
                                            bool card_binpack);

// Least left over of CPU and cards, each over the largest node's, half each, as an integer percent;
// the tightest card. The rule of the FGD artefact's BestFit.
std::unique_ptr<NodeScorer> BestFitScorer(const Occupancy& occupancy);

// The card with the least left after placing, then a used node, then the node with the fewest free
// units: `tightest`.
std::unique_ptr<NodeScorer> TightestScorer(const Occupancy& occupancy);

// Every node is as good; any fitting card.
std::unique_ptr<NodeScorer> AnyScorer(const Occupancy& occupancy, std::uint64_t seed);

}  // namespace brim::planner
