// The ledger under limits, threads, forks, and SIGKILL at every step of every change.
#include "vgpu/ledger/ledger.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

int step_to_die_at = 0;  // 0: never.
int steps_to_pass = 0;   // Passes of that step before it kills.

void DieAt(int step) {
  if (step == step_to_die_at && steps_to_pass-- == 0) raise(SIGKILL);
}

// Everything but the processes that the test itself knows to be gone.
class Gone final : public Living {
 public:
  bool Alive(std::int32_t pid, std::uint64_t, std::uint64_t) override {
    return pids.count(pid) == 0;
  }
  std::set<std::int32_t> pids;
};

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    limits_ = static_cast<SliceLimits*>(Map(sizeof(SliceLimits)));
    segment_ = static_cast<SliceSegment*>(Map(sizeof(SliceSegment)));
    limits_->magic = kLimitsMagic;
    limits_->version = kSegmentVersion;
    limits_->bytes = sizeof(SliceLimits);
    limits_->memory_now = 64 * kMiB;
    InitSegment(segment_);
  }
  ~LedgerTest() override {
    munmap(limits_, sizeof(SliceLimits));
    munmap(segment_, sizeof(SliceSegment));
  }

  static void* Map(std::size_t bytes) {
    void* const at =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) std::abort();
    return at;
  }

  // Runs `body` in a child, which is killed by its hook or ends by itself; then it is gone.
  template <typename Body>
  pid_t Child(Body body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    killed_ = WIFSIGNALED(status);
    EXPECT_TRUE(killed_ || WEXITSTATUS(status) == 0) << "status " << status;
    gone_.pids.insert(pid);
    return pid;
  }

  SliceLimits* limits_;
  SliceSegment* segment_;
  Gone gone_;
  bool killed_ = false;
};

TEST_F(LedgerTest, HoldsToTheUnit) {
  Ledger ledger;
  ledger.Attach(limits_, segment_);
  EXPECT_EQ(ledger.Reserve(1, MemoryClass::kBuffer), Answer::kNoCell);
  ASSERT_TRUE(ledger.Claim(getpid(), 1, 1));
  EXPECT_EQ(ledger.Reserve(64 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  EXPECT_EQ(ledger.Reserve(1, MemoryClass::kBuffer), Answer::kFull);
  EXPECT_EQ(ledger.Reserve(0, MemoryClass::kBuffer), Answer::kYes);
  ledger.Release(64 * kMiB, MemoryClass::kBuffer);
  EXPECT_EQ(ledger.held_bytes(), 0u);
  EXPECT_EQ(ledger.Reserve(64 * kMiB + 1, MemoryClass::kPool), Answer::kFull);
  EXPECT_EQ(ledger.Reserve(~std::uint64_t{0}, MemoryClass::kPool), Answer::kFull);
  EXPECT_EQ(ledger.Reserve(1, MemoryClass::kPool), Answer::kYes);
  EXPECT_EQ(ledger.held_bytes(), kUnitBytes);
  EXPECT_EQ(ledger.cell()->refusals.load(), 3u);
  EXPECT_EQ(ledger.cell()->class_bytes[static_cast<int>(MemoryClass::kPool)].load(),
            static_cast<std::int64_t>(kUnitBytes));
}

TEST_F(LedgerTest, ALimitThatShrinksBelowUseRefusesUntilThereIsRoom) {
  Ledger ledger;
  ledger.Attach(limits_, segment_);
  ASSERT_TRUE(ledger.Claim(getpid(), 1, 1));
  ASSERT_EQ(ledger.Reserve(40 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  limits_->memory_now = 16 * kMiB;
  EXPECT_EQ(ledger.Reserve(1, MemoryClass::kBuffer), Answer::kFull);
  ledger.Release(40 * kMiB, MemoryClass::kBuffer);
  EXPECT_EQ(ledger.Reserve(16 * kMiB, MemoryClass::kBuffer), Answer::kYes);
}

TEST_F(LedgerTest, CellsRunOutAndComeBack) {
  for (std::int32_t pid = 1; pid < static_cast<std::int32_t>(kCells); ++pid) {
    Ledger ledger;
    ledger.Attach(limits_, segment_);
    ASSERT_TRUE(ledger.Claim(pid, 1, 1)) << pid;
    gone_.pids.insert(pid);
  }
  Ledger late;
  late.Attach(limits_, segment_);
  EXPECT_FALSE(late.Claim(5000, 1, 1));
  EXPECT_EQ(Reaper(segment_).Reap(&gone_), kCells - 1);
  EXPECT_TRUE(late.Claim(5000, 1, 1));
  EXPECT_EQ(Reaper(segment_).LiveCells(), 1u);
}

TEST_F(LedgerTest, ThreadsOfOneProcessTakeTurns) {
  Ledger ledger;
  ledger.Attach(limits_, segment_);
  ASSERT_TRUE(ledger.Claim(getpid(), 1, 1));
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20000; ++i) {
        const std::uint64_t bytes = random() % (32 * kMiB);
        if (ledger.Reserve(bytes, MemoryClass::kVmm) != Answer::kYes) continue;
        if (ledger.held_bytes() > ledger.limit_bytes()) over = true;
        ledger.Release(bytes, MemoryClass::kVmm);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(ledger.held_bytes(), 0u);
  EXPECT_EQ(Reaper(segment_).SumOfCells(), 0u);
}

// Each step of each change, early and where the change's number wraps round; with another process
// alive whose memory must stay exactly as it is, and that overwrites the dead one's mark or not.
TEST_F(LedgerTest, SigkillAtEveryStepLeavesAnExactTotal) {
  Ledger other;
  other.Attach(limits_, segment_);
  ASSERT_TRUE(other.Claim(getpid(), 1, 1));
  ASSERT_EQ(other.Reserve(3 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  int kills = 0;
  for (const int changes_before : {0, 1, 131070, 131071, 131072}) {
    for (int step = 1; step <= 7; ++step) {
      for (const bool releasing : {false, true}) {
        for (const bool overwritten : {false, true}) {
          Child([&] {
            Ledger mine;
            mine.Attach(limits_, segment_, DieAt);
            step_to_die_at = step == 7 ? 7 : 0;
            mine.Claim(getpid(), 1, 1);
            for (int i = 0; i < changes_before; ++i) {
              if (i % 2 == 0) mine.Reserve(kMiB, MemoryClass::kBuffer);
              if (i % 2 == 1) mine.Release(kMiB, MemoryClass::kBuffer);
            }
            mine.Reserve(5 * kMiB, MemoryClass::kBuffer);
            step_to_die_at = step;
            if (releasing) mine.Release(5 * kMiB, MemoryClass::kBuffer);
            if (!releasing) mine.Reserve(7 * kMiB, MemoryClass::kBuffer);
          });
          EXPECT_TRUE(killed_);
          kills += killed_;
          if (overwritten) {
            ASSERT_EQ(other.Reserve(kMiB, MemoryClass::kBuffer), Answer::kYes);
            other.Release(kMiB, MemoryClass::kBuffer);
          }
          Reaper reaper(segment_);
          ASSERT_EQ(reaper.Reap(&gone_), 1u);
          ASSERT_EQ(other.held_bytes(), 3 * kMiB)
              << "step " << step << " after " << changes_before << " changes";
          ASSERT_EQ(reaper.SumOfCells(), 3 * kMiB);
        }
      }
    }
  }
  EXPECT_EQ(kills, 140);
}

TEST_F(LedgerTest, TheReaperItselfMayBeKilledAtEveryStep) {
  Ledger other;
  other.Attach(limits_, segment_);
  ASSERT_TRUE(other.Claim(getpid(), 1, 1));
  ASSERT_EQ(other.Reserve(3 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  for (const int step : {1, 2, 3, 4, 5, 6, 8, 9}) {
    for (const bool overwritten : {false, true}) {
      Child([&] {
        Ledger mine;
        mine.Attach(limits_, segment_);
        mine.Claim(getpid(), 1, 1);
        mine.Reserve(5 * kMiB, MemoryClass::kBuffer);
      });
      Child([&] {
        step_to_die_at = step;
        Reaper(segment_, DieAt).Reap(&gone_);
      });
      EXPECT_TRUE(killed_) << step;
      if (overwritten) {
        ASSERT_EQ(other.Reserve(kMiB, MemoryClass::kBuffer), Answer::kYes);
        other.Release(kMiB, MemoryClass::kBuffer);
      }
      Reaper reaper(segment_);
      reaper.Resume();
      reaper.Reap(&gone_);
      ASSERT_EQ(other.held_bytes(), 3 * kMiB) << "step " << step;
      ASSERT_EQ(reaper.SumOfCells(), 3 * kMiB);
      ASSERT_EQ(reaper.LiveCells(), 1u);
    }
  }
}

// Six processes at a time with random sizes, each killed at a random step of a random change, while
// the reaper works: nobody ever sees more than the limit, and in the end nothing is left.
TEST_F(LedgerTest, RandomProcessesAndKills) {
  const std::uint64_t seed = 20261;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  auto* const over = static_cast<std::atomic<std::uint64_t>*>(Map(4096));
  Reaper reaper(segment_);
  std::set<pid_t> running;
  for (int born = 0; born < 120 || !running.empty();) {
    while (running.size() < 6 && born < 120) {
      ++born;
      const std::uint64_t own_seed = random();
      const pid_t pid = fork();
      if (pid == 0) {
        std::mt19937_64 own(own_seed);
        step_to_die_at = 1 + static_cast<int>(own() % 6);
        steps_to_pass = static_cast<int>(own() % 3000);
        Ledger mine;
        mine.Attach(limits_, segment_, DieAt);
        mine.Claim(getpid(), 1, 1);
        std::vector<std::uint64_t> held;
        for (;;) {
          if (own() % 3 != 0 || held.empty()) {
            const std::uint64_t bytes = own() % (8 * kMiB);
            if (mine.Reserve(bytes, MemoryClass::kBuffer) == Answer::kYes) held.push_back(bytes);
            if (mine.held_bytes() > mine.limit_bytes()) over->fetch_add(1);
          } else {
            mine.Release(held.back(), MemoryClass::kBuffer);
            held.pop_back();
          }
        }
      }
      running.insert(pid);
    }
    const pid_t dead = waitpid(-1, nullptr, 0);
    ASSERT_EQ(running.erase(dead), 1u);
    gone_.pids.insert(dead);
    reaper.Reap(&gone_);
    gone_.pids.erase(dead);  // The number may come again.
  }
  EXPECT_EQ(over->load(), 0u);
  EXPECT_EQ(HeldBytes(*segment_), 0u);
  EXPECT_EQ(reaper.SumOfCells(), 0u);
  EXPECT_EQ(segment_->reaped.load(), 120u);
  munmap(over, 4096);
}

TEST_F(LedgerTest, AForkedChildHasNothingUntilItClaims) {
  Ledger ledger;
  ledger.Attach(limits_, segment_);
  ASSERT_TRUE(ledger.Claim(getpid(), 1, 1));
  ASSERT_EQ(ledger.Reserve(kMiB, MemoryClass::kBuffer), Answer::kYes);
  Child([&] {
    ledger.AfterFork();
    if (ledger.Reserve(kMiB, MemoryClass::kBuffer) != Answer::kNoCell) _exit(1);
    if (!ledger.Claim(getpid(), 1, 1)) _exit(2);
    if (ledger.Reserve(kMiB, MemoryClass::kBuffer) != Answer::kYes) _exit(3);
  });
  EXPECT_EQ(ledger.held_bytes(), 2 * kMiB);
  Reaper(segment_).Reap(&gone_);
  EXPECT_EQ(ledger.held_bytes(), kMiB);
}

TEST_F(LedgerTest, ATamperedCellHarmsOnlyItsSlice) {
  Ledger ledger;
  ledger.Attach(limits_, segment_);
  ASSERT_TRUE(ledger.Claim(4711, 1, 1));
  ASSERT_EQ(ledger.Reserve(kMiB, MemoryClass::kBuffer), Answer::kYes);
  ledger.cell()->held = std::int64_t{1} << 40;
  ledger.cell()->target = 70000;
  EXPECT_NE(Reaper(segment_).SumOfCells(), ledger.held_bytes());
  gone_.pids.insert(4711);
  EXPECT_EQ(Reaper(segment_).Reap(&gone_), 1u);
  EXPECT_EQ(HeldBytes(*segment_), 0u);
}

TEST_F(LedgerTest, RefusesWhatIsNoSegment) {
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment)), SegmentFault::kNone);
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment) - 1), SegmentFault::kTruncated);
  EXPECT_EQ(CheckSegment(nullptr, 0), SegmentFault::kTruncated);
  segment_->version = kSegmentVersion + 1;
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment)), SegmentFault::kOtherVersion);
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment) - 64), SegmentFault::kOtherVersion);
  segment_->version = kSegmentVersion;
  segment_->cells = 7;
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment)), SegmentFault::kOtherSize);
  segment_->magic = 0;
  EXPECT_EQ(CheckSegment(segment_, sizeof(SliceSegment)), SegmentFault::kNotOurs);
  EXPECT_EQ(CheckLimits(limits_, sizeof(SliceLimits)), SegmentFault::kNone);
  EXPECT_EQ(CheckLimits(limits_, 8), SegmentFault::kTruncated);
  limits_->bytes = 1;
  EXPECT_EQ(CheckLimits(limits_, sizeof(SliceLimits)), SegmentFault::kOtherSize);
}

}  // namespace
}  // namespace brim::vgpu
