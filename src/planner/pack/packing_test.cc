// Inflation, compaction, brute force on small instances, and explanations.
#include "planner/pack/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "planner/pack/explain.h"
#include "planner/pack/testing.h"

namespace brim::planner {
namespace {

Pod Share(std::int32_t milli) {
  Pod pod;
  pod.cards = 1;
  pod.card_milli = milli;
  return pod;
}

PackOptions Options(std::string_view policy, const std::vector<Pod>& pods) {
  return {*FindPolicy(policy), Ties::kIndex, 1, MixOf(pods)};
}

// The most milli-cards that any placement of any subset reaches, and the fewest used cards that
// place them all (-1: impossible): every pod in turn on every card, or nowhere.
struct Best {
  std::int64_t milli = 0;
  std::int64_t cards = -1;
};
void Try(const std::vector<Pod>& pods, std::size_t next, bool all, Occupancy* occupancy,
         Best* best) {
  if (next == pods.size()) {
    best->milli = std::max(best->milli, occupancy->placed_milli());
    if (all && (best->cards < 0 || occupancy->used_cards() < best->cards)) {
      best->cards = occupancy->used_cards();
    }
    return;
  }
  const Pod& pod = pods[next];
  for (std::int32_t node = 0; node < occupancy->nodes(); ++node) {
    if (!occupancy->Fits(pod, node)) continue;
    const std::int32_t cards = occupancy->cluster().nodes[node].cards;
    for (std::int32_t card = 0; card < cards; ++card) {
      if (!occupancy->FitsCard(pod, node, card)) continue;
      const Spot spot{node, std::uint64_t{1} << card};
      occupancy->Place(pod, spot);
      Try(pods, next + 1, all, occupancy, best);
      occupancy->Remove(pod, spot);
    }
  }
  Try(pods, next + 1, false, occupancy, best);
}

TEST(PackTest, NeverBeatsBruteForceAndSomePolicyMeetsIt) {
  int met = 0;
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Cluster cluster;
    cluster.nodes = {{"n0", 8000, 100, 2, -1, 0}, {"n1", 4000, 100, 1, -1, 0}};
    std::vector<Pod> pods;
    for (int i = 0; i < 6; ++i) {
      pods.push_back(Share(100 * (1 + static_cast<std::int32_t>(random.Below(7)))));
      pods.back().cpu_milli = 500 * static_cast<std::int64_t>(random.Below(6));
    }
    Occupancy empty(cluster);
    Best best;
    Try(pods, 0, true, &empty, &best);
    for (const PolicyInfo& policy : Policies()) {
      SCOPED_TRACE(policy.name);
      const Packing packing = Pack(cluster, pods, Options(policy.name, pods), {});
      EXPECT_LE(packing.declared_milli, best.milli);
      if (packing.refusals.empty()) {
        ASSERT_GE(best.cards, 0);
        EXPECT_GE(packing.used_cards, best.cards);
        met += packing.used_cards == best.cards ? 1 : 0;
      }
    }
  }
  EXPECT_GT(met, 0);
}

TEST(InflationTest, FirstRefusalIsTheAllocationBeforeItAndLaterPodsStillCount) {
  Cluster cluster;
  cluster.nodes = {{"n0", 8000, 100, 2, -1, 0}};
  const std::vector<Pod> arrivals = {Share(1000), Share(600), Share(500), Share(400), Share(10)};
  const Inflation result = Inflate(cluster, arrivals, 1.3, Options("tightest", arrivals), {});
  EXPECT_EQ(result.first_refused, 2);
  EXPECT_DOUBLE_EQ(result.first_refusal, 0.8);
  EXPECT_DOUBLE_EQ(result.allocation, 1.0);
  EXPECT_EQ(result.refused, 2);
  EXPECT_EQ(result.refused_milli, 510);
  EXPECT_EQ(result.refused_by[static_cast<std::size_t>(Misfit::kCards)], 2);
  ASSERT_EQ(result.curve.size(), 131u);
  EXPECT_DOUBLE_EQ(result.curve[50], 50);
  EXPECT_DOUBLE_EQ(result.curve[79], 50) << "a hole repeats the value before";
  EXPECT_DOUBLE_EQ(result.curve[80], 80);
  EXPECT_DOUBLE_EQ(result.curve[105], 80) << "refused: demand grew, allocation did not";
  EXPECT_DOUBLE_EQ(result.curve[130], 100);
}

TEST(InflationTest, WithoutARefusalTheFirstRefusalIsTheEnd) {
  Cluster cluster;
  cluster.nodes = {{"n0", 8000, 100, 2, -1, 0}};
  const Inflation result =
      Inflate(cluster, {Share(1000)}, 1.3, Options("tightest", {Share(1000)}), {});
  EXPECT_EQ(result.first_refused, -1);
  EXPECT_DOUBLE_EQ(result.first_refusal, 0.5);
}

TEST(InflationTest, WholeCardPoliciesCountDeclaredSharesOnly) {
  Cluster cluster;
  cluster.nodes = {{"n0", 8000, 100, 2, -1, 0}};
  const std::vector<Pod> arrivals = {Share(300), Share(300), Share(300)};
  const Inflation result = Inflate(cluster, arrivals, 1.3, Options("whole-card", arrivals), {});
  EXPECT_DOUBLE_EQ(result.allocation, 0.3);
  EXPECT_EQ(result.used_cards, 2);
  EXPECT_EQ(result.refused, 1);
}

TEST(InflationTest, ArrivalsAreAllPodsThenRepeatsUpToTheDemand) {
  Random random(1);
  const std::vector<Pod> pods = RandomPods(&random, 50);
  std::int64_t once = 0;
  std::int32_t largest = 0;
  for (const Pod& pod : pods) {
    once += pod.demand_milli();
    largest = std::max(largest, pod.cards * pod.card_milli);
  }
  const std::int64_t cards = once / 1000 + 20;
  const std::vector<Pod> arrivals = InflationArrivals(pods, cards, 1.3, 4);
  std::set<std::string> names;
  std::int64_t milli = 0;
  for (const Pod& pod : arrivals) {
    names.insert(pod.name);
    milli += pod.demand_milli();
  }
  EXPECT_EQ(names.size(), arrivals.size()) << "names stay unique";
  for (const Pod& pod : pods) EXPECT_TRUE(names.contains(pod.name));
  EXPECT_GT(milli + kCardMilli, 1300 * cards);
  EXPECT_LE(milli, 1300 * cards + largest);
  const std::vector<Pod> same = InflationArrivals(pods, cards, 1.3, 4);
  ASSERT_EQ(same.size(), arrivals.size());
  for (std::size_t i = 0; i < same.size(); ++i) EXPECT_EQ(same[i].name, arrivals[i].name);
  EXPECT_NE(InflationArrivals(pods, cards, 1.3, 5).front().name, arrivals.front().name);

  std::int64_t cut = 0;
  for (const Pod& pod : InflationArrivals(pods, 3, 1.3, 4)) cut += pod.demand_milli();
  EXPECT_LE(cut, 3900) << "a stream that asks for more loses pods";
}

TEST(CompactionTest, ThePrefixHoldsTheDrawnPodsAndIsNotAllNodes) {
  Random random(2);
  const Cluster cluster = RandomCluster(&random, 40);
  std::vector<Pod> pods;
  for (int i = 0; i < 100; ++i) pods.push_back(Share(100 + 10 * (i % 30)));
  for (const CompactOrder order : {CompactOrder::kArrival, CompactOrder::kDecreasing}) {
    CompactOptions compact;
    compact.order = order;
    compact.seed = 3;
    const PackOptions options = Options("tightest", pods);
    const Compaction result = Compact(cluster, pods, compact, options, {});
    ASSERT_TRUE(result.held);
    EXPECT_EQ(result.pods, 60);
    EXPECT_EQ(result.cluster.nodes.size(), static_cast<std::size_t>(result.nodes));
    EXPECT_EQ(result.cards, result.cluster.cards());
    EXPECT_LT(result.nodes, 40);
    EXPECT_GE(result.cards * kCardMilli, result.pod_milli);
    EXPECT_TRUE(Pack(result.cluster, result.drawn, options, {}).refusals.empty());
    Cluster less = result.cluster;
    less.nodes.pop_back();
    EXPECT_FALSE(Pack(less, result.drawn, options, {}).refusals.empty());
  }
  const std::vector<Pod> many(100, Share(1000));
  Cluster one;
  one.nodes = {{"n0", 1, 1, 1, -1, 0}};
  EXPECT_FALSE(Compact(one, many, {}, Options("tightest", many), {}).held);
}

TEST(ExplainTest, CountsEveryNodeAndAgreesWithThePlan) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Random random(seed);
    const Cluster cluster = RandomCluster(&random, 10);
    const std::vector<Pod> pods = RandomPods(&random, 80);
    const PackOptions options = Options("brim", pods);
    const Packing packing = Pack(cluster, pods, options, {});
    for (std::size_t pod = 0; pod < pods.size(); pod += 7) {
      SCOPED_TRACE(std::to_string(seed) + " pod " + std::to_string(pod));
      const Explanation why = Explain(cluster, pods, options, pod, {});
      EXPECT_EQ(why.choice.spot, packing.spots[pod]);
      std::int32_t nodes = 0;
      std::int32_t fits = 0;
      for (const NodeClass& one : why.classes) {
        std::int32_t sum = 0;
        for (const std::int32_t count : one.by_misfit) sum += count;
        EXPECT_EQ(sum, one.nodes);
        nodes += one.nodes;
        fits += one.by_misfit[0];
      }
      EXPECT_EQ(nodes, 10);
      EXPECT_EQ(fits > 0, why.choice.spot.placed());
      EXPECT_EQ(why.runner_up.node >= 0, fits > 1);
      for (const ScoredNode* scored : {&why.chosen, &why.runner_up}) {
        double sum = 0;
        for (const ScoreTerm& term : scored->terms) sum += term.value;
        EXPECT_NEAR(sum, scored->score, 1e-6);
      }
      if (why.runner_up.node >= 0) {
        EXPECT_LE(why.runner_up.score, why.choice.score);
      }
    }
  }
}

TEST(ExplainTest, SaysWhatWouldFreeACard) {
  Cluster cluster;
  cluster.nodes = {{"n0", 8000, 100, 2, -1, 0}};
  const std::vector<Pod> pods = {Share(600), Share(700), Share(300), Share(500)};
  const PackOptions options = Options("tightest", pods);
  const Explanation placed = Explain(cluster, pods, options, 2, {});
  EXPECT_EQ(placed.choice.spot, (Spot{0, 0b10}));
  ASSERT_EQ(placed.movers.size(), 2u) << "the 700 and itself";
  EXPECT_EQ(placed.movers[0].pod, 1);
  EXPECT_FALSE(placed.movers[0].to.placed()) << "700 fits no other card in use";
  EXPECT_EQ(placed.movers[1].to, (Spot{0, 0b01}));
  EXPECT_FALSE(placed.frees);

  const Explanation refused = Explain(cluster, pods, options, 3, {});
  EXPECT_FALSE(refused.choice.spot.placed());
  EXPECT_TRUE(refused.frees);
  ASSERT_EQ(refused.movers.size(), 1u);
  EXPECT_EQ(refused.free_node, 0);

  const std::vector<Pod> impossible = {Share(100), Share(100)};
  Cluster none;
  none.nodes = {{"n0", 8000, 100, 0, -1, 0}};
  EXPECT_FALSE(Explain(none, impossible, options, 1, {}).frees);
}

}  // namespace
}  // namespace brim::planner
