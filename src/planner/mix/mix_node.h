// MixNode: a segment while it is planned: a share with the parts of models that take turns on it.
// Placement: nodes on cards. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/mix/duty_cycle.h"
#include "planner/mix/mix_context.h"

namespace brim::planner {

struct MixItem {
  std::int32_t model = 0;
  double rate = 0;  // Requests a second of the model that come here.
};

struct MixNode {
  int share = 0;
  // Set: one model at this measured point, in that many processes; no cycle.
  const ProfilePoint* point = nullptr;
  std::vector<MixItem> items;
  Cycle cycle;
  MemorySplit memory;
  std::int32_t card = -1;
  int start = 0;
  double slowdown = 1;
};

// How nodes are fitted: what a plan may vary without another algorithm.
struct FitRule {
  std::vector<double> headroom;  // Per model: rates are planned as so many times the real ones.
  bool tight_memory = false;     // Units: a node may hold only its share's part of the memory.
};

// Fits the cycle and the memory at node->share; false if it does not fit: then they say nothing.
bool FitNode(const MixContext& context, const FitRule& rule, MixNode* node);
// At the smallest share that fits; false, and nothing is changed, if none does.
bool ResliceNode(const MixContext& context, const FitRule& rule, MixNode* node);
double MemoryOf(const MixContext& context, const MixNode& node);
// Slow-down that others suffer from this node: the sum of its models' coefficients by busy time.
double InterferenceOf(const MixContext& context, const MixNode& node);

// Puts every node on a card: MIG by its grid; units by best fit, largest first (the larger of its
// parts of share and memory), where a node that its neighbours slow too much gets more share, if
// the card has it. Returns the number of cards.
std::int32_t PlaceNodes(const MixContext& context, const FitRule& rule,
                        std::vector<MixNode>* nodes);

}  // namespace brim::planner
