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
  EXPECT_TRUE(Decide(runners, 0, kNow + kHorizonAlone, kUs, kNow).launch);
  const Decision full = Decide(runners, 0, kNow + kHorizonAlone + kMs / 2, kUs, kNow);
  EXPECT_FALSE(full.launch);
  EXPECT_EQ(full.again_at, kNow + kMs / 2);
}

TEST(ArbiterPolicy, TheOneFurthestBehindGoesFirst) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[0].busy_until = runners[1].busy_until = kNow + 100 * kUs;
  runners[0].virtual_time = 10 * kMs;
  runners[1].virtual_time = 20 * kMs;
  EXPECT_TRUE(Decide(runners, 0, kNow, kUs, kNow).launch);
  EXPECT_FALSE(Decide(runners, 1, kNow, kUs, kNow).launch);
  runners[0].virtual_time = 20 * kMs - VirtualCost(kLead, 50);
  EXPECT_TRUE(Decide(runners, 1, kNow, kUs, kNow).launch);
}

TEST(ArbiterPolicy, WhoComesBackGetsALittleCreditNotItsWholePast) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[0].virtual_time = 0;
  runners[1].virtual_time = 5'000 * kMs;
  runners[1].busy_until = kNow + kMs;
  const Decision decision = Decide(runners, 0, kNow, kUs, kNow);
  ASSERT_TRUE(decision.launch);
  EXPECT_EQ(decision.virtual_time, 5'000 * kMs - VirtualCost(kCredit, 50));
}

TEST(ArbiterPolicy, AShortPauseIsNotIdling) {
  Runner runner = Elastic(50);
  runner.busy_until = kNow;
  runner.burst = 100 * kUs;
  runner.pause = 10 * kUs;
  EXPECT_TRUE(Backlogged(runner, kNow + 30 * kUs));
  EXPECT_FALSE(Backlogged(runner, kNow + 50 * kUs));  // Twice 10, 20, and a sixteenth of 100.
  runner.pause = 500 * kUs;  // A service with little to do: its pauses belong to others.
  EXPECT_FALSE(Backlogged(runner, kNow + 1));
  EXPECT_FALSE(Backlogged(Runner(), kNow));
}

TEST(ArbiterPolicy, AHardSliceKeepsToItsRateEvenAlone) {
  std::vector<Runner> runners = {Elastic(25)};
  runners[0].share = Share::kHard;
  Ns launched = 0;
  for (Ns now = kNow; now < kNow + 1'000 * kMs; now += 100 * kUs) {
    const Decision decision = Decide(runners, 0, 0, kUs, now);
    if (!decision.launch) continue;
    runners[0] = AfterLaunch(runners[0], decision, 0, kMs, now);
    launched += kMs;
  }
  EXPECT_NEAR(static_cast<double>(launched), 250.0 * kMs, 3.0 * kMs);
}

TEST(ArbiterPolicy, OfflineStepsBackForOnline) {
  std::vector<Runner> runners = {Elastic(90), Elastic(10)};
  runners[0].priority = Priority::kOffline;
  EXPECT_TRUE(Decide(runners, 0, kNow, kMs, kNow).launch);
  runners[1].busy_until = kNow + 10 * kUs;
  EXPECT_FALSE(Decide(runners, 0, kNow, kMs, kNow).launch);
  runners[0].busy_until = kNow + 10 * kMs;
  EXPECT_TRUE(Decide(runners, 1, kNow + 10 * kUs, kMs, kNow).launch);  // As if it were not there.
}

TEST(ArbiterPolicy, OfflineHasOneKernelBeforeTheCardWhereOnlineWasLately) {
  std::vector<Runner> runners = {Elastic(90), Elastic(10)};
  runners[0].priority = Priority::kOffline;
  runners[1].busy_until = kNow - 10 * kMs;
  EXPECT_TRUE(Decide(runners, 0, kNow + kOfflineNext, kMs, kNow).launch);
  EXPECT_FALSE(Decide(runners, 0, kNow + kOfflineNext + 1, kMs, kNow).launch);
  // Several short ones, as long as they are short against a request.
  runners[1].request = 4 * kMs;
  EXPECT_TRUE(Decide(runners, 0, kNow + 150 * kUs, 50 * kUs, kNow).launch);
  EXPECT_FALSE(Decide(runners, 0, kNow + 151 * kUs, 50 * kUs, kNow).launch);
  runners[1].request = 1'000 * kMs;
  EXPECT_FALSE(Decide(runners, 0, kNow + kHorizonShared, 50 * kUs, kNow).launch);
  runners[1].busy_until = kNow - kRecent;
  EXPECT_TRUE(Decide(runners, 0, kNow + kHorizonAlone, kMs, kNow).launch);
}

TEST(ArbiterPolicy, OfflineIsDoneBeforeARequestThatComesRegularly) {
  Runner online = Elastic(50);
  Ns now = kNow;
  for (int i = 0; i < 20; ++i) {  // Requests of 2 ms, 10 ms after the last one's end.
    online = AfterLaunch(online, {true, now, online.virtual_time, 0}, 0, 2 * kMs, now);
    now = online.busy_until + 10 * kMs;
  }
  EXPECT_NEAR(static_cast<double>(online.idle), 10e6, 1e3);
  EXPECT_NEAR(static_cast<double>(online.request), 2e6, 1e3);
  std::vector<Runner> runners = {Elastic(50), online};
  runners[0].priority = Priority::kOffline;
  const Ns ended = online.busy_until;
  EXPECT_TRUE(Decide(runners, 0, 0, kMs, ended + 5 * kMs).launch);
  EXPECT_TRUE(Decide(runners, 0, 0, kMs, ended + 8 * kMs).launch);
  EXPECT_FALSE(Decide(runners, 0, 0, kMs, ended + 9 * kMs).launch);
  EXPECT_FALSE(Decide(runners, 0, 0, kMs, ended + 10 * kMs).launch);
  EXPECT_TRUE(Decide(runners, 0, 0, kMs, ended + 11 * kMs).launch);  // It did not come.
  EXPECT_TRUE(Decide(runners, 0, 0, 100 * kUs, ended + 9 * kMs).launch);
  // What never fits would never run.
  EXPECT_TRUE(Decide(runners, 0, 0, 20 * kMs, ended + 5 * kMs).launch);
}

TEST(ArbiterPolicy, RequestsAtRandomTimesAreNotForeseen) {
  Runner online = Elastic(50);
  Ns now = kNow;
  for (int i = 0; i < 40; ++i) {
    online = AfterLaunch(online, {true, now, online.virtual_time, 0}, 0, 2 * kMs, now);
    EXPECT_FALSE(ComesBack(online, online.busy_until + 20 * kMs, online.busy_until + 9 * kMs)) << i;
    now = online.busy_until + (i % 3 == 0 ? 4 : i % 3 == 1 ? 10 : 21) * kMs;
  }
}

TEST(ArbiterPolicy, ALongGapIsNoPause) {
  Runner runner = Elastic(50);
  runner = AfterLaunch(runner, {true, kNow, 0, 0}, 0, kMs, kNow);
  runner = AfterLaunch(runner, {true, kNow, 0, 0}, 0, kMs, runner.busy_until + 100 * kUs);
  EXPECT_EQ(runner.pause, 100 * kUs);
  EXPECT_EQ(runner.burst, kMs);
  runner = AfterLaunch(runner, {true, kNow, 0, 0}, 0, kMs, runner.busy_until + 50 * kMs);
  EXPECT_EQ(runner.pause, 100 * kUs);
  EXPECT_EQ(runner.idle, 50 * kMs);
}

TEST(ArbiterPolicy, APauseEndsWithTheQuestionNotWithTheLaunch) {
  Runner runner = Elastic(50);
  runner = AfterLaunch(runner, {true, kNow, 0, 0}, 0, kMs, kNow);
  Ns now = runner.busy_until + 100 * kUs;
  const Ns late = now + 90 * kMs;  // Another's kernel was before the card.
  for (; now < late; now += kMs) runner = AfterRefusal(runner, {false, now + kMs, 0, 0}, now);
  runner = AfterLaunch(runner, {true, now, 0, 0}, 0, kMs, now);
  EXPECT_EQ(runner.pause, 100 * kUs);
  EXPECT_EQ(runner.idle, 0);
}

// A loop of 90 units is late once, and a kernel of the slice of 10 slips in.
TEST(ArbiterPolicy, WhoWakesLateKeepsWhatItWasBehind) {
  std::vector<Runner> runners = {Elastic(10), Elastic(90)};
  runners[0].virtual_time = 20 * kMs;
  runners[1].virtual_time = 11 * kMs;
  runners[1].level = 20 * kMs;
  runners[1].busy_until = kNow - 400 * kUs;
  const Decision slips = Decide(runners, 0, 0, kMs, kNow);
  ASSERT_TRUE(slips.launch);
  runners[0] = AfterLaunch(runners[0], slips, 0, kMs, kNow);
  EXPECT_EQ(runners[0].virtual_time, 30 * kMs);
  // 100 us later it is back: it gives up the time that it was away, 500 us; not the 9 ms by which
  // it was behind.
  const Ns back = kNow + 100 * kUs;
  Decision decision = Decide(runners, 1, runners[0].busy_until, kMs, back);
  EXPECT_FALSE(decision.launch);  // Work enough is before the card.
  EXPECT_EQ(decision.virtual_time, 11 * kMs + 500 * kUs);
  runners[1] = AfterRefusal(runners[1], decision, back);
  // Waiting costs it nothing more.
  decision = Decide(runners, 1, runners[0].busy_until, kMs, back + 500 * kUs);
  EXPECT_TRUE(decision.launch);
  EXPECT_EQ(decision.virtual_time, 11 * kMs + 500 * kUs);
}

TEST(ArbiterPolicy, WhoHasToWaitFirstHasNoMoreCreditThanWhoHasNot) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[1].virtual_time = 5'000 * kMs;
  runners[1].busy_until = kNow + 4 * kMs;
  const Decision decision = Decide(runners, 0, kNow + 4 * kMs, kMs, kNow);
  ASSERT_FALSE(decision.launch);
  EXPECT_EQ(decision.virtual_time, 5'000 * kMs - VirtualCost(kCredit, 50));
  runners[0] = AfterRefusal(runners[0], decision, kNow);
  EXPECT_EQ(runners[0].virtual_time, decision.virtual_time);
  EXPECT_TRUE(Backlogged(runners[0], kNow + kMs));
}

TEST(ArbiterPolicy, NobodyWaitsForLongWithoutLookingAgain) {
  std::vector<Runner> runners = {Elastic(50), Elastic(50)};
  runners[1].waiting_until = kNow + kWaitMax;
  runners[0].virtual_time = 1'000'000 * kMs;
  runners[0].busy_until = kNow + kMs;
  for (const Ns busy : {Ns{0}, kNow, kNow + 50 * kMs, kNow + 100'000 * kMs}) {
    const Decision decision = Decide(runners, 0, busy, kUs, kNow);
    ASSERT_FALSE(decision.launch);
    EXPECT_GT(decision.again_at, kNow);
    EXPECT_LE(decision.again_at, kNow + kWaitMax);
  }
  // A waiter that was killed is forgotten when its word runs out.
  EXPECT_TRUE(Decide(runners, 0, kNow, kUs, kNow + kWaitMax).launch);
}

TEST(ArbiterPolicy, AnErrorOfPredictionIsPaid) {
  Runner runner = Elastic(50);
  const Decision decision{true, kNow, 0, 0};
  runner = AfterLaunch(runner, decision, 0, kMs, kNow);
  EXPECT_EQ(runner.virtual_time, 2 * kMs);
  runner = AfterMeasure(runner, kMs, 500 * kMs);
  EXPECT_EQ(runner.virtual_time, 1'000 * kMs);
  EXPECT_EQ(runner.busy_until, kNow + 500 * kMs);
}

}  // namespace
}  // namespace brim::vgpu
