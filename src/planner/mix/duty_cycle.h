// Duty cycles: can these models take turns in one process on one share, and keep their objectives?
//
// Squishy packing (Nexus, SOSP 2019): in a cycle of D ms every model gets one turn with the batch
// that D collects, b = ceil(rate D). A request that just missed its turn waits D and then runs, so
// D + l(b) must be within the objective; and the turns must fit: sum of l(b) <= busy_max D. A
// larger D makes larger, cheaper batches, so the largest D that the objectives allow is tried
// first. Two things beyond Nexus. A model that asks less than once a cycle counts with its chance
// of being asked, 1 - exp(-rate D) (never below its work at the best batch), not with a turn in
// every cycle: with hundreds of quiet models the sum of all turns would never fit, though they
// hardly ever meet (the simulation judges whether they do). And weights may be left on the host: a
// swapped model pays its load time at each turn.
//
// Memory of the process: context + resident weights + the largest workspace (turns share one) +
// room for the largest swapped model. Pure; any thread.
#pragma once

#include <span>
#include <vector>

#include "planner/mix/latency_table.h"
#include "planner/mix/model.h"

namespace brim::planner {

struct CycleLoad {
  const LatencyTable* table = nullptr;
  double rate = 0;      // Requests a second.
  double limit_ms = 0;  // Objective times the margin.
  double load_ms = 0;   // Per turn; 0 for a resident model.
  double least_ms = 0;  // Per request, with the best batch that the limit allows on this share.
};

struct Cycle {
  bool fits = false;
  double duty_ms = 0;
  double busy = 0;           // Of all turns, part of the time.
  std::vector<int> batches;  // Per load.
  std::vector<double> busy_each;
};

// `slowdown` multiplies every latency (neighbours on the card).
Cycle FitCycle(std::span<const CycleLoad> loads, int share, double busy_max, double slowdown = 1);

// The highest rate that one model alone can have on this share; 0: none. Its batch in *batch.
double SoloRate(const LatencyTable& table, double limit_ms, int share, double busy_max, int* batch);

struct MemoryNeed {
  double weights_mib = 0;
  double workspace_mib = 0;
  double load_ms = 0;  // 0: cannot be swapped.
  double rate = 0;
};

struct MemorySplit {
  bool fits = false;
  double memory_mib = 0;
  std::vector<bool> resident;
};

// Keeps resident what would cost the most load time, until the rest fits `room_mib`.
MemorySplit SplitMemory(std::span<const MemoryNeed> needs, double context_mib, double room_mib);

}  // namespace brim::planner
