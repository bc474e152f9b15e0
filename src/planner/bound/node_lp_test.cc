// The node-type LP against brute force on small clusters, and its proofs by hand.
#include "planner/bound/node_lp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "planner/cluster/occupancy.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

Cluster SmallCluster(Random* random, std::int32_t nodes) {
  Cluster cluster;
  cluster.card_models = {"A", "B"};
  const Node kinds[] = {{"", 16'000, 65'536, 2, 0, 0},
                        {"", 8'000, 32'768, 1, 1, 0},
                        {"", 24'000, 65'536, 4, 0, 0},
                        {"", 32'000, 32'768, 0, -1, 0}};
  for (std::int32_t i = 0; i < nodes; ++i) {
    cluster.nodes.push_back(kinds[random->Below(4)]);
    cluster.nodes.back().name = std::string(1, static_cast<char>('a' + i));
  }
  return cluster;
}

std::vector<Pod> SmallPods(Random* random, std::int32_t count) {
  std::vector<Pod> pods;
  for (std::int32_t i = 0; i < count; ++i) {
    Pod pod;
    pod.cpu_milli = static_cast<std::int64_t>(1000 * (1 + random->Below(8)));
    pod.memory_mib = static_cast<std::int64_t>(4096 * (1 + random->Below(6)));
    switch (random->Below(4)) {
      case 0:
        break;
      case 1:
        pod.cards = 1;
        pod.card_milli = 1000;
        break;
      case 2:
        pod.cards = 1;
        pod.card_milli = static_cast<std::int32_t>(100 * (1 + random->Below(9)));
        break;
      default:
        pod.cards = 2;
        pod.card_milli = 1000;
        break;
    }
    if (pod.cards == 1 && random->Below(3) == 0) pod.card_models = 1 + random->Below(2);
    pods.push_back(pod);
  }
  return pods;
}

// Fewest cards on the nodes used by any placement of all pods; -1: there is none.
std::int64_t BruteForce(const Cluster& cluster, const std::vector<Pod>& pods) {
  Occupancy occupancy(cluster);
  std::int64_t best = -1;
  const std::function<void(std::size_t, std::int64_t)> place = [&](std::size_t i,
                                                                   std::int64_t cards) {
    if (best >= 0 && cards >= best) return;
    if (i == pods.size()) {
      best = cards;
      return;
    }
    const Pod& pod = pods[i];
    for (std::int32_t node = 0; node < occupancy.nodes(); ++node) {
      if (!occupancy.Fits(pod, node)) continue;
      const std::int64_t more = occupancy.free(node).used() ? 0 : cluster.nodes[node].cards;
      for (std::uint64_t mask = 0; mask < std::uint64_t{1} << cluster.nodes[node].cards; ++mask) {
        if (std::popcount(mask) != pod.cards) continue;
        bool fits = true;
        for (std::int32_t card = 0; card < cluster.nodes[node].cards; ++card) {
          if ((mask >> card & 1) != 0) fits = fits && occupancy.FitsCard(pod, node, card);
        }
        if (!fits) continue;
        occupancy.Place(pod, {node, mask});
        place(i + 1, cards + more);
        occupancy.Remove(pod, {node, mask});
      }
    }
  };
  place(0, 0);
  return best;
}

TEST(NodeLp, NeverAboveTheBestPlanAndNeverRefusesWhatFits) {
  std::int32_t placed = 0, proven_not = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Cluster cluster = SmallCluster(&random, 3);
    const std::vector<Pod> pods = SmallPods(&random, 5);
    const std::int64_t best = BruteForce(cluster, pods);
    Result<NodeLp> lp = NodeLp::Make(NodeTypes(cluster), PodClasses(pods, nullptr));
    if (!lp.ok()) {
      EXPECT_EQ(lp.status().reason(), "pod_too_large");
      EXPECT_EQ(best, -1);
      continue;
    }
    const Result<NodeLpSolution> fewest = lp->FewestCards();
    const Result<NodeLpSolution> most = lp->MostCopies();
    ASSERT_TRUE(most.ok());
    if (best < 0) {
      proven_not += !fewest.ok();
      continue;
    }
    ++placed;
    ASSERT_TRUE(fewest.ok());
    EXPECT_LE(fewest->value, static_cast<double>(best) + 1e-6);
    EXPECT_GE(most->value, 1 - 1e-9);
    const Result<std::vector<Bound>> cards = SizeBounds(SharedSizes(pods), WholeCards(pods));
    EXPECT_GE(fewest->value, Tightest(*cards)->value - 1e-5);
  }
  EXPECT_GT(placed, 20);
  EXPECT_GT(proven_not, 10);
}

TEST(NodeLp, PricesAreFeasibleForEveryPodOnEveryType) {
  Random random(7);
  const Cluster cluster = SmallCluster(&random, 12);
  std::vector<Pod> pods = SmallPods(&random, 12);
  std::erase_if(pods, [&](const Pod& pod) {
    return std::none_of(cluster.nodes.begin(), cluster.nodes.end(),
                        [&](const Node& node) { return FitsEmpty(pod, node); });
  });
  Result<NodeLp> lp = NodeLp::Make(NodeTypes(cluster), PodClasses(pods, nullptr));
  ASSERT_TRUE(lp.ok());
  const Result<NodeLpSolution> most = lp->MostCopies();
  ASSERT_TRUE(most.ok());
  double worth = 0, held = 0;
  const NodePrices& prices = most->prices;
  for (std::size_t t = 0; t < lp->types().size(); ++t) {
    const Node& node = lp->types()[t].node;
    held += static_cast<double>(lp->types()[t].count) *
            (static_cast<double>(prices.cpu_milli[t]) * static_cast<double>(node.cpu_milli) +
             static_cast<double>(prices.memory_mib[t]) * static_cast<double>(node.memory_mib) +
             static_cast<double>(prices.card[t]) * node.cards);
    for (std::size_t p = 0; p < lp->classes().size(); ++p) {
      const Pod& pod = lp->classes()[p].pod;
      if (!FitsEmpty(pod, node)) continue;
      std::int64_t takes =
          prices.cpu_milli[t] * pod.cpu_milli + prices.memory_mib[t] * pod.memory_mib;
      if (pod.whole()) takes += prices.card[t] * pod.cards;
      if (pod.cards == 1 && !pod.whole()) {
        const auto& sizes = lp->sizes();
        const auto s = std::find(sizes.begin(), sizes.end(), pod.card_milli) - sizes.begin();
        takes += prices.share[t][s];
      }
      EXPECT_LE(prices.pod[p], takes);
    }
  }
  for (std::size_t p = 0; p < lp->classes().size(); ++p) {
    worth += static_cast<double>(prices.pod[p]) * static_cast<double>(lp->classes()[p].count);
  }
  EXPECT_NEAR(held / worth, most->value, 1e-9 * most->value);
  EXPECT_NEAR(most->value, -most->objective, 1e-5 * most->value);
}

TEST(NodeLp, MayFitFollowsTheCounts) {
  Cluster cluster;
  cluster.nodes = {{"a", 10'000, 1'000, 2, 0, 0}, {"b", 10'000, 1'000, 2, 0, 0}};
  cluster.card_models = {"A"};
  Pod share;
  share.cpu_milli = 1000;
  share.memory_mib = 10;
  share.cards = 1;
  share.card_milli = 600;
  Pod cpu;
  cpu.cpu_milli = 4000;
  cpu.memory_mib = 10;
  const std::vector<Pod> pods = {share, cpu};
  Result<NodeLp> lp = NodeLp::Make(NodeTypes(cluster), PodClasses(pods, nullptr));
  ASSERT_TRUE(lp.ok());
  const auto fits = [&](std::int64_t shares, std::int64_t cpus) {
    const std::int64_t counts[] = {shares, cpus};
    const Result<bool> answer = lp->MayFit(counts);
    EXPECT_TRUE(answer.ok());
    return answer.ok() && *answer;
  };
  EXPECT_TRUE(fits(4, 0));
  EXPECT_FALSE(fits(5, 0));  // 600 and 600 do not share a card: a pattern says so, an area not.
  EXPECT_TRUE(fits(4, 4));
  EXPECT_FALSE(fits(4, 5));  // 24 cores of 20.
  EXPECT_TRUE(fits(0, 5));   // In fractions.
  EXPECT_TRUE(fits(4, 0));
}

TEST(LongestPrefix, StopsWhereNothingMoreFits) {
  Cluster cluster;
  cluster.card_models = {"A"};
  cluster.nodes = {{"a", 64'000, 1'000, 4, 0, 0}};
  Pod whole;
  whole.cards = 1;
  whole.card_milli = kCardMilli;
  std::vector<Pod> pods(9, whole);
  EXPECT_EQ(*LongestPrefix(cluster, pods), 4U);
  pods.resize(3);
  EXPECT_EQ(*LongestPrefix(cluster, pods), 3U);
}

}  // namespace
}  // namespace brim::planner
