// Tests of serving/residency_policy.h.
#include "serving/residency_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace brim::serving {
namespace {

CopyLoad Load(std::uint32_t copies, double busy, std::int64_t pending) {
  CopyLoad load;
  load.copies = copies;
  load.copies_max = 4;
  load.busy = busy;
  load.pending = pending;
  return load;
}

TEST(ResidencyPolicy, AColdVersionHoldsOneCopy) {
  EXPECT_EQ(DecideCopies(Load(1, 0, 0)).step, CopyStep::kKeep);
  EXPECT_EQ(DecideCopies(Load(1, 0.3, 1)).step, CopyStep::kKeep);
}

TEST(ResidencyPolicy, GrowsOnlyWhenCallersWaitForACopy) {
  EXPECT_EQ(DecideCopies(Load(1, 0.9, 3)).step, CopyStep::kAdd);
  EXPECT_EQ(DecideCopies(Load(3, 2.9, 9)).step, CopyStep::kAdd);
  EXPECT_EQ(DecideCopies(Load(1, 0.9, 1)).step, CopyStep::kKeep);  // Busy, nobody waits.
  EXPECT_EQ(DecideCopies(Load(2, 0.5, 9)).step, CopyStep::kKeep);  // They wait for a worker.
  EXPECT_EQ(DecideCopies(Load(4, 4.0, 9)).step, CopyStep::kKeep);  // One per worker.
}

TEST(ResidencyPolicy, GrowsWhereLoopsMeetAtACopy) {
  CopyLoad load = Load(1, 0.2, 1);
  load.runs = 200'000;
  load.misses = kMissesMax;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kKeep);
  load.misses = kMissesMax + 1;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kAdd);
  // The second copy ends the meetings, and stays while there would be some without it.
  load.copies = 2;
  load.misses = 0;
  EXPECT_EQ(DecideCopies(load).quiet_windows, 0u);
  load.runs = 400;
  EXPECT_EQ(DecideCopies(load).quiet_windows, 1u);
}

TEST(ResidencyPolicy, StaysWithinMemory) {
  CopyLoad load = Load(1, 1, 9);
  load.copy_bytes = 100;
  load.available_bytes = 199;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kKeep);
  load.available_bytes = 200;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kAdd);
  load.copy_bytes = 0;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kAdd);
}

TEST(ResidencyPolicy, ShrinksAfterAQuietSpell) {
  CopyLoad load = Load(3, 0.1, 0);
  for (std::uint32_t window = 1; window < kQuietWindows; ++window) {
    const CopyDecision decision = DecideCopies(load);
    EXPECT_EQ(decision.step, CopyStep::kKeep);
    EXPECT_EQ(decision.quiet_windows, window);
    load.quiet_windows = decision.quiet_windows;
  }
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kDrop);
  load.busy = 1.5;
  EXPECT_EQ(DecideCopies(load).quiet_windows, 0u);  // A busy window starts the count anew.
}

TEST(ResidencyPolicy, FreeCopiesAreOnePerWorker) {
  CopyLoad load = Load(1, 0, 0);
  load.copies_are_free = true;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kAdd);
  load.copies = 4;
  load.quiet_windows = kQuietWindows;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kKeep);
}

TEST(ResidencyPolicy, ObeysALowerMaximum) {
  CopyLoad load = Load(3, 3, 9);
  load.copies_max = 2;
  EXPECT_EQ(DecideCopies(load).step, CopyStep::kDrop);
}

TEST(ResidencyPolicy, StaysInItsBounds) {
  const unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  CopyLoad load = Load(1, 0, 0);
  for (int i = 0; i < 20000; ++i) {
    load.copies_max = 1 + random() % 4;
    load.busy = static_cast<double>(random() % 100) / 100 * load.copies;
    load.pending = static_cast<std::int64_t>(random() % 12);
    const CopyDecision decision = DecideCopies(load);
    if (decision.step == CopyStep::kAdd) {
      ASSERT_LT(load.copies, load.copies_max);
      ++load.copies;
    } else if (decision.step == CopyStep::kDrop) {
      ASSERT_GT(load.copies, 1u);
      --load.copies;
    }
    load.quiet_windows = decision.quiet_windows;
    ASSERT_LT(load.quiet_windows, kQuietWindows);
  }
}

}  // namespace
}  // namespace brim::serving
