// Packing models into shared processes, and those onto cards.
//
// 1. Nexus' first step: what fills segments of a model's best share by itself gets them; the
//    residue, less than one segment, shares. Best is the least share per request a second.
// 2. Residues by falling work (and, a second try, by objective: models with like objectives want
//    like cycles) into the fullest node that still fits; for every node share, keeping the best.
//    After that each node shrinks to the smallest share that holds it.
// 3. Nodes onto cards (mix_node.h).
// 4. Local search: move a model, swap two, merge two nodes, re-slice what changed; kept if cards,
//    then total share, do not grow. A fixed number of tries, so the same seed gives the same plan.
// A node's fit is O(models in it); packing is O(shares * residues * nodes).
// Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/cluster/progress.h"
#include "planner/cluster/random.h"
#include "planner/mix/mix_node.h"

namespace brim::planner {

struct Draft {
  std::vector<MixNode> nodes;
  std::int32_t cards = 0;
};

// Whether some share holds the model alone, however little is asked of it.
bool CanStandAlone(const MixContext& context, std::int32_t m);

// REQUIRES: CanStandAlone(), each model.
Draft PackShared(const MixContext& context, const FitRule& rule,
                 std::span<const std::int32_t> models);

void SearchLocally(const MixContext& context, const FitRule& rule, std::int64_t tries,
                   Random* random, const Progress& progress, Draft* draft);

// Gives the nodes of these models more room: a larger share, or a node of their own for the
// busiest. `rule` has the new headroom already.
void Relieve(const MixContext& context, const FitRule& rule, std::span<const std::int32_t> models,
             Draft* draft);

std::int64_t TotalShare(const std::vector<MixNode>& nodes);

}  // namespace brim::planner
