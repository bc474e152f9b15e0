// Loans: what is guaranteed is never lent to somebody else, and never taken while in use.
#include "vgpu/agent/lend_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(Lend, WithoutSoftLimitsNothingMoves) {
  const std::vector<Borrower> slices = {{2 * kGiB, 2 * kGiB, 2 * kGiB, kGiB, 5 * kGiB}};
  EXPECT_EQ(Lend(slices, 16 * kGiB), std::vector<std::uint64_t>{2 * kGiB});
}

TEST(Lend, WhoWasRefusedGetsWhatNobodyIsGuaranteed) {
  std::vector<Borrower> slices = {{4 * kGiB, 12 * kGiB, 4 * kGiB, 4 * kGiB, kGiB},
                                  {8 * kGiB, 8 * kGiB, 8 * kGiB, 0, 0}};
  std::vector<std::uint64_t> now = Lend(slices, 16 * kGiB);
  EXPECT_GE(now[0], 5 * kGiB);
  EXPECT_LE(now[0], 8 * kGiB);
  slices[0] = {4 * kGiB, 12 * kGiB, now[0], now[0], 9 * kGiB};
  now = Lend(slices, 16 * kGiB);
  EXPECT_LE(now[0] + now[1], 16 * kGiB);  // Not what the other is guaranteed and does not use.
}

TEST(Lend, WhatIsNotUsedComesBack) {
  const std::vector<Borrower> slices = {{4 * kGiB, 12 * kGiB, 10 * kGiB, 3 * kGiB, 0},
                                        {2 * kGiB, 12 * kGiB, 2 * kGiB, 2 * kGiB, 8 * kGiB}};
  const std::vector<std::uint64_t> now = Lend(slices, 16 * kGiB);
  EXPECT_EQ(now[0], 4 * kGiB);
  EXPECT_GE(now[1], 10 * kGiB);
}

TEST(Lend, HoldsForRandomSlices) {
  const std::uint64_t seed = 77;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20000; ++round) {
    const std::uint64_t memory = 16 * kGiB;
    std::vector<Borrower> slices(1 + random() % 5);
    std::uint64_t left = memory;
    for (Borrower& slice : slices) {
      slice.soft = left == 0 ? 0 : random() % (left / 2 + 1);
      left -= slice.soft;
      slice.hard = slice.soft + random() % (memory - slice.soft + 1);
    }
    for (Borrower& slice : slices) {  // Earlier loans, together within the card.
      const std::uint64_t loan =
          std::min(slice.hard - slice.soft, left == 0 ? 0 : random() % (left + 1));
      left -= loan;
      slice.now = slice.soft + loan;
      slice.held = slice.now == 0 ? 0 : random() % (slice.now + 1);
      slice.wanted = random() % 3 == 0 ? random() % memory : 0;
    }
    const std::vector<std::uint64_t> now = Lend(slices, memory);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < slices.size(); ++i) {
      ASSERT_GE(now[i], slices[i].soft);
      ASSERT_LE(now[i], slices[i].hard);
      ASSERT_GE(now[i], slices[i].held);
      sum += now[i];
    }
    ASSERT_LE(sum, memory) << "round " << round;
  }
}

}  // namespace
}  // namespace brim::vgpu
