// The grid, its gaps, and the two file formats.
#include "planner/rightsize/usage.h"

#include <gtest/gtest.h>

#include <cmath>

#include "planner/rightsize/rightsize_test_data.h"
#include "planner/rightsize/usage_format.h"

namespace brim::planner {
namespace {

Result<Usage> Parse(const std::string& file, const std::string& text) {
  UsageBuilder builder;
  Status status = ReadUsage(file, text, &builder);
  if (!status.ok()) return status;
  return std::move(builder).Build({});
}

TEST(UsageBuilder, PutsSamplesOnAGridAndKeepsGaps) {
  UsageBuilder builder;
  const UsageIdentity who{"a", "team", "", 1};
  for (const double time : {100.0, 160.0, 220.0, 400.0}) {
    builder.Add(who, Resource::kCompute, time, time / 10);
  }
  builder.Add(who, Resource::kCompute, 165, 99);  // The same slot as 160: the peak counts.
  Result<Usage> usage = std::move(builder).Build({60, 1000});
  ASSERT_TRUE(usage.ok()) << usage.status().ToString();
  EXPECT_EQ(usage->slots, 6U);
  EXPECT_EQ(usage->merged, 1);
  const std::vector<float>& series = usage->pods[0].of(Resource::kCompute);
  EXPECT_EQ(series[1], 99);
  EXPECT_TRUE(std::isnan(series[3]) && std::isnan(series[4]));
  const Coverage coverage = CoverageOf(series, usage->all());
  EXPECT_EQ(coverage.samples, 4U);
  EXPECT_EQ(coverage.longest_gap, 2U);
  EXPECT_DOUBLE_EQ(usage->time(5), 400);
}

TEST(UsageBuilder, FindsTheStepAndRefusesAWrongTime) {
  UsageBuilder builder;
  for (int i = 0; i < 20; ++i) builder.Add({"a", "", "", 1}, Resource::kMemory, 57.0 * i, 1);
  builder.Add({"b", "", "", 1}, Resource::kMemory, 1e12, 1);
  Result<Usage> usage = std::move(builder).Build({});
  ASSERT_FALSE(usage.ok());
  EXPECT_EQ(usage.status().reason(), "grid_too_large");
  UsageBuilder none;
  EXPECT_EQ(std::move(none).Build({}).status().reason(), "no_samples");
  UsageBuilder one;
  one.Add({"a", "", "", 1}, Resource::kMemory, 5, 7);
  Result<Usage> single = std::move(one).Build({});
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(single->slots, 1U);
}

TEST(HourOfCycle, WrapsAlsoBeforeZero) {
  EXPECT_EQ(HourOfCycle(0, 86'400), 0U);
  EXPECT_EQ(HourOfCycle(3 * 86'400 + 3600 * 7 + 1, 86'400), 7U);
  EXPECT_EQ(HourOfCycle(-1, 86'400), 23U);
  EXPECT_EQ(HourOfCycle(12, 24), 12U);  // A cycle of 24 s has hours of a second.
}

TEST(PercentileOf, IsLinearBetweenRanks) {
  EXPECT_DOUBLE_EQ(PercentileOf({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(PercentileOf({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(PercentileOf({4, 1, 3, 2}, 0), 1);
  EXPECT_NEAR(PercentileOf({4, 1, 3, 2}, 0.9), 3.7, 1e-6);
  EXPECT_DOUBLE_EQ(PercentileOf({5}, 0.9), 5);
}

TEST(AliveThroughout, NamesWhatItLeavesOut) {
  const Usage usage = MadeUsage(
      {MadePod("whole", {1, 1, 1, 1}, {1, 1, 1, 1}),
       MadePod("half", {1, kGap, kGap, 1}, {1, 1, 1, 1}), MadePod("none", {}, {1, 1, 1, 1})},
      4);
  std::vector<std::string> left_out;
  const Usage alive =
      AliveThroughout(usage, {Resource::kCompute, Resource::kMemory}, 0.9, &left_out);
  ASSERT_EQ(alive.pods.size(), 1U);
  EXPECT_EQ(left_out, (std::vector<std::string>{"half", "none"}));
}

TEST(ReadUsage, OwnColumnsInBothSpellings) {
  Result<Usage> usage =
      Parse("u.csv",
            "\xef\xbb\xbftime_s,pod,owner,service,compute_percent,memory_mib,cpu_milli\r\n"
            "0,a,team,s,10,100,5\r\n60,a,team,s,,200,6\r\n120,a,team,s,30,300,7\r\n");
  ASSERT_TRUE(usage.ok()) << usage.status().ToString();
  EXPECT_EQ(usage->slots, 3U);
  EXPECT_EQ(usage->pods[0].who.service, "s");
  EXPECT_TRUE(std::isnan(usage->pods[0].of(Resource::kCompute)[1]));
  EXPECT_EQ(usage->pods[0].of(Resource::kMemory)[1], 200);
  Result<Usage> other = Parse("u.csv", "timestamp_s,pod,gpu_percent,gpu_memory_mib\n0,a,10,100\n");
  ASSERT_TRUE(other.ok()) << other.status().ToString();
  EXPECT_EQ(other->pods[0].of(Resource::kMemory)[0], 100);
}

TEST(ReadUsage, GenTd26AsItIs) {
  Result<Usage> duty = Parse("x/pod_gpu_duty_cycle_anon.csv",
                             "value,timestamp_anon,container_ip\n0.0,1662858720.0,23b8\n"
                             "99.5,1662858777.0,23b8\n");
  ASSERT_TRUE(duty.ok()) << duty.status().ToString();
  EXPECT_EQ(duty->pods[0].of(Resource::kCompute)[1], 99.5F);
  EXPECT_EQ(duty->step_s, 57);
  Result<Usage> memory = Parse("pod_gpu_memory_used_bytes_anon.csv",
                               "timestamp_anon,value,container_ip\n1662858720.0,1048576.0,23b8\n");
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->pods[0].of(Resource::kMemory)[0], 1);
}

TEST(ReadUsage, SaysFileLineAndWhatWasExpected) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"time_s,pod,compute_percent\n0,a,-1\n", "u.csv:2"},
      {"time_s,pod,compute_percent\n0,a,fast\n", "u.csv:2"},
      {"time_s,pod,compute_percent,colour\n0,a,1,2\n", "u.csv:1"},
      {"time_s,pod\n0,a\n", "u.csv:1"},
      {"pod,compute_percent\na,1\n", "time_s"},
      {"time_s,timestamp_s,pod,compute_percent\n0,0,a,1\n", "drop one"},
      {"time_s,pod,compute_percent\n,a,1\n", "u.csv:2"},
      {"time_s,pod,compute_percent\n0,,1\n", "u.csv:2"},
      {"value,timestamp_anon,container_ip\n1,0,a\n", "duty_cycle"},
      {"", "u.csv"},
  };
  for (const auto& [text, expected] : kWrong) {
    Result<Usage> usage = Parse("u.csv", text);
    ASSERT_FALSE(usage.ok()) << text;
    EXPECT_NE(usage.status().message().find(expected), std::string::npos)
        << text << "\n"
        << usage.status().message();
  }
  EXPECT_FALSE(Parse("duty_cycle.csv", "value,timestamp_anon,container_ip\n101,0,a\n").ok());
}

}  // namespace
}  // namespace brim::planner
