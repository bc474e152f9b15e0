// The safety record against counting by hand, and the bounds on fixed limits by brute force.
#include "planner/rightsize/safety.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "planner/rightsize/oracle.h"
#include "planner/rightsize/rightsize_test_data.h"
#include "planner/rightsize/tune.h"

namespace brim::planner {
namespace {

TEST(ReplayFixed, CountsAsBruteForce) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const RightsizeGoals goals;
    const Usage usage = MadeFleet(seed, 9, 300);
    const Window test = usage.second_half();
    const auto proposals = BaselineProposals(RightsizeRule::kP95, usage, usage.first_half(), goals);
    const SafetyRecord record = ReplayFixed(usage, test, proposals, goals);
    for (const Resource resource : {Resource::kCompute, Resource::kMemory, Resource::kCpu}) {
      std::int64_t samples = 0, active = 0, over = 0, events = 0;
      double held = 0;
      for (std::size_t i = 0; i < usage.pods.size(); ++i) {
        bool before = false;
        for (std::size_t t = test.begin; t < test.end; ++t) {
          const float value = usage.pods[i].of(resource)[t];
          if (std::isnan(value)) continue;
          const bool now = value > proposals[i].of(resource).value;
          samples += 1;
          active += resource == Resource::kMemory || value > 0;
          over += now;
          events += now && !before;
          held += proposals[i].of(resource).value;
          before = now;
        }
      }
      const SafetyCount& count = record.of(resource);
      EXPECT_EQ(count.samples, samples);
      EXPECT_EQ(count.active, active);
      EXPECT_EQ(count.over, over);
      EXPECT_EQ(count.events, events);
      EXPECT_NEAR(count.limit_sum, held, 1e-6 * held);
      EXPECT_DOUBLE_EQ(count.over_s, static_cast<double>(over) * usage.step_s);
    }
  }
}

TEST(ReplayFixed, NamesTheWorstPodAndThoseWithoutAProposal) {
  const RightsizeGoals goals;
  const std::vector<float> flat(200, 10);
  std::vector<float> high = flat, few(200, kGap);
  std::fill(high.begin() + 150, high.end(), 50.0F);
  few[199] = 5;
  const Usage usage = MadeUsage(
      {MadePod("flat", flat, flat), MadePod("high", high, high), MadePod("few", few, few)}, 200);
  const auto proposals = BaselineProposals(RightsizeRule::kPeak, usage, usage.first_half(), goals);
  const SafetyRecord record = ReplayFixed(usage, usage.second_half(), proposals, goals);
  EXPECT_EQ(record.Worst(Resource::kMemory), 1U);
  EXPECT_EQ(record.of(Resource::kMemory).over, 50);
  EXPECT_EQ(record.of(Resource::kMemory).events, 1);
  EXPECT_EQ(record.pods_over[1], 1U);
  EXPECT_EQ(record.pods_without[1], 1U);  // "few" had no sample to learn from.
}

// Follows by the words of the header, with a full scan for each step.
SafetyCount FollowSlowly(const UsagePod& pod, const Window& window, const MemoryGears& gears) {
  SafetyCount count;
  const auto& memory = pod.of(Resource::kMemory);
  const auto& compute = pod.of(Resource::kCompute);
  double limit = gears.working_mib, bump = 0, last = 0;
  std::size_t bumped_to = 0, idle = 0;
  std::vector<double> held;  // What was taken as held, step by step.
  for (std::size_t t = window.begin; t < window.end; ++t) {
    const bool gap = std::isnan(memory[t]);
    const bool killed = !gap && memory[t] > limit;
    if (!gap) {
      ++count.samples;
      count.limit_sum += limit;
      count.over += killed;
      last = memory[t];
    }
    held.push_back(last);
    idle = std::isnan(compute[t]) || compute[t] > 0 ? 0 : idle + 1;
    if (killed) {
      bump = std::max(limit * gears.bump, gears.bump_floor_mib);
      bumped_to = held.size() + gears.hold;
    }
    const bool rests = gears.rest_after > 0 && idle >= gears.rest_after;
    const std::size_t from = held.size() - std::min(held.size(), gears.hold);
    const double peak =
        *std::max_element(held.begin() + static_cast<std::ptrdiff_t>(from), held.end());
    double next = rests ? std::max(gears.resting_mib, last * 1.05)
                        : std::max(gears.working_mib, peak * (1 + gears.margin));
    if (held.size() < bumped_to) next = std::max(next, bump);
    if (next > limit || next < 0.95 * limit) {
      limit = next;
      ++count.changes;
    }
  }
  return count;
}

TEST(FollowMemory, CountsAsBruteForce) {
  MemoryGears gears;
  gears.working_mib = 1300;
  gears.resting_mib = 1050;
  gears.rest_after = 4;
  gears.hold = 15;
  gears.margin = 0.1;
  gears.bump_floor_mib = 1500;
  std::int64_t kills = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Usage usage = MadeFleet(seed, 1, 3000);
    const SafetyCount want = FollowSlowly(usage.pods[0], usage.all(), gears);
    const SafetyCount got =
        FollowMemory(usage, usage.pods[0], {0, 0}, usage.all(), gears, RightsizeGoals());
    EXPECT_EQ(got.samples, want.samples);
    EXPECT_EQ(got.over, want.over);
    EXPECT_EQ(got.changes, want.changes);
    EXPECT_NEAR(got.limit_sum, want.limit_sum, 1e-6 * want.limit_sum);
    kills += got.over;
  }
  EXPECT_GT(kills, 0);  // Else the test saw no bump.
}

TEST(FollowMemory, NothingLaterChangesALimit) {
  const Usage usage = MadeFleet(9, 1, 1000);
  MemoryGears gears;
  gears.working_mib = 1200;
  gears.rest_after = 3;
  gears.hold = 20;
  MemoryFollower follower(gears, 0);
  std::vector<double> limits;
  for (std::size_t t = 0; t < 1000; ++t) {
    limits.push_back(follower.limit());
    follower.Observe(usage.pods[0].of(Resource::kMemory)[t],
                     usage.pods[0].of(Resource::kCompute)[t]);
  }
  MemoryFollower again(gears, 0);
  for (std::size_t t = 0; t < 500; ++t) {
    EXPECT_EQ(again.limit(), limits[t]);
    again.Observe(usage.pods[0].of(Resource::kMemory)[t], usage.pods[0].of(Resource::kCompute)[t]);
  }
}

TEST(MemoryFollower, AKillRaisesAndTheCapHolds) {
  MemoryGears gears;
  gears.working_mib = 100;
  gears.margin = -1;
  MemoryFollower follower(gears, 130);
  EXPECT_FALSE(follower.Observe(100, 0));
  EXPECT_TRUE(follower.Observe(101, 0));
  EXPECT_DOUBLE_EQ(follower.limit(), 120);
  EXPECT_TRUE(follower.Observe(125, 0));
  EXPECT_DOUBLE_EQ(follower.limit(), 130);  // The card's memory.
  EXPECT_EQ(follower.changes(), 2);
  EXPECT_FALSE(follower.Observe(kGap, kGap));
}

TEST(ReplayInForce, WarmsUpOnlyOnWhatCameBefore) {
  const RightsizeGoals goals;
  const Usage usage = MadeFleet(4, 9, 400);
  const RightsizeParams params = Tune(usage, usage.first_half(), goals).params;
  const auto proposals = BrimProposals(usage, usage.first_half(), goals, params);
  const SafetyRecord record = ReplayInForce(usage, usage.first_half(), usage.second_half(),
                                            RightsizeRule::kBrim, proposals, goals, params);
  const SafetyRecord fixed = ReplayFixed(usage, usage.second_half(), proposals, goals);
  EXPECT_EQ(record.of(Resource::kMemory).samples, fixed.of(Resource::kMemory).samples);
  EXPECT_EQ(record.of(Resource::kCompute).over, fixed.of(Resource::kCompute).over);
  EXPECT_EQ(record.of(Resource::kMemory).events, record.of(Resource::kMemory).over);
}

TEST(LeastMeanLimit, IsBelowEveryFixedLimitFoundByBruteForce) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    std::vector<std::vector<float>> groups(3);
    for (auto& group : groups) {
      for (int i = 0; i < 6; ++i) group.push_back(static_cast<float>(random.Below(20)));
    }
    const double allowed = 3.0 / 18;
    double best = 1e9;
    std::vector<float> levels = {0};
    for (const auto& group : groups) levels.insert(levels.end(), group.begin(), group.end());
    const auto over = [](const std::vector<float>& group, float limit) {
      return std::count_if(group.begin(), group.end(), [&](float v) { return v > limit; });
    };
    for (const float a : levels) {
      for (const float b : levels) {
        for (const float c : levels) {
          if (over(groups[0], a) + over(groups[1], b) + over(groups[2], c) > 3) continue;
          best = std::min(best, double{a + b + c} / 3);
        }
      }
    }
    const double bound = LeastMeanLimit(groups, allowed);
    EXPECT_LE(bound, best + 1e-6);
    EXPECT_GE(bound, 0.5 * best - 3);  // Near it: a bound of nothing would pass the line above.
  }
  EXPECT_DOUBLE_EQ(LeastMeanLimit({{5, 5, 5, 9}}, 0), 9);
  EXPECT_DOUBLE_EQ(LeastMeanLimit({{5, 5, 5, 9}}, 0.25), 5);
}

TEST(BoundFixedLimits, APodsOwnPastTellsWhereItDoes) {
  std::vector<UsagePod> pods;
  for (int i = 1; i <= 10; ++i) {
    pods.push_back(MadePod("p" + std::to_string(i), {}, std::vector<float>(100, float(i * 100))));
  }
  const Usage usage = MadeUsage(std::move(pods), 100);
  const FixedLimitBounds bounds =
      BoundFixedLimits(usage, Resource::kMemory, usage.first_half(), usage.second_half(), 0.001);
  EXPECT_NEAR(bounds.peak_correlation, 1, 1e-9);
  EXPECT_NEAR(bounds.all_knowing, 550, 10);
  EXPECT_NEAR(bounds.pod_blind, 1000, 10);
}

}  // namespace
}  // namespace brim::planner
