// Files of a slice that hold anything: what does not pass its check is refused, and what passes it
// with random contents behind harms nobody but the slice: no crash, no endless loop, no write
// outside. And loans: what is refused for want of one is asked for and waited for, once.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "vgpu/ledger/ledger.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// `bytes` that end where the next access faults, filled as told.
class Edge {
 public:
  explicit Edge(std::size_t bytes) : bytes_(bytes) {
    const std::size_t pages = (bytes + kPage - 1) / kPage * kPage;
    whole_ = pages + kPage;
    base_ = static_cast<char*>(
        mmap(nullptr, whole_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(base_, MAP_FAILED);
    mprotect(base_ + pages, kPage, PROT_NONE);
    at_ = base_ + pages - bytes;
  }
  ~Edge() { munmap(base_, whole_); }
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(at_);
  }
  void Fill(std::mt19937_64* random) {
    for (std::size_t i = 0; i + 8 <= bytes_; i += 8) {
      const std::uint64_t value = (*random)();
      memcpy(at_ + i, &value, 8);
    }
  }
  void Zero() { memset(at_, 0, bytes_); }

 private:
  static constexpr std::size_t kPage = 4096;
  std::size_t bytes_;
  std::size_t whole_;
  char* base_;
  char* at_;
};

class Nobody final : public Living {
 public:
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

// What is found at a length that is not whole, with noise or one part of the head right.
enum class Begins { kNoise, kOtherVersion, kRight };
SegmentFault ShortFault(std::size_t bytes, Begins begins) {
  if (bytes < 8) return SegmentFault::kTruncated;
  if (begins == Begins::kNoise) return SegmentFault::kNotOurs;
  return begins == Begins::kOtherVersion && bytes >= 12 ? SegmentFault::kOtherVersion
                                                        : SegmentFault::kTruncated;
}

// All lengths up to a little over the headers, with random bytes and with a right beginning.
TEST(SegmentTest, ChecksReadNothingBehindWhatIsMapped) {
  std::mt19937_64 random(5);
  for (std::size_t bytes = 0; bytes <= 1024; bytes += bytes < 64 ? 8 : 64) {
    Edge edge(bytes);
    for (const Begins begins : {Begins::kNoise, Begins::kOtherVersion, Begins::kRight}) {
      const std::uint32_t version = kSegmentVersion + (begins == Begins::kOtherVersion ? 1 : 0);
      const auto fill = [&](std::uint64_t magic) {
        edge.Fill(&random);
        if (begins != Begins::kNoise && bytes >= 8) memcpy(edge.as<char>(), &magic, 8);
        if (begins != Begins::kNoise && bytes >= 12) memcpy(edge.as<char>() + 8, &version, 4);
      };
      fill(kSegmentMagic);
      EXPECT_EQ(CheckSegment(edge.as<SliceSegment>(), bytes), ShortFault(bytes, begins));
      fill(kLimitsMagic);
      const SegmentFault limits = CheckLimits(edge.as<SliceLimits>(), bytes);
      if (bytes < sizeof(SliceLimits)) {
        EXPECT_EQ(limits, ShortFault(bytes, begins));
      } else {
        EXPECT_NE(limits, SegmentFault::kNone);
      }
    }
  }
  Edge whole(sizeof(SliceSegment));
  for (int i = 0; i < 50; ++i) {
    whole.Fill(&random);
    EXPECT_EQ(CheckSegment(whole.as<SliceSegment>(), sizeof(SliceSegment)), SegmentFault::kNotOurs);
  }
}

// Each byte of the head, one after the other, turned into each other value.
TEST(SegmentTest, EveryWrongByteOfAHeadIsFound) {
  Edge segment(sizeof(SliceSegment));
  Edge limits(sizeof(SliceLimits));
  InitSegment(segment.as<SliceSegment>());
  limits.as<SliceLimits>()->magic = kLimitsMagic;
  limits.as<SliceLimits>()->version = kSegmentVersion;
  limits.as<SliceLimits>()->bytes = sizeof(SliceLimits);
  ASSERT_EQ(CheckSegment(segment.as<SliceSegment>(), sizeof(SliceSegment)), SegmentFault::kNone);
  ASSERT_EQ(CheckLimits(limits.as<SliceLimits>(), sizeof(SliceLimits)), SegmentFault::kNone);
  for (std::size_t at = 0; at < 24; ++at) {
    for (int value = 1; value < 256; ++value) {
      const auto flip = static_cast<char>(value);
      segment.as<char>()[at] ^= flip;
      EXPECT_NE(CheckSegment(segment.as<SliceSegment>(), sizeof(SliceSegment)),
                SegmentFault::kNone);
      segment.as<char>()[at] ^= flip;
      if (at >= 16) continue;
      limits.as<char>()[at] ^= flip;
      EXPECT_NE(CheckLimits(limits.as<SliceLimits>(), sizeof(SliceLimits)), SegmentFault::kNone);
      limits.as<char>()[at] ^= flip;
    }
  }
}

// Everything behind the heads is noise, as a hostile tenant can make it; an honest process and the
// reaper work on it.
TEST(SegmentTest, NoiseBehindAGoodHeadEndsInNoCrash) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Edge segment_edge(sizeof(SliceSegment));
    Edge limits_edge(sizeof(SliceLimits));
    auto* const segment = segment_edge.as<SliceSegment>();
    auto* const limits = limits_edge.as<SliceLimits>();
    segment_edge.Fill(&random);
    limits_edge.Fill(&random);
    InitSegment(segment);
    limits->magic = kLimitsMagic;
    limits->version = kSegmentVersion;
    limits->bytes = sizeof(SliceLimits);
    limits->memory_hard = limits->memory_now.load();  // No loan: nothing waits here.
    for (std::uint32_t i = 0; i < kCells; ++i) {
      // Of each phase some, and some that are none.
      segment->cell[i].owner = (segment->cell[i].owner & ~std::uint64_t{0xff}) | random() % 5;
      if (random() % 2 == 0) segment->cell[i].target = random() % (2 * kCells);
      if (random() % 2 == 0) segment->cell[i].pending = segment->cell[i].finished + 1;
    }
    Ledger ledger;
    ledger.Attach(limits, segment);
    if (ledger.Claim(4711, 1, 1)) {
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t bytes = random() >> (random() % 64);
        if (ledger.Reserve(bytes, MemoryClass::kBuffer) == Answer::kYes) {
          ledger.Release(bytes, MemoryClass::kBuffer);
        }
      }
    }
    Nobody nobody;
    Reaper reaper(segment);
    reaper.Resume();
    reaper.Reap(&nobody);
    EXPECT_EQ(reaper.LiveCells(), 0u) << "seed " << seed;
    reaper.SumOfCells();
  }
}

class LoanTest : public testing::Test {
 protected:
  LoanTest() {
    limits_ = limits_edge_.as<SliceLimits>();
    segment_ = segment_edge_.as<SliceSegment>();
    limits_->magic = kLimitsMagic;
    limits_->memory_now = limits_->memory_soft = 16 * kMiB;
    limits_->memory_hard = 64 * kMiB;
    InitSegment(segment_);
    ledger_.Attach(limits_, segment_);
    ledger_.Claim(getpid(), 1, 1);
  }
  // As the agent: waits until something is wanted, then lends it.
  void Lend(std::uint64_t to) {
    while (segment_->wanted == 0) std::this_thread::yield();
    limits_->memory_now = to;
    limits_->epoch += 1;
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&limits_->epoch), FUTEX_WAKE, INT_MAX,
            nullptr, nullptr, 0);
  }

  Edge limits_edge_{sizeof(SliceLimits)};
  Edge segment_edge_{sizeof(SliceSegment)};
  SliceLimits* limits_;
  SliceSegment* segment_;
  Ledger ledger_;
};

TEST_F(LoanTest, WhatIsWantedIsLentAndTaken) {
  ASSERT_EQ(ledger_.Reserve(10 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  EXPECT_EQ(segment_->wanted.load(), 0u);
  std::thread agent([this] { Lend(40 * kMiB); });
  EXPECT_EQ(ledger_.Reserve(30 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  agent.join();
  EXPECT_EQ(segment_->wanted.load(), 30 * kMiB);
  EXPECT_EQ(ledger_.held_bytes(), 40 * kMiB);
  EXPECT_EQ(ledger_.cell()->refusals.load(), 0u);
}

TEST_F(LoanTest, ALoanThatDoesNotReachIsARefusalCountedOnce) {
  std::thread agent([this] { Lend(20 * kMiB); });
  EXPECT_EQ(ledger_.Reserve(30 * kMiB, MemoryClass::kBuffer), Answer::kFull);
  agent.join();
  EXPECT_EQ(ledger_.cell()->refusals.load(), 1u);
  EXPECT_EQ(ledger_.held_bytes(), 0u);
}

TEST_F(LoanTest, TheLargestWantIsTold) {
  EXPECT_EQ(ledger_.Reserve(40 * kMiB, MemoryClass::kBuffer), Answer::kFull);
  EXPECT_EQ(ledger_.Reserve(20 * kMiB, MemoryClass::kBuffer), Answer::kFull);
  EXPECT_EQ(segment_->wanted.load(), 40 * kMiB);
  EXPECT_EQ(ledger_.cell()->refusals.load(), 2u);
}

TEST_F(LoanTest, WhatNoLoanCouldCoverIsNotWaitedFor) {
  ASSERT_EQ(ledger_.Reserve(10 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  EXPECT_EQ(ledger_.Reserve(55 * kMiB, MemoryClass::kBuffer), Answer::kFull);
  EXPECT_EQ(ledger_.Reserve(~std::uint64_t{0}, MemoryClass::kBuffer), Answer::kFull);
  limits_->memory_now = 64 * kMiB;
  EXPECT_EQ(ledger_.Reserve(55 * kMiB, MemoryClass::kBuffer), Answer::kFull);
  EXPECT_EQ(segment_->wanted.load(), 0u);
}

// Another thread's free makes the room while this one waits: no lock is held meanwhile.
TEST_F(LoanTest, AFreeMeanwhileIsNotHeldUp) {
  ASSERT_EQ(ledger_.Reserve(16 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  std::thread other([this] {
    while (segment_->wanted == 0) std::this_thread::yield();
    ledger_.Release(16 * kMiB, MemoryClass::kBuffer);
  });
  EXPECT_EQ(ledger_.Reserve(16 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  other.join();
  EXPECT_EQ(ledger_.held_bytes(), 16 * kMiB);
}

// The mapping that a tenant has is read-only; the kernel lets it wait there all the same.
TEST(LoanOverReadOnlyMappingTest, AWaiterIsWoken) {
  char name[] = "/dev/shm/brim-loan-test-XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  unlink(name);
  ASSERT_EQ(ftruncate(fd, sizeof(SliceLimits)), 0);
  auto* const agent_side = static_cast<SliceLimits*>(
      mmap(nullptr, sizeof(SliceLimits), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  auto* const tenant_side = static_cast<const SliceLimits*>(
      mmap(nullptr, sizeof(SliceLimits), PROT_READ, MAP_SHARED, fd, 0));
  close(fd);
  Edge segment_edge(sizeof(SliceSegment));
  auto* const segment = segment_edge.as<SliceSegment>();
  InitSegment(segment);
  agent_side->memory_now = kMiB;
  agent_side->memory_hard = 8 * kMiB;
  Ledger ledger;
  ledger.Attach(tenant_side, segment);
  ASSERT_TRUE(ledger.Claim(getpid(), 1, 1));
  std::thread agent([&] {
    while (segment->wanted == 0) std::this_thread::yield();
    agent_side->memory_now = 8 * kMiB;
    agent_side->epoch += 1;
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&agent_side->epoch), FUTEX_WAKE, INT_MAX,
            nullptr, nullptr, 0);
  });
  EXPECT_EQ(ledger.Reserve(8 * kMiB, MemoryClass::kBuffer), Answer::kYes);
  agent.join();
  munmap(agent_side, sizeof(SliceLimits));
  munmap(const_cast<SliceLimits*>(tenant_side), sizeof(SliceLimits));
}

}  // namespace
}  // namespace brim::vgpu
