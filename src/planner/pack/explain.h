// Explain: why a pod stands where it stands, why not elsewhere, and what would free a card. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "planner/pack/packing.h"

namespace brim::planner {

// Nodes of equal capacity, as they stood when the pod came.
struct NodeClass {
  Node node;                                       // The first of them; its name too.
  std::int32_t nodes = 0;                          // The counts below sum to it.
  std::array<std::int32_t, kMisfits> by_misfit{};  // kNone: the pod fits.
};

struct ScoredNode {
  std::int32_t node = -1;  // -1: there is none.
  std::int32_t score = 0;
  std::vector<ScoreTerm> terms;  // Sum to the score.
};

// A pod that would have to go, or to move.
struct Mover {
  std::int64_t pod = 0;  // Index into the pods.
  Spot to;               // Where it could move onto a card already in use; not placed(): nowhere.
};

struct Explanation {
  Choice choice;
  std::vector<NodeClass> classes;  // Nodes in all: their sum.
  ScoredNode chosen;               // Of a placed pod.
  ScoredNode runner_up;            // The best other node that the pod fitted.
  // Placed: the pods on its card once all have come (itself too, when it has one card), and where
  // each could go instead; the card is free when all can. Refused: on the node where the least card
  // share would have to go, the pods that would have to.
  std::vector<Mover> movers;
  std::int32_t free_node = -1;  // Of that card, or that node; -1: nothing would help.
  std::int32_t free_card = -1;
  bool frees = false;  // All movers have a place to go (placed), or can go (refused).
};

// Packs the pods as Pack() does. REQUIRES: pod < pods.size().
Explanation Explain(const Cluster& cluster, const std::vector<Pod>& pods,
                    const PackOptions& options, std::size_t pod, const Progress& progress);

}  // namespace brim::planner
