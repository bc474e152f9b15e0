// Tests of the CPU limits: cgroup v1 and v2 trees made in a temporary directory.
#include "io/cpu_limits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace brim::io {
namespace {

class CpuLimitsTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/cpu_limits_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }

  std::string root_;
};

TEST_F(CpuLimitsTest, NoCgroupMeansNoQuota) {
  const CpuLimits limits = ReadCpuLimits(root_);
  EXPECT_EQ(limits.quota, 0);
  EXPECT_GE(limits.Threads(), 1u);
}

TEST_F(CpuLimitsTest, V2TakesTheSmallestOnThePath) {
  Write("/proc/self/cgroup", "0::/pod/app\n");
  Write("/sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  Write("/sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  const CpuLimits limits = ReadCpuLimits(root_);
  EXPECT_DOUBLE_EQ(limits.quota, 0.5);
  EXPECT_EQ(limits.Threads(), 1u);
}

TEST_F(CpuLimitsTest, V2InAContainerReadsTheMountItself) {
  Write("/proc/self/cgroup", "0::/not/visible\n");
  Write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(ReadCpuLimits(root_).quota, 1.5);
}

TEST_F(CpuLimitsTest, V1ReadsQuotaOverPeriod) {
  Write("/proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/docker/1\n0::/\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(ReadCpuLimits(root_).quota, 2.5);
}

TEST_F(CpuLimitsTest, V1UnlimitedIsMinusOne) {
  Write("/proc/self/cgroup", "3:cpu,cpuacct:/\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(ReadCpuLimits(root_).quota, 0);
}

TEST(CpuLimitsParseTest, Garbage) {
  EXPECT_EQ(ParseCpuMax(""), 0);
  EXPECT_EQ(ParseCpuMax("x y"), 0);
  EXPECT_EQ(ParseCpuMax("100 0"), 0);
  EXPECT_TRUE(ParseCgroup("nonsense").empty());
}

TEST(CpuLimitsThreadsTest, QuotaIsRoundedUpAndBoundedByAffinity) {
  EXPECT_EQ((CpuLimits{8, 1.2}).Threads(), 2u);
  EXPECT_EQ((CpuLimits{2, 16}).Threads(), 2u);
  EXPECT_EQ((CpuLimits{4, 0}).Threads(), 4u);
  EXPECT_EQ((CpuLimits{0, 0.1}).Threads(), 1u);
}

}  // namespace
}  // namespace brim::io
