// Each rule of the arbiter by itself. The shares that come of them are in vgpu/sim.
#include "vgpu/limiter/arbiter_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace brim::vgpu {
namespace {

constexpr Ns kNow = 1'000 * kMs;

Runner Elastic(std::uint32_t cores) {
  Runner runner;
  runner.cores = cores;
  return runner;
}

TEST(ArbiterPolicy, AloneLaunchesUpToItsHorizon) {
  const std::vector<Runner> runners = {Elastic(10), Elastic(90)};
  EXPECT_TRUE(Decide(runners, 0, kNow + kHorizonAlone, kNow).launch);
  const Decision full = Decide(runners, 0, kNow + kHorizonAlone + kMs / 2, kNow);
  EXPECT_FALSE(full.launch);
  EXPECT_EQ(full.again_at, kNow + kMs / 2);
}

TEST(ArbiterPolicy, TheOneFurthestBehindGoesFirst) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[0].busy_until = runners[1].busy_until = kNow + 100 * kUs;
  runners[0].virtual_time = 10 * kMs;
  runners[1].virtual_time = 20 * kMs;
  EXPECT_TRUE(Decide(runners, 0, kNow, kNow).launch);
  EXPECT_FALSE(Decide(runners, 1, kNow, kNow).launch);
  runners[0].virtual_time = 20 * kMs - VirtualCost(kLead, 50);
  EXPECT_TRUE(Decide(runners, 1, kNow, kNow).launch);
}

TEST(ArbiterPolicy, WhoComesBackGetsALittleCreditNotItsWholePast) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[0].virtual_time = 0;
  runners[1].virtual_time = 5'000 * kMs;
  runners[1].busy_until = kNow + kMs;
  const Decision decision = Decide(runners, 0, kNow, kNow);
  ASSERT_TRUE(decision.launch);
  EXPECT_EQ(decision.virtual_time, 5'000 * kMs - VirtualCost(kCredit, 50));
}

TEST(ArbiterPolicy, AShortPauseIsNotIdling) {
  Runner runner = Elastic(50);
  runner.busy_until = kNow;
  runner.burst = 100 * kUs;
  runner.pause = 10 * kUs;
  EXPECT_TRUE(Backlogged(runner, kNow + 30 * kUs));
  EXPECT_FALSE(Backlogged(runner, kNow + 50 * kUs));
  runner.pause = 500 * kUs;  // A service with little to do: its pauses belong to others.
  EXPECT_FALSE(Backlogged(runner, kNow + 1));
  EXPECT_FALSE(Backlogged(Runner(), kNow));
}

TEST(ArbiterPolicy, AHardSliceKeepsToItsRateEvenAlone) {
  std::vector<Runner> runners = {Elastic(25)};
  runners[0].share = Share::kHard;
  Ns launched = 0;
  for (Ns now = kNow; now < kNow + 1'000 * kMs; now += 100 * kUs) {
    const Decision decision = Decide(runners, 0, 0, now);
    if (!decision.launch) continue;
    runners[0] = AfterLaunch(runners[0], decision, 0, kMs, now);
    launched += kMs;
  }
  EXPECT_NEAR(static_cast<double>(launched), 250.0 * kMs, 3.0 * kMs);
}

TEST(ArbiterPolicy, OfflineStepsBackForOnline) {
  std::vector<Runner> runners = {Elastic(90), Elastic(10)};
  runners[0].priority = Priority::kOffline;
  EXPECT_TRUE(Decide(runners, 0, kNow, kNow).launch);
  EXPECT_FALSE(Decide(runners, 0, kNow + kHorizonOffline + 1, kNow).launch);
  runners[1].busy_until = kNow + 10 * kUs;
  EXPECT_FALSE(Decide(runners, 0, kNow, kNow).launch);
  runners[0].busy_until = kNow + 10 * kMs;
  EXPECT_TRUE(Decide(runners, 1, kNow + 10 * kUs, kNow).launch);  // As if it were not there.
}

TEST(ArbiterPolicy, NobodyWaitsForLongWithoutLookingAgain) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[1].waiting_until = kNow + kWaitMax;
  runners[0].virtual_time = 1'000'000 * kMs;
  runners[0].busy_until = kNow + kMs;
  for (const Ns busy : {Ns{0}, kNow, kNow + 50 * kMs, kNow + 100'000 * kMs}) {
    const Decision decision = Decide(runners, 0, busy, kNow);
    ASSERT_FALSE(decision.launch);
    EXPECT_GT(decision.again_at, kNow);
    EXPECT_LE(decision.again_at, kNow + kWaitMax);
  }
  // A waiter that was killed is forgotten when its word runs out.
  EXPECT_TRUE(Decide(runners, 0, kNow, kNow + kWaitMax).launch);
}

TEST(ArbiterPolicy, AnErrorOfPredictionIsPaid) {
  Runner runner = Elastic(50);
  const Decision decision{true, kNow, 0};
  runner = AfterLaunch(runner, decision, 0, kMs, kNow);
  EXPECT_EQ(runner.virtual_time, 2 * kMs);
  runner = AfterMeasure(runner, kMs, 500 * kMs);
  EXPECT_EQ(runner.virtual_time, 1'000 * kMs);
  EXPECT_EQ(runner.busy_until, kNow + 500 * kMs);
}

}  // namespace
}  // namespace brim::vgpu
