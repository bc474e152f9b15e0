// The fewest cards for models on MIG instances of their own, proven.
//
// Each model needs instances whose capacities add up to its rate; an instance is one of five sizes,
// and how many of each fit K cards is four sums (mig_grid.h). So a plan is one vector of four sums
// per model, and whether K cards are enough is a multiple-choice knapsack with four small
// dimensions: a dynamic programme over the models keeps, for every value of the first three sums,
// the least total size, without those that another one dominates. It looks at everything, so "does
// not fit" is a proof, and the least K that fits is the optimum. O(models * states * choices), with
// at most (K+1)^2 (3K+1) states; in practice some thousands. The counting idea is that of the
// configuration programmes for bin packing (Gilmore and Gomory 1961), with the configurations
// projected out. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "planner/mix/mig_grid.h"

namespace brim::planner {

struct MigDemand {
  double rate = 0;
  std::array<double, 5>
      capacity{};  // Requests a second of one instance, by kMigSizes. 0: impossible.
};

inline constexpr std::int32_t kMigExactCardsMax = 40;  // Above, only MigCover() is tried.
inline constexpr std::size_t kMigExactModelsMax = 1000;

// Counts per model on at most `cards` cards, or nothing if there are none: a proof.
// REQUIRES: cards <= kMigExactCardsMax.
std::optional<std::vector<MigCounts>> MigFit(std::span<const MigDemand> demands,
                                             std::int32_t cards);

// The least total size that covers one demand, exactly (a covering knapsack); nothing if no size
// can serve it. Its sum over the models, over 7, is a bound that knows that instances are whole.
std::optional<MigCounts> MigCover(const MigDemand& demand);

struct MigOptimum {
  std::int32_t cards = 0;
  std::vector<MigCounts> counts;
  bool proven = false;  // No plan with fewer cards exists; else the covers' own cards.
};
// REQUIRES: every demand can be covered.
MigOptimum MigLeastCards(std::span<const MigDemand> demands);

// The largest factor >= 1 on all rates with which `cards` cards still do, to 1/1000 (at most
// `most`).
double MigHeadroom(std::span<const MigDemand> demands, std::int32_t cards, double most);

}  // namespace brim::planner
