// Processes as threads of one program, so that sanitizers see what they share: each claims a cell,
// reserves and releases, and ends with or without giving back; the reaper and a reader of figures
// work beside them.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "vgpu/ledger/ledger.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr int kThreads = 4;
constexpr int kLives = 60;

class Gone final : public Living {
 public:
  bool Alive(std::int32_t pid, std::uint64_t, std::uint64_t) override {
    return !gone[static_cast<std::size_t>(pid)].load(std::memory_order_acquire);
  }
  std::atomic<bool> gone[kThreads * kLives + 1] = {};
};

struct Shared {
  SliceLimits limits{};
  SliceSegment segment{};
  Gone living;
  std::atomic<int> running{kThreads};
  std::atomic<bool> over{false};
};

void Live(Shared* shared, int thread) {
  std::mt19937_64 random(thread);
  for (int life = 0; life < kLives; ++life) {
    const int pid = 1 + thread * kLives + life;
    Ledger ledger;
    ledger.Attach(&shared->limits, &shared->segment);
    ASSERT_TRUE(ledger.Claim(pid, 1, 1));
    std::vector<std::uint64_t> held;
    for (int i = 0; i < 100; ++i) {
      if (held.empty() || random() % 3 != 0) {
        const std::uint64_t bytes = random() % (8 * kMiB);
        if (ledger.Reserve(bytes, MemoryClass::kBuffer) == Answer::kYes) held.push_back(bytes);
        if (ledger.held_bytes() > ledger.limit_bytes()) shared->over = true;
      } else {
        ledger.Release(held.back(), MemoryClass::kBuffer);
        held.pop_back();
      }
    }
    while (life % 2 == 0 && !held.empty()) {
      ledger.Release(held.back(), MemoryClass::kBuffer);
      held.pop_back();
    }
    shared->living.gone[pid].store(true, std::memory_order_release);
  }
  --shared->running;
}

TEST(LedgerThreadsTest, ReapedBesideThoseThatLive) {
  const auto shared = std::make_unique<Shared>();
  shared->limits.memory_now = 64 * kMiB;
  InitSegment(&shared->segment);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread)
    threads.emplace_back(Live, shared.get(), thread);
  Reaper reaper(&shared->segment);
  std::uint32_t reaped = 0;
  while (shared->running > 0) {
    reaped += reaper.Reap(&shared->living);
    reaper.SumOfCells();
    reaper.LiveCells();
  }
  for (std::thread& thread : threads) thread.join();
  reaped += reaper.Reap(&shared->living);
  EXPECT_FALSE(shared->over);
  EXPECT_EQ(reaped, static_cast<std::uint32_t>(kThreads * kLives));
  EXPECT_EQ(shared->segment.reaped.load(), reaped);
  EXPECT_EQ(HeldBytes(shared->segment), 0u);
  EXPECT_EQ(reaper.SumOfCells(), 0u);
}

}  // namespace
}  // namespace brim::vgpu
