#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "planner/mix/duty_cycle.h"
#include "planner/mix/shared_packing.h"
#include "planner/mix/testing.h"

namespace brim::planner {
namespace {

MixOptions Options(Slices slices, int share_step = 5) {
  MixOptions options;
  options.slices = slices;
  options.share_step = share_step;
  return options;
}

TEST(LatencyTable, PadsInMigAndInterpolatesInUnits) {
  const std::vector<ProfilePoint> points = {
      {50, 1, 1, 10, 10}, {50, 4, 1, 22, 22}, {100, 1, 1, 6, 6}, {100, 4, 1, 12, 12}};
  const LatencyTable units(points, Options(Slices::kUnits, 25));
  EXPECT_NEAR(units.Ms(50, 3), 18, 1e-9);  // Linear in the batch.
  EXPECT_NEAR(units.Ms(75, 1), 6 + 4 / 3.0,
              1e-9);                       // Linear in 1/share: 1/75 is a third of the way.
  EXPECT_NEAR(units.Ms(25, 4), 44, 1e-9);  // Below: in inverse proportion.
  EXPECT_EQ(units.Ms(100, 5), kNeverMs);
  const std::vector<ProfilePoint> mig = {{1, 1, 1, 10, 10}, {1, 4, 1, 8, 8}, {2, 1, 2, 7, 7}};
  const LatencyTable measured(mig, Options(Slices::kMig));
  EXPECT_EQ(measured.Ms(1, 1), 8);  // Padded to four, which is faster.
  EXPECT_EQ(measured.Ms(1, 3), 8);
  EXPECT_EQ(measured.Ms(2, 1), kNeverMs);
  EXPECT_EQ(measured.Ms(2, 1, 2), 7);
  EXPECT_EQ(measured.Ms(3, 1), kNeverMs);
}

TEST(LatencyTable, IsMonotone) {
  Random random(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<ProfilePoint> points;
    for (const int share : {14, 29, 43, 100}) {
      for (int batch = 1; batch <= 16; batch *= 2) {
        const double ms = 1 + 50 * random.Uniform();
        points.push_back({share, batch, 1, ms, ms});
      }
    }
    const LatencyTable table(points, Options(Slices::kUnits));
    for (int share = 5; share <= 100; share += 5) {
      for (int batch = 1; batch < 16; ++batch) {
        ASSERT_LE(table.Ms(share, batch), table.Ms(share, batch + 1) + 1e-9) << "round " << round;
        if (share > 5) {
          ASSERT_LE(table.Ms(share, batch), table.Ms(share - 5, batch) + 1e-9) << "round " << round;
        }
      }
    }
  }
}

// Never says "fits" when an objective or the time would not hold, nor "no" when a whole scan of
// cycles finds one with room to spare.
TEST(DutyCycle, HoldsWhatItSays) {
  const MixOptions options = Options(Slices::kUnits);
  int fitting = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    std::vector<MixModel> models;
    std::vector<LatencyTable> tables;
    for (std::uint64_t i = 0, n = 1 + random.Below(5); i < n; ++i) {
      models.push_back(testing::RandomModel(&random, "m", Slices::kUnits));
      models.back().rate *= 2;
      tables.emplace_back(models.back().points, options);
    }
    std::vector<CycleLoad> loads;
    for (std::size_t i = 0; i < models.size(); ++i)
      loads.push_back({&tables[i], models[i].rate, models[i].slo_ms, 0, 0});
    const int share = 10;
    const Cycle cycle = FitCycle(loads, share, 0.9);
    const auto works = [&](double duty, double busy_max) {
      double busy = 0;
      for (const CycleLoad& load : loads) {
        const double collected = load.rate * duty / 1000;
        const int batch = std::max(1, static_cast<int>(std::ceil(collected - 1e-9)));
        const double ms = load.table->Ms(share, batch);
        if (!(duty + ms <= load.limit_ms + 1e-6)) return false;
        busy += (collected < 1 ? 1 - std::exp(-collected) : 1) * ms / duty;
      }
      return busy <= busy_max + 1e-9;
    };
    if (cycle.fits) {
      ++fitting;
      ASSERT_TRUE(works(cycle.duty_ms, 0.9)) << "seed " << seed;
    } else {
      for (double duty = 1; duty < 500; duty += 0.5) {
        ASSERT_FALSE(works(duty, 0.6)) << "seed " << seed << " duty " << duty;
      }
    }
  }
  EXPECT_GT(fitting, 20);
  EXPECT_LT(fitting, 180);
}

TEST(DutyCycle, SwappedModelsPayTheirLoadTime) {
  const std::vector<ProfilePoint> points = {{100, 1, 1, 10, 10}};
  const LatencyTable table(points, Options(Slices::kUnits));
  const std::vector<CycleLoad> resident = {{&table, 1, 200, 0, 0}};
  const std::vector<CycleLoad> swapped = {{&table, 1, 200, 80, 0}};
  const Cycle a = FitCycle(resident, 100, 0.9), b = FitCycle(swapped, 100, 0.9);
  ASSERT_TRUE(a.fits && b.fits);
  EXPECT_NEAR(a.duty_ms, 190, 0.5);
  EXPECT_NEAR(b.duty_ms, 110, 0.5);
  EXPECT_GT(b.busy, 5 * a.busy);
  EXPECT_FALSE(FitCycle(std::vector<CycleLoad>{{&table, 1, 200, 195, 0}}, 100, 0.9).fits);
}

TEST(Memory, KeepsResidentWhatWouldCostMost) {
  const std::vector<MemoryNeed> needs = {
      {1000, 50, 100, 10}, {1000, 80, 100, 1}, {1000, 60, 0, 0.1}, {1000, 10, 100, 0.5}};
  const MemorySplit all = SplitMemory(needs, 500, 5000);
  EXPECT_TRUE(all.fits);
  EXPECT_NEAR(all.memory_mib, 500 + 4000 + 80, 1e-9);
  const MemorySplit some = SplitMemory(needs, 500, 3600);
  EXPECT_TRUE(some.fits);
  EXPECT_NEAR(some.memory_mib, 500 + 2000 + 80 + 1000,
              1e-9);  // One slot for both that are swapped.
  EXPECT_EQ(some.resident, (std::vector<bool>{true, false, true, false}));
  EXPECT_FALSE(SplitMemory(needs, 500, 2000).fits);  // The third cannot be swapped.
}

// All ways to part the models into nodes, each at its smallest share, and all ways onto cards.
class BruteForce {
 public:
  BruteForce(const MixContext& context, const FitRule& rule, std::size_t models)
      : context_(context), rule_(rule), models_(models) {}

  std::int32_t LeastCards() {
    Part(0);
    return least_;
  }

 private:
  void Part(std::size_t m) {
    if (m == models_) {
      std::vector<MixNode> nodes;
      for (const std::vector<std::int32_t>& group : groups_) {
        MixNode node;
        for (const std::int32_t model : group)
          node.items.push_back({model, context_.model(model).rate});
        if (!ResliceNode(context_, rule_, &node)) return;
        nodes.push_back(node);
      }
      std::vector<std::pair<int, double>> free;
      Place(nodes, 0, &free);
      return;
    }
    for (std::size_t g = 0; g <= groups_.size(); ++g) {
      const bool fresh = g == groups_.size();
      if (fresh) groups_.emplace_back();
      groups_[g].push_back(static_cast<std::int32_t>(m));
      Part(m + 1);
      groups_[g].pop_back();
      if (fresh) {
        groups_.pop_back();
        break;
      }
    }
  }

  void Place(const std::vector<MixNode>& nodes, std::size_t n,
             std::vector<std::pair<int, double>>* free) {
    if (static_cast<std::int32_t>(free->size()) >= least_) return;
    if (n == nodes.size()) {
      least_ = static_cast<std::int32_t>(free->size());
      return;
    }
    const int share = nodes[n].share;
    const double memory = nodes[n].memory.memory_mib;
    for (std::size_t c = 0; c <= free->size(); ++c) {
      const bool fresh = c == free->size();
      if (fresh) free->push_back({kUnitsPerCard, context_.options().card_memory_mib});
      auto& card = (*free)[c];
      if (card.first >= share && card.second >= memory) {
        card.first -= share, card.second -= memory;
        Place(nodes, n + 1, free);
        (*free)[c].first += share, (*free)[c].second += memory;
      }
      if (fresh) {
        free->pop_back();
        break;
      }
    }
  }

  const MixContext& context_;
  const FitRule& rule_;
  std::size_t models_;
  std::vector<std::vector<std::int32_t>> groups_;
  std::int32_t least_ = 1000;
};

TEST(SharedPacking, EqualsBruteForceOnSmallInstances) {
  int several = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    MixOptions options = Options(Slices::kUnits, 20);
    options.card_memory_mib = 9000;
    std::vector<MixModel> models;
    for (std::uint64_t i = 0, n = 2 + random.Below(4); i < n; ++i) {
      models.push_back(testing::RandomModel(&random, "m" + std::to_string(i), Slices::kUnits));
      models.back().rate *= 4;
    }
    const MixContext context(models, options);
    FitRule rule;
    rule.headroom.assign(models.size(), 1);
    std::vector<std::int32_t> all;
    bool whole = true;  // Brute force does not split a model over nodes.
    for (std::size_t m = 0; m < models.size(); ++m) {
      all.push_back(static_cast<std::int32_t>(m));
      MixNode alone;
      alone.items = {{all.back(), models[m].rate}};
      whole = whole && CanStandAlone(context, all.back()) && ResliceNode(context, rule, &alone);
    }
    if (!whole) continue;
    Draft draft = PackShared(context, rule, all);
    Random search(seed);
    SearchLocally(context, rule, 3000, &search, {}, &draft);
    const std::int32_t least = BruteForce(context, rule, models.size()).LeastCards();
    // A model split over nodes may even save a card.
    ASSERT_LE(draft.cards, least) << "seed " << seed;
    several += draft.cards > 1;
  }
  EXPECT_GT(several, 5);
}

}  // namespace
}  // namespace brim::planner
