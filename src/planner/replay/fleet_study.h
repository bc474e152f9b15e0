// The study of a fleet: every set of the four levers planned, simulated and judged, on every seed;
// what each lever is worth in all orders; and whether the saving may be claimed. See
// fleet_study.cc.
//
// Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/cluster/progress.h"
#include "planner/replay/fleet_plan.h"
#include "planner/replay/fleet_simulate.h"

namespace brim::planner {

inline constexpr int kLeverSets = 1 << kLevers;
inline constexpr double kMarginPoints = 0.1;  // Goodput and attainment may be this much worse.

struct LeverResult {
  std::uint32_t levers = 0;
  FleetPlan plan;
  FleetOutcome outcome;          // Of the test day.
  std::vector<Bound> bounds;     // On its cards.
  Identity identity;             // Against the base.
  bool validated = false;        // The simulated learned day met every objective before the test.
  double goodput_points = 0;     // Goodput against the base, % of the base's.
  double attainment_points = 0;  // In-time share of all requests, against the base.
  double model_attainment_points = 0;  // The mean over models, against the base.
  bool counts = false;                 // None of the three is worse by more than kMarginPoints.
};

struct SeedResult {
  std::uint64_t seed = 0;
  Fleet fleet;
  std::array<LeverResult, kLeverSets> sets;  // By lever bits; 0 is the base.
  std::array<double, kLevers> shapley{};     // Cards saved by each lever; they sum to the saving.
  double saving() const;  // Of all levers, share of the base's cards; 0 when it does not count.
};

struct StudyOptions {
  std::uint64_t seed = 1;  // The first; the others follow.
  std::int32_t seeds = 10;
  bool perfect_forecast = false;  // The plan sees the test day's rates.
  bool all_sets = true;           // False: only the base and all levers.
};

// Fails (INTERNAL, identity_broken) when the identity does not hold, or a plan is over capacity.
Result<std::vector<SeedResult>> StudyFleet(const FleetSpec& spec, const StudyOptions& options,
                                           const Progress& progress = {});

// A plan that passed the learned day's simulation: fleets are re-planned with a higher rate for
// models that missed, at most kRepairsMax times; the last plan is returned either way.
inline constexpr int kRepairsMax = 8;
FleetPlan PlanValidated(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers,
                        const Streams& learned, bool* validated);

// Shapley's value of each lever: its mean effect over all orders. `worth` by lever bits.
std::array<double, kLevers> ShapleyShares(const std::array<double, kLeverSets>& worth);

// The 24 orders, each a permutation of 0 to 3, lexicographic.
std::vector<std::array<int, kLevers>> LeverOrders();

}  // namespace brim::planner
