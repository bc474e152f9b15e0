// Tune: chooses the rule's parameters by replaying one window; they stay frozen afterwards.
//
// Reads nothing outside the window. Pure; any thread.
#pragma once

#include <vector>

#include "planner/cluster/progress.h"
#include "planner/rightsize/recommend.h"

namespace brim::planner {

// The objective's parts for one choice, on the window it was tuned on.
struct Objective {
  double overrun = 0;   // Share of a card (compute) or of the largest memory seen, held unused.
  double underrun = 0;  // Misses over the allowed share, less 1; 0 when allowed.
  double changes = 0;   // A pod and hour.
  double cost = 0;      // Weighted sum.
};

struct Tuning {
  RightsizeParams params;
  Objective compute;
  Objective cpu;
  std::vector<Objective> memory;  // As params.memory.
};

Tuning Tune(const Usage& usage, const Window& train, const RightsizeGoals& goals,
            const Progress& progress = {});

}  // namespace brim::planner
