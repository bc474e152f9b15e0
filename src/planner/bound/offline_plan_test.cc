// Offline plans: never over capacity, complete, and near the bounds.
#include "planner/bound/offline_plan.h"

#include <gtest/gtest.h>

#include <bit>

#include "planner/bound/bound.h"
#include "planner/cluster/occupancy.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

Cluster Mixed(std::int32_t nodes, Random* random) {
  Cluster cluster;
  cluster.card_models = {"A", "B"};
  const Node kinds[] = {{"", 96'000, 393'216, 8, 0, 0},
                        {"", 104'000, 524'288, 2, 1, 0},
                        {"", 16'000, 122'880, 2, 0, 0}};
  for (std::int32_t i = 0; i < nodes; ++i) cluster.nodes.push_back(kinds[random->Below(3)]);
  return cluster;
}

std::vector<Pod> MixedPods(std::int32_t count, Random* random) {
  std::vector<Pod> pods;
  for (std::int32_t i = 0; i < count; ++i) {
    Pod pod;
    pod.cpu_milli = static_cast<std::int64_t>(1000 * (1 + random->Below(14)));
    pod.memory_mib = static_cast<std::int64_t>(1024 * (1 + random->Below(40)));
    const std::uint64_t kind = random->Below(20);
    pod.cards = kind == 0 ? 8 : kind <= 2 ? 0 : 1;
    if (pod.cards == 8) pod.cpu_milli = 80'000;
    if (pod.cards > 0) pod.card_milli = kCardMilli;
    if (kind > 9) pod.card_milli = static_cast<std::int32_t>(50 * (1 + random->Below(19)));
    if (kind == 9) pod.card_models = 1 + random->Below(2);
    pods.push_back(pod);
  }
  return pods;
}

// Replays the plan; Occupancy refuses by CHECK what does not fit.
void ExpectStands(const Cluster& cluster, const std::vector<Pod>& pods, const OfflinePlan& plan) {
  ASSERT_EQ(plan.spots.size(), pods.size());
  Occupancy occupancy(cluster);
  std::int64_t left_out = 0;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (!plan.spots[i].placed()) {
      ++left_out;
      continue;
    }
    ASSERT_EQ(std::popcount(plan.spots[i].cards), pods[i].cards);
    ASSERT_EQ(occupancy.WhyNot(pods[i], plan.spots[i].node), Misfit::kNone);
    occupancy.Place(pods[i], plan.spots[i]);
  }
  EXPECT_EQ(left_out, plan.left_out);
  EXPECT_EQ(occupancy.used_cards(), plan.used_cards);
}

TEST(OfflinePlan, StandsOnEveryInstance) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Cluster cluster = Mixed(20, &random);
    const std::vector<Pod> pods = MixedPods(static_cast<std::int32_t>(5 * seed), &random);
    const Result<OfflinePlan> plan = PlanOffline(cluster, pods);
    ASSERT_TRUE(plan.ok());
    ExpectStands(cluster, pods, *plan);
  }
}

TEST(OfflinePlan, PrefixIsNearTheProvenOne) {
  std::int64_t cards = 0, bound = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Cluster cluster = Mixed(120, &random);
    const std::vector<Pod> pods = MixedPods(160, &random);
    const Result<PrefixPlan> plan = PlanPrefix(cluster, pods);
    ASSERT_TRUE(plan.ok());
    ASSERT_TRUE(plan->held);
    EXPECT_GE(plan->nodes, plan->nodes_bound);
    EXPECT_GE(plan->cards, plan->cards_bound);
    Cluster prefix = cluster;
    prefix.nodes.resize(static_cast<std::size_t>(plan->nodes));
    ExpectStands(prefix, pods, plan->plan);
    BoundOptions options;
    options.nodes = false;
    const Result<BoundSet> set = BoundsFor(prefix, pods, options);
    EXPECT_GE(plan->plan.used_cards, Tightest(set->cards)->cards());
    cards += plan->cards;
    bound += plan->cards_bound;
  }
  EXPECT_LE(static_cast<double>(cards), 1.06 * static_cast<double>(bound));
}

TEST(OfflinePlan, SaysWhatCannotBeHeld) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {{"a", 8'000, 10'000, 2, 0, 0}};
  Pod pod;
  pod.cards = 1;
  pod.card_milli = 600;
  const std::vector<Pod> many(3, pod);
  const Result<OfflinePlan> plan = PlanOffline(cluster, many);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->left_out, 1);
  EXPECT_FALSE(PlanPrefix(cluster, many)->held);
  pod.cpu_milli = 9'000;
  const std::vector<Pod> large(1, pod);
  EXPECT_FALSE(PlanPrefix(cluster, large)->held);
}

TEST(OfflinePlan, SwapsWhereGreedyIsStuck) {
  // Hungriest first makes 3 + 2 and 3 + 2 of 6 cores each; only 3 + 3 and 2 + 2 + 2 hold all.
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {{"a", 6'000, 10'000, 3, 0, 0}, {"b", 6'000, 10'000, 3, 0, 0}};
  std::vector<Pod> pods(5);
  for (std::size_t i = 0; i < pods.size(); ++i) {
    pods[i].cpu_milli = i < 2 ? 3'000 : 2'000;
    pods[i].cards = 1;
    pods[i].card_milli = kCardMilli;
  }
  const Result<OfflinePlan> plan = PlanOffline(cluster, pods);
  ASSERT_TRUE(plan.ok());
  ExpectStands(cluster, pods, *plan);
  EXPECT_EQ(plan->left_out, 0);
  EXPECT_EQ(plan->swaps, 1);
}

}  // namespace
}  // namespace brim::planner
