// Fragmentation and FGD against a second implementation, written from the published definition.
#include "planner/pack/fgd_scorer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "planner/pack/packing.h"
#include "planner/pack/testing.h"

namespace brim::planner {
namespace {

// A node's state as the definition has it.
struct Plain {
  std::int64_t cpu = 0;
  std::int32_t model = -1;
  std::vector<std::int32_t> cards;
};

Plain PlainOf(const FreeNode& free) { return {free.cpu_milli, free.card_model, free.card_milli}; }

// Expected fragment times the number of typical pods: one case after another, no table.
std::int64_t PlainFragment(const Plain& node, const PodMix& typical) {
  std::int64_t sum = 0;
  std::int64_t total = 0;
  for (const std::int32_t milli : node.cards) total += milli;
  for (const PodMix::Entry& entry : typical.entries) {
    const Pod& pod = entry.pod;
    const bool model =
        pod.card_models == 0 || (node.model >= 0 && (pod.card_models >> node.model & 1) != 0);
    std::int32_t fitting = 0;
    std::int64_t small = 0;
    for (const std::int32_t milli : node.cards) {
      if (milli >= pod.card_milli) {
        ++fitting;
      } else {
        small += milli;
      }
    }
    const bool usable = pod.cards > 0 && model && fitting >= pod.cards && node.cpu >= pod.cpu_milli;
    sum += entry.count * (usable ? small : total);
  }
  return sum;
}

int PlainScore(std::int64_t before, std::int64_t after, std::int64_t pods) {
  const double less = static_cast<double>(before - after) / static_cast<double>(pods);
  return static_cast<int>(100 / (1 + std::exp(-less / 1000)));
}

// The node and cards that the published rule takes, ties to the first.
Spot PlainChoose(const Occupancy& occupancy, const Pod& pod, const PodMix& typical) {
  Spot best;
  int best_score = -1;
  for (std::int32_t node = 0; node < occupancy.nodes(); ++node) {
    if (!occupancy.Fits(pod, node)) continue;
    const Plain now = PlainOf(occupancy.free(node));
    const std::int64_t before = PlainFragment(now, typical);
    const auto consider = [&](std::uint64_t mask) {
      Plain after = now;
      after.cpu -= pod.cpu_milli;
      for (std::size_t card = 0; card < after.cards.size(); ++card) {
        if (mask >> card & 1) after.cards[card] -= pod.card_milli;
      }
      const int score = PlainScore(before, PlainFragment(after, typical), typical.total);
      if (score > best_score) {
        best_score = score;
        best = {node, mask};
      }
    };
    std::uint64_t first = 0;
    std::int32_t found = 0;
    for (std::size_t card = 0; card < now.cards.size(); ++card) {
      if (!occupancy.FitsCard(pod, node, static_cast<std::int32_t>(card))) continue;
      if (pod.cards == 1 && pod.card_milli < kCardMilli) consider(std::uint64_t{1} << card);
      if (found < pod.cards) first |= std::uint64_t{1} << card;
      ++found;
    }
    if (pod.cards != 1 || pod.card_milli == kCardMilli) consider(first);
  }
  return best;
}

TEST(FragmentationTest, EqualsTheDefinition) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Cluster cluster = RandomCluster(&random, 12);
    const std::vector<Pod> pods = RandomPods(&random, 60);
    const PodMix mix = MixOf(pods);
    const Fragmentation fragmentation(cluster, mix);
    PackOptions options{*FindPolicy("random"), Ties::kRandom, seed, mix};
    Packer packer(cluster, options);
    for (const Pod& pod : pods) {
      packer.Add(pod);
      for (std::int32_t node = 0; node < packer.occupancy().nodes(); ++node) {
        const FreeNode& free = packer.occupancy().free(node);
        ASSERT_EQ(fragmentation.Of(free), PlainFragment(PlainOf(free), mix));
      }
    }
  }
}

TEST(FgdTest, MemoChoosesAsTheDefinitionDoes) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Cluster cluster = RandomCluster(&random, 15);
    const std::vector<Pod> pods = RandomPods(&random, 150);
    const PodMix typical = WithoutMemory(MixOf(pods));
    Packer packer(cluster, {*FindPolicy("fgd"), Ties::kIndex, seed, typical});
    std::vector<std::pair<Pod, Spot>> standing;
    for (const Pod& pod : pods) {
      const Spot expected = PlainChoose(packer.occupancy(), pod, typical);
      const Spot spot = packer.Add(pod).spot;
      ASSERT_EQ(spot, expected);
      if (spot.placed()) standing.emplace_back(pod, spot);
      if (!standing.empty() && random.Below(4) == 0) {  // Departures void the memo too.
        std::swap(standing[random.Below(standing.size())], standing.back());
        packer.Remove(standing.back().first, standing.back().second);
        standing.pop_back();
      }
    }
  }
}

TEST(FgdTest, KeepsWholeCardsForWholeCardPods) {
  Cluster cluster;
  cluster.nodes = {{"n0", 64000, 64000, 2, -1, 0}, {"n1", 64000, 64000, 2, -1, 0}};
  Pod share;
  share.cards = 1;
  share.card_milli = 500;
  Pod pair;
  pair.cards = 2;
  pair.card_milli = kCardMilli;
  const PodMix mix = MixOf({share, share, share, pair});
  Packer packer(cluster, {*FindPolicy("fgd"), Ties::kIndex, 1, mix});
  EXPECT_EQ(packer.Add(share).spot.node, 0);
  EXPECT_EQ(packer.Add(share).spot, (Spot{0, 1})) << "fills the opened card";
  EXPECT_EQ(packer.Add(share).spot.node, 0);
  EXPECT_EQ(packer.Add(pair).spot.node, 1);
}

}  // namespace
}  // namespace brim::planner
