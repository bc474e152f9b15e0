#include "planner/bound/bound.h"

#include <gtest/gtest.h>

namespace brim::planner {
namespace {

Cluster Cards(std::int32_t nodes, std::int32_t cards, std::int64_t cpu_milli) {
  Cluster cluster;
  cluster.card_models = {"A"};
  for (std::int32_t i = 0; i < nodes; ++i) {
    cluster.nodes.push_back({"n" + std::to_string(i), cpu_milli, 1'000'000, cards, 0, 0});
  }
  return cluster;
}

Pod Share(std::int32_t milli, std::int64_t cpu_milli) {
  Pod pod;
  pod.cpu_milli = cpu_milli;
  pod.cards = 1;
  pod.card_milli = milli;
  return pod;
}

double Value(const std::vector<Bound>& bounds, std::string_view name) {
  for (const Bound& bound : bounds) {
    if (bound.name == name) return bound.value;
  }
  ADD_FAILURE() << "no bound " << name;
  return -1;
}

TEST(BoundsFor, CpuBindsWhereCardsDoNot) {
  // 10 shares of a tenth: one card; but 8 cores each, and a node with 4 cards has 16.
  const std::vector<Pod> pods(10, Share(100, 8'000));
  const Result<BoundSet> set = BoundsFor(Cards(10, 4, 16'000), pods);
  ASSERT_TRUE(set.ok());
  EXPECT_DOUBLE_EQ(Value(set->cards, "area"), 1);
  EXPECT_NEAR(Value(set->node_cards, "area, CPU"), 20, 1e-9);
  EXPECT_NEAR(Value(set->node_cards, "aggregated LP"), 20, 1e-6);
  EXPECT_EQ(Tightest(set->node_cards)->cards(), 20);
  EXPECT_TRUE(set->ceilings.empty());
}

TEST(BoundsFor, CeilingCountsCopies) {
  BoundOptions options;
  options.ceilings = true;
  const std::vector<Pod> pods(4, Share(600, 1'000));
  const Result<BoundSet> set = BoundsFor(Cards(5, 2, 64'000), pods, options);
  ASSERT_TRUE(set.ok());
  ASSERT_EQ(set->ceilings.size(), 1U);
  EXPECT_NEAR(set->ceilings[0].copies, 2.5, 1e-6);  // 10 cards, one 600 each.
  EXPECT_NEAR(set->ceilings[0].share, 0.6, 1e-6);
}

TEST(BoundsFor, SaysWhatCannotBe) {
  const std::vector<Pod> large = {Share(500, 1'000), Share(500, 100'000)};
  const Result<BoundSet> without = BoundsFor(Cards(2, 2, 64'000), large);
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(without->too_large, std::vector<std::size_t>{1});
  EXPECT_NEAR(Value(without->cards, "area"), 0.5, 1e-12);
  const std::vector<Pod> many(5, Share(600, 1'000));
  const Result<BoundSet> set = BoundsFor(Cards(2, 2, 64'000), many);
  ASSERT_TRUE(set.ok());
  EXPECT_FALSE(set->may_fit);
  EXPECT_NEAR(Tightest(set->node_cards)->value, 5, 1e-6);
  BoundOptions limited;
  limited.iterations_max = 0;
  EXPECT_EQ(BoundsFor(Cards(2, 2, 64'000), large, limited).status().reason(), "lp_limit");
}

TEST(BoundsFor, NothingNeedsNothing) {
  const Result<BoundSet> set = BoundsFor(Cards(2, 2, 64'000), {});
  ASSERT_TRUE(set.ok());
  for (const Bound& bound : set->node_cards) EXPECT_EQ(bound.cards(), 0) << bound.name;
}

TEST(BoundsFor, LifetimesCountWhatStandsAtOnce) {
  std::vector<Pod> pods(6, Share(600, 1'000));
  for (std::size_t i = 0; i < pods.size(); ++i) {
    pods[i].arrives_s = static_cast<double>(i) * 10;
    pods[i].leaves_s = pods[i].arrives_s + 20;  // Two at once; the third takes the first's place.
  }
  EXPECT_NEAR(FluidBound(pods).value, 1.2, 1e-12);
  BoundOptions options;
  options.lifetimes = true;
  const Result<BoundSet> set = BoundsFor(Cards(10, 2, 64'000), pods, options);
  ASSERT_TRUE(set.ok());
  EXPECT_NEAR(Value(set->cards, "pattern LP"), 2, 1e-6);
  EXPECT_NEAR(Value(set->cards, "fluid"), 1.2, 1e-12);
  const Result<BoundSet> still = BoundsFor(Cards(10, 2, 64'000), pods);
  EXPECT_NEAR(Value(still->cards, "pattern LP"), 6, 1e-6);
}

TEST(BoundsFor, SaysWhatItDoes) {
  std::vector<std::string> said;
  BoundOptions options;
  options.ceilings = true;
  options.progress = [&](std::string_view what, std::int64_t, std::int64_t) {
    said.emplace_back(what);
  };
  const std::vector<Pod> pods(2, Share(600, 1'000));
  ASSERT_TRUE(BoundsFor(Cards(2, 2, 64'000), pods, options).ok());
  EXPECT_EQ(said, (std::vector<std::string>{"pattern LP", "aggregated LP", "ceiling"}));
}

}  // namespace
}  // namespace brim::planner
