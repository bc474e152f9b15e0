// PodReplay: recorded pods arrive and leave over nodes in virtual time, placed by one policy.
//
// At one instant departures go before arrivals, arrivals in the file's order. A refused pod is
// gone: it is listed, counted, and its card-hours are reported beside those that were placed, so
// that refusing never looks like saving. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/cluster/cluster.h"
#include "planner/cluster/occupancy.h"
#include "planner/cluster/progress.h"
#include "planner/pack/policies.h"
#include "planner/replay/consolidate.h"

namespace brim::planner {

struct PodReplayOptions {
  PolicyInfo policy;
  Ties ties = Ties::kIndex;
  std::uint64_t seed = 1;
  bool separate_roles = false;                   // Pods without cards stay off nodes with cards.
  double consolidate_every_s = 0;                // 0: never.
  ConsolidateOptions consolidate;                // The horizon is at most consolidate_every_s.
  std::vector<std::int32_t> owner_per_node_max;  // Per pod, 0: no limit; empty: none at all.
};

// How many cards stood used from this moment on.
struct ReplayPoint {
  double t_s = 0;
  std::int64_t used_cards = 0;
  std::int64_t demand_milli = 0;  // Declared by the pods that stand.
  std::int32_t used_nodes = 0;
};

struct RefusedPod {
  std::int32_t pod = 0;
  double t_s = 0;
  Misfit nearest = Misfit::kNone;
  bool owner_limit = false;  // A node had room, but enough of its owner's pods.
};

struct PodReplay {
  double begin_s = 0, end_s = 0;  // First and last event.
  std::int64_t arrived = 0, placed = 0, left = 0, standing = 0;
  std::vector<RefusedPod> refused;
  double used_card_h = 0;      // Cards with anything on them, over time.
  double declared_card_h = 0;  // What placed pods declared.
  double refused_card_h = 0;   // What refused pods would have.
  double used_node_h = 0;
  std::int64_t peak_cards = 0;
  double peak_s = 0;
  std::int32_t peak_nodes = 0;
  std::int64_t migrations = 0;
  double migration_card_h = 0;  // Both copies standing, and freed cards that waited for it.
  std::vector<ReplayPoint> points;
  std::vector<Spot> spots;  // Where each pod was placed; not placed(): refused.
};

// INVALID_ARGUMENT: a pod leaves before it arrives, or consolidation together with owner limits or
// a policy that takes whole cards.
Result<PodReplay> ReplayPods(const Cluster& cluster, const std::vector<Pod>& pods,
                             const PodReplayOptions& options, const Progress& progress = {});

}  // namespace brim::planner
