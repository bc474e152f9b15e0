// The pattern LP: how many cards shares of given sizes need, by column generation; and an integer
// plan made from it.
//
// Pure, one thread, same answer every time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "planner/bound/bound.h"
#include "planner/bound/card_knapsack.h"

namespace brim::planner {

struct PatternLp {
  std::vector<SizeCount> sizes;      // Ascending, each once, none with count 0.
  std::vector<Pattern> patterns;     // Counts per size.
  std::vector<double> use;           // Cards of each pattern in the LP's solution.
  std::vector<std::int64_t> prices;  // What one share of each size is worth ...
  std::int64_t card_price = 1;       // ... when no card's shares are worth more than this.
  // Proven lower bound on the cards: the sum of count * price over card_price, in integers.
  double value = 0;
  double objective = 0;     // The solver's own value; only for tests.
  std::int32_t rounds = 0;  // LPs solved.
};

// REQUIRES: sizes 1 to 1000. The same size may come twice. iterations_max is per LP.
// RESOURCE_EXHAUSTED (lp_limit) as in linear_program.h.
Result<PatternLp> SolvePatternLp(std::span<const SizeCount> sizes,
                                 std::int64_t iterations_max = 1'000'000);

// Cards, each filled by a pattern over the LP's sizes; together they hold every share exactly once.
struct PatternPlan {
  std::vector<Pattern> patterns;
  std::vector<std::int64_t> cards;  // Per pattern.
  std::int64_t total = 0;
};

// Rounds the LP down, packs what is left best-fit decreasing, then again from the LP of what is
// left, at most `dives` times; the best of these. Never below ceil(lp.value).
Result<PatternPlan> RoundPatterns(const PatternLp& lp, std::int32_t dives = 60);

// Best-fit decreasing alone.
PatternPlan BestFitDecreasing(std::span<const SizeCount> sizes);

// Ascending, each size once, counts summed, none with count 0.
std::vector<SizeCount> Merged(std::span<const SizeCount> sizes);

}  // namespace brim::planner
