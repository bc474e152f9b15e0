// Two slices' arbiters on one shared segment, by a clock that the test turns.
#include "vgpu/limiter/arbiter.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

namespace brim::vgpu {
namespace {

class ArbiterTest : public testing::Test {
 protected:
  ArbiterTest() : table_(std::make_unique<CardTable>()), card_(std::make_unique<CardSegment>()) {
    table_->magic = kTableMagic;
    table_->version = kSegmentVersion;
    table_->bytes = sizeof(CardTable);
    card_->magic = kCardMagic;
    card_->version = kSegmentVersion;
    card_->rows = kSlicesPerCard;
    card_->bytes = sizeof(CardSegment);
  }

  void Slice(std::uint32_t row, std::uint32_t cores) {
    table_->row[row].cores = cores;
    table_->rows = row + 1;
  }

  std::unique_ptr<CardTable> table_;
  std::unique_ptr<CardSegment> card_;
};

TEST_F(ArbiterTest, TwoSlicesShareByTheirUnits) {
  Slice(0, 30);
  Slice(1, 70);
  Arbiter arbiters[2];
  Ns launched[2] = {0, 0};
  Ns again[2] = {0, 0};
  for (std::uint32_t i = 0; i < 2; ++i) arbiters[i].Attach(table_.get(), card_.get(), i);
  // Both ask all the time; launches of 50 us.
  for (Ns now = kMs; now < 2'001 * kMs; now += 5 * kUs) {
    for (int i = 0; i < 2; ++i) {
      if (now < again[i]) continue;
      again[i] = arbiters[i].Ask(50 * kUs, now);
      if (again[i] == 0) launched[i] += 50 * kUs;
    }
  }
  const double all = static_cast<double>(launched[0] + launched[1]);
  EXPECT_NEAR(static_cast<double>(launched[0]) / all, 0.30, 0.01);
  EXPECT_NEAR(all, 2'000.0 * kMs, 40.0 * kMs);
  EXPECT_NEAR(static_cast<double>(card_->row[0].gpu.load()), static_cast<double>(launched[0]),
              2.0 * kLease);
}

TEST_F(ArbiterTest, ASliceWithoutUnitsIsCountedAndNeverWaits) {
  // Another backend shares out its cores; the neighbour is kept to its own rule all the same.
  Slice(0, 0);
  Slice(1, 100);
  Arbiter free_one;
  Arbiter other;
  free_one.Attach(table_.get(), card_.get(), 0);
  other.Attach(table_.get(), card_.get(), 1);
  for (Ns now = kMs; now < 101 * kMs; now += kMs) {
    EXPECT_EQ(free_one.Ask(10 * kMs, now), 0);
    other.Ask(10 * kMs, now);
  }
  EXPECT_EQ(card_->row[0].gpu.load(), 1'000 * kMs);
  free_one.Measured(10 * kMs, 7 * kMs);
  EXPECT_EQ(card_->row[0].gpu.load(), 997 * kMs);
  EXPECT_EQ(card_->row[0].busy_until.load(), 0);
  EXPECT_LE(card_->row[1].gpu.load(), 150 * kMs);
}

TEST_F(ArbiterTest, ALeaseIsNotLaunchedTwiceByThreads) {
  Slice(0, 100);
  Arbiter arbiter;
  arbiter.Attach(table_.get(), card_.get(), 0);
  std::atomic<std::int64_t> launched{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const Ns now = kMs + i * 20 * kUs;
        if (arbiter.Ask(5 * kUs, now) == 0) launched.fetch_add(5 * kUs);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(launched.load(), 0);
  EXPECT_LE(launched.load(), card_->row[0].gpu.load());
}

TEST_F(ArbiterTest, ALeaseIsPaidForOnce) {
  Slice(0, 100);
  Arbiter arbiter;
  arbiter.Attach(table_.get(), card_.get(), 0);
  // Launches that do not divide a lease, each while the one before is just ending; now and then a
  // long one, and a rest in which the lease runs out.
  Ns launched = 0;
  Ns now = kMs;
  for (int i = 0; i < 10'000; ++i) {
    const Ns cost = i % 97 == 0 ? 3 * kMs : 30 * kUs;
    ASSERT_EQ(arbiter.Ask(cost, now), 0) << "launch " << i;
    launched += cost;
    now += cost - kUs / 2 + (i % 50 == 0 ? 10 * kMs : 0);
  }
  EXPECT_GE(card_->row[0].gpu.load(), launched);
  EXPECT_LE(card_->row[0].gpu.load(), launched + kLease);
}

TEST_F(ArbiterTest, WhoIsRefusedKeepsWhatIsLeftOfALease) {
  Slice(0, 50);
  Slice(1, 50);
  Arbiter arbiters[2];
  for (std::uint32_t i = 0; i < 2; ++i) arbiters[i].Attach(table_.get(), card_.get(), i);
  ASSERT_EQ(arbiters[0].Ask(30 * kUs, kMs), 0);
  ASSERT_EQ(arbiters[0].Ask(30 * kUs, kMs), 0);  // A lease: 70 us are left.
  const Ns charged = card_->row[0].gpu;
  ASSERT_EQ(arbiters[1].Ask(10 * kMs, kMs), 0);
  EXPECT_GT(arbiters[0].Ask(90 * kUs, kMs), kMs);  // The card is full.
  EXPECT_EQ(card_->row[0].gpu.load(), charged);
  EXPECT_EQ(arbiters[0].Ask(70 * kUs, kMs), 0);
  EXPECT_EQ(card_->row[0].gpu.load(), charged);
}

TEST_F(ArbiterTest, WhoIsRefusedKeepsItsPlaceInSharedMemory) {
  Slice(0, 50);
  Slice(1, 50);
  Arbiter arbiters[2];
  for (std::uint32_t i = 0; i < 2; ++i) arbiters[i].Attach(table_.get(), card_.get(), i);
  for (TableRow& row : table_->row) row.share = Share::kElastic;
  card_->row[1].virtual_time = 5'000 * kMs;
  const Ns now = 1'000 * kMs;
  ASSERT_EQ(arbiters[1].Ask(10 * kMs, now), 0);
  // The card is full: it has to wait, and does not come with all of its past.
  EXPECT_GT(arbiters[0].Ask(kMs, now), now);
  EXPECT_EQ(card_->row[0].virtual_time.load(), 5'000 * kMs - VirtualCost(kCredit, 50));
  EXPECT_GT(card_->row[0].waiting_until.load(), now);
  EXPECT_EQ(card_->row[0].level.load(), 5'020 * kMs);
  EXPECT_EQ(card_->row[0].gpu.load(), 0);
}

TEST_F(ArbiterTest, ASliceThatIsGoneHoldsNobody) {
  Slice(0, 10);
  Arbiter arbiter;
  arbiter.Attach(table_.get(), card_.get(), 5);
  EXPECT_EQ(arbiter.Ask(kMs, kMs), 0);
  arbiter.Measured(kMs, 2 * kMs);
  EXPECT_FALSE(arbiter.Contended(kMs));
}

TEST_F(ArbiterTest, CountsWhoHasWorkOnTheCard) {
  Slice(0, 50);
  Slice(1, 0);
  Slice(2, 50);
  Arbiter arbiter;
  arbiter.Attach(table_.get(), card_.get(), 0);
  const Ns now = 1'000 * kMs;
  EXPECT_EQ(arbiter.Launchers(now), 1);  // Itself, though it has not launched yet.
  ASSERT_EQ(arbiter.Ask(kUs, now), 0);
  EXPECT_EQ(arbiter.Launchers(now), 1);
  // Three more processes: of its slice, of another, and one that was here long ago.
  const std::uint32_t own = static_cast<std::uint32_t>(getpid()) % kLaunchers;
  card_->row[0].launched_at[(own + 1) % kLaunchers] = now - 10 * kMs;
  card_->row[2].launched_at[own] = now + 5 * kMs;
  card_->row[2].launched_at[(own + 1) % kLaunchers] = now - 500 * kMs;
  EXPECT_EQ(arbiter.Launchers(now), 3);
}

TEST_F(ArbiterTest, MeasuredTimeReplacesThePrediction) {
  Slice(0, 50);
  Slice(1, 50);
  Arbiter arbiters[2];
  for (std::uint32_t i = 0; i < 2; ++i) arbiters[i].Attach(table_.get(), card_.get(), i);
  ASSERT_EQ(arbiters[0].Ask(kMs, kMs), 0);
  EXPECT_TRUE(arbiters[1].Contended(kMs + kUs));
  EXPECT_FALSE(arbiters[0].Contended(kMs + kUs));
  arbiters[0].Measured(kMs, 100 * kMs);
  EXPECT_EQ(card_->row[0].gpu.load(), 100 * kMs);
  EXPECT_EQ(card_->busy_until.load(), 101 * kMs);
}

TEST_F(ArbiterTest, RefusesWhatIsNoSegment) {
  EXPECT_EQ(CheckTable(table_.get(), sizeof(CardTable)), SegmentFault::kNone);
  EXPECT_EQ(CheckTable(table_.get(), 16), SegmentFault::kTruncated);
  EXPECT_EQ(CheckCard(card_.get(), sizeof(CardSegment)), SegmentFault::kNone);
  EXPECT_EQ(CheckCard(card_.get(), sizeof(CardSegment) - 1), SegmentFault::kTruncated);
  card_->rows = 1;
  EXPECT_EQ(CheckCard(card_.get(), sizeof(CardSegment)), SegmentFault::kOtherSize);
  table_->version = 9;
  EXPECT_EQ(CheckTable(table_.get(), sizeof(CardTable)), SegmentFault::kOtherVersion);
  table_->rows = 100'000;  // More than there are: the extra rows are not read.
  Arbiter arbiter;
  arbiter.Attach(table_.get(), card_.get(), 0);
  table_->row[0].cores = 10;
  EXPECT_EQ(arbiter.Ask(kMs, kMs), 0);
}

}  // namespace
}  // namespace brim::vgpu
