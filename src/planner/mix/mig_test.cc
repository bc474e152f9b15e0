#include <gtest/gtest.h>

#include <functional>

#include "planner/cluster/random.h"
#include "planner/mix/mig_grid.h"
#include "planner/mix/mig_optimum.h"

namespace brim::planner {
namespace {

// The eleven maximal layouts of an A100, by kMigSizes: 7, 4, 3, 2, 1.
const std::vector<MigCounts> kLayouts = {{1, 0, 0, 0, 0}, {0, 1, 1, 0, 0}, {0, 1, 0, 1, 1},
                                         {0, 1, 0, 0, 3}, {0, 0, 1, 2, 0}, {0, 0, 1, 1, 2},
                                         {0, 0, 1, 0, 4}, {0, 0, 0, 3, 1}, {0, 0, 0, 2, 3},
                                         {0, 0, 0, 1, 5}, {0, 0, 0, 0, 7}};

bool FitsByLayouts(const MigCounts& counts, int cards, std::size_t first = 0) {
  bool empty = true;
  for (const std::int32_t count : counts) empty = empty && count <= 0;
  if (empty) return true;
  if (cards == 0) return false;
  for (std::size_t layout = first; layout < kLayouts.size(); ++layout) {
    MigCounts left = counts;
    for (std::size_t size = 0; size < left.size(); ++size) left[size] -= kLayouts[layout][size];
    if (FitsByLayouts(left, cards - 1, layout)) return true;
  }
  return false;
}

TEST(MigGrid, FourSumsSayWhatTheLayoutsSay) {
  for (int c7 = 0; c7 <= 2; ++c7)
    for (int c4 = 0; c4 <= 3; ++c4)
      for (int c3 = 0; c3 <= 4; ++c3)
        for (int c2 = 0; c2 <= 6; ++c2)
          for (int c1 = 0; c1 <= 9; ++c1) {
            const MigCounts counts = {c7, c4, c3, c2, c1};
            const std::int32_t cards = MigCards(counts);
            ASSERT_TRUE(FitsByLayouts(counts, cards)) << c7 << c4 << c3 << c2 << c1;
            if (cards > 0) {
              ASSERT_FALSE(FitsByLayouts(counts, cards - 1)) << c7 << c4 << c3 << c2 << c1;
            }
          }
}

TEST(MigGrid, LaysOutWithoutOverlapWhereNvidiaAllows) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<int> sizes(1 + random.Below(25));
    for (int& size : sizes) size = kMigSizes[random.Below(5)];
    const std::vector<MigPlace> places = MigLayout(sizes);
    MigCounts counts{};
    for (const int size : sizes) ++counts[MigSizeIndex(size)];
    std::vector<unsigned> memory(static_cast<std::size_t>(MigCards(counts)));  // Eighths.
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const int start = places[i].start;
      switch (sizes[i]) {
        case 7:
        case 4:
          ASSERT_EQ(start, 0);
          break;
        case 3:
          ASSERT_TRUE(start == 0 || start == 4);
          break;
        case 2:
          ASSERT_TRUE(start == 0 || start == 2 || start == 4);
          break;
        default:
          ASSERT_LT(start, 7);
      }
      const int wide = static_cast<int>(MigMemoryPart(sizes[i]) * 8);
      const unsigned mask = ((1u << wide) - 1) << start;
      unsigned& taken = memory.at(static_cast<std::size_t>(places[i].card));
      ASSERT_EQ(taken & mask, 0u) << "size " << sizes[i] << " at " << start;
      taken |= mask;
    }
  }
}

MigDemand RandomDemand(Random* random) {
  MigDemand demand;
  demand.rate = 5 + 60 * random->Uniform();
  double capacity = 0;
  for (std::size_t size = 5;
       size-- > 0;) {  // Grows with the size, not evenly; some sizes are unusable.
    capacity += 5 + 15 * random->Uniform();
    demand.capacity[size] = random->Below(5) == 0 ? 0 : capacity;
  }
  demand.capacity[0] = std::max(demand.capacity[0], 10.0);
  return demand;
}

// Every covering of a demand that fits `cards` cards alone and has no instance too many.
std::vector<MigCounts> AllCovers(const MigDemand& demand, int cards) {
  std::vector<MigCounts> covers;
  MigCounts counts{};
  const std::function<void(std::size_t)> visit = [&](std::size_t size) {
    if (size == counts.size()) {
      double sum = 0;
      for (std::size_t i = 0; i < counts.size(); ++i) sum += counts[i] * demand.capacity[i];
      bool minimal = sum >= demand.rate && MigCards(counts) <= cards;
      for (std::size_t i = 0; i < counts.size(); ++i) {  // One fewer must not do.
        if (counts[i] > 0 && sum - demand.capacity[i] >= demand.rate) minimal = false;
      }
      if (minimal) covers.push_back(counts);
      return;
    }
    for (counts[size] = 0; counts[size] * kMigSizes[size] <= 7 * cards; ++counts[size])
      visit(size + 1);
    counts[size] = 0;
  };
  visit(0);
  return covers;
}

bool AnyTogether(const std::vector<std::vector<MigCounts>>& covers, std::size_t m, MigCounts sum,
                 int cards) {
  if (MigCards(sum) > cards) return false;
  if (m == covers.size()) return true;
  for (const MigCounts& cover : covers[m]) {
    MigCounts next = sum;
    for (std::size_t size = 0; size < next.size(); ++size) next[size] += cover[size];
    if (AnyTogether(covers, m + 1, next, cards)) return true;
  }
  return false;
}

TEST(MigOptimum, EqualsBruteForce) {
  Random random(2);
  for (int round = 0; round < 60; ++round) {
    const int most = round % 2 == 0 ? 1 : 2;  // Cards.
    std::vector<MigDemand> demands(most == 1 ? 3 : 2);
    for (MigDemand& demand : demands) demand = RandomDemand(&random);
    int brute = 0;
    for (int cards = 1; cards <= most && brute == 0; ++cards) {
      std::vector<std::vector<MigCounts>> covers;
      for (const MigDemand& demand : demands) covers.push_back(AllCovers(demand, cards));
      if (AnyTogether(covers, 0, {}, cards)) brute = cards;
    }
    const MigOptimum optimum = MigLeastCards(demands);
    ASSERT_TRUE(optimum.proven) << "round " << round;
    if (brute == 0) {
      ASSERT_GT(optimum.cards, most) << "round " << round;
    } else {
      ASSERT_EQ(optimum.cards, brute) << "round " << round;
    }
  }
}

TEST(MigOptimum, PlansCoverTheirRatesAndMeetTheirBounds) {
  Random random(3);
  for (int round = 0; round < 30; ++round) {
    std::vector<MigDemand> demands(1 + random.Below(12));
    for (MigDemand& demand : demands) demand = RandomDemand(&random);
    const MigOptimum optimum = MigLeastCards(demands);
    MigCounts sum{};
    std::int32_t least = 0;
    for (std::size_t m = 0; m < demands.size(); ++m) {
      double capacity = 0;
      for (std::size_t size = 0; size < sum.size(); ++size) {
        sum[size] += optimum.counts[m][size];
        capacity += optimum.counts[m][size] * demands[m].capacity[size];
      }
      ASSERT_GE(capacity, demands[m].rate * (1 - 1e-8));
      least += UseOf(*MigCover(demands[m]))[3];
    }
    ASSERT_EQ(MigCards(sum), optimum.cards);
    ASSERT_GE(optimum.cards * 7, least);
    const double headroom = MigHeadroom(demands, optimum.cards, 2);
    ASSERT_GE(headroom, 1);
    for (MigDemand& demand : demands) demand.rate *= headroom;
    ASSERT_LE(MigLeastCards(demands).cards, optimum.cards);
  }
}

TEST(MigOptimum, CoverTakesTheLeastTotalSize) {
  Random random(4);
  for (int round = 0; round < 60; ++round) {
    const MigDemand demand = RandomDemand(&random);
    std::int32_t least = 1000;
    for (const MigCounts& cover : AllCovers(demand, 3)) least = std::min(least, UseOf(cover)[3]);
    const MigCounts cover = *MigCover(demand);
    if (least <= 21 && MigCards(cover) <= 3) {
      ASSERT_EQ(UseOf(cover)[3], least) << "round " << round;
    }
  }
}

TEST(MigOptimum, NothingCoversWhatNoSizeServes) {
  EXPECT_FALSE(MigCover({10, {}}).has_value());
  EXPECT_FALSE(MigFit(std::vector<MigDemand>{{10, {}}}, 4).has_value());
}

}  // namespace
}  // namespace brim::planner
