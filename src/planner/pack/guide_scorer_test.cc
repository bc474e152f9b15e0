#include "planner/pack/guide_scorer.h"

#include <gtest/gtest.h>

#include "planner/pack/packing.h"

namespace brim::planner {
namespace {

Pod MakePod(std::int32_t cards, std::int32_t card_milli, std::int64_t cpu_milli) {
  Pod pod;
  pod.cards = cards;
  pod.card_milli = card_milli;
  pod.cpu_milli = cpu_milli;
  return pod;
}

Node MakeNode(std::int32_t cards, std::int64_t cpu_milli) {
  return {"n", cpu_milli, 1'000'000, cards, 0, 0};
}

PodMix Mix(const std::vector<std::pair<Pod, std::int32_t>>& counts) {
  std::vector<Pod> pods;
  for (const auto& [pod, count] : counts) pods.insert(pods.end(), count, pod);
  return MixOf(pods);
}

double Cost(GuideScorer* scorer, const Pod& pod, std::int32_t node) {
  return -static_cast<double>(scorer->Score(pod, node)) / 65536;
}

TEST(GuideScorer, WorthFollowsThePatterns) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {MakeNode(2, 64'000)};
  const Occupancy occupancy(cluster);
  // 600 and 350 in equal numbers: together on a card; 350 alone fills nothing else.
  GuideScorer scorer(occupancy, Mix({{MakePod(1, 600, 1000), 50}, {MakePod(1, 350, 1000), 50}}));
  EXPECT_DOUBLE_EQ(scorer.Worth(1000), 1);
  EXPECT_DOUBLE_EQ(scorer.Worth(349), 0);
  EXPECT_DOUBLE_EQ(scorer.Worth(400), scorer.Worth(350));
  for (std::int32_t milli = 1; milli <= 1000; ++milli) {
    EXPECT_LE(scorer.Worth(milli - 1), scorer.Worth(milli));
  }
}

TEST(GuideScorer, ShareGoesWhereThePatternWantsIt) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {MakeNode(4, 640'000)};
  Occupancy occupancy(cluster);
  const Pod large = MakePod(1, 600, 1000), small = MakePod(1, 400, 1000);
  GuideScorer scorer(occupancy, Mix({{large, 50}, {small, 50}}));
  occupancy.Place(small, {0, 1});
  occupancy.Place(large, {0, 2});
  scorer.Learn();
  EXPECT_EQ(scorer.Cards(small, 0), 2U);  // Beside the 600, not beside the other 400.
  EXPECT_EQ(scorer.Cards(large, 0), 1U);
}

TEST(GuideScorer, HeavyPodsGoWhereCoresAbound) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {MakeNode(8, 96'000), MakeNode(2, 104'000)};
  const Occupancy occupancy(cluster);
  const Pod light = MakePod(1, 1000, 3'000), heavy = MakePod(1, 1000, 40'000);
  GuideScorer scorer(occupancy, Mix({{light, 70}, {heavy, 30}}));
  scorer.Learn();
  EXPECT_LT(Cost(&scorer, light, 0), Cost(&scorer, light, 1));
  EXPECT_LT(Cost(&scorer, heavy, 1), Cost(&scorer, heavy, 0));
}

TEST(GuideScorer, LastHostsOfAKindCostMore) {
  Cluster cluster;
  cluster.card_models = {"A", "B"};
  for (int i = 0; i < 4; ++i) cluster.nodes.push_back(MakeNode(2, 64'000));
  cluster.nodes[3].card_model = 1;
  const Occupancy occupancy(cluster);
  const Pod any = MakePod(1, 1000, 4'000);
  Pod bound = any;
  bound.card_models = 2;  // Only on B.
  GuideScorer scorer(occupancy, Mix({{any, 80}, {bound, 20}}));
  scorer.Learn();
  EXPECT_GT(Cost(&scorer, any, 3), Cost(&scorer, any, 0) + 1);
}

TEST(GuideScorer, TermsSumToTheScore) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {MakeNode(8, 96'000), MakeNode(1, 8'000)};
  const Occupancy occupancy(cluster);
  const std::vector<Pod> pods = {MakePod(1, 1000, 3'000), MakePod(1, 230, 2'000),
                                 MakePod(8, 1000, 64'000), MakePod(0, 0, 4'000)};
  GuideScorer scorer(occupancy, MixOf(pods));
  scorer.Learn();
  for (const Pod& pod : pods) {
    double sum = 0;
    for (const ScoreTerm& term : scorer.Terms(pod, 0)) sum += term.value;
    EXPECT_DOUBLE_EQ(sum, scorer.Score(pod, 0));
  }
}

TEST(GuideScorer, WorksWithoutKnowledgeAndRepeatsItself) {
  Cluster cluster;
  cluster.card_models = {"A"};
  for (int i = 0; i < 6; ++i) cluster.nodes.push_back(MakeNode(i % 3 * 4, 64'000));
  Random random(5);
  std::vector<Pod> pods;
  for (int i = 0; i < 60; ++i) {
    const auto milli = static_cast<std::int32_t>(100 * (1 + random.Below(10)));
    pods.push_back(MakePod(random.Below(5) == 0 ? 0 : 1, milli, 1000));
    if (pods.back().cards == 0) pods.back().card_milli = 0;
  }
  PackOptions options;
  options.policy = *FindPolicy("guide");
  for (const bool knows : {false, true}) {
    if (knows) options.expected = MixOf(pods);
    const Packing first = Pack(cluster, pods, options, {});
    const Packing second = Pack(cluster, pods, options, {});
    EXPECT_EQ(first.spots, second.spots);
    EXPECT_GT(first.declared_milli, 15'000);
  }
}

}  // namespace
}  // namespace brim::planner
