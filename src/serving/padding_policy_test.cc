#include "serving/padding_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace brim::serving {
namespace {

// A run of n rows takes base + n * row, and `change` more when the shape differs; as a fake runtime
// would measure it.
struct Machine {
  double base = 11'000;
  double row = 1'000;
  double change = 27'000;

  double Run(std::uint32_t rows) const { return base + row * rows; }
  RowCosts Costs() const {
    RowCosts costs;
    for (std::size_t i = 0; i < RowCosts::kBuckets; ++i) costs.ns[i] = Run(1u << i) / (1u << i);
    return costs;
  }
  PaddingState State(std::uint32_t rows, std::uint32_t rows_max = 32) const {
    return {rows, rows_max, Costs(), Duration(static_cast<std::int64_t>(change))};
  }
  // What a sequence of batches costs; `pads`: with the policy.
  double Total(const std::vector<std::uint32_t>& batches, bool pads) const {
    RowsRun last;
    double total = 0;
    for (const std::uint32_t rows : batches) {
      const std::uint32_t before = last.rows;
      const std::uint32_t run = ChooseRows(State(rows, pads ? 32 : rows), &last);
      EXPECT_GE(run, rows);
      total += Run(run) + (run != before ? change : 0);
    }
    return total;
  }
};

TEST(PaddingPolicy, KeepsTheSizeThatFits) {
  const Machine machine;
  RowsRun last;
  EXPECT_EQ(ChooseRows(machine.State(5), &last), 8u);
  for (const std::uint32_t rows : {3u, 8u, 1u, 6u, 2u, 7u}) {
    EXPECT_EQ(ChooseRows(machine.State(rows), &last), 8u);
  }
  EXPECT_EQ(ChooseRows(machine.State(9), &last), 16u);
  EXPECT_EQ(ChooseRows(machine.State(20), &last), 32u);
}

TEST(PaddingPolicy, ShrinksOnceThatWouldHavePaid) {
  const Machine machine;  // Eight rows take 7 us more than one: after four it pays.
  RowsRun last;
  ChooseRows(machine.State(8), &last);
  std::vector<std::uint32_t> sizes;
  for (int i = 0; i < 6; ++i) sizes.push_back(ChooseRows(machine.State(1), &last));
  EXPECT_EQ(sizes, (std::vector<std::uint32_t>{8, 8, 8, 1, 1, 1}));
}

TEST(PaddingPolicy, NeverPadsWhereAChangeCostsLittle) {
  Machine machine;
  machine.change = 1'000;
  RowsRun last;
  for (const std::uint32_t rows : {5u, 3u, 8u, 1u}) {
    EXPECT_EQ(ChooseRows(machine.State(rows), &last), rows);
  }
  machine.change = 0;  // Not known.
  EXPECT_EQ(ChooseRows(machine.State(7), &last), 7u);
}

TEST(PaddingPolicy, StaysWithinTheMostRows) {
  const Machine machine;
  RowsRun last;
  EXPECT_EQ(ChooseRows(machine.State(17, 24), &last), 24u);
  EXPECT_EQ(ChooseRows(machine.State(30, 24), &last),
            30u);  // One request that is larger by itself.
  EXPECT_EQ(ChooseRows(machine.State(3, 24), &last), 4u);
  EXPECT_EQ(ChooseRows(machine.State(2, 2), &last), 2u);
}

TEST(PaddingPolicy, TriesASizeThatWasNotMeasured) {
  const Machine machine;
  PaddingState state = machine.State(1);
  RowsRun last;
  last.rows = 8;
  state.costs = RowCosts{};
  state.costs.ns[3] = machine.Run(8) / 8;
  std::uint32_t rows = 8;
  for (int i = 0; i < 3; ++i) rows = ChooseRows(state, &last);
  EXPECT_EQ(rows, 1u);
  EXPECT_EQ(ChooseRows(state, &last), 1u);
}

TEST(PaddingPolicy, NoLoadCostsMuchMoreThanUnpadded) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Machine machine;
    machine.base = std::uniform_real_distribution<>(1'000, 100'000)(random);
    machine.row = std::uniform_real_distribution<>(100, 20'000)(random);
    machine.change = std::uniform_real_distribution<>(100, 100'000)(random);
    std::vector<std::uint32_t> mixed, steady;
    std::uint32_t size = 1;
    for (int i = 0; i < 2000; ++i) {
      if (random() % 100 == 0) size = 1 + static_cast<std::uint32_t>(random() % 32);
      mixed.push_back(std::max<std::uint32_t>(
          1, size - static_cast<std::uint32_t>(random() % std::min(size, 4u))));
      steady.push_back(size);
    }
    EXPECT_LE(machine.Total(mixed, true), 1.25 * machine.Total(mixed, false));
    EXPECT_LE(machine.Total(steady, true), 1.5 * machine.Total(steady, false));
  }
  // And the case it is for: sizes that differ all the time.
  const Machine machine;
  std::vector<std::uint32_t> few;
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) few.push_back(1 + static_cast<std::uint32_t>(random() % 6));
  EXPECT_LE(machine.Total(few, true), 0.6 * machine.Total(few, false));
}

}  // namespace
}  // namespace brim::serving
