// Pod replay: order of events, card-hours by brute force, refusals, owner limits, consolidation.
#include "planner/replay/pod_replay.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

Cluster Nodes(std::int32_t nodes, std::int32_t cards) {
  Cluster cluster;
  cluster.card_models = {"T4"};
  for (std::int32_t n = 0; n < nodes; ++n) {
    cluster.nodes.push_back({"n" + std::to_string(n), 64'000, 1 << 20, cards, 0, 0});
  }
  return cluster;
}

Pod At(std::string name, double arrives_s, double leaves_s, std::int32_t milli) {
  Pod pod;
  pod.name = std::move(name);
  pod.cpu_milli = 1000;
  pod.cards = milli > 0 ? 1 : 0;
  pod.card_milli = milli;
  pod.arrives_s = arrives_s;
  pod.leaves_s = leaves_s;
  return pod;
}

PodReplayOptions With(const char* policy) {
  PodReplayOptions options;
  options.policy = *FindPolicy(policy);
  return options;
}

TEST(PodReplay, HandComputed) {
  const Cluster cluster = Nodes(1, 2);
  // a: 0 to 2 h on one card; b joins it from 1 to 3 h; c wants a whole card from 1 to 2 h; d comes
  // at 1.5 h, when nothing holds it, and would stay to 2.5 h.
  const std::vector<Pod> pods = {At("a", 0, 7200, 500), At("b", 3600, 10800, 500),
                                 At("c", 3600, 7200, 1000), At("d", 5400, 9000, 600)};
  const auto replay = ReplayPods(cluster, pods, With("best-fit"));
  ASSERT_TRUE(replay.ok()) << replay.status().message();
  EXPECT_EQ(replay->arrived, 4);
  EXPECT_EQ(replay->placed, 3);
  EXPECT_EQ(replay->left, 3);
  EXPECT_EQ(replay->standing, 0);
  ASSERT_EQ(replay->refused.size(), 1u);
  EXPECT_EQ(replay->refused[0].pod, 3);
  EXPECT_DOUBLE_EQ(replay->refused[0].t_s, 5400);
  EXPECT_EQ(replay->refused[0].nearest, Misfit::kCards);
  EXPECT_NEAR(replay->used_card_h, 1 + 2 + 1, 1e-12);
  EXPECT_NEAR(replay->declared_card_h, 0.5 * 2 + 0.5 * 2 + 1, 1e-12);
  EXPECT_NEAR(replay->refused_card_h, 0.6, 1e-12);
  EXPECT_EQ(replay->peak_cards, 2);
  EXPECT_DOUBLE_EQ(replay->peak_s, 3600);
  EXPECT_DOUBLE_EQ(replay->end_s, 10800);
}

TEST(PodReplay, DeparturesGoFirst) {
  const std::vector<Pod> pods = {At("b", 3600, 7200, 1000), At("a", 0, 3600, 1000)};
  const auto replay = ReplayPods(Nodes(1, 1), pods, With("best-fit"));
  ASSERT_TRUE(replay.ok());
  EXPECT_TRUE(replay->refused.empty());
  EXPECT_EQ(replay->peak_cards, 1);
}

TEST(PodReplay, PodsThatStayAndPodsThatNeverStand) {
  const std::vector<Pod> pods = {At("a", 0, -1, 1000), At("b", 10, 10, 1000),
                                 At("c", 3600, 7200, 0)};
  const auto replay = ReplayPods(Nodes(1, 1), pods, With("best-fit"));
  ASSERT_TRUE(replay.ok());
  EXPECT_EQ(replay->arrived, 2);
  EXPECT_EQ(replay->standing, 1);
  EXPECT_NEAR(replay->used_card_h, 2, 1e-12);
  EXPECT_FALSE(ReplayPods(Nodes(1, 1), {At("x", 5, 3, 100)}, With("best-fit")).ok());
}

TEST(PodReplay, OwnerLimitsAndRoles) {
  Cluster cluster = Nodes(2, 4);
  cluster.nodes.push_back({"cpu", 64'000, 1 << 20, 0, -1, 0});
  std::vector<Pod> pods;
  for (int i = 0; i < 5; ++i) {
    pods.push_back(At("p" + std::to_string(i), i, -1, 200));
    pods.back().owner = "app";
  }
  pods.push_back(At("cpu-pod", 9, -1, 0));
  PodReplayOptions options = With("best-fit");
  options.owner_per_node_max = {2, 2, 2, 2, 2, 0};
  options.separate_roles = true;
  const auto replay = ReplayPods(cluster, pods, options);
  ASSERT_TRUE(replay.ok());
  std::map<std::int32_t, int> on;
  for (int i = 0; i < 5; ++i) ++on[replay->spots[i].node];
  EXPECT_EQ(on[0], 2);
  EXPECT_EQ(on[1], 2);
  ASSERT_EQ(replay->refused.size(), 1u);
  EXPECT_TRUE(replay->refused[0].owner_limit);
  EXPECT_EQ(replay->spots[5].node, 2);
  options.consolidate_every_s = 10;
  EXPECT_FALSE(ReplayPods(cluster, pods, options).ok());
}

std::vector<Pod> RandomPods(std::uint64_t seed) {
  Random random(seed);
  std::vector<Pod> pods;
  for (int i = 0; i < 80; ++i) {
    const double arrives = static_cast<double>(random.Below(200)) * 60;
    const double leaves =
        random.Below(5) == 0 ? -1 : arrives + 60 * static_cast<double>(1 + random.Below(100));
    const auto milli = static_cast<std::int32_t>(random.Below(11)) * 100;
    pods.push_back(At("p" + std::to_string(i), arrives, leaves, milli));
  }
  return pods;
}

// Card-hours by looking at every minute.
double BruteCardHours(const std::vector<Pod>& pods, const PodReplay& replay) {
  double hours = 0;
  for (double t = replay.begin_s; t < replay.end_s; t += 60) {
    std::set<std::pair<std::int32_t, std::uint64_t>> used;
    for (std::size_t p = 0; p < pods.size(); ++p) {
      const bool stands = pods[p].arrives_s <= t && (pods[p].leaves_s < 0 || t < pods[p].leaves_s);
      if (stands && replay.spots[p].placed() && replay.spots[p].cards != 0) {
        used.emplace(replay.spots[p].node, replay.spots[p].cards);
      }
    }
    hours += static_cast<double>(used.size()) / 60;
  }
  return hours;
}

TEST(PodReplay, CardHoursAreTheIntegral) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Cluster cluster = Nodes(3, 2);
    const std::vector<Pod> pods = RandomPods(seed);
    const auto replay = ReplayPods(cluster, pods, With(seed % 2 == 0 ? "best-fit" : "spread"));
    ASSERT_TRUE(replay.ok());
    EXPECT_NEAR(replay->used_card_h, BruteCardHours(pods, *replay), 1e-9);
    EXPECT_EQ(replay->arrived, replay->placed + static_cast<std::int64_t>(replay->refused.size()));
    EXPECT_EQ(replay->placed, replay->left + replay->standing);
    for (std::size_t i = 1; i < replay->points.size(); ++i) {
      EXPECT_LT(replay->points[i - 1].t_s, replay->points[i].t_s);
    }
    const auto again = ReplayPods(cluster, pods, With(seed % 2 == 0 ? "best-fit" : "spread"));
    EXPECT_EQ(again->spots, replay->spots);
  }
}

TEST(PodReplay, ConsolidationSavesCardHoursAndCountsItsPrice) {
  // Four half-empty cards after an hour, when their larger neighbours have left.
  std::vector<Pod> pods;
  for (int i = 0; i < 4; ++i) {
    pods.push_back(At("big" + std::to_string(i), 0, 3600, 700));
    pods.push_back(At("small" + std::to_string(i), 1, 36'000, 250));
  }
  const Cluster cluster = Nodes(1, 4);
  PodReplayOptions options = With("spread");
  const auto still = ReplayPods(cluster, pods, options);
  options.consolidate_every_s = 7200;
  options.consolidate.prices.load_s = 36;
  const auto moved = ReplayPods(cluster, pods, options);
  ASSERT_TRUE(still.ok() && moved.ok());
  EXPECT_NEAR(still->used_card_h, 40, 1e-9);
  // From 2 h on, one card is enough.
  EXPECT_NEAR(moved->used_card_h, 4 * 2 + 8, 1e-9);
  EXPECT_EQ(moved->migrations, 3);
  // Three copies of a quarter card for 36 s; cards freed at 36, 96 and 156 s (60 moves an hour).
  EXPECT_NEAR(moved->migration_card_h, (3 * 0.25 * 36 + 36 + 96 + 156) / 3600, 1e-9);
}

}  // namespace
}  // namespace brim::planner
