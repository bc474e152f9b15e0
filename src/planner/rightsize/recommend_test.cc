// Proposals: Brim's rule and the baselines, on made fleets.
#include "planner/rightsize/recommend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "planner/rightsize/rightsize_test_data.h"
#include "planner/rightsize/safety.h"
#include "planner/rightsize/tune.h"

namespace brim::planner {
namespace {

std::vector<Proposal> Brim(const Usage& usage, const Window& learn) {
  const RightsizeGoals goals;
  return BrimProposals(usage, learn, goals, Tune(usage, learn, goals).params);
}

// Scrambles every sample outside the window.
Usage Scrambled(Usage usage, const Window& keep) {
  for (UsagePod& pod : usage.pods) {
    for (std::vector<float>& series : pod.values) {
      for (std::size_t t = 0; t < series.size(); ++t) {
        if (t < keep.begin || t >= keep.end) series[t] = static_cast<float>(90 + t % 7);
      }
    }
  }
  return usage;
}

TEST(BrimProposals, NothingOutsideTheWindowChangesThem) {
  const Usage usage = MadeFleet(3, 10, 600);
  for (const Window learn : {usage.first_half(), usage.second_half()}) {
    const Usage other = Scrambled(usage, learn);
    const std::vector<Proposal> a = Brim(usage, learn), b = Brim(other, learn);
    for (std::size_t i = 0; i < a.size(); ++i) {
      for (const Resource resource : {Resource::kCompute, Resource::kMemory, Resource::kCpu}) {
        EXPECT_EQ(a[i].of(resource).proposed, b[i].of(resource).proposed);
        EXPECT_EQ(a[i].of(resource).value, b[i].of(resource).value);
        EXPECT_EQ(a[i].of(resource).resting, b[i].of(resource).resting);
        EXPECT_EQ(a[i].of(resource).why, b[i].of(resource).why);
      }
    }
    for (const RightsizeRule rule :
         {RightsizeRule::kVpa, RightsizeRule::kKrr, RightsizeRule::kP99}) {
      const auto c = BaselineProposals(rule, usage, learn, {});
      const auto d = BaselineProposals(rule, other, learn, {});
      for (std::size_t i = 0; i < c.size(); ++i) {
        EXPECT_EQ(c[i].of(Resource::kMemory).value, d[i].of(Resource::kMemory).value);
      }
    }
  }
}

TEST(BrimProposals, AreWithinTheCardAndAboveNothingAbsurd) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Usage usage = MadeFleet(seed, 9, 400);
    for (const Proposal& proposal : Brim(usage, usage.all())) {
      const Request& compute = proposal.of(Resource::kCompute);
      ASSERT_TRUE(compute.proposed);
      EXPECT_GE(compute.value, 1);
      EXPECT_LE(compute.value, 100);
      EXPECT_EQ(compute.value, std::floor(compute.value));
      const Request& memory = proposal.of(Resource::kMemory);
      ASSERT_TRUE(memory.proposed);
      EXPECT_LE(memory.resting, memory.value);
      EXPECT_GT(memory.resting, 0);
    }
  }
}

TEST(BrimProposals, OneSampleGetsNoneAloneAndItsServicesAmongMany) {
  std::vector<float> one(100, kGap);
  one[50] = 40;
  const Usage alone = MadeUsage({MadePod("alone", one, one)}, 100);
  const Proposal proposal = Brim(alone, alone.all())[0];
  for (const Resource resource : {Resource::kCompute, Resource::kMemory}) {
    EXPECT_FALSE(proposal.of(resource).proposed);
    EXPECT_NE(proposal.of(resource).why.find("1 samples, fewer than 30"), std::string::npos)
        << proposal.of(resource).why;
  }
  Usage usage = MadeFleet(1, 10, 100);
  usage.pods.push_back(MadePod("new", one, one, "made"));
  const Proposal taught = Brim(usage, usage.all()).back();
  EXPECT_TRUE(taught.of(Resource::kCompute).proposed);
  EXPECT_GT(taught.of(Resource::kMemory).value, 1000);  // Not its own 40.
  EXPECT_EQ(taught.of(Resource::kMemory).samples, 1U);
}

TEST(BrimProposals, ConstantZeroAsksForTheLeast) {
  const std::vector<float> zero(2000, 0);
  Usage usage = MadeUsage({MadePod("idle", zero, zero)}, 2000);
  usage.pods[0].values[static_cast<std::size_t>(Resource::kCpu)] = zero;
  const Proposal proposal = Brim(usage, usage.all())[0];
  EXPECT_EQ(proposal.of(Resource::kCompute).value, 1);
  EXPECT_EQ(proposal.of(Resource::kCpu).value, 10);
  EXPECT_TRUE(proposal.of(Resource::kMemory).proposed);
  EXPECT_EQ(proposal.of(Resource::kMemory).value, 0);
}

TEST(BrimProposals, AFullCycleGivesHoursAndAFloor) {
  // Three days: busy from 10 to 11, one burst in the last.
  const std::size_t day = 1440;
  std::vector<float> compute(3 * day, 5), memory(3 * day, 100);
  for (std::size_t t = 0; t < compute.size(); ++t) {
    if (t % day >= 600 && t % day < 660) compute[t] = 40;
  }
  compute[2 * day + 5] = 98;
  const Usage usage = MadeUsage({MadePod("a", compute, memory)}, 3 * day);
  const Request request = Brim(usage, usage.all())[0].of(Resource::kCompute);
  ASSERT_EQ(request.by_hour.size(), 24U);
  EXPECT_GE(request.by_hour[10], 40);
  EXPECT_GE(request.by_hour[3], 49);  // Half of the last cycle's peak, though it used 5.
  EXPECT_GE(request.value, 49);
  const Usage half = MadeUsage({MadePod("a", {compute.begin(), compute.begin() + 700},
                                        {memory.begin(), memory.begin() + 700})},
                               700);
  EXPECT_TRUE(Brim(half, half.all())[0].of(Resource::kCompute).by_hour.empty());
}

TEST(BrimProposals, WidensUntilMoreCyclesWereSeen) {
  EXPECT_DOUBLE_EQ(Widening(1), 2);
  EXPECT_GT(Widening(0.25), Widening(0.5));
  const auto memory_of = [](std::size_t slots) {
    const std::vector<float> flat(slots, 1000);
    const Usage usage = MadeUsage({MadePod("a", flat, flat)}, slots);
    return Brim(usage, usage.all())[0].of(Resource::kMemory).value;
  };
  EXPECT_GT(memory_of(360), memory_of(720));
  EXPECT_GT(memory_of(720), memory_of(1440));
  EXPECT_NEAR(memory_of(1440), 1200, 1e-6);  // +10 % twice.
  EXPECT_NEAR(memory_of(14'400), 1110, 1e-6);
}

TEST(BrimProposals, MoreIsAllowedWhereMoreWasUsed) {
  Usage usage = MadeFleet(5, 1, 500);
  const double before = Brim(usage, usage.all())[0].of(Resource::kMemory).value;
  for (float& value : usage.pods[0].values[1]) value *= 2;
  EXPECT_NEAR(Brim(usage, usage.all())[0].of(Resource::kMemory).value, 2 * before, 1e-3);
}

TEST(BaselineProposals, FollowTheirDocumentedRules) {
  std::vector<float> ramp(200);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i + 1) / 4;
  const Usage usage = MadeUsage({MadePod("a", ramp, ramp)}, 200);
  const auto value = [&](RightsizeRule rule, Resource resource) {
    return BaselineProposals(rule, usage, usage.all(), {})[0].of(resource).value;
  };
  EXPECT_NEAR(value(RightsizeRule::kPeak, Resource::kCompute), 57.5, 1e-6);
  EXPECT_NEAR(value(RightsizeRule::kP90, Resource::kCompute), 1.15 * PercentileOf(ramp, 0.9), 1e-6);
  EXPECT_NEAR(value(RightsizeRule::kKrr, Resource::kCompute), PercentileOf(ramp, 0.95), 1e-6);
  EXPECT_NEAR(value(RightsizeRule::kKrr, Resource::kMemory), 57.5, 1e-6);
  const double vpa = value(RightsizeRule::kVpa, Resource::kCompute);
  EXPECT_GE(vpa, 1.15 * 45);
  EXPECT_LE(vpa, 1.15 * (45 * 1.06 + 1));
  EXPECT_NEAR(value(RightsizeRule::kVpa, Resource::kMemory), 250e6 / (1 << 20), 1e-6);
  // KRR wants 100 samples and three hours.
  const Proposal krr = BaselineProposals(RightsizeRule::kKrr, usage, {0, 50}, {})[0];
  EXPECT_FALSE(krr.of(Resource::kCompute).proposed);
  EXPECT_FALSE(krr.of(Resource::kCompute).why.empty());
}

TEST(Tune, GivesTheSameTwiceAndKeepsItsPromiseOnItsOwnWindow) {
  const RightsizeGoals goals;
  const Usage usage = MadeFleet(11, 12, 600);
  const Tuning a = Tune(usage, usage.first_half(), goals);
  const Tuning b = Tune(usage, usage.first_half(), goals);
  ASSERT_EQ(a.params.memory.size(), 1U);
  const ServiceMemory& memory = a.params.memory[0];
  EXPECT_EQ(memory.gears.working_mib, b.params.memory[0].gears.working_mib);
  EXPECT_EQ(a.params.compute.quantile, b.params.compute.quantile);
  EXPECT_LE(memory.seen, memory.allowed);
  EXPECT_LT(memory.allowed, goals.memory_miss);
  EXPECT_GE(memory.gears.working_mib, memory.gears.resting_mib);
  // Weights change the choice: with free changes a pod rests sooner or as soon.
  RightsizeGoals restless = goals;
  restless.weight_changes = 0;
  RightsizeGoals calm = goals;
  calm.weight_changes = 100;
  EXPECT_GE(Tune(usage, usage.all(), restless).params.memory[0].changes_per_pod_hour,
            Tune(usage, usage.all(), calm).params.memory[0].changes_per_pod_hour);
}

TEST(Tune, FewPodsTeachNobody) {
  const Usage usage = MadeFleet(2, kServicePodsMin - 1, 200);
  EXPECT_TRUE(Tune(usage, usage.all(), {}).params.memory.empty());
  EXPECT_TRUE(TeachingServices(usage).empty());
}

}  // namespace
}  // namespace brim::planner
