// Occupancy: what is free on each node and card while pods come and go.
//
// A value of its own; one thread. Never exceeds a capacity: Place() refuses by CHECK what Fits()
// would refuse, so a plan that exists is a plan that fits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "planner/cluster/cluster.h"

namespace brim::planner {

// What is left of one node.
struct FreeNode {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::vector<std::int32_t> card_milli;       // Per card, 0 to 1000.
  std::vector<std::int64_t> card_memory_mib;  // Per card; empty when the node's is unknown.
  std::int32_t card_model = -1;
  std::int64_t card_milli_sum = 0;
  std::int32_t whole_cards = 0;  // Cards with all 1000 free.
  std::int32_t pods = 0;
  bool used() const { return pods > 0; }
};

// Why a pod does not fit a node, in the order checked.
enum class Misfit : std::uint8_t { kNone, kCardModel, kCards, kCardMemory, kCpu, kMemory };
std::string_view MisfitText(Misfit misfit);  // "no card with 460 units free" style, static storage.

class Occupancy {
 public:
  explicit Occupancy(const Cluster& cluster);  // Keeps a reference: the cluster must outlive it.

  const Cluster& cluster() const { return cluster_; }
  std::int32_t nodes() const { return static_cast<std::int32_t>(free_.size()); }
  const FreeNode& free(std::int32_t node) const { return free_[node]; }

  Misfit WhyNot(const Pod& pod, std::int32_t node) const;
  bool Fits(const Pod& pod, std::int32_t node) const { return WhyNot(pod, node) == Misfit::kNone; }
  // A share must also fit the one card; whole cards must be free.
  bool FitsCard(const Pod& pod, std::int32_t node, std::int32_t card) const;

  // REQUIRES: the pod fits there and the mask has exactly pod.cards bits.
  void Place(const Pod& pod, const Spot& spot);
  // REQUIRES: it was placed there.
  void Remove(const Pod& pod, const Spot& spot);

  std::int64_t placed_milli() const { return placed_milli_; }  // Milli-cards of placed pods.
  std::int64_t used_cards() const { return used_cards_; }      // Cards with anything on them.

 private:
  const Cluster& cluster_;
  std::vector<FreeNode> free_;
  std::int64_t placed_milli_ = 0;
  std::int64_t used_cards_ = 0;
};

}  // namespace brim::planner
