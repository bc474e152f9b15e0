// Column generation against the LP over all patterns, plans against brute force, proofs by hand.
#include "planner/bound/pattern_lp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "planner/bound/linear_program.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

std::vector<SizeCount> RandomSizes(Random* random, std::int32_t kinds, std::int64_t count_max,
                                   std::int32_t step) {
  std::vector<SizeCount> sizes;
  for (std::int32_t i = 0; i < kinds; ++i) {
    const auto milli = static_cast<std::int32_t>(step * (1 + random->Below(999 / step)));
    sizes.push_back({milli, static_cast<std::int64_t>(1 + random->Below(count_max))});
  }
  return Merged(sizes);
}

// Every pattern, not only the maximal ones.
std::vector<Pattern> AllPatterns(const std::vector<SizeCount>& sizes) {
  std::vector<Pattern> patterns;
  Pattern pattern(sizes.size(), 0);
  const std::function<void(std::size_t, std::int32_t)> fill = [&](std::size_t i,
                                                                  std::int32_t free) {
    if (i == sizes.size()) {
      patterns.push_back(pattern);
      return;
    }
    for (std::int32_t n = 0; n <= sizes[i].count && n * sizes[i].milli <= free; ++n) {
      pattern[i] = n;
      fill(i + 1, free - n * sizes[i].milli);
    }
    pattern[i] = 0;
  };
  fill(0, kCardMilli);
  return patterns;
}

double FullLp(const std::vector<SizeCount>& sizes) {
  LinearProgram lp;
  for (const SizeCount& size : sizes) lp.AddRow(static_cast<double>(size.count), kLpInfinity);
  for (const Pattern& pattern : AllPatterns(sizes)) {
    std::vector<LpEntry> entries;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] > 0) entries.push_back({static_cast<int>(i), double(pattern[i])});
    }
    lp.AddColumn(1, 0, kLpInfinity, entries);
  }
  const Result<LpSolution> solution = lp.Minimise(1'000'000);
  EXPECT_TRUE(solution.ok());
  return solution->objective;
}

// Fewest cards, by trying every card for every share.
std::int64_t BruteForce(const std::vector<SizeCount>& sizes) {
  std::vector<std::int32_t> shares;
  for (const SizeCount& size : sizes) shares.insert(shares.end(), size.count, size.milli);
  std::sort(shares.rbegin(), shares.rend());
  auto best = static_cast<std::int64_t>(shares.size());
  std::vector<std::int32_t> free;
  const std::function<void(std::size_t)> place = [&](std::size_t i) {
    if (static_cast<std::int64_t>(free.size()) >= best) return;
    if (i == shares.size()) {
      best = static_cast<std::int64_t>(free.size());
      return;
    }
    for (std::size_t card = 0; card < free.size(); ++card) {
      if (free[card] < shares[i]) continue;
      free[card] -= shares[i];
      place(i + 1);
      free[card] += shares[i];
    }
    free.push_back(kCardMilli - shares[i]);
    place(i + 1);
    free.pop_back();
  };
  place(0);
  return best;
}

void ExpectHoldsAll(const PatternPlan& plan, const std::vector<SizeCount>& sizes) {
  std::vector<std::int64_t> held(sizes.size(), 0);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < plan.patterns.size(); ++i) {
    std::int32_t milli = 0;
    for (std::size_t s = 0; s < sizes.size(); ++s) {
      held[s] += plan.cards[i] * plan.patterns[i][s];
      milli += plan.patterns[i][s] * sizes[s].milli;
    }
    EXPECT_LE(milli, kCardMilli);
    total += plan.cards[i];
  }
  EXPECT_EQ(total, plan.total);
  for (std::size_t s = 0; s < sizes.size(); ++s) EXPECT_EQ(held[s], sizes[s].count);
}

TEST(PatternLp, EqualsTheLpOverAllPatterns) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<SizeCount> sizes = RandomSizes(&random, 6, 60, 50);
    const Result<PatternLp> lp = SolvePatternLp(sizes);
    ASSERT_TRUE(lp.ok());
    EXPECT_NEAR(lp->value, FullLp(sizes), 1e-6);
    EXPECT_LE(lp->value, lp->objective + 1e-6);
  }
}

TEST(PatternLp, PricesProveTheValueByHand) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<SizeCount> sizes = RandomSizes(&random, 5, 40, 40);
    const Result<PatternLp> lp = SolvePatternLp(sizes);
    ASSERT_TRUE(lp.ok());
    double worth = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      worth += static_cast<double>(lp->prices[i]) * static_cast<double>(sizes[i].count);
    }
    EXPECT_NEAR(worth / static_cast<double>(lp->card_price), lp->value, 1e-9);
    for (const Pattern& pattern : AllPatterns(sizes)) {
      EXPECT_LE(
          std::inner_product(pattern.begin(), pattern.end(), lp->prices.begin(), std::int64_t{0}),
          lp->card_price);
    }
  }
}

TEST(PatternLp, BoundsAreOrderedAndBelowTheBestPlan) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<SizeCount> sizes = RandomSizes(&random, 4, 3, 10);
    const Result<std::vector<Bound>> bounds = SizeBounds(sizes);
    ASSERT_TRUE(bounds.ok());
    const std::int64_t best = BruteForce(sizes);
    EXPECT_LE((*bounds)[0].value, (*bounds)[1].value + 1e-9);
    EXPECT_LE((*bounds)[1].value, (*bounds)[2].value + 1e-6);
    for (const Bound& bound : *bounds) EXPECT_LE(bound.cards(), best) << bound.name;
    const Result<PatternPlan> plan = RoundPatterns(*SolvePatternLp(sizes));
    ASSERT_TRUE(plan.ok());
    ExpectHoldsAll(*plan, sizes);
    EXPECT_GE(plan->total, best);
    EXPECT_LE(plan->total, BestFitDecreasing(sizes).total);
  }
}

TEST(PatternLp, RoundingEndsWithinACardOfTheBound) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<SizeCount> sizes = RandomSizes(&random, 20, 300, 10);
    const Result<PatternLp> lp = SolvePatternLp(sizes);
    ASSERT_TRUE(lp.ok());
    const Result<PatternPlan> plan = RoundPatterns(*lp);
    ASSERT_TRUE(plan.ok());
    ExpectHoldsAll(*plan, sizes);
    EXPECT_LE(static_cast<double>(plan->total), std::ceil(lp->value - 1e-6) + 1);
  }
}

TEST(PatternLp, KnownAnswers) {
  EXPECT_DOUBLE_EQ(SolvePatternLp({})->value, 0);
  const SizeCount halves[] = {{500, 7}};
  EXPECT_DOUBLE_EQ(SolvePatternLp(halves)->value, 3.5);
  const SizeCount alone[] = {{501, 7}, {500, 0}};
  EXPECT_DOUBLE_EQ(SolvePatternLp(alone)->value, 7);
  EXPECT_DOUBLE_EQ(L2Bound(alone).value, 7);
  EXPECT_DOUBLE_EQ(AreaBound(alone).value, 3.507);
  // 600 leaves room for one 350, and a card holds two: 4 * 600 and 10 * 350 need 4 + 6 / 2.
  const SizeCount mixed[] = {{600, 4}, {350, 10}};
  EXPECT_NEAR(SolvePatternLp(mixed)->value, 7, 1e-6);
}

TEST(PatternLp, HugeCountsNeitherOverflowNorHang) {
  const SizeCount huge[] = {
      {1, 1'000'000'000'000}, {999, 1'000'000'000'000}, {470, 999'999'999'999}};
  const Result<PatternLp> lp = SolvePatternLp(huge);
  ASSERT_TRUE(lp.ok());
  EXPECT_NEAR(lp->value, 1.5e12, 1e6);
  EXPECT_GE(BestFitDecreasing(huge).total, 1'499'999'000'000);
}

TEST(PatternLp, TwoHundredSizesAreSolved) {
  std::vector<SizeCount> sizes;
  for (std::int32_t milli = 3; milli <= kCardMilli; milli += 5) sizes.push_back({milli, 3});
  const Result<PatternLp> lp = SolvePatternLp(sizes);
  ASSERT_TRUE(lp.ok());
  EXPECT_GE(lp->value, AreaBound(sizes).value - 1e-6);
}

TEST(SizeBounds, RefusesWhatIsNoShare) {
  for (const SizeCount bad : {SizeCount{0, 1}, SizeCount{1001, 1}, SizeCount{-5, 1},
                              SizeCount{500, -1}, SizeCount{500, 2'000'000'000'000}}) {
    EXPECT_EQ(SizeBounds({{bad}}).status().reason(), "size_out_of_range");
  }
}

TEST(LinearProgram, SaysWhyThereIsNoAnswer) {
  LinearProgram infeasible;
  infeasible.AddRow(3, kLpInfinity);
  infeasible.AddColumn(1, 0, 1, {{{0, 2}}});
  EXPECT_EQ(infeasible.Minimise(1000).status().reason(), "lp_infeasible");
  LinearProgram unbounded;
  unbounded.AddRow(3, kLpInfinity);
  unbounded.AddColumn(-1, 0, kLpInfinity, {{{0, 2}}});
  EXPECT_EQ(unbounded.Minimise(1000).status().reason(), "lp_unbounded");
  LinearProgram limited;
  for (int row = 0; row < 20; ++row) limited.AddRow(1, kLpInfinity);
  for (int i = 0; i < 60; ++i) {
    limited.AddColumn(1 + i % 7, 0, kLpInfinity, {{{i % 20, 1.0 + i % 3}, {(i + 7) % 20, 0.5}}});
  }
  EXPECT_EQ(limited.Minimise(1).status().reason(), "lp_limit");
  EXPECT_TRUE(limited.Minimise(10'000).ok());
}

TEST(LinearProgram, ResolvesAfterARowAndAColumnChange) {
  LinearProgram lp;
  const int row = lp.AddRow(3, kLpInfinity);
  const int column = lp.AddColumn(2, 0, kLpInfinity, {{{row, 1}}});
  EXPECT_DOUBLE_EQ(lp.Minimise(100)->objective, 6);
  lp.SetRow(row, 4, kLpInfinity);
  EXPECT_DOUBLE_EQ(lp.Minimise(100)->objective, 8);
  lp.SetColumn(column, 0, 1);
  EXPECT_EQ(lp.Minimise(100).status().reason(), "lp_infeasible");
  lp.AddColumn(5, 0, kLpInfinity, {{{row, 1}}});
  const Result<LpSolution> solution = lp.Minimise(100);
  ASSERT_TRUE(solution.ok());
  EXPECT_DOUBLE_EQ(solution->objective, 17);
  EXPECT_DOUBLE_EQ(solution->duals[row], 5);
}

}  // namespace
}  // namespace brim::planner
