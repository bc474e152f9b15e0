// An offline plan: a place for every pod of a set that is known as a whole, with hardly more cards
// than the pattern LP proves to be needed. The other side of the bounds: together they say what is
// possible to within a card or two.
//
// Pure, one thread, same answer every time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "planner/cluster/cluster.h"
#include "planner/cluster/progress.h"

namespace brim::planner {

struct OfflinePlan {
  std::vector<Spot> spots;      // Per pod.
  std::int64_t left_out = 0;    // Pods without a spot; 0: the plan holds all.
  std::int64_t used_cards = 0;  // With anything on them.
  std::int64_t swaps = 0;       // Exchanges that made room for a pod.
};

// Places the pods, as many as it can. Never exceeds a capacity.
Result<OfflinePlan> PlanOffline(const Cluster& cluster, std::span<const Pod> pods);

struct PrefixPlan {
  bool held = false;             // False: not found even on all nodes.
  std::int64_t nodes = 0;        // The first so many nodes of the cluster ...
  std::int64_t cards = 0;        // ... which have so many cards, hold all the pods.
  std::int64_t nodes_bound = 0;  // No prefix with fewer nodes can: proven by the node-type LP ...
  std::int64_t cards_bound = 0;  // ... their cards.
  OfflinePlan plan;
};

// The smallest prefix of the nodes, in the order given, on which PlanOffline() holds all the pods,
// searched from the proven smallest one upwards. (Borg's measure of compaction, EuroSys 2015, with
// a planner in the place of the scheduler.)
Result<PrefixPlan> PlanPrefix(const Cluster& cluster, std::span<const Pod> pods,
                              const Progress& progress = {});

}  // namespace brim::planner
