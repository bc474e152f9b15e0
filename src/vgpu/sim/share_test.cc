// What slices get of a card in virtual time: the share matrix, alone, beside others, online beside
// offline, and against the limiter of 2018.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vgpu/sim/share_cells.h"

namespace brim::vgpu {
namespace {

// The same cells, the busiest of them for a shorter time.
CardSim Quick(const ShareCell& cell, Limiter limiter) {
  CardSim sim = CardFor(cell, limiter, {});
  if (cell.kernel < kMs) sim.length = 1'000 * kMs;
  return sim;
}

double Part(Ns part, Ns whole) { return static_cast<double>(part) / static_cast<double>(whole); }

TEST(Share, TheWholeMatrixKeepsItsShares) {
  double sum = 0;
  const std::vector<ShareCell> cells = ShareMatrix();
  for (const ShareCell& cell : cells) {
    const CardSim sim = Quick(cell, Limiter::kArbiter);
    const CardResult result = RunCard(sim, TenantsOf(cell));
    const double error = ShareError(cell, result);
    EXPECT_LE(error, 1) << cell.cores[0] << " units, kernels of " << cell.kernel / kUs << " us";
    sum += error;
    EXPECT_GE(Part(result.busy, result.window), 0.97 * ShareCeiling(cell, sim))
        << cell.cores[0] << " " << cell.kernel / kUs;
  }
  EXPECT_LE(sum / static_cast<double>(cells.size()), 0.2);
}

TEST(Share, TheCeilingIsWhatGapsAndExactSharesLeave) {
  CardSim sim;
  sim.sync_cost = 8 * kUs;
  ShareCell cell{{10, 90}, 20 * kUs, Pattern::kSync, 1};
  // Of nine kernels of the big slice eight have 8 us of nothing behind them: 200 of 264 us.
  EXPECT_NEAR(ShareCeiling(cell, sim), 200.0 / 264, 1e-9);
  cell.cores = {50, 50};
  EXPECT_EQ(ShareCeiling(cell, sim), 1);  // Each one's gap holds the other's kernel.
  cell.cores = {10, 90};
  cell.processes = 4;
  EXPECT_EQ(ShareCeiling(cell, sim), 1);
  sim.sync_cost = 100 * kUs;  // Four loops use 80 of 120 us.
  EXPECT_NEAR(ShareCeiling(cell, sim), 80.0 / 120 / 0.9, 1e-9);
  cell.pattern = Pattern::kAsync;
  EXPECT_EQ(ShareCeiling(cell, sim), 1);
  cell = {{10, 90}, kMs, Pattern::kSync, 1, 0, 0};
  sim.sync_cost = 8 * kUs;
  sim.host_late = 192 * kUs;
  EXPECT_NEAR(ShareCeiling(cell, sim), 10'000.0 / (10'000 + 8 * 200 + 192 * 0.0057), 1e-4);
}

TEST(Share, WithoutALimiterEveryProcessGetsTheSame) {
  const ShareCell cell{{10, 90}, kMs, Pattern::kAsync, 1};
  EXPECT_NEAR(ShareError(cell, RunCard(CardFor(cell, Limiter::kNone, {}), TenantsOf(cell))), 40, 1);
}

TEST(Share, TheLimiterOf2018MissesSyncLoopsOfLongKernels) {
  const ShareCell cell{{30, 70}, 100 * kMs, Pattern::kSync, 4};
  EXPECT_GT(ShareError(cell, RunCard(CardFor(cell, Limiter::kPoll2018, {}), TenantsOf(cell))),
            ShareError(cell, RunCard(CardFor(cell, Limiter::kArbiter, {}), TenantsOf(cell))));
}

TEST(Share, AloneOnTheCardNothingIsLost) {
  for (const ShareCell& cell : AloneCells()) {
    const CardResult ours = RunCard(Quick(cell, Limiter::kArbiter), TenantsOf(cell));
    const CardResult bare = RunCard(Quick(cell, Limiter::kNone), TenantsOf(cell));
    EXPECT_GE(static_cast<double>(ours.busy), 0.99 * static_cast<double>(bare.busy))
        << cell.kernel / kUs << " us, pattern " << static_cast<int>(cell.pattern);
  }
}

// Loops that wait for each kernel keep their shares on a host that wakes them late.
TEST(Share, ALateHostDoesNotTakeALoopsShare) {
  for (const ShareCell& cell : LateCells()) {
    EXPECT_LE(ShareError(cell, RunCard(CardFor(cell, Limiter::kArbiter, {}), TenantsOf(cell))),
              cell.host_stalls > 0 ? 8 : 3)
        << cell.cores[0] << ", " << cell.kernel / kUs << " us, late " << cell.host_late / kUs;
  }
}

TEST(Share, MixedKernelsAndPatternsShareToo) {
  std::vector<Tenant> tenants(2);
  tenants[0].cores = 30;
  tenants[0].kernel = 100 * kMs;
  tenants[1].cores = 70;
  tenants[1].kernel = 50 * kUs;
  CardSim sim;
  sim.length = 60'000 * kMs;
  sim.prediction_noise = 0.1;
  const CardResult result = RunCard(sim, tenants);
  EXPECT_NEAR(static_cast<double>(result.tenants[0].gpu) / static_cast<double>(result.busy), 0.3,
              0.03);
}

// Within a tenth of alone wherever that is possible beside kernels of up to 1 ms, and never far
// from the least that can be.
TEST(Share, OnlineBesideOfflineIsAsFastAsCanBe) {
  for (const OnlineCell& cell : OnlineCells()) {
    if (cell.other > kMs) continue;
    const std::vector<Tenant> both = TenantsOf(cell);
    CardSim sim = CardFor(cell, Limiter::kArbiter, {});
    sim.length = 20'000 * kMs;
    const Ns alone = RequestPercentile(RunCard(sim, {both[0]}), 0.99);
    const CardResult beside = RunCard(sim, both);
    ASSERT_GT(alone, 0);
    ASSERT_GT(beside.tenants[0].requests.size(), 500u);
    const double used = PausesUsed(beside, alone);
    const double p99 = Part(RequestPercentile(beside, 0.99), alone);
    const double least = 1 + Part(LeastWait(cell, used), alone);
    const std::string what = std::to_string(alone / kUs) + " us beside " +
                             std::to_string(cell.other / kUs) + (cell.random ? ", random" : "");
    if (least <= 1.1) {
      EXPECT_LE(p99, 1.101) << what;
    }
    EXPECT_LE(p99, least + 0.05) << what;
    EXPECT_GE(used, 0.65) << what;  // And the pauses were used.
  }
}

// What fits into no pause of the online slice is not kept waiting for ever.
TEST(Share, AnOfflineKernelLongerThanThePausesRuns) {
  const OnlineCell cell{500 * kUs, 20, 5 * kMs, false, 10 * kMs};
  const CardResult result = RunCard(CardFor(cell, Limiter::kArbiter, {}), TenantsOf(cell));
  EXPECT_GT(Part(result.tenants[1].gpu, result.window), 0.2);
}

TEST(Share, TheSameSeedGivesTheSameRun) {
  const ShareCell cell{{30, 70}, kMs, Pattern::kSync, 4};
  const CardResult a = RunCard(CardFor(cell, Limiter::kArbiter, {}), TenantsOf(cell));
  const CardResult b = RunCard(CardFor(cell, Limiter::kArbiter, {}), TenantsOf(cell));
  EXPECT_EQ(a.busy, b.busy);
  EXPECT_EQ(a.tenants[0].gpu, b.tenants[0].gpu);
}

}  // namespace
}  // namespace brim::vgpu
