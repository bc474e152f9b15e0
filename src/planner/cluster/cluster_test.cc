// Occupancy, Gap and Random: worked examples, and properties over seeded random fillings.
#include "planner/cluster/cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "planner/cluster/gap.h"
#include "planner/cluster/occupancy.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

Cluster TwoNodes() {
  Cluster cluster;
  cluster.card_models = {"A", "B"};
  cluster.nodes.push_back({"n0", 8000, 1000, 2, 0, 0});
  cluster.nodes.push_back({"n1", 4000, 1000, 1, 1, 16000});
  return cluster;
}

Pod Share(std::int32_t milli, std::int64_t cpu = 1000) {
  Pod pod;
  pod.cpu_milli = cpu;
  pod.memory_mib = 10;
  pod.cards = 1;
  pod.card_milli = milli;
  return pod;
}

TEST(OccupancyTest, SaysWhatIsMissingInTheStatedOrder) {
  const Cluster cluster = TwoNodes();
  Occupancy occupancy(cluster);
  Pod pod = Share(500);
  EXPECT_EQ(occupancy.WhyNot(pod, 0), Misfit::kNone);
  pod.card_models = 0b10;
  EXPECT_EQ(occupancy.WhyNot(pod, 0), Misfit::kCardModel);
  EXPECT_EQ(occupancy.WhyNot(pod, 1), Misfit::kNone);
  pod.card_memory_mib = 16001;
  EXPECT_EQ(occupancy.WhyNot(pod, 1), Misfit::kCardMemory);
  pod.card_models = 0;
  EXPECT_EQ(occupancy.WhyNot(pod, 0), Misfit::kNone) << "unknown card memory is not checked";
  Pod whole = Share(1000);
  whole.cards = 3;
  EXPECT_EQ(occupancy.WhyNot(whole, 0), Misfit::kCards);
  EXPECT_EQ(occupancy.WhyNot(Share(10, 9000), 0), Misfit::kCpu);
  Pod fat = Share(10);
  fat.memory_mib = 1001;
  EXPECT_EQ(occupancy.WhyNot(fat, 0), Misfit::kMemory);
  Pod cpu_only;
  cpu_only.card_models = 0b10;
  EXPECT_EQ(occupancy.WhyNot(cpu_only, 0), Misfit::kNone) << "no card, no card model";
}

TEST(OccupancyTest, SharesMustFitOneCardAndWholeCardsMustBeFree) {
  const Cluster cluster = TwoNodes();
  Occupancy occupancy(cluster);
  occupancy.Place(Share(600), {0, 0b01});
  occupancy.Place(Share(600), {0, 0b10});
  EXPECT_EQ(occupancy.WhyNot(Share(500), 0), Misfit::kCards) << "800 free, but no card with 500";
  EXPECT_EQ(occupancy.WhyNot(Share(400), 0), Misfit::kNone);
  EXPECT_EQ(occupancy.free(0).whole_cards, 0);
  EXPECT_EQ(occupancy.used_cards(), 2);
  EXPECT_EQ(occupancy.placed_milli(), 1200);
  occupancy.Remove(Share(600), {0, 0b01});
  EXPECT_TRUE(occupancy.Fits(Share(1000), 0));
  EXPECT_TRUE(occupancy.FitsCard(Share(1000), 0, 0));
  EXPECT_FALSE(occupancy.FitsCard(Share(1000), 0, 1));
}

TEST(OccupancyTest, CardMemoryIsTakenAndGivenBack) {
  const Cluster cluster = TwoNodes();
  Occupancy occupancy(cluster);
  Pod pod = Share(100);
  pod.card_memory_mib = 10000;
  occupancy.Place(pod, {1, 1});
  EXPECT_EQ(occupancy.WhyNot(pod, 1), Misfit::kCardMemory);
  EXPECT_EQ(occupancy.WhyNot(Share(100), 1), Misfit::kNone);
  occupancy.Remove(pod, {1, 1});
  EXPECT_EQ(occupancy.WhyNot(pod, 1), Misfit::kNone);
}

TEST(OccupancyDeathTest, RefusesWhatDoesNotFit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Cluster cluster = TwoNodes();
  Occupancy occupancy(cluster);
  EXPECT_DEATH(occupancy.Place(Share(100), {0, 0b11}), "popcount");
  EXPECT_DEATH(occupancy.Place(Share(100), {0, 0b100}), "card_milli");
  EXPECT_DEATH(occupancy.Place(Share(100, 9000), {0, 1}), "cpu_milli");
  EXPECT_DEATH(occupancy.Remove(Share(100), {0, 1}), "pods > 0");
}

// Fills and empties at random; what is free must always equal capacity less what stands there.
TEST(OccupancyTest, BooksBalanceUnderRandomComingAndGoing) {
  const Cluster cluster = TwoNodes();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Occupancy occupancy(cluster);
    std::vector<std::pair<Pod, Spot>> standing;
    for (int step = 0; step < 300; ++step) {
      if (!standing.empty() && random.Below(3) == 0) {
        std::swap(standing[random.Below(standing.size())], standing.back());
        occupancy.Remove(standing.back().first, standing.back().second);
        standing.pop_back();
      } else {
        const Pod pod = Share(1 + static_cast<std::int32_t>(random.Below(1000)),
                              static_cast<std::int64_t>(random.Below(2000)));
        const auto node = static_cast<std::int32_t>(random.Below(2));
        for (std::int32_t card = 0; card < cluster.nodes[node].cards; ++card) {
          if (!occupancy.Fits(pod, node) || !occupancy.FitsCard(pod, node, card)) continue;
          occupancy.Place(pod, {node, std::uint64_t{1} << card});
          standing.emplace_back(pod, Spot{node, std::uint64_t{1} << card});
          break;
        }
      }
      std::int64_t placed = 0;
      for (const auto& [pod, spot] : standing) placed += pod.demand_milli();
      ASSERT_EQ(occupancy.placed_milli(), placed);
      std::int64_t free_milli = 0;
      std::int64_t used = 0;
      for (std::int32_t node = 0; node < occupancy.nodes(); ++node) {
        const FreeNode& free = occupancy.free(node);
        ASSERT_GE(free.cpu_milli, 0);
        std::int64_t sum = 0;
        for (const std::int32_t milli : free.card_milli) {
          sum += milli;
          used += milli < kCardMilli;
        }
        ASSERT_EQ(sum, free.card_milli_sum);
        ASSERT_EQ(free.whole_cards,
                  std::count(free.card_milli.begin(), free.card_milli.end(), kCardMilli));
        free_milli += sum;
      }
      ASSERT_EQ(free_milli + placed, cluster.cards() * kCardMilli);
      ASSERT_EQ(used, occupancy.used_cards());
    }
  }
}

TEST(GapTest, IsToTheTightestBound) {
  const Gap gap = GapTo(110, {{"area", 80, ""}, {"LP", 99.5, ""}, {"L2", 90, ""}});
  EXPECT_EQ(gap.bound, "LP");
  EXPECT_EQ(gap.cards, 10);
  EXPECT_DOUBLE_EQ(gap.share, 0.1);
  EXPECT_EQ(GapTo(5, {}).bound, "");
  EXPECT_EQ(GapTo(0, {{"area", 0, ""}}).share, 0);
  EXPECT_EQ((Bound{"x", 7.0000001, ""}.cards()), 7) << "the solver's tolerance is forgiven";
  EXPECT_EQ((Bound{"x", 7.001, ""}.cards()), 8);
}

TEST(RandomTest, IsTheSameForTheSameSeedAndInRange) {
  Random a(7), b(7), c(8);
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t x = a.Below(10);
    EXPECT_EQ(x, b.Below(10));
    EXPECT_LT(x, 10u);
    differs |= x != c.Below(10);
  }
  EXPECT_TRUE(differs);
  std::vector<int> items{1, 2, 3, 4, 5};
  a.Shuffle(&items);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, (std::vector<int>{1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace brim::planner
