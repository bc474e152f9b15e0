// Consolidation: hand-made layouts, and over seeded ones that no step ever needs more than there
// is.
#include "planner/replay/consolidate.h"

#include <gtest/gtest.h>

#include <set>

#include "planner/cluster/occupancy.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

Cluster OneNode(std::int32_t cards, std::int64_t cpu_milli = 64'000) {
  Cluster cluster;
  cluster.card_models = {"T4"};
  cluster.nodes = {{"n0", cpu_milli, 1 << 20, cards, 0, 0}};
  return cluster;
}

Pod Share(std::string name, std::int32_t milli) {
  Pod pod;
  pod.name = std::move(name);
  pod.cpu_milli = 1000;
  pod.memory_mib = 1024;
  pod.cards = 1;
  pod.card_milli = milli;
  return pod;
}

Spot On(std::int32_t card, std::int32_t node = 0) { return {node, std::uint64_t{1} << card}; }

std::int64_t UsedCards(const std::vector<Spot>& spots) {
  std::set<std::pair<std::int32_t, std::uint64_t>> used;
  for (const Spot& spot : spots) {
    for (std::uint64_t left = spot.placed() ? spot.cards : 0; left != 0; left &= left - 1) {
      used.emplace(spot.node, left & -left);
    }
  }
  return static_cast<std::int64_t>(used.size());
}

TEST(Consolidate, DrainsTheEmptierCard) {
  const Cluster cluster = OneNode(2);
  const std::vector<Pod> pods = {Share("a", 600), Share("b", 300)};
  const std::vector<Spot> spots = {On(0), On(1)};
  const Consolidation result = Consolidate(cluster, pods, spots, {});
  ASSERT_EQ(result.moves.size(), 1u);
  EXPECT_EQ(result.moves[0].pod, 1);
  EXPECT_EQ(result.moves[0].to, On(0));
  EXPECT_EQ(result.cards_before, 2);
  EXPECT_EQ(result.cards_after, 1);
  ASSERT_EQ(result.groups.size(), 1u);
  // 24 h less the 22.7 s load; the move costs 0.3 x 22.7 s + 0.05 + 0.01 card-hours.
  EXPECT_NEAR(result.groups[0].gain_card_h, 24 - 22.7 / 3600, 1e-9);
  EXPECT_NEAR(result.groups[0].cost_card_h, 0.3 * 22.7 / 3600 + 0.06, 1e-9);
  EXPECT_EQ(CheckMoves(cluster, pods, spots, result.moves), "");
}

TEST(Consolidate, NothingWhenTheMoveCostsMoreThanTheCard) {
  const Cluster cluster = OneNode(2);
  const std::vector<Pod> pods = {Share("a", 600), Share("b", 300)};
  ConsolidateOptions options;
  options.prices.slo_card_h = 10'000;
  const Consolidation result = Consolidate(cluster, pods, {On(0), On(1)}, options);
  EXPECT_TRUE(result.moves.empty());
  ASSERT_EQ(result.stays.size(), 2u);
  EXPECT_NE(result.stays[0].why.find("cost"), std::string::npos);
}

TEST(Consolidate, BothCopiesMustFit) {
  // CPU for the two pods, not for a third copy.
  const Cluster cluster = OneNode(2, 2500);
  const std::vector<Pod> pods = {Share("a", 600), Share("b", 300)};
  EXPECT_TRUE(Consolidate(cluster, pods, {On(0), On(1)}, {}).moves.empty());
  EXPECT_EQ(Consolidate(OneNode(2, 3000), pods, {On(0), On(1)}, {}).moves.size(), 1u);
}

TEST(Consolidate, WholeCardsStay) {
  std::vector<Pod> pods = {Share("whole", 1000), Share("b", 300)};
  const Consolidation result = Consolidate(OneNode(3), pods, {On(0), On(1)}, {});
  EXPECT_TRUE(result.moves.empty());
  EXPECT_EQ(result.cards_after, 2);
}

TEST(Consolidate, SearchFindsWhatNoDrainCan) {
  // Cards 500+150 | 500+300 | 550. No 500 and no 550 has a card to go to, so no drain can finish;
  // but 500+500 | 550+300+150 are two cards.
  const Cluster cluster = OneNode(3);
  const std::vector<Pod> pods = {Share("a", 500), Share("b", 150), Share("c", 500), Share("d", 300),
                                 Share("e", 550)};
  const std::vector<Spot> spots = {On(0), On(0), On(1), On(1), On(2)};
  ConsolidateOptions greedy;
  greedy.worst_cards = 0;
  EXPECT_TRUE(Consolidate(cluster, pods, spots, greedy).moves.empty());
  const Consolidation result = Consolidate(cluster, pods, spots, {});
  EXPECT_EQ(result.cards_after, 2);
  EXPECT_EQ(UsedCards(result.spots), 2);
  EXPECT_EQ(CheckMoves(cluster, pods, spots, result.moves), "");
  EXPECT_TRUE(result.search_complete);
}

TEST(Consolidate, TheBudgetSpacesTheMoves) {
  const Cluster cluster = OneNode(4);
  const std::vector<Pod> pods = {Share("a", 500), Share("b", 100), Share("c", 100),
                                 Share("d", 100)};
  const std::vector<Spot> spots = {On(0), On(1), On(2), On(3)};
  ConsolidateOptions options;
  options.moves_per_hour = 1;
  Consolidation result = Consolidate(cluster, pods, spots, options);
  ASSERT_EQ(result.moves.size(), 3u);
  EXPECT_DOUBLE_EQ(result.moves[2].start_s, 7200);
  options.horizon_h = 1.5;  // Only two can be done in time to be worth it.
  result = Consolidate(cluster, pods, spots, options);
  EXPECT_EQ(result.moves.size(), 2u);
}

TEST(CheckMoves, SeesAnOverfullStep) {
  const Cluster cluster = OneNode(2);
  const std::vector<Pod> pods = {Share("a", 600), Share("b", 500)};
  const std::vector<Spot> spots = {On(0), On(1)};
  EXPECT_NE(CheckMoves(cluster, pods, spots, {{1, On(1), On(0), 0, 1, 0}}), "");
  EXPECT_NE(CheckMoves(cluster, pods, spots, {{1, On(0), On(1), 0, 1, 0}}), "");
  EXPECT_NE(CheckLayout(cluster, pods, {On(0), On(0)}), "");
  EXPECT_EQ(CheckLayout(cluster, pods, spots), "");
}

// Pods thrown onto random cards of random nodes, wherever they fit.
struct RandomLayout {
  Cluster cluster;
  std::vector<Pod> pods;
  std::vector<Spot> spots;
  explicit RandomLayout(std::uint64_t seed) {
    Random random(seed);
    cluster.card_models = {"T4", "A100"};
    const auto nodes = 2 + random.Below(4);
    for (std::uint64_t n = 0; n < nodes; ++n) {
      const auto cards = static_cast<std::int32_t>(1 + random.Below(4));
      cluster.nodes.push_back({"n" + std::to_string(n), 8000 * cards, 32'768 * cards, cards,
                               static_cast<std::int32_t>(random.Below(2)),
                               random.Below(2) == 0 ? 0 : 40'960});
    }
    Occupancy occupancy(cluster);
    for (int i = 0; i < 40; ++i) {
      Pod pod =
          Share("p" + std::to_string(i), 50 * static_cast<std::int32_t>(1 + random.Below(20)));
      pod.cpu_milli = 500 * static_cast<std::int64_t>(random.Below(8));
      pod.card_memory_mib = 1024 * static_cast<std::int64_t>(random.Below(20));
      pod.card_models = random.Below(4) == 0 ? 1 + random.Below(2) : 0;
      const auto node = static_cast<std::int32_t>(random.Below(nodes));
      const auto card = static_cast<std::int32_t>(random.Below(cluster.nodes[node].cards));
      Spot spot;
      if (occupancy.Fits(pod, node) && occupancy.FitsCard(pod, node, card)) {
        spot = On(card, node);
        occupancy.Place(pod, spot);
      }
      pods.push_back(pod);
      spots.push_back(spot);
    }
  }
};

TEST(Consolidate, NoStepEverExceedsACapacity) {
  std::int64_t freed = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const RandomLayout layout(seed);
    ASSERT_EQ(CheckLayout(layout.cluster, layout.pods, layout.spots), "");
    ConsolidateOptions options;
    options.worst_cards = 6;
    options.search_nodes_max = 3000;
    const Consolidation result = Consolidate(layout.cluster, layout.pods, layout.spots, options);
    EXPECT_EQ(CheckMoves(layout.cluster, layout.pods, layout.spots, result.moves), "");
    EXPECT_EQ(CheckLayout(layout.cluster, layout.pods, result.spots), "");
    EXPECT_EQ(UsedCards(layout.spots), result.cards_before);
    EXPECT_EQ(UsedCards(result.spots), result.cards_after);
    std::int64_t claimed = 0;
    for (const MoveGroup& group : result.groups) {
      EXPECT_GT(group.gain_card_h, group.cost_card_h);
      claimed += static_cast<std::int64_t>(group.freed.size());
    }
    EXPECT_EQ(result.cards_before - result.cards_after, claimed);
    freed += claimed;
    for (std::size_t p = 0; p < layout.pods.size(); ++p) {
      EXPECT_EQ(layout.spots[p].placed(), result.spots[p].placed());
    }
    const Consolidation again = Consolidate(layout.cluster, layout.pods, layout.spots, options);
    EXPECT_EQ(again.spots, result.spots);
  }
  EXPECT_GT(freed, 50);
}

}  // namespace
}  // namespace brim::planner
