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

TEST(HerePolicy, WhatIsKnownToBeQuickRunsHere) { EXPECT_TRUE(MayRunHere(Quick())); }

TEST(HerePolicy, EachOfTheseForbidsIt) {
  const auto with = [](auto change) {
    HereState state = Quick();
    change(state);
    return MayRunHere(state);
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
  EXPECT_TRUE(MayRunHere(state));
  state.arrival_interval = microseconds(10);
  EXPECT_FALSE(MayRunHere(state));
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_TRUE(MayRunHere(state));
}

TEST(HerePolicy, JoinsWhatComesSeveralAtATime) {
  HereState state = Quick();
  state.batches = true;
  state.gain = BatchGain::kPays;
  state.arrival_interval = microseconds(50);
  state.burst = 2;
  EXPECT_TRUE(MayRunHere(state));
  state.burst = 8;
  EXPECT_FALSE(MayRunHere(state));
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_TRUE(MayRunHere(state));
}

TEST(HerePolicy, ALongUploadIsNotALateLoop) {
  HereState state = Quick();
  state.bytes = state.usual_bytes = 600'000;
  state.late = milliseconds(5);
  EXPECT_TRUE(MayRunHere(state));
  state.late = milliseconds(9);
  EXPECT_FALSE(MayRunHere(state));
}

TEST(HerePolicy, WaitsForCompanyWhereTheOwnerAsksForIt) {
  HereState state = Quick();
  state.batches = true;
  state.delay_max = milliseconds(1);
  EXPECT_FALSE(MayRunHere(state));
  state.gain = BatchGain::kDoesNotPay;
  EXPECT_TRUE(MayRunHere(state));
}

}  // namespace
}  // namespace brim::serving
