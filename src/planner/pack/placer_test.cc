// The placer's memo, ties and refusals, over every policy of the table.
#include "planner/pack/placer.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>

#include "planner/pack/packing.h"
#include "planner/pack/testing.h"

namespace brim::planner {
namespace {

// Adds up what stands on each node and card, from the spots alone.
void CheckCapacity(const Cluster& cluster, const std::vector<Pod>& pods, const Packing& packing,
                   bool whole_cards) {
  std::map<std::int32_t, Node> left;
  std::map<std::pair<std::int32_t, std::int32_t>, std::pair<std::int64_t, std::int64_t>> cards;
  std::int64_t declared = 0;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    const Spot& spot = packing.spots[i];
    if (!spot.placed()) continue;
    const Pod& pod = pods[i];
    Node& node = left.try_emplace(spot.node, cluster.nodes[spot.node]).first->second;
    node.cpu_milli -= pod.cpu_milli;
    node.memory_mib -= pod.memory_mib;
    ASSERT_GE(node.cpu_milli, 0);
    ASSERT_GE(node.memory_mib, 0);
    ASSERT_EQ(std::popcount(spot.cards), pod.cards);
    if (pod.cards > 0 && pod.card_models != 0) {
      ASSERT_TRUE(pod.card_models >> node.card_model & 1);
    }
    for (std::int32_t card = 0; card < kCardsPerNodeMax; ++card) {
      if ((spot.cards >> card & 1) == 0) continue;
      ASSERT_LT(card, node.cards);
      auto& [milli, memory] = cards[{spot.node, card}];
      milli += whole_cards ? kCardMilli : pod.card_milli;
      memory += pod.card_memory_mib;
      ASSERT_LE(milli, kCardMilli);
      if (node.card_memory_mib > 0) {
        ASSERT_LE(memory, node.card_memory_mib);
      }
    }
    declared += pod.demand_milli();
  }
  EXPECT_EQ(packing.declared_milli, declared);
  EXPECT_EQ(packing.used_cards, static_cast<std::int64_t>(cards.size()));
  EXPECT_EQ(packing.used_nodes, static_cast<std::int64_t>(left.size()));
}

TEST(PlacerTest, NoPolicyExceedsACapacityAndEveryPodIsPlacedOrRefusedWithAReason) {
  for (const PolicyInfo& policy : Policies()) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      SCOPED_TRACE(std::string(policy.name) + " seed " + std::to_string(seed));
      Random random(seed);
      const Cluster cluster = RandomCluster(&random, 10);
      const std::vector<Pod> pods = RandomPods(&random, 120);
      const Packing packing = Pack(cluster, pods, {policy, Ties::kIndex, seed, MixOf(pods)}, {});
      CheckCapacity(cluster, pods, packing, policy.whole_cards);
      std::size_t refused = 0;
      for (const Spot& spot : packing.spots) refused += spot.placed() ? 0 : 1;
      ASSERT_EQ(refused, packing.refusals.size());
      for (const Refusal& refusal : packing.refusals) {
        EXPECT_FALSE(packing.spots[refusal.pod].placed());
        EXPECT_NE(refusal.nearest, Misfit::kNone);
        std::int32_t nodes = 0;
        for (const std::int32_t count : refusal.misfits) nodes += count;
        EXPECT_EQ(nodes, 10);
        EXPECT_EQ(refusal.misfits[0], 0) << "a node that fits must not refuse";
      }
    }
  }
}

TEST(PlacerTest, SameSeedSameResultAndAFullMemoMakesNoDifference) {
  for (const PolicyInfo& policy : Policies()) {
    for (const Ties ties : {Ties::kIndex, Ties::kRandom}) {
      SCOPED_TRACE(policy.name);
      Random random(5);
      const Cluster cluster = RandomCluster(&random, 20);
      const std::vector<Pod> pods = RandomPods(&random, 200);
      PackOptions options{policy, ties, 9, MixOf(pods)};
      const Packing first = Pack(cluster, pods, options, {});
      EXPECT_EQ(first.spots, Pack(cluster, pods, options, {}).spots);
      options.memo_bytes_max = 0;  // One row: every change of type scores all nodes again.
      const Packing again = Pack(cluster, pods, options, {});
      EXPECT_EQ(first.spots, again.spots);
      EXPECT_EQ(first.tied, again.tied);
      if (policy.any_node) {
        options.seed = 10;
        EXPECT_NE(first.spots, Pack(cluster, pods, options, {}).spots);
      }
    }
  }
}

TEST(PlacerTest, ScoresOnlyWhatChanged) {
  Cluster cluster;
  for (int i = 0; i < 100; ++i) cluster.nodes.push_back({"n", 8000, 8000, 1, -1, 0});
  Pod pod;
  pod.cpu_milli = 100;
  Packer packer(cluster, {*FindPolicy("binpack"), Ties::kIndex, 1, {}});
  packer.Add(pod);
  EXPECT_EQ(packer.placer().evaluations(), 1) << "equal empty nodes are scored once";
  for (int i = 0; i < 50; ++i) packer.Add(pod);
  EXPECT_EQ(packer.placer().evaluations(), 51) << "then one changed node a pod";
}

TEST(PlacerTest, TheLogOfChangesMayBeDroppedAndRowsAreBuiltAnew) {
  Cluster cluster;
  for (int i = 0; i < 3; ++i) cluster.nodes.push_back({"n", 8000, 8000, 1, -1, 0});
  Pod often, rare;
  often.cpu_milli = 4000;
  rare.cpu_milli = 6000;
  Packer packer(cluster, {*FindPolicy("tightest"), Ties::kIndex, 1, {}});
  EXPECT_EQ(packer.Add(rare).spot.node, 0);
  for (int i = 0; i < 1000; ++i) {
    const Choice choice = packer.Add(often);
    ASSERT_EQ(choice.spot.node, 1);
    if (i < 999) packer.Remove(often, choice.spot);
  }
  EXPECT_EQ(packer.Add(rare).spot.node, 2) << "the old row said node 1";
}

TEST(PlacerTest, CountsTies) {
  Cluster cluster;
  for (int i = 0; i < 3; ++i) cluster.nodes.push_back({"n", 1000, 1000, 0, -1, 0});
  Pod pod;
  pod.cpu_milli = 1000;
  for (const Ties ties : {Ties::kIndex, Ties::kRandom}) {
    Packer packer(cluster, {*FindPolicy("best-fit"), ties, 3, {}});
    for (int equals = 3; equals >= 1; --equals) {
      const Choice choice = packer.Add(pod);
      EXPECT_EQ(choice.equals, equals);
      EXPECT_EQ(choice.tied(), equals > 1);
      if (ties == Ties::kIndex) {
        EXPECT_EQ(choice.spot.node, 3 - equals);
      }
    }
    EXPECT_EQ(packer.tied(), 2);
    const Choice refused = packer.Add(pod);
    EXPECT_FALSE(refused.spot.placed());
    EXPECT_EQ(refused.nearest(), Misfit::kCpu);
    EXPECT_EQ(refused.misfits[static_cast<std::size_t>(Misfit::kCpu)], 3);
  }
}

TEST(PlacerTest, RandomTiesReachEveryEqualNode) {
  Cluster cluster;
  for (int i = 0; i < 3; ++i) cluster.nodes.push_back({"n", 1000, 1000, 0, -1, 0});
  std::map<std::int32_t, int> seen;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Packer packer(cluster, {*FindPolicy("best-fit"), Ties::kRandom, seed, {}});
    ++seen[packer.Add(Pod{}).spot.node];
  }
  for (int node = 0; node < 3; ++node) EXPECT_GT(seen[node], 5);
}

TEST(PlacerTest, TermsSumToTheScore) {
  Random random(3);
  const Cluster cluster = RandomCluster(&random, 10);
  const std::vector<Pod> pods = RandomPods(&random, 30);
  for (const PolicyInfo& policy : Policies()) {
    SCOPED_TRACE(policy.name);
    Packer packer(cluster, {policy, Ties::kIndex, 1, MixOf(pods)});
    for (const Pod& pod : pods) {
      const Choice choice = packer.Choose(pod);
      if (!choice.spot.placed()) continue;
      double sum = 0;
      for (const ScoreTerm& term : packer.scorer().Terms(packer.AsPlaced(pod), choice.spot.node)) {
        sum += term.value;
      }
      EXPECT_NEAR(sum, choice.score, 1e-6);
      packer.Put(pod, choice);
    }
  }
}

TEST(PlacerTest, NothingToPlaceOn) {
  const Cluster cluster;
  Packer packer(cluster, {*FindPolicy("brim"), Ties::kIndex, 1, {}});
  const Choice choice = packer.Add(Pod{});
  EXPECT_FALSE(choice.spot.placed());
  EXPECT_EQ(choice.nearest(), Misfit::kNone);
  EXPECT_FALSE(FindPolicy("fdg").ok());
}

}  // namespace
}  // namespace brim::planner
