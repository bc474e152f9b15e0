// What the model believes after clean, contended and changing samples.
#include "vgpu/limiter/cost_model.h"

#include <gtest/gtest.h>

#include <memory>

namespace brim::vgpu {
namespace {

TEST(CostModel, LearnsAndIsSampledOftenOnlyWhileNew) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(1, 100, 256, 0);
  Ns now = kMs;
  EXPECT_FALSE(model->Predict(key, now).known);
  for (std::uint32_t i = 0; i < CostModel::kNew; ++i) {
    now += CostModel::kSampleNewEvery;
    EXPECT_TRUE(model->Predict(key, now).sample);
    model->Sample(key, 70 * kUs, true);
  }
  EXPECT_EQ(model->Predict(key, now).cost, 70 * kUs);
  EXPECT_FALSE(model->Predict(key, now + CostModel::kSampleEvery - 1).sample);
  EXPECT_TRUE(model->Predict(key, now + CostModel::kSampleEvery).sample);
}

TEST(CostModel, ContendedSamplesRaiseNothingUntilThereAreMany) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(1, 1, 1, 0);
  for (int i = 0; i < 5; ++i) model->Sample(key, kMs, true);
  for (std::uint32_t i = 1; i < CostModel::kStale; ++i) model->Sample(key, 2 * kMs, false);
  EXPECT_EQ(model->Predict(key, 0).cost, kMs);
  model->Sample(key, 2 * kMs, false);
  EXPECT_EQ(model->Predict(key, 0).cost, kMs + kMs / 8);
  model->Sample(key, kMs, false);  // Less than believed is always news.
  EXPECT_LT(model->Predict(key, 0).cost, kMs + kMs / 8);
}

TEST(CostModel, TheFirstLaunchMayHoldTheLoadingOfCode) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(7, 1, 1, 0);
  model->Sample(key, 50 * kMs, true);
  model->Sample(key, kMs, true);
  EXPECT_EQ(model->Predict(key, 0).cost, kMs);
}

TEST(CostModel, FollowsAChange) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(7, 1, 1, 0);
  for (int i = 0; i < 8; ++i) model->Sample(key, kMs, true);
  for (int i = 0; i < 40; ++i) model->Sample(key, 3 * kMs, true);
  EXPECT_NEAR(static_cast<double>(model->Predict(key, 0).cost), 3.0 * kMs, 0.1 * kMs);
}

TEST(CostModel, IsBoundedAndSurvivesMoreKeysThanItHolds) {
  const auto model = std::make_unique<CostModel>();
  for (std::uint64_t f = 0; f < 4 * CostModel::kEntries; ++f) {
    model->Sample(LaunchKey(f, f, 32, 0), kMs, true);
  }
  const std::uint64_t key = LaunchKey(99'999, 1, 32, 0);
  model->Sample(key, 5 * kUs, true);
  EXPECT_EQ(model->Predict(key, 0).cost, 5 * kUs);
  model->Sample(key, -1, true);  // Events out of order: no news.
  EXPECT_EQ(model->Predict(key, 0).cost, 5 * kUs);
}

TEST(CostModel, WhatIsNotKnownCostsMoreEachTimeAndIsOwedAtTheFirstSample) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(7, 1, 1, 0);
  Ns charged = 0;
  Ns before = 0;
  int launches = 0;
  for (; charged < kHorizonAlone; ++launches) {
    const Ns cost = model->Predict(key, 0).cost;
    EXPECT_GE(cost, before);
    before = cost;
    charged += cost;
  }
  EXPECT_LE(launches, 16);  // So few may be under way before the limiter holds the program back.
  EXPECT_EQ(model->Sample(key, 100 * kMs, true), launches * 100 * kMs - charged);
  EXPECT_EQ(model->Sample(key, 100 * kMs, true), 0);
  for (int i = 0; i < 200; ++i) model->Predict(LaunchKey(8, 1, 1, 0), 0);
  EXPECT_EQ(model->Predict(LaunchKey(8, 1, 1, 0), 0).cost,
            CostModel::kUnknown << CostModel::kDoublings);
}

TEST(CostModel, TheSecondSampleSetsTheFirstOneRight) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(9, 1, 1, 0);
  Ns charged = 0;
  for (int i = 0; i < 3; ++i) charged += model->Predict(key, 0).cost;
  Ns owed = model->Sample(key, 50 * kMs, false);  // It held the loading of code.
  EXPECT_EQ(charged + owed, 3 * 50 * kMs);
  charged +=
      model->Predict(key, 0).cost;  // Known by now: that launch's own error is not in `owed`.
  owed += model->Sample(key, kMs, true);
  EXPECT_EQ(owed, 3 * kMs - 3 * CostModel::kUnknown - CostModel::kUnknown);
  EXPECT_EQ(model->Sample(key, kMs, true), 0);
}

TEST(CostModel, RisesByTheLeastOfContendedSamples) {
  const auto model = std::make_unique<CostModel>();
  const std::uint64_t key = LaunchKey(7, 1, 1, 0);
  for (int i = 0; i < 8; ++i) model->Sample(key, kMs, true);
  for (std::uint32_t i = 0; i < CostModel::kStale; ++i) {
    model->Sample(key, i == 3 ? 2 * kMs : 9 * kMs, false);
  }
  EXPECT_EQ(model->Predict(key, 0).cost, kMs + kMs / 8);
}

TEST(CostModel, KeysTellLaunchesApart) {
  const std::uint64_t key = LaunchKey(1, 2, 3, 4);
  EXPECT_EQ(key, LaunchKey(1, 2, 3, 4));
  EXPECT_NE(key, LaunchKey(2, 2, 3, 4));
  EXPECT_NE(key, LaunchKey(1, 3, 3, 4));
  EXPECT_NE(key, LaunchKey(1, 2, 4, 4));
  EXPECT_NE(key, LaunchKey(1, 2, 3, 5));
}

}  // namespace
}  // namespace brim::vgpu
