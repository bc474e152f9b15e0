// Joint packing: limits kept, small instances optimal, bounds ordered and never above a plan.
#include "planner/rightsize/joint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "planner/cluster/random.h"
#include "planner/rightsize/joint_fit.h"

namespace brim::planner {
namespace {

std::vector<JointPod> Made(std::uint64_t seed, std::size_t pods, std::size_t steps) {
  Random random(seed);
  std::vector<JointPod> out(pods);
  for (std::size_t i = 0; i < pods; ++i) {
    out[i].name = "p" + std::to_string(i);
    out[i].memory_mib = 10 + 40 * random.Uniform();
    out[i].floor_percent = 10 * random.Uniform();
    const double busy = 0.05 + 0.3 * random.Uniform();
    for (std::size_t t = 0; t < steps; ++t) {
      out[i].compute.push_back(
          random.Uniform() < busy ? static_cast<float>(20 + 70 * random.Uniform()) : 0);
    }
  }
  return out;
}

JointOptions Options(double overload_max = 1) {
  JointOptions options;
  options.card_memory_mib = 80;
  options.quantile = 0.95;
  options.overload_max = overload_max;
  options.tries_max = 2000;
  return options;
}

void ExpectValid(const std::vector<JointPod>& pods, const JointOptions& options,
                 const JointPlan& plan) {
  std::vector<int> placed(pods.size());
  for (const std::vector<std::size_t>& card : plan.cards) {
    ASSERT_FALSE(card.empty());
    double memory = 0, floors = 0;
    std::vector<double> sum(pods[0].compute.size());
    for (const std::size_t pod : card) {
      ++placed[pod];
      memory += pods[pod].memory_mib;
      floors += pods[pod].floor_percent;
      for (std::size_t t = 0; t < sum.size(); ++t) sum[t] += pods[pod].compute[t];
    }
    EXPECT_LE(memory, options.card_memory_mib + 1e-9);
    if (card.size() == 1) continue;
    EXPECT_LE(floors, options.compute_percent + 1e-9);
    const auto over = std::count_if(sum.begin(), sum.end(), [&](double value) {
      return value > options.compute_percent + 1e-3;
    });
    EXPECT_LE(static_cast<double>(over),
              (1 - options.quantile) * static_cast<double>(sum.size()) + 1e-6);
  }
  for (const int times : placed) EXPECT_EQ(times, 1);
}

// The least number of cards, over all partitions.
std::size_t BruteForce(const JointFit& fit, std::size_t pods) {
  std::size_t best = pods;
  std::vector<std::vector<std::size_t>> cards;
  const auto place = [&](auto&& self, std::size_t pod) -> void {
    if (cards.size() >= best) return;
    if (pod == pods) {
      best = cards.size();
      return;
    }
    for (std::size_t c = 0; c < cards.size(); ++c) {
      cards[c].push_back(pod);
      if (fit.Together(cards[c])) self(self, pod + 1);
      cards[c].pop_back();
    }
    cards.push_back({pod});
    self(self, pod + 1);
    cards.pop_back();
  };
  place(place, 0);
  return best;
}

TEST(PackJointly, MeetsBruteForceOnSmallInstances) {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const std::vector<JointPod> pods = Made(seed, 9, 60);
    const JointOptions options = Options();
    Result<JointPlan> plan = PackJointly(pods, options);
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    ExpectValid(pods, options, *plan);
    EXPECT_EQ(plan->cards.size(), BruteForce(JointFit(pods, options), pods.size()));
  }
}

TEST(PackJointly, KeepsLimitsAndBoundsOnLargerOnes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const std::vector<JointPod> pods = Made(seed, 40, 200);
    const JointOptions options = Options(0.002);
    Result<JointPlan> plan = PackJointly(pods, options);
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    ExpectValid(pods, options, *plan);
    EXPECT_LE(plan->cards.size(), plan->first_fit);
    ASSERT_EQ(plan->bounds.size(), 4U);
    EXPECT_LE(plan->bounds[0].cards(), plan->bounds[1].cards());
    for (const Bound& bound : plan->bounds) {
      EXPECT_LE(bound.cards(), static_cast<std::int64_t>(plan->cards.size())) << bound.name;
      EXPECT_GT(bound.value, 0) << bound.name;
    }
    if (plan->overload_met) {
      EXPECT_LE(Overload(pods, plan->cards).time_share, options.overload_max);
    }
    Result<JointPlan> again = PackJointly(pods, options);
    EXPECT_EQ(plan->cards, again->cards);
  }
}

TEST(PackJointly, PeaksThatNeverMeetShareACard) {
  std::vector<JointPod> pods(4);
  for (std::size_t i = 0; i < pods.size(); ++i) {
    pods[i].name = std::to_string(i);
    pods[i].memory_mib = 10;
    pods[i].compute.assign(100, 0);
    for (std::size_t t = 0; t < 25; ++t) pods[i].compute[25 * i + t] = 75;
  }
  Result<JointPlan> plan = PackJointly(pods, Options());
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->cards.size(), 1U);
  for (JointPod& pod : pods) pod.compute = pods[0].compute;  // Now they all meet.
  EXPECT_EQ(PackJointly(pods, Options())->cards.size(), 4U);
}

TEST(PackJointly, RefusesWhatCannotBe) {
  std::vector<JointPod> pods = Made(1, 3, 10);
  pods[1].memory_mib = 81;
  Result<JointPlan> large = PackJointly(pods, Options());
  EXPECT_EQ(large.status().reason(), "pod_too_large");
  EXPECT_NE(large.status().message().find("p1"), std::string::npos);
  pods[1].memory_mib = 8;
  pods[2].compute.pop_back();
  EXPECT_EQ(PackJointly(pods, Options()).status().reason(), "series_differ");
  EXPECT_TRUE(PackJointly({}, Options())->cards.empty());
}

TEST(PackJointly, APodAboveTheLimitStandsAlone) {
  std::vector<JointPod> pods = Made(2, 6, 50);
  std::fill(pods[3].compute.begin(), pods[3].compute.end(), 95.0F);
  Result<JointPlan> plan = PackJointly(pods, Options());
  ASSERT_TRUE(plan.ok());
  const auto home = std::find_if(plan->cards.begin(), plan->cards.end(), [](const auto& card) {
    return std::find(card.begin(), card.end(), 3U) != card.end();
  });
  EXPECT_EQ(home->size(), 1U);
}

TEST(Overload, CountsStepsAboveAHundred) {
  std::vector<JointPod> pods(2);
  pods[0].compute = {50, 60, 0, 100};
  pods[1].compute = {50, 60, 0, 0};
  const JointOverload one = Overload(pods, {{0, 1}});
  EXPECT_DOUBLE_EQ(one.time_share, 0.25);
  EXPECT_DOUBLE_EQ(one.work_share, 20.0 / 320);
  EXPECT_DOUBLE_EQ(one.mean_percent, 80);
  EXPECT_DOUBLE_EQ(Overload(pods, {{0}, {1}}).time_share, 0);
}

}  // namespace
}  // namespace brim::planner
