// Tests of what a lane learns from arrivals.
#include "serving/lane.h"

#include <gtest/gtest.h>

namespace brim::serving {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(LearntBurst, IsOneWhereRequestsComeAlone) {
  Learnt learnt;
  Time now{milliseconds(1)};
  for (int i = 0; i < 50; ++i) {
    now += microseconds(100);
    learnt.ObserveArrival(now, now, milliseconds(100));
  }
  EXPECT_DOUBLE_EQ(learnt.burst(), 1);
}

TEST(LearntBurst, CountsTheRequestsOfOneRound) {
  Learnt learnt;
  Time round{milliseconds(1)};
  for (int i = 0; i < 50; ++i) {
    round += microseconds(500);
    for (int request = 0; request < 32; ++request) {
      learnt.ObserveArrival(round + microseconds(request), round, milliseconds(100));
    }
  }
  EXPECT_DOUBLE_EQ(learnt.burst(), 32);
}

TEST(LearntBurst, TwoLoopsRoundsMayOverlap) {
  Learnt learnt;
  Time round{milliseconds(1)};
  for (int i = 0; i < 50; ++i) {
    round += microseconds(500);
    const Time other = round + microseconds(3);
    for (int request = 0; request < 8; ++request) {
      learnt.ObserveArrival(other, request % 2 == 0 ? round : other, milliseconds(100));
    }
  }
  EXPECT_DOUBLE_EQ(learnt.burst(), 4);
}

TEST(LearntBurst, FollowsAChange) {
  Learnt learnt;
  Time round{milliseconds(1)};
  for (int i = 0; i < 200; ++i) {
    round += microseconds(500);
    const int requests = i < 100 ? 16 : 1;
    for (int request = 0; request < requests; ++request) {
      learnt.ObserveArrival(round, round, milliseconds(100));
    }
    if (i == 99) {
      EXPECT_GT(learnt.burst(), 15);
    }
  }
  EXPECT_LT(learnt.burst(), 1.1);
}

TEST(Learnt, FirstJoinedRunsDoNotEndJoining) {
  Learnt learnt;
  for (int i = 0; i < 8; ++i) learnt.ObserveCost(1, std::chrono::microseconds(10));
  learnt.ObserveCost(4, std::chrono::milliseconds(5));  // It compiles for a new shape.
  EXPECT_EQ(learnt.gain(), BatchGain::kUnknown);
  learnt.ObserveCost(4, std::chrono::microseconds(8));
  EXPECT_EQ(learnt.gain(), BatchGain::kPays);

  Learnt dear;
  for (int i = 0; i < 8; ++i) dear.ObserveCost(1, std::chrono::microseconds(10));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(dear.gain(), BatchGain::kUnknown);
    dear.ObserveCost(4, std::chrono::microseconds(41));
  }
  EXPECT_EQ(dear.gain(), BatchGain::kDoesNotPay);

  Learnt moody;  // A changed shape costs 20 us, whatever the rows.
  moody.ObserveCost(4, std::chrono::microseconds(28), true);
  EXPECT_EQ(moody.change(), Duration::zero());  // Nothing to compare it with.
  for (int i = 0; i < 8; ++i) moody.ObserveCost(4, std::chrono::microseconds(8));
  for (int i = 0; i < 100; ++i) {
    moody.ObserveCost(4, std::chrono::microseconds(i % 9 == 0 ? 900 : 28), true);
  }
  EXPECT_NEAR(static_cast<double>(moody.change().count()), 20'000, 3'000);
  EXPECT_EQ(moody.ExpectedRun(4), std::chrono::microseconds(8));

  Learnt slow;
  for (int i = 0; i < 8; ++i) slow.ObserveCost(1, std::chrono::milliseconds(8));
  slow.ObserveCost(4, std::chrono::milliseconds(32));
  EXPECT_EQ(slow.gain(), BatchGain::kDoesNotPay);  // One run is enough to know.
}

}  // namespace
}  // namespace brim::serving
