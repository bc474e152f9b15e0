// What the fake card runs when: order, cuts, turns, processes that go.
#include "timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace fake {
namespace {

constexpr std::int64_t kUs = 1'000;
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSlice = 2 * kMs;

class TimelineTest : public testing::Test {
 protected:
  void To(std::int64_t now) { Advance(timeline_.get(), now, kSlice); }
  std::uint64_t Launch(int lane, std::int64_t at, std::int64_t gpu_ns) {
    To(at);
    return Push(timeline_.get(), lane, gpu_ns);
  }
  std::int64_t EndOf(int lane, std::uint64_t number) const {
    const Lane& of = timeline_->lane[lane];
    return of.finished >= number ? of.kernel[(number - 1) % kQueued].ended_at : -1;
  }

  std::unique_ptr<Timeline> timeline_ = std::make_unique<Timeline>();
};

TEST_F(TimelineTest, EndsAtItsOwnTimeHoweverLateSomeoneLooks) {
  const std::uint64_t one = Launch(3, 100 * kUs, 20 * kUs);
  const std::uint64_t two = Launch(3, 110 * kUs, 30 * kUs);
  const std::uint64_t mark = Launch(3, 110 * kUs, 0);
  To(119 * kUs);
  EXPECT_EQ(EndOf(3, one), -1);
  To(9'000 * kMs);
  EXPECT_EQ(EndOf(3, one), 120 * kUs);
  EXPECT_EQ(EndOf(3, two), 150 * kUs);
  EXPECT_EQ(EndOf(3, mark), 150 * kUs);
  EXPECT_FALSE(Busy(*timeline_));
  // The card was idle meanwhile: what comes now starts now.
  const std::uint64_t later = Launch(3, 9'001 * kMs, kMs);
  To(9'002 * kMs);
  EXPECT_EQ(EndOf(3, later), 9'002 * kMs);
}

TEST_F(TimelineTest, WhoLaunchesAgainAtOnceLetsTheOthersComeFirst) {
  int turns[2] = {0, 0};
  std::uint64_t number[2] = {Launch(0, 0, 20 * kUs), Launch(200, 0, 20 * kUs)};
  const int lanes[2] = {0, 200};
  for (std::int64_t now = 0; now <= 10 * kMs; now += 5 * kUs) {
    To(now);
    for (int i = 0; i < 2; ++i) {
      if (EndOf(lanes[i], number[i]) < 0) continue;
      ++turns[i];
      number[i] = Push(timeline_.get(), lanes[i], 20 * kUs);
    }
  }
  EXPECT_EQ(turns[0], 250);
  EXPECT_EQ(turns[1], 250);
}

TEST_F(TimelineTest, LongKernelsAreCutAtTheEndOfATurn) {
  const std::uint64_t first = Launch(0, 0, 5 * kMs);
  const std::uint64_t second = Launch(1, 0, 5 * kMs);
  To(100 * kMs);
  EXPECT_EQ(EndOf(0, first), 9 * kMs);    // 0-2, 4-6, 8-9
  EXPECT_EQ(EndOf(1, second), 10 * kMs);  // 2-4, 6-8, 9-10
}

TEST_F(TimelineTest, ANewcomerWaitsNoLongerThanATurn) {
  for (int i = 0; i < 100; ++i) Launch(0, 0, kMs);
  const std::uint64_t early = Launch(1, kMs / 2, 20 * kUs);
  To(10 * kMs);
  EXPECT_EQ(EndOf(1, early), 2 * kMs + 20 * kUs);
  // The other one has had the card for longer than a turn by now.
  const std::uint64_t late = Launch(1, 10 * kMs, 20 * kUs);
  To(11 * kMs);
  EXPECT_EQ(EndOf(1, late), 10 * kMs + 20 * kUs);
}

TEST_F(TimelineTest, TheWorkOfWhoHasGoneIsNotRun) {
  for (int i = 0; i < 10; ++i) Launch(0, 0, 100 * kMs);
  const std::uint64_t other = Launch(1, 0, 3 * kMs);
  To(kMs);
  Drop(timeline_.get(), 0);
  To(100 * kMs);
  EXPECT_EQ(EndOf(1, other), 4 * kMs);
  EXPECT_FALSE(Busy(*timeline_));
  // The next process in that place begins with an empty queue.
  const std::uint64_t next = Launch(0, 200 * kMs, kMs);
  To(201 * kMs);
  EXPECT_EQ(EndOf(0, next), 201 * kMs);
}

// Whatever is launched when: no time is lost or made, and nothing ends before what Remaining says.
TEST_F(TimelineTest, RandomWorkTakesItsTime) {
  constexpr std::uint64_t kSeed = 11;
  printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  struct Launched {
    int lane;
    std::uint64_t number;
    std::int64_t not_before;
  };
  std::vector<Launched> all;
  std::int64_t now = 0, work = 0, began = -1;
  for (int i = 0; i < 20'000; ++i) {
    now += static_cast<std::int64_t>(random() % (random() % 8 == 0 ? 400 * kUs : 60 * kUs));
    const int lane = static_cast<int>(random() % 5) * 50;
    const auto cost =
        static_cast<std::int64_t>(random() % (random() % 50 == 0 ? 5 * kMs : 50 * kUs));
    To(now);
    if (timeline_->lane[lane].pushed - timeline_->lane[lane].finished >= kQueued) continue;
    if (began < 0) began = now;
    const std::uint64_t number = Push(timeline_.get(), lane, cost);
    work += cost;
    all.push_back({lane, number, now + Remaining(*timeline_, lane, number, kSlice)});
    // Kernel slots are used again: what ended is looked at now.
    for (std::size_t k = all.size() < 64 ? 0 : all.size() - 64; k < all.size(); ++k) {
      const std::int64_t end = EndOf(all[k].lane, all[k].number);
      if (end >= 0) {
        ASSERT_GE(end, all[k].not_before);
      }
    }
  }
  To(now + 1'000'000 * kMs);
  EXPECT_FALSE(Busy(*timeline_));
  std::int64_t last = 0;
  for (const Lane& lane : timeline_->lane) {
    EXPECT_EQ(lane.finished, lane.pushed);
    for (const Kernel& kernel : lane.kernel) {
      EXPECT_EQ(kernel.left, 0);
      last = std::max(last, kernel.ended_at);
    }
  }
  EXPECT_GE(last, began + work);  // One kernel at a time.
}

}  // namespace
}  // namespace fake
