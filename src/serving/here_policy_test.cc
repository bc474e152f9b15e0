#include "serving/here_policy.h"

#include <gtest/gtest.h>

namespace brim::serving {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

HereState Quick() {
  HereState state;
  state.caller_allows = true;
  state.runs = kHereRunsMin;
  state.expected_run = microseconds(12);
  state.run_max = microseconds(250);
  state.bytes = state.usual_bytes = 600;
  return state;
}

TEST(HerePolicy, WhatIsKnownToBeQuickRunsHere) { EXPECT_EQ(DecideHere(Quick()), Here::kNow); }

TEST(HerePolicy, EachOfTheseForbidsIt) {
  const auto with = [](auto change) {
    HereState state = Quick();
    change(state);
    return DecideHere(state) == Here::kNow;
  };
  EXPECT_FALSE(with([](HereState& s) { s.caller_allows = false; }));
  EXPECT_FALSE(with([](HereState& s) { s.preserve_order = true; }));
  EXPECT_FALSE(with([](HereState& s) { s.waiting = 1; }));
  EXPECT_FALSE(with([](HereState& s) { s.runs = kHereRunsMin - 1; }));
  EXPECT_FALSE(with([](HereState& s) { s.expected_run = microseconds(251); }));
  EXPECT_FALSE(with([](HereState& s) { s.late = microseconds(1010); }));
  EXPECT_FALSE(with([](HereState& s) { s.bytes = 1 << 20; }));
}

TEST(HerePolicy, JoinsInsteadWhenThatPaysAndEnoughArrives) {
  HereState state = Quick();
  state.batches = true;
  state.gain = BatchGain::kPays;
  state.arrival_interval = microseconds(50);
  EXPECT_EQ(DecideHere(state), Here::kNow);
  state.arrival_interval = microseconds(10);
  EXPECT_EQ(DecideHere(state), Here::kHandOver);
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_EQ(DecideHere(state), Here::kNow);
}

TEST(HerePolicy, JoinsWhatComesSeveralAtATime) {
  HereState state = Quick();
  state.batches = true;
  state.gain = BatchGain::kPays;
  state.arrival_interval = microseconds(50);
  state.burst = 2;
  EXPECT_EQ(DecideHere(state), Here::kNow);
  state.burst = 8;
  EXPECT_EQ(DecideHere(state), Here::kHandOver);
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_EQ(DecideHere(state), Here::kNow);
}

TEST(HerePolicy, ALongUploadIsNotALateLoop) {
  HereState state = Quick();
  state.bytes = state.usual_bytes = 600'000;
  state.late = milliseconds(5);
  EXPECT_EQ(DecideHere(state), Here::kNow);
  state.late = milliseconds(9);
  EXPECT_EQ(DecideHere(state), Here::kHandOver);
}

TEST(HerePolicy, WaitsForCompanyWhereTheOwnerAsksForIt) {
  HereState state = Quick();
  state.batches = true;
  state.delay_max = milliseconds(1);
  EXPECT_EQ(DecideHere(state), Here::kHandOver);
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_EQ(DecideHere(state), Here::kNow);
}

TEST(HerePolicy, WhatJoinsWaitsForTheEndOfTheRound) {
  HereState state = Quick();
  state.has_round = true;
  EXPECT_EQ(DecideHere(state), Here::kNow);
  state.batches = true;
  EXPECT_EQ(DecideHere(state), Here::kRoundEnd);  // To learn whether it pays.
  state.gain = BatchGain::kPays;
  EXPECT_EQ(DecideHere(state), Here::kRoundEnd);
  state.delay_max = milliseconds(1);
  EXPECT_EQ(DecideHere(state), Here::kRoundEnd);
  state.gain = BatchGain::kDoesNotPay;
  int tries = 0;
  for (state.runs = 4096; state.runs < 2 * 4096; ++state.runs) {
    tries += DecideHere(state) == Here::kRoundEnd;
  }
  EXPECT_EQ(tries, 256);
  state.runs = 4095;
  EXPECT_EQ(DecideHere(state), Here::kNow);
  state.waiting = 1;
  EXPECT_EQ(DecideHere(state), Here::kRoundEnd);
  state.expected_run = microseconds(251);
  EXPECT_EQ(DecideHere(state), Here::kHandOver);
}

TEST(HerePolicy, ALateRoundHandsOver) {
  RoundState round;
  round.run_max = microseconds(250);
  round.expected_run = microseconds(250);
  round.late = microseconds(1000);
  EXPECT_TRUE(MayRunAtRoundEnd(round));
  round.late = microseconds(1001);
  EXPECT_FALSE(MayRunAtRoundEnd(round));
  round.late = microseconds(10);
  round.expected_run = microseconds(251);
  EXPECT_FALSE(MayRunAtRoundEnd(round));
}

TEST(HerePolicy, GathersWhereRoundsBringSeveral) {
  EXPECT_FALSE(ShouldGather(0));
  EXPECT_FALSE(ShouldGather(2.5));
  EXPECT_TRUE(ShouldGather(6));
}

}  // namespace
}  // namespace brim::serving
