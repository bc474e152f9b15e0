// Plans a fleet onto cards and cores with a chosen set of levers. See fleet_plan.cc for the method.
//
// Pure; any thread. The plan sees only what an owner declared and what the learned day showed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/cluster/gap.h"
#include "planner/replay/fleet.h"

namespace brim::planner {

enum Lever : std::uint32_t { kCpuMove = 1, kMixed = 2, kSlices = 4, kRightSizing = 8 };
inline constexpr std::uint32_t kAllLevers = 15;
inline constexpr int kLevers = 4;
// "cpu", "mix", "slices", "right-size"; static storage.
const char* LeverName(int lever);
// "base", "cpu", "mix+slices", ...
std::string LeverSetName(std::uint32_t levers);

struct PlanMember {
  std::int32_t model = 0;
  double part = 1;  // Of the model's requests, 0 to 1.
  std::int32_t batch_max = 1;
};

// One process: on a share of a card, or on cores.
struct PlanServer {
  std::int32_t card = -1;  // -1: on the CPU.
  std::int32_t share_milli = 0;
  std::int32_t executors = 1;  // Requests (or batches) served at once; cores on the CPU.
  double memory_gib = 0;       // Reserved on the card.
  std::vector<PlanMember> members;
};

struct FleetPlan {
  std::int32_t cards = 0;
  std::int32_t cpu_cores = 0;
  std::int64_t migrations = 0;  // Loads needed to come here from one whole card per model.
  std::vector<PlanServer> servers;
};

// `boost`: a factor on each model's planned rate (what a failed simulation taught); empty: all 1.
FleetPlan PlanFleetCards(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers,
                         const std::vector<double>& boost = {});

// What is wrong with the plan (a card over its share or memory, a model not wholly served); empty:
// nothing.
std::string CheckFleetPlan(const FleetSpec& spec, const Fleet& fleet, const FleetPlan& plan);

// Lower bounds on the cards of any plan that serves the same demand with these levers.
std::vector<Bound> FleetBounds(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers);

// What a plan with these levers must serve, by hour: what was declared, or the learned rate times
// the margin.
HourRates PlannedRates(const FleetSpec& spec, const FleetModel& model, std::uint32_t levers);

// A member for the evaluator: its curve and its planned rate.
struct Load {
  const ShareProfile* profile = nullptr;  // Null: on the CPU.
  double cpu_s = 0;
  double slo_s = 0;
  const HourRates* rates = nullptr;
  double part = 1;
};
// Whether one server holds these loads in every hour: in a cycle of half the tightest SLO it does
// all the work that arrives, with `safety_z` deviations to spare. `slowdown` multiplies service.
bool ServerHolds(const FleetSpec& spec, const std::vector<Load>& loads, std::int32_t executors,
                 double slowdown);
// The largest batch of `load` that blocks nobody for longer than half the tightest SLO; 0: none.
std::int32_t BatchWithin(const Load& load, double slo_min_s, double slowdown);

}  // namespace brim::planner
