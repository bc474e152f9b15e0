// Bounds: how few cards any plan could use, and how much of a cluster any scheduler could fill.
//
//   BRIM_ASSIGN_OR_RETURN(const BoundSet set, BoundsFor(cluster, pods));
//   const Gap gap = GapTo(plan_cards, set.cards);         // Cards with anything on them.
//   const Gap gap = GapTo(kept_nodes_cards, set.node_cards);  // All cards of the nodes kept.
//
// Each bound relaxes the real problem, so no plan can beat it; they are ordered, area <= L2 <=
// pattern LP. What comes from the LP solver is only a hint: its dual prices are rounded and valued
// again in integers (pattern_lp.cc, node_lp.cc), so no tolerance can make a bound false.
// Pure: no clock, no threads, same answer every time. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/cluster/cluster.h"
#include "planner/cluster/gap.h"
#include "planner/cluster/progress.h"

namespace brim::planner {

// How many items of one size, in milli-cards: 1 to 1000.
struct SizeCount {
  std::int32_t milli = 0;
  std::int64_t count = 0;
};

// An upper bound on how full a cluster gets while pods of one mix arrive.
struct Ceiling {
  std::string name;
  double share = 0;   // Milli-cards placed over the cluster's, 0 to 1.
  double copies = 0;  // How many times the given pods.
  std::string means;
};

struct BoundOptions {
  bool patterns = true;   // Pattern LP (milliseconds; a second for 100 sizes).
  bool nodes = true;      // Node-type LPs for CPU, memory, cards and card models.
  bool ceilings = false;  // Upper bounds on the first refusal.
  // False: all pods stand at once. True: arrives_s and leaves_s count, and the bounds are for the
  // moment at which the most milli-cards are wanted.
  bool lifetimes = false;
  std::int64_t iterations_max = 1'000'000;  // Of the simplex method, in one LP.
  Progress progress;  // Called with a bound's name before it is computed; may be empty.
};

struct BoundSet {
  // Pods that no node holds even when empty, by index; the bounds are for the others.
  std::vector<std::size_t> too_large;
  // False: proven that the nodes cannot hold the pods, however they are placed. Then node_cards has
  // no aggregated LP.
  bool may_fit = true;
  std::vector<Bound> cards;       // On the cards with anything on them.
  std::vector<Bound> shared;      // The same for the pods that share a card alone.
  std::vector<Bound> node_cards;  // On all cards of the nodes with anything on them (compaction).
  std::vector<Ceiling> ceilings;  // With BoundOptions::ceilings.
};

// Every bound for these pods on this cluster. RESOURCE_EXHAUSTED (lp_limit): the solver gave up.
Result<BoundSet> BoundsFor(const Cluster& cluster, std::span<const Pod> pods,
                           const BoundOptions& options = {});

// Bounds for sizes on cards alone, any number of cards: area, L2 and (with `patterns`) pattern LP.
// `whole` cards are added to each. At most 1000 sizes. INVALID_ARGUMENT: a size or count out of
// range.
Result<std::vector<Bound>> SizeBounds(std::span<const SizeCount> sizes, std::int64_t whole = 0,
                                      bool patterns = true,
                                      std::int64_t iterations_max = 1'000'000);

// The shared pods' sizes, ascending, each once.
std::vector<SizeCount> SharedSizes(std::span<const Pod> pods);
// Whole cards that the other pods want.
std::int64_t WholeCards(std::span<const Pod> pods);

// Area: the sum of the demands.
Bound AreaBound(std::span<const SizeCount> sizes);
// Martello and Toth's L2: items above half a card stand alone; what is left of their cards cannot
// hold more than it does (Discrete Applied Mathematics 28, 1990).
Bound L2Bound(std::span<const SizeCount> sizes);
// The most milli-cards wanted at one moment, in cards; with pods that never leave, the area.
Bound FluidBound(std::span<const Pod> pods);

// The tightest of them; null without bounds.
const Bound* Tightest(const std::vector<Bound>& bounds);

}  // namespace brim::planner
