// The fake card's memory as many processes use it, killed at any instruction: never more than there
// is, and all of it back.
#include "state.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace fake {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;

// A state of this test alone, made before anything asks for it.
class FakeStateTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char pattern[] = "/dev/shm/fake-state-test-XXXXXX";
    const int fd = mkstemp(pattern);
    ASSERT_GE(fd, 0);
    close(fd);
    path_ = pattern;
    setenv("FAKE_CUDA_STATE", pattern, 1);
    setenv("FAKE_CUDA_MEMORY_MIB", "64", 1);
    ASSERT_EQ(Shared().settings.memory, kMemory);
  }
  static void TearDownTestSuite() { unlink(path_.c_str()); }
  static inline std::string path_;
};

// Takes and gives at random until it is killed, from two threads.
[[noreturn]] void Churn(std::uint64_t seed) {
  const auto run = [](std::uint64_t own) {
    std::mt19937_64 random(own);
    std::vector<std::uint64_t> held;
    for (;;) {
      if (held.empty() || (held.size() < 8 && random() % 2 == 0)) {
        const std::uint64_t bytes = 1 + random() % (kMemory / 16);
        if (Take(0, bytes)) held.push_back(bytes);
      } else {
        Give(0, held.back());
        held.pop_back();
      }
    }
  };
  std::thread other(run, seed + 1000);
  run(seed);
  _exit(1);
}

TEST_F(FakeStateTest, TakesToTheByteAndNoFurther) {
  EXPECT_FALSE(Take(0, kMemory + 1));
  EXPECT_TRUE(Take(0, kMemory - 1));
  EXPECT_FALSE(Take(0, 2));
  EXPECT_TRUE(Take(0, 1));
  EXPECT_EQ(UsedOn(0), kMemory);
  Give(0, kMemory);
  EXPECT_EQ(UsedOn(0), 0u);
}

TEST_F(FakeStateTest, WhatAKilledProcessHeldIsThereForTheNextCall) {
  for (int round = 0; round < 20; ++round) {
    const pid_t pid = fork();
    if (pid == 0) {
      Take(0, kMemory);
      raise(SIGKILL);
    }
    ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
    ASSERT_TRUE(Take(0, kMemory)) << "round " << round;
    Give(0, kMemory);
  }
}

TEST_F(FakeStateTest, AForkedChildGivesNothingOfItsParent) {
  ASSERT_TRUE(Take(0, 1000));
  const pid_t pid = fork();
  if (pid == 0) {
    Give(0, 1000);
    _exit(UsedOn(0) == 1000 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(UsedOn(0), 1000u);
  Give(0, 1000);
}

// One that was killed while it counted anew left the counter closed.
TEST_F(FakeStateTest, AClosedCounterIsOpenedByTheNextOne) {
  ASSERT_TRUE(Take(0, 1000));
  Shared().card[0].taken |= kClosed;
  EXPECT_TRUE(Take(0, 24));
  EXPECT_EQ(Shared().card[0].taken, 1024u);
  Shared().card[0].taken |= kClosed;
  Give(0, 1024);
  EXPECT_EQ(UsedOn(0), 0u);
}

TEST_F(FakeStateTest, ManyProcessesAndKills) {
  constexpr std::uint64_t kSeed = 5;
  constexpr int kChildren = 4;
  constexpr int kRounds = 100;
  printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  pid_t children[kChildren] = {};
  const auto start = [&](pid_t* child) {
    *child = fork();
    if (*child == 0) Churn(random());
  };
  for (pid_t& child : children) start(&child);
  std::uint64_t most = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (std::uint64_t looks = random() % 30; looks > 0; --looks) most = std::max(most, UsedOn(0));
    pid_t& victim = children[random() % kChildren];
    kill(victim, SIGKILL);
    ASSERT_EQ(waitpid(victim, nullptr, 0), victim);
    random();
    start(&victim);
  }
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, kMemory);
  EXPECT_EQ(Shared().card[0].over, 0u);
  EXPECT_TRUE(Take(0, kMemory));  // All of it came back.
  Give(0, kMemory);
  EXPECT_EQ(UsedOn(0), 0u);
}

}  // namespace
}  // namespace fake
