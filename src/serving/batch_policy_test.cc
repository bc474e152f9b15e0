#include "serving/batch_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace brim::serving {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Time kStart{std::chrono::hours(1)};

Waiting Request(std::uint32_t rows, Duration enqueued = Duration::zero(), std::uint32_t group = 1) {
  Waiting waiting;
  waiting.enqueued = kStart + enqueued;
  waiting.rows = rows;
  waiting.group = group;
  return waiting;
}

BatchLimits Limits(std::uint32_t rows_max, Duration delay = Duration::zero()) {
  BatchLimits limits;
  limits.rows_max = rows_max;
  limits.delay_max = delay;
  return limits;
}

std::size_t Launched(const BatchDecision& decision) {
  const Launch* launch = std::get_if<Launch>(&decision);
  return launch == nullptr ? 0 : launch->count;
}

TEST(BatchPolicy, WithoutADelayTakesWhatIsThere) {
  const std::vector<Waiting> queue = {Request(1), Request(2), Request(1)};
  EXPECT_EQ(Launched(DecideBatch(queue, Limits(8), kStart)), 3u);
}

TEST(BatchPolicy, StopsWhereTheNextDoesNotFit) {
  const std::vector<Waiting> queue = {Request(3), Request(3), Request(3)};
  EXPECT_EQ(Launched(DecideBatch(queue, Limits(8, milliseconds(5)), kStart)), 2u);
}

TEST(BatchPolicy, ALargeFirstRequestRunsAlone) {
  const std::vector<Waiting> queue = {Request(20), Request(1)};
  EXPECT_EQ(Launched(DecideBatch(queue, Limits(8, milliseconds(5)), kStart)), 1u);
}

TEST(BatchPolicy, ZeroRowsCountAsOne) {
  const std::vector<Waiting> queue(5, Request(0));
  EXPECT_EQ(Launched(DecideBatch(queue, Limits(4), kStart)), 4u);
}

TEST(BatchPolicy, WaitsUntilTheDelayOfTheFirstIsOver) {
  const std::vector<Waiting> queue = {Request(1), Request(1, milliseconds(2))};
  const BatchLimits limits = Limits(8, milliseconds(5));
  const BatchDecision early = DecideBatch(queue, limits, kStart + milliseconds(2));
  ASSERT_TRUE(std::holds_alternative<Wait>(early));
  EXPECT_EQ(std::get<Wait>(early).until, kStart + milliseconds(5));
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart + milliseconds(5))), 2u);
}

TEST(BatchPolicy, WaitsNoLongerThanADeadlineAllows) {
  std::vector<Waiting> queue = {Request(1), Request(1)};
  queue[1].expires = kStart + milliseconds(4);
  BatchLimits limits = Limits(8, milliseconds(5));
  limits.usual_run = milliseconds(1);
  const BatchDecision decision = DecideBatch(queue, limits, kStart);
  ASSERT_TRUE(std::holds_alternative<Wait>(decision));
  EXPECT_EQ(std::get<Wait>(decision).until, kStart + milliseconds(3));
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart + milliseconds(3))), 2u);
}

TEST(BatchPolicy, DoesNotWaitWhenNobodyIsLikelyToCome) {
  const std::vector<Waiting> queue = {Request(1)};
  BatchLimits limits = Limits(8, milliseconds(5));
  limits.arrival_interval = milliseconds(6);
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart)), 1u);
}

TEST(BatchPolicy, PreferredSizesGoAtOnce) {
  const std::vector<std::uint32_t> preferred = {4, 8};
  BatchLimits limits = Limits(16, milliseconds(5));
  limits.preferred_rows = preferred;
  std::vector<Waiting> queue(3, Request(1));
  EXPECT_TRUE(std::holds_alternative<Wait>(DecideBatch(queue, limits, kStart)));
  queue.resize(5, Request(1));
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart)), 4u);
  queue.resize(17, Request(1));
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart)), 8u);
  queue.resize(3, Request(1));
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart + milliseconds(5))), 3u);
}

TEST(BatchPolicy, OtherGroupsEndTheBatchAtOnce) {
  const std::vector<Waiting> queue = {Request(1), Request(1), Request(1, {}, 2), Request(1)};
  EXPECT_EQ(Launched(DecideBatch(queue, Limits(8, milliseconds(5)), kStart)), 2u);
  const std::vector<Waiting> alone = {Request(1, {}, 0), Request(1, {}, 0)};
  EXPECT_EQ(Launched(DecideBatch(alone, Limits(8, milliseconds(5)), kStart)), 1u);
}

TEST(BatchPolicy, ShedsExpiredOnesFirst) {
  std::vector<Waiting> queue(3, Request(1));
  queue[0].expires = queue[1].expires = kStart;
  const BatchDecision decision = DecideBatch(queue, Limits(8), kStart);
  ASSERT_TRUE(std::holds_alternative<Shed>(decision));
  EXPECT_EQ(std::get<Shed>(decision).count, 2u);
}

TEST(BatchPolicy, WithoutJoiningEachRunsAloneAndAtOnce) {
  const std::vector<Waiting> queue(3, Request(1));
  BatchLimits limits = Limits(8, milliseconds(5));
  limits.join = false;
  EXPECT_EQ(Launched(DecideBatch(queue, limits, kStart)), 1u);
}

// Replays recorded arrivals (microseconds, rows) through the policy with one server whose run takes
// `run`, and checks what must hold at every step.
struct Replay {
  std::vector<std::pair<std::int64_t, std::uint32_t>> arrivals;
  BatchLimits limits;
  Duration run;
  std::vector<std::size_t> batches;
  Duration longest_wait{0};

  void Go() {
    std::vector<Waiting> queue;
    std::size_t next = 0;
    Time now = kStart;
    const auto arrive = [&] {
      while (next < arrivals.size() && kStart + microseconds(arrivals[next].first) <= now) {
        queue.push_back(Request(arrivals[next].second, microseconds(arrivals[next].first)));
        ++next;
      }
    };
    while (next < arrivals.size() || !queue.empty()) {
      if (queue.empty()) now = std::max(now, kStart + microseconds(arrivals[next].first));
      arrive();
      const BatchDecision decision = DecideBatch(queue, limits, now);
      if (const Wait* wait = std::get_if<Wait>(&decision)) {
        ASSERT_GT(wait->until, now);
        ASSERT_LE(wait->until, queue.front().enqueued + limits.delay_max);
        now = wait->until;
        if (next < arrivals.size())
          now = std::min(now, kStart + microseconds(arrivals[next].first));
        continue;
      }
      const std::size_t count = Launched(decision);
      ASSERT_GT(count, 0u);
      ASSERT_LE(count, queue.size());
      std::uint32_t rows = 0;
      for (std::size_t i = 0; i < count; ++i) rows += queue[i].rows;
      ASSERT_TRUE(rows <= limits.rows_max || count == 1);
      longest_wait = std::max(longest_wait, now - queue.front().enqueued);
      batches.push_back(count);
      queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
      now += run;
    }
  }
};

TEST(BatchPolicyReplay, BatchesGrowWhileBusyAndNobodyWaitsWhenIdle) {
  Replay replay;
  replay.arrivals = {{0, 1}, {10, 1}, {20, 1}, {30, 1}, {5000, 1}, {9000, 1}};
  replay.limits = Limits(8);
  replay.run = microseconds(100);
  replay.Go();
  EXPECT_EQ(replay.batches, (std::vector<std::size_t>{1, 3, 1, 1}));
  EXPECT_EQ(replay.longest_wait, microseconds(90));
}

TEST(BatchPolicyReplay, ADelayTradesWaitingForSize) {
  Replay replay;
  replay.arrivals = {{0, 1}, {10, 1}, {20, 1}, {30, 1}, {5000, 1}, {5100, 1}};
  replay.limits = Limits(4, microseconds(500));
  replay.run = microseconds(100);
  replay.Go();
  EXPECT_EQ(replay.batches, (std::vector<std::size_t>{4, 2}));
  EXPECT_EQ(replay.longest_wait, microseconds(500));
}

TEST(BatchPolicyReplay, RandomArrivalsKeepTheBounds) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Replay replay;
    std::int64_t at = 0;
    for (int i = 0; i < 500; ++i) {
      at += static_cast<std::int64_t>(random() % 200);
      replay.arrivals.emplace_back(at, random() % 4);
    }
    const std::vector<std::uint32_t> preferred = {4};
    replay.limits = Limits(1 + random() % 16, microseconds(random() % 3 * 300));
    if (random() % 2 == 0) replay.limits.preferred_rows = preferred;
    replay.run = microseconds(random() % 400);
    replay.Go();
    std::size_t total = 0;
    for (const std::size_t batch : replay.batches) total += batch;
    EXPECT_EQ(total, replay.arrivals.size());
  }
}

RowCosts Costs(double single, double four) {
  RowCosts costs;
  costs.ns[0] = single;
  costs.ns[2] = four;
  return costs;
}

TEST(BatchGain, ComparesJoinedRowsWithSingleOnes) {
  EXPECT_EQ(JudgeBatchGain(RowCosts{}), BatchGain::kUnknown);
  EXPECT_EQ(JudgeBatchGain(Costs(11400, 0)), BatchGain::kUnknown);
  EXPECT_EQ(JudgeBatchGain(Costs(0, 1600)), BatchGain::kUnknown);
  EXPECT_EQ(JudgeBatchGain(Costs(11400, 2500)), BatchGain::kPays);         // A small MLP.
  EXPECT_EQ(JudgeBatchGain(Costs(311000, 268000)), BatchGain::kPays);      // A light CNN.
  EXPECT_EQ(JudgeBatchGain(Costs(7.9e6, 7.6e6)), BatchGain::kDoesNotPay);  // Text recognition.
  EXPECT_EQ(JudgeBatchGain(Costs(825000, 913000)), BatchGain::kDoesNotPay);
}

TEST(BatchGain, NowAndThenTriesTheOtherWay) {
  const auto joins = [](BatchGain gain, const RowCosts& costs) {
    int count = 0;
    for (std::uint32_t i = 0; i < 1024; ++i) count += JoinThisTime(gain, costs, i);
    return count;
  };
  EXPECT_EQ(joins(BatchGain::kPays, Costs(2, 1)), 1020);
  EXPECT_EQ(joins(BatchGain::kDoesNotPay, Costs(1, 1)), 4);
  EXPECT_EQ(joins(BatchGain::kUnknown, Costs(0, 1)), 960);   // Singles must be measured.
  EXPECT_EQ(joins(BatchGain::kUnknown, Costs(1, 0)), 1024);  // Joined ones must be.
}

TEST(BatchGain, ExpectsARunFromTheNearestMeasuredSize) {
  EXPECT_EQ(ExpectedRun(RowCosts{}, 3), Duration::zero());
  EXPECT_EQ(ExpectedRun(Costs(100, 10), 1), Duration(100));
  EXPECT_EQ(ExpectedRun(Costs(100, 10), 5), Duration(50));
  EXPECT_EQ(ExpectedRun(Costs(100, 10), 64), Duration(640));
  EXPECT_EQ(ExpectedRun(Costs(100, 0), 4), Duration(400));
  EXPECT_EQ(RowCosts::BucketOf(0), 0u);
  EXPECT_EQ(RowCosts::BucketOf(3), 1u);
  EXPECT_EQ(RowCosts::BucketOf(UINT32_MAX), RowCosts::kBuckets - 1);
}

}  // namespace
}  // namespace brim::serving
