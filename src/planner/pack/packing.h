// Packing: pods in order of arrival onto a cluster by one policy; what was placed, what was refused
// and why. Inflation: how much of a cluster a policy fills when more arrives than fits. Compaction:
// how small a part of a cluster holds a given set.
//
// Allocation is always the declared card share of placed pods over all cards of the cluster.
// Refused pods are counted and never make it larger. Pure; one thread each.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "planner/cluster/cluster.h"
#include "planner/cluster/occupancy.h"
#include "planner/cluster/progress.h"
#include "planner/pack/placer.h"
#include "planner/pack/pod_types.h"
#include "planner/pack/policies.h"

namespace brim::planner {

struct PackOptions {
  PolicyInfo policy;
  Ties ties = Ties::kIndex;
  std::uint64_t seed = 1;  // Of random ties and the random policy.
  PodMix expected;         // For policies that know a mix; usually MixOf(pods).
  std::size_t memo_bytes_max = PlacerOptions{}.memo_bytes_max;
};

// One policy at work on one cluster: occupancy and placer together. One thread.
class Packer {
 public:
  Packer(const Cluster& cluster, const PackOptions& options);  // The cluster must outlive it.

  // Where it would go now.
  Choice Choose(const Pod& pod);
  // REQUIRES: the choice is Choose()'s last for this pod and is placed.
  void Put(const Pod& pod, const Choice& choice);
  // Both: places the pod if a node takes it.
  Choice Add(const Pod& pod);
  // REQUIRES: Add() put it there.
  void Remove(const Pod& pod, const Spot& spot);

  // What stands on the card for this pod: rounded up to whole cards where the policy does so.
  Pod AsPlaced(const Pod& pod) const;
  const Occupancy& occupancy() const { return occupancy_; }
  NodeScorer& scorer() { return *scorer_; }
  Placer& placer() { return placer_; }
  std::int64_t declared_milli() const { return declared_milli_; }  // Of the pods that stand.
  std::int64_t tied() const { return tied_; }                      // Choices among equals.

 private:
  const PolicyInfo policy_;
  Occupancy occupancy_;
  std::unique_ptr<NodeScorer> scorer_;
  Placer placer_;
  std::int64_t declared_milli_ = 0;
  std::int64_t tied_ = 0;
};

struct Refusal {
  std::int64_t pod = 0;                          // Index into the arrivals.
  Misfit nearest = Misfit::kNone;                // What the nearest nodes lacked.
  std::array<std::int32_t, kMisfits> misfits{};  // Nodes by Misfit.
  bool never = false;                            // It fits no node even when empty.
};

struct Packing {
  std::vector<Spot> spots;  // Per pod.
  std::vector<Refusal> refusals;
  std::int64_t declared_milli = 0;
  std::int64_t used_cards = 0;
  std::int64_t used_nodes = 0;
  std::int64_t used_node_cards = 0;  // All cards of the used nodes.
  std::int64_t tied = 0;
};

// The pods in the order given.
Packing Pack(const Cluster& cluster, const std::vector<Pod>& pods, const PackOptions& options,
             const Progress& progress);

// ---- Inflation

// The pods in random order, then random ones of them again (or fewer) until their card demand
// reaches `demand` of the cluster's cards: the procedure of the FGD artefact. Names of repeats end
// in "+n". REQUIRES: some pod wants cards.
std::vector<Pod> InflationArrivals(const std::vector<Pod>& pods, std::int64_t cluster_cards,
                                   double demand, std::uint64_t seed);

struct Inflation {
  // Allocation, in percent of the cluster's cards, when p percent of its cards have been asked for:
  // the mean over the arrivals that round to p. Holes repeat the value before.
  std::vector<double> curve;
  double allocation = 0;     // At the end, a share.
  double first_refusal = 0;  // Allocation when the first pod was refused; at the end, if none.
  std::int64_t first_refused = -1;  // Its index; -1: none.
  std::int64_t arrivals = 0;
  std::int64_t refused = 0;
  std::int64_t refused_milli = 0;                   // Their card demand.
  std::array<std::int64_t, kMisfits> refused_by{};  // By nearest misfit.
  std::int64_t tied = 0;
  std::int64_t used_cards = 0;
};
Inflation Inflate(const Cluster& cluster, const std::vector<Pod>& arrivals, double demand,
                  const PackOptions& options, const Progress& progress);

// ---- Compaction

enum class CompactOrder : std::uint8_t {
  kArrival,     // As the pods come: what a scheduler can do.
  kDecreasing,  // Large demands first: what a planner can do who knows the set.
};
struct CompactOptions {
  double share = 0.6;  // Of the pods, drawn at random.
  CompactOrder order = CompactOrder::kArrival;
  std::uint64_t seed = 1;
};
struct Compaction {
  bool held = false;  // False: not even all nodes hold the pods.
  std::int64_t pods = 0;
  std::int64_t pod_milli = 0;  // Card demand of the pods drawn.
  std::int64_t nodes = 0;      // In the smallest prefix found.
  std::int64_t cards = 0;      // Theirs.
  Cluster cluster;             // The prefix itself, for bounds.
  std::vector<Pod> drawn;
};
// Borg's metric: nodes in a random order; the smallest prefix, found by bisection, on which the
// policy places every pod drawn.
Compaction Compact(const Cluster& cluster, const std::vector<Pod>& pods,
                   const CompactOptions& compact, const PackOptions& options,
                   const Progress& progress);

}  // namespace brim::planner
