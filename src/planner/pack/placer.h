// Placer: where does the next pod go? A policy is a node scorer; the placer asks it for the best
// node, remembers every score until the node changes, and breaks ties as it was told.
//
//   Occupancy occupancy(cluster);
//   Placer placer(occupancy, *scorer, {});
//   const Choice choice = placer.Choose(pod);
//   if (choice.spot.placed()) {
//     occupancy.Place(pod, choice.spot);
//     placer.Changed(choice.spot.node);
//   }
//
// Pure but for its memory: same calls, same answers. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include "planner/cluster/cluster.h"
#include "planner/cluster/occupancy.h"
#include "planner/cluster/random.h"
#include "planner/pack/pod_types.h"

namespace brim::planner {

// One named part of a score, for explanations. The parts of a score sum to it.
struct ScoreTerm {
  std::string_view name;  // Static storage.
  double value = 0;
};

// A policy: how good is this node for this pod, and which of its cards?
//
// A score may depend on the pod's demands, on the node's capacity and on what is free there; on
// nothing else, for the placer keeps it until the node changes.
class NodeScorer {
 public:
  virtual ~NodeScorer() = default;

  // Higher is better; above kScoreFloor. REQUIRES: the pod fits the node.
  virtual std::int32_t Score(const Pod& pod, std::int32_t node) = 0;
  // Exactly pod.cards bits. REQUIRES: the pod fits the node.
  virtual std::uint64_t Cards(const Pod& pod, std::int32_t node) = 0;
  // A pod was placed on the node or left it.
  virtual void Changed(std::int32_t node);
  // Asked before each choice: true when the scorer learnt something that voids its earlier scores.
  // To keep a choice at O(nodes), answer true a bounded number of times as a cluster fills.
  virtual bool Learn() { return false; }
  // What the score is made of. REQUIRES: the pod fits the node.
  virtual std::vector<ScoreTerm> Terms(const Pod& pod, std::int32_t node);
};

inline constexpr std::int32_t kMisfits = 6;  // Values of Misfit.
// Below it a remembered score is a Misfit.
inline constexpr std::int32_t kScoreFloor = std::numeric_limits<std::int32_t>::min() + kMisfits;

enum class Ties : std::uint8_t {
  kIndex,   // The first node in the cluster's order.
  kRandom,  // Any of them, by the seed.
};

struct PlacerOptions {
  Ties ties = Ties::kIndex;
  std::uint64_t seed = 1;
  std::size_t memo_bytes_max = std::size_t{256} << 20;  // Scores remembered; at least one type.
};

struct Choice {
  Spot spot;                                     // Not placed(): refused.
  std::int32_t score = 0;                        // Of the chosen node.
  std::int32_t equals = 0;                       // Nodes with that score, the chosen one included.
  std::array<std::int32_t, kMisfits> misfits{};  // Of a refused pod: nodes by Misfit.

  bool tied() const { return equals > 1; }
  // Of a refused pod: the misfit of the nodes that came nearest, that is, the last one in the order
  // checked; kNone when there is no node at all.
  Misfit nearest() const;
};

class Placer {
 public:
  // Both must outlive the placer.
  Placer(const Occupancy& occupancy, NodeScorer& scorer, const PlacerOptions& options);

  // Cost: O(nodes) look-ups, and a score for each node that changed since this type of pod came
  // last.
  Choice Choose(const Pod& pod);
  // A pod was placed on the node or left it: its scores are void.
  void Changed(std::int32_t node);
  std::int64_t evaluations() const { return evaluations_; }

 private:
  struct Row {                         // One type's scores.
    std::vector<std::int32_t> scores;  // Per node; empty: not built.
    std::uint64_t seen = 0;            // Changes up to here are in.
    std::uint64_t used = 0;            // When it was last asked for.
  };

  std::int32_t Evaluate(const Pod& pod, std::int32_t node);
  void Build(std::int32_t type, Row* row);
  Row& Fresh(std::int32_t type);
  void Forget();
  void MakeRoom();
  Choice Refuse(const Row& row) const;

  const Occupancy& occupancy_;
  NodeScorer& scorer_;
  const Ties ties_;
  const std::size_t rows_max_;
  Random random_;
  PodTypes types_;
  std::vector<Row> rows_;
  std::size_t rows_built_ = 0;
  std::vector<std::int32_t> alike_;    // Per node: the first node of the same capacity.
  std::vector<std::int32_t> changes_;  // Nodes, in order of change.
  std::uint64_t changes_dropped_ = 0;  // Before changes_[0].
  std::vector<std::uint64_t> stamps_;  // Per node: dedupes one refresh.
  std::uint64_t stamp_ = 0;
  std::uint64_t asked_ = 0;
  std::int64_t evaluations_ = 0;
};

}  // namespace brim::planner
