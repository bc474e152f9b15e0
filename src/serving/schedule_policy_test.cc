#include "serving/schedule_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace brim::serving {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Time kStart{std::chrono::hours(1)};
constexpr std::int64_t kMs = 1'000'000;

Candidate At(std::int64_t virtual_ns, Duration oldest = Duration::zero()) {
  Candidate candidate;
  candidate.virtual_ns = virtual_ns;
  candidate.oldest = kStart + oldest;
  candidate.usual_run = milliseconds(1);
  return candidate;
}

TEST(SchedulePolicy, TheLeastServedGoesFirst) {
  EXPECT_EQ(PickVersion(std::vector{At(3 * kMs), At(1 * kMs), At(2 * kMs)}, kStart), 1u);
}

TEST(SchedulePolicy, AmongEqualsTheOldest) {
  EXPECT_EQ(PickVersion(
                std::vector{At(0, milliseconds(3)), At(0, milliseconds(1)), At(0, milliseconds(2))},
                kStart),
            1u);
}

TEST(SchedulePolicy, PriorityBorrowsButOnlySoMuch) {
  std::vector<Candidate> candidates = {At(0), At(kLeadMaxNs)};
  candidates[0].priority = 5;
  candidates[1].priority = 1;
  EXPECT_EQ(PickVersion(candidates, kStart), 1u);
  candidates[1].virtual_ns = kLeadMaxNs + 1;
  EXPECT_EQ(PickVersion(candidates, kStart), 0u);
}

TEST(SchedulePolicy, ADeadlineThatWouldBeMissedGoesFirst) {
  std::vector<Candidate> candidates = {At(0), At(10 * kMs), At(10 * kMs)};
  candidates[1].expires = kStart + microseconds(1900);
  candidates[2].expires = kStart + microseconds(1500);
  EXPECT_EQ(PickVersion(candidates, kStart), 2u);
  candidates[2].expires = kStart + microseconds(500);  // Cannot be met: not worth a jump.
  EXPECT_EQ(PickVersion(candidates, kStart), 1u);
  candidates[1].expires = kStart + milliseconds(50);  // No hurry.
  EXPECT_EQ(PickVersion(candidates, kStart), 0u);
}

TEST(SchedulePolicy, JoiningBringsNeitherCreditNorLastingDebt) {
  EXPECT_EQ(JoinVirtualTime(0, 100 * kMs), 100 * kMs);
  EXPECT_EQ(JoinVirtualTime(110 * kMs, 100 * kMs), 110 * kMs);
  EXPECT_EQ(JoinVirtualTime(900 * kMs, 100 * kMs), 100 * kMs + kLeadMaxNs);
}

// One worker; a heavy version that always has requests waiting, and a light one whose requests
// arrive every millisecond: none of the light ones waits for more than the heavy run at hand.
TEST(SchedulePolicyReplay, ALightVersionIsNotHeldBackByAHeavyOne) {
  constexpr std::int64_t kHeavyRun = 8 * kMs, kLightRun = kMs / 100;
  std::int64_t clock = 0, heavy = 0, light = 0, now = 0, light_done = 0, worst = 0;
  bool light_waits = false;
  for (int step = 0; step < 20000; ++step) {
    const std::int64_t arrived = light_done * kMs;  // The next light request's arrival.
    if (!light_waits && arrived <= now) {
      light_waits = true;
      light = JoinVirtualTime(light, clock);
    }
    std::vector<Candidate> candidates = {At(heavy)};
    if (light_waits) candidates.push_back(At(light, Duration(arrived)));
    if (PickVersion(candidates, kStart + Duration(now)) == 0) {
      clock = std::max(clock, heavy);
      heavy += kHeavyRun;
      now += kHeavyRun;
    } else {
      clock = std::max(clock, light);
      light += kLightRun;
      now += kLightRun;
      light_waits = false;
      worst = std::max(worst, now - std::max(arrived, now - 2 * kHeavyRun));
      light_done = std::max(light_done + 1, now / kMs);
    }
  }
  EXPECT_LE(worst, kHeavyRun + kLightRun);
}

// Three versions with always waiting requests of different cost get equal time.
TEST(SchedulePolicyReplay, BacklogsShareTimeNotRuns) {
  const std::int64_t run[] = {kMs / 10, kMs, 7 * kMs};
  std::int64_t used[] = {0, 0, 0};
  for (int step = 0; step < 100000; ++step) {
    const std::vector<Candidate> candidates = {At(used[0]), At(used[1]), At(used[2])};
    const std::size_t pick = PickVersion(candidates, kStart);
    used[pick] += run[pick];
  }
  EXPECT_LE(*std::max_element(used, used + 3) - *std::min_element(used, used + 3), 7 * kMs);
}

}  // namespace
}  // namespace brim::serving
