// Who lives, by a /proc made for the test, and by the real one with a process in a pid namespace of
// its own where that is allowed.
#include "vgpu/agent/proc_living.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace brim::vgpu {
namespace {

namespace fs = std::filesystem;

std::uint64_t Inode(const fs::path& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// A namespace is a file, which its processes' ns/pid are links to.
class ProcLivingTest : public testing::Test {
 protected:
  ProcLivingTest() {
    char name[] = "/tmp/brim-proc-test-XXXXXX";
    proc_ = mkdtemp(name);
    for (const char* space : {"host", "box", "other"}) {
      std::ofstream(proc_ / space) << space;
    }
    fs::create_directories(proc_ / "self/ns");
    fs::create_hard_link(proc_ / "host", proc_ / "self/ns/pid");
    std::ofstream(proc_ / "uptime") << "1000.00 1.00\n";  // 100,000 ticks.
  }
  ~ProcLivingTest() override { fs::remove_all(proc_); }

  // `space` null: not ours to look at.
  void Add(int pid, const char* space, const std::string& numbers, std::uint64_t start,
           char state = 'S', int threads = 1) {
    const fs::path folder = proc_ / std::to_string(pid);
    fs::create_directories(folder / "ns");
    if (space != nullptr) fs::create_hard_link(proc_ / space, folder / "ns/pid");
    std::ofstream(folder / "stat")
        << fmt::format("{} (a b) c) {} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {} 0 {} 0 0\n", pid, state,
                       threads, start);
    std::ofstream(folder / "status")
        << fmt::format("Name:\tx\nNSpid:\t{}\nNSpgid:\t{}\n", numbers, numbers);
  }
  std::uint64_t Space(const char* name) { return Inode(proc_ / name); }

  fs::path proc_;
};

TEST_F(ProcLivingTest, OfThisNamespaceByNumberAndStart) {
  Add(7, "host", "7", 500);
  Add(8, "host", "8", 500, 'Z');
  Add(10, "host", "10", 500, 'Z', 2);
  ProcLiving living(proc_, true);
  for (const std::uint64_t space : {std::uint64_t{0}, Space("host")}) {
    EXPECT_TRUE(living.Alive(7, 500, space));
    EXPECT_TRUE(living.Alive(7, 0, space));
    EXPECT_FALSE(living.Alive(7, 501, space)) << "the number came again";
    EXPECT_FALSE(living.Alive(8, 500, space));
    EXPECT_TRUE(living.Alive(10, 500, space)) << "only its first thread has ended";
    EXPECT_FALSE(living.Alive(9, 500, space));
  }
}

TEST_F(ProcLivingTest, OfAContainerByTheNumberItHasThere) {
  Add(1, "host", "1", 1);
  Add(70, "box", "70\t1", 600);
  Add(71, "box", "71\t5", 700);
  Add(72, "box", "72\t6", 700, 'Z');
  Add(73, "box", "73\t8", 700, 'Z', 3);
  Add(80, "other", "80\t5", 900);
  ProcLiving living(proc_, true);
  EXPECT_TRUE(living.Alive(1, 600, Space("box")));
  EXPECT_TRUE(living.Alive(5, 700, Space("box")));
  EXPECT_TRUE(living.Alive(5, 0, Space("box")));
  EXPECT_TRUE(living.Alive(5, 900, Space("other")));
  EXPECT_FALSE(living.Alive(5, 900, Space("box"))) << "that start is the other container's";
  EXPECT_FALSE(living.Alive(6, 700, Space("box"))) << "a zombie";
  EXPECT_TRUE(living.Alive(8, 700, Space("box"))) << "only its first thread has ended";
  EXPECT_FALSE(living.Alive(7, 700, Space("box"))) << "only its neighbours live";
  EXPECT_FALSE(living.Alive(71, 700, Space("box"))) << "that is its number here";
  EXPECT_FALSE(living.Alive(5, 700, 12345)) << "the container is gone";
}

TEST_F(ProcLivingTest, AContainerThatCannotBeSeenCountsAsAlive) {
  Add(70, "box", "70\t5", 600);
  ProcLiving inside(proc_, false);
  EXPECT_TRUE(inside.Alive(5, 600, 12345));
  EXPECT_FALSE(inside.Alive(6, 600, Space("box"))) << "this one is seen";
  // Another user's: the numbers are told, the namespace is not.
  Add(90, nullptr, "90\t9", 800);
  Add(91, nullptr, "91", 800);
  ProcLiving all(proc_, true);
  EXPECT_TRUE(all.Alive(9, 800, 12345));
  EXPECT_FALSE(all.Alive(9, 801, 12345));
  EXPECT_FALSE(all.Alive(91, 800, 12345));
  ProcLiving none(proc_ / "nothing", true);
  EXPECT_TRUE(none.Alive(5, 600, 12345));
  EXPECT_FALSE(none.Alive(5, 600, 0));
}

TEST_F(ProcLivingTest, WhoStartedAfterTheListIsLookedForAgain) {
  Add(70, "box", "70\t1", 600);
  ProcLiving living(proc_, true);
  EXPECT_TRUE(living.Alive(1, 600, Space("box")));
  Add(71, "box", "71\t2", 100'500);
  EXPECT_TRUE(living.Alive(2, 100'500, Space("box")));
  // One that was there before and is not in the list is dead without another look.
  Add(72, "box", "72\t3", 700);
  ProcLiving again(proc_, true);
  EXPECT_TRUE(again.Alive(1, 600, Space("box")));
  fs::remove_all(proc_ / "72");
  EXPECT_TRUE(again.Alive(3, 700, Space("box")));
}

TEST_F(ProcLivingTest, AClockOfItsOwnLeavesTheNumberToTell) {
  Add(70, "box", "70\t1", 600);
  fs::create_hard_link(proc_ / "host", proc_ / "self/ns/time");
  fs::create_hard_link(proc_ / "box", proc_ / "70/ns/time");
  ProcLiving living(proc_, true);
  EXPECT_TRUE(living.Alive(1, 77, Space("box")));
  EXPECT_FALSE(living.Alive(2, 77, Space("box")));
}

TEST(ProcLivingOnThisHost, AProcessWhoseFirstThreadHasEnded) {
  const pid_t pid = fork();
  if (pid == 0) {
    std::thread([] {
      for (;;) pause();
    }).detach();
    syscall(SYS_exit, 0);  // Of this thread alone.
  }
  const auto state = [&] {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text;
    std::getline(file, text);
    return text.substr(text.rfind(')') + 2, 1);
  };
  while (state() != "Z") sched_yield();
  EXPECT_TRUE(ProcLiving().Alive(pid, 0, 0));
  kill(pid, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(state(), "Z");
  EXPECT_FALSE(ProcLiving().Alive(pid, 0, 0)) << "all of its threads have ended";
  waitpid(pid, nullptr, 0);
  EXPECT_FALSE(ProcLiving().Alive(pid, 0, 0));
}

TEST(ProcLivingOnThisHost, AProcessInANamespaceOfItsOwn) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t outer = fork();
  if (outer == 0) {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(9);
    const pid_t inner = fork();
    if (inner == 0) {
      for (;;) pause();
    }
    [[maybe_unused]] const ssize_t wrote = write(ready[1], &inner, sizeof(inner));
    int status = 0;
    waitpid(inner, &status, 0);
    _exit(0);
  }
  close(ready[1]);
  pid_t inner = 0;  // Its number here; there it is 1.
  const bool told = read(ready[0], &inner, sizeof(inner)) == sizeof(inner);
  close(ready[0]);
  if (!told) {
    waitpid(outer, nullptr, 0);
    GTEST_SKIP() << "pid namespaces may not be made here";
  }
  const std::uint64_t space = Inode(fmt::format("/proc/{}/ns/pid", inner));
  ASSERT_NE(space, 0u);
  EXPECT_TRUE(ProcLiving().Alive(1, 0, space));
  EXPECT_FALSE(ProcLiving().Alive(2, 0, space));
  EXPECT_FALSE(ProcLiving().Alive(1, 1, space)) << "it did not start with the host";
  kill(inner, SIGKILL);
  waitpid(outer, nullptr, 0);
  EXPECT_FALSE(ProcLiving("/proc", true).Alive(1, 0, space));
}

}  // namespace
}  // namespace brim::vgpu
