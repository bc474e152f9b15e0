#include "planner/mix/simulate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace brim::planner {
namespace {

constexpr double kNoObjective = std::numeric_limits<double>::infinity();

// One process, one model, batches of one that take 10 ms: M/D/1. Pollaczek and Khinchine: the mean
// wait is rho S / (2 (1 - rho)).
TEST(Simulate, WaitsAsMD1Does) {
  const std::vector<double> row = {0, 10};
  for (const double rho : {0.3, 0.5, 0.8}) {
    const std::vector<SimulatedModel> models = {{rho * 100, kNoObjective, nullptr}};
    const std::vector<SimulatedProcess> processes = {{{{0, &row, 1, 0}}, 1}};
    constexpr int kRuns = 30;
    double sum = 0, squares = 0;
    for (int run = 0; run < kRuns; ++run) {
      const Outcome outcome = Simulate(models, processes, {400, 10}, 100 + run)[0];
      sum += outcome.wait_mean_ms;
      squares += outcome.wait_mean_ms * outcome.wait_mean_ms;
    }
    const double mean = sum / kRuns;
    const double deviation = std::sqrt((squares / kRuns - mean * mean) / (kRuns - 1));
    const double theory = rho * 10 / (2 * (1 - rho));
    EXPECT_LT(deviation, 0.02 * theory) << "too few requests to tell, rho " << rho;
    EXPECT_NEAR(mean, theory, 3.7 * deviation)
        << "rho " << rho;  // 99.9 % with 29 degrees of freedom.
  }
}

// c processes for one queue and half the load: as M/D/c, they wait less than one at twice the speed
// would make them take in all, and never more than c separate queues.
TEST(Simulate, PooledProcessesWaitLessThanSplitOnes) {
  const std::vector<double> row = {0, 10};
  const SimulatedProcess process = {{{0, &row, 1, 0}}, 1};
  const Outcome pooled = Simulate(std::vector<SimulatedModel>{{320, kNoObjective, nullptr}},
                                  std::vector<SimulatedProcess>(4, process), {300, 5}, 7)[0];
  EXPECT_LT(pooled.wait_mean_ms, 0.4 * 0.8 * 10 / (2 * 0.2));
  EXPECT_GT(pooled.wait_mean_ms, 0);
}

TEST(Simulate, RunsBatchesAsTheyWait) {
  const std::vector<double> row = {0, 10, 12};
  const std::vector<double> arrivals = {0, 0.001, 0.002};
  const Outcome outcome =
      Simulate(std::vector<SimulatedModel>{{0, 1000, &arrivals}},
               std::vector<SimulatedProcess>{{{{0, &row, 2, 0}}, 1}}, {1, 0}, 1)[0];
  ASSERT_EQ(outcome.requests, 3);
  EXPECT_NEAR(outcome.mean_ms, (10 + 21 + 20) / 3.0, 1e-9);
  EXPECT_NEAR(outcome.wait_mean_ms, (0 + 9 + 8) / 3.0, 1e-9);
  EXPECT_NEAR(outcome.batch_mean, 1.5, 1e-9);
}

TEST(Simulate, TakesTheBatchThatAnswersMostPerTime) {
  const std::vector<double> row = {0, 10, 30, 31, 60};  // Two cost more than twice one; three pay.
  const std::vector<double> arrivals = {0, 0.001, 0.001, 0.5, 0.501, 0.501, 0.501};
  const Outcome outcome =
      Simulate(std::vector<SimulatedModel>{{0, 1000, &arrivals}},
               std::vector<SimulatedProcess>{{{{0, &row, 4, 0}}, 1}}, {1, 0}, 1)[0];
  EXPECT_NEAR(outcome.batch_mean, 1.0, 1e-9);  // 10 a request beats 31/3 and all others.
}

TEST(Simulate, ServesTheEarliestDeadlineFirst) {
  const std::vector<double> row = {0, 10};
  const std::vector<double> first = {0}, loose = {0.001}, tight = {0.002};
  const std::vector<SimulatedModel> models = {{0, 500, &first}, {0, 500, &loose}, {0, 19, &tight}};
  const std::vector<SimulatedProcess> processes = {
      {{{0, &row, 1, 0}, {1, &row, 1, 0}, {2, &row, 1, 0}}, 1}};
  const std::vector<Outcome> outcomes = Simulate(models, processes, {1, 0}, 1);
  EXPECT_EQ(outcomes[2].in_slo, 1);
  EXPECT_NEAR(outcomes[2].mean_ms, 18, 1e-9);
  EXPECT_NEAR(outcomes[1].mean_ms, 29, 1e-9);
}

TEST(Simulate, CountsTheLoadTimeOfSwappedModels) {
  const std::vector<double> row = {0, 10};
  const std::vector<double> a = {0, 0.2, 0.4}, b = {0.3};
  const std::vector<SimulatedModel> models = {{0, 1000, &a}, {0, 1000, &b}};
  const std::vector<SimulatedProcess> processes = {{{{0, &row, 1, 40}, {1, &row, 1, 30}}, 1}};
  const std::vector<Outcome> outcomes = Simulate(models, processes, {1, 0}, 1);
  // Loaded at 0, still there at 0.2, put out by b at 0.3, loaded again at 0.4.
  EXPECT_NEAR(outcomes[0].mean_ms, (50 + 10 + 50) / 3.0, 1e-9);
  EXPECT_NEAR(outcomes[1].mean_ms, 40, 1e-9);
}

TEST(Simulate, ShedsWhatIsTooLateAndCountsIt) {
  const std::vector<double> row = {0, 10};
  const std::vector<SimulatedModel> models = {{200, 50, nullptr}};  // Twice what it can do.
  const std::vector<SimulatedProcess> processes = {{{{0, &row, 1, 0}}, 1}};
  const Outcome outcome = Simulate(models, processes, {60, 1}, 5)[0];
  EXPECT_GT(outcome.shed, outcome.requests / 3);
  EXPECT_LT(outcome.attainment(), 0.6);
  EXPECT_LE(outcome.in_slo + outcome.shed, outcome.requests);
  EXPECT_GE(outcome.p99_ms, 50);
}

TEST(Simulate, AModelWithoutAProcessKeepsNothing) {
  const Outcome outcome =
      Simulate(std::vector<SimulatedModel>{{50, 100, nullptr}}, {}, {10, 0}, 1)[0];
  EXPECT_GT(outcome.requests, 300);
  EXPECT_EQ(outcome.in_slo, 0);
}

TEST(Simulate, SlowdownStretchesEveryBatch) {
  const std::vector<double> row = {0, 10};
  const std::vector<double> arrivals = {0};
  const Outcome outcome =
      Simulate(std::vector<SimulatedModel>{{0, 1000, &arrivals}},
               std::vector<SimulatedProcess>{{{{0, &row, 1, 0}}, 1.5}}, {1, 0}, 1)[0];
  EXPECT_NEAR(outcome.mean_ms, 15, 1e-9);
}

TEST(Simulate, TheSameSeedGivesTheSameAnswer) {
  const std::vector<double> row = {0, 5, 6, 7, 8};
  const std::vector<SimulatedModel> models = {{150, 60, nullptr}, {90, 30, nullptr}};
  const std::vector<SimulatedProcess> processes(2, {{{0, &row, 4, 0}, {1, &row, 4, 3}}, 1});
  const std::vector<Outcome> a = Simulate(models, processes, {30, 1}, 11);
  const std::vector<Outcome> b = Simulate(models, processes, {30, 1}, 11);
  const std::vector<Outcome> c = Simulate(models, processes, {30, 1}, 12);
  EXPECT_EQ(a[0].mean_ms, b[0].mean_ms);
  EXPECT_EQ(a[1].in_slo, b[1].in_slo);
  EXPECT_NE(a[0].mean_ms, c[0].mean_ms);
}

TEST(Simulate, RunsLongEnoughForTheRarestModel) {
  MixOptions options;
  options.seconds_min = 10;
  options.requests_min = 1000;
  EXPECT_NEAR(
      SimulatedSeconds(std::vector<SimulatedModel>{{2, 1, nullptr}, {100, 1, nullptr}}, options),
      500, 1e-9);
  options.requests_max = 1020;
  EXPECT_NEAR(
      SimulatedSeconds(std::vector<SimulatedModel>{{2, 1, nullptr}, {100, 1, nullptr}}, options),
      10, 1e-9);
}

}  // namespace
}  // namespace brim::planner
