// The folders of control groups, on a folder that stands in for the tree.
#include "vgpu/agent/slice_cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace brim::vgpu {
namespace {

namespace fs = std::filesystem;

class SliceCgroupsTest : public testing::Test {
 protected:
  SliceCgroupsTest() {
    char name[] = "/dev/shm/brim-cgroup-test-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~SliceCgroupsTest() override { fs::remove_all(root_); }

  // What the kernel makes with every group.
  static void AddProcs(const std::string& group, const std::string& text = "") {
    std::ofstream(group + "/cgroup.procs") << text;
  }

  std::string root_;
};

TEST_F(SliceCgroupsTest, MakesAndRemovesAndTakesTheNodesGroupWithTheLast) {
  const SliceCgroups groups(root_, "/node");
  ASSERT_TRUE(groups.Make(groups.PathOf("a")).ok());
  ASSERT_TRUE(groups.Make(groups.PathOf("a")).ok());
  ASSERT_TRUE(groups.Make(groups.PathOf("b")).ok());
  EXPECT_EQ(groups.Slices(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(groups.Remove(groups.PathOf("a")).ok());
  EXPECT_TRUE(groups.Exists(groups.PathOf("b")));
  EXPECT_TRUE(groups.Remove(groups.PathOf("b")).ok());
  EXPECT_TRUE(groups.Remove(groups.PathOf("b")).ok());
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(SliceCgroupsTest, TwoNodesHaveTheirOwnAndOneKeepsItsName) {
  EXPECT_NE(SliceCgroups(root_, "/node").PathOf("a"), SliceCgroups(root_, "/other").PathOf("a"));
  EXPECT_EQ(SliceCgroups(root_, "/node").PathOf("a"),
            SliceCgroups(root_, "/x/../node").PathOf("a"));
}

TEST_F(SliceCgroupsTest, EntersAndTellsWhoLives) {
  const SliceCgroups groups(root_, "/node");
  const std::string group = groups.PathOf("a");
  EXPECT_FALSE(groups.Enter(group).ok());
  ASSERT_TRUE(groups.Make(group).ok());
  // A process that cannot be: above the largest pid.
  AddProcs(group, "2000000000\n");
  EXPECT_TRUE(groups.Members(group).empty());
  ASSERT_TRUE(groups.Enter(group).ok());
  EXPECT_EQ(groups.Members(group), std::vector<std::int32_t>{getpid()});
}

TEST_F(SliceCgroupsTest, AGroupThatCannotBeRemovedIsNamed) {
  const SliceCgroups groups(root_, "/node");
  ASSERT_TRUE(groups.Make(groups.PathOf("a")).ok());
  AddProcs(groups.PathOf("a"));
  const Status status = groups.Remove(groups.PathOf("a"));
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("slice-a"), std::string::npos) << status.message();
}

TEST_F(SliceCgroupsTest, ARootThatIsNoTreeIsRefusedWithWhatToDo) {
  const Status status = SliceCgroups(root_, "/node").Usable();
  EXPECT_EQ(status.reason(), "no_cgroup");
  EXPECT_NE(status.message().find("BRIM_CGROUP_ROOT"), std::string::npos) << status.message();
  EXPECT_FALSE(SliceCgroups(root_ + "/nowhere", "/node").Make("/nowhere/x").ok());
}

TEST_F(SliceCgroupsTest, TrialsOfProcessesThatEndedAreLeft) {
  const SliceCgroups groups(root_, "/node");
  ASSERT_TRUE(groups.Make(groups.PathOfTrial()).ok());
  EXPECT_TRUE(groups.LeftTrials().empty());
  const std::string left = fs::path(groups.PathOfTrial()).parent_path() / "trial-2000000000";
  ASSERT_TRUE(groups.Make(left).ok());
  EXPECT_EQ(groups.LeftTrials(), std::vector<std::string>{left});
}

}  // namespace
}  // namespace brim::vgpu
