#include "serving/admission_policy.h"

#include <gtest/gtest.h>

namespace brim::serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

AdmissionState Idle() {
  AdmissionState state;
  state.waiting_max = 100;
  state.all_waiting_max = 1000;
  state.usual_run = milliseconds(10);
  state.now = Time(std::chrono::hours(1));
  return state;
}

TEST(AdmissionPolicy, AdmitsWhenIdle) {
  EXPECT_EQ(DecideAdmission(Idle()).admission, Admission::kAdmit);
}

TEST(AdmissionPolicy, RefusesWhenDraining) {
  AdmissionState state = Idle();
  state.draining = true;
  const AdmissionDecision decision = DecideAdmission(state);
  EXPECT_EQ(decision.admission, Admission::kDraining);
  EXPECT_EQ(decision.retry_delay, milliseconds(10));
}

TEST(AdmissionPolicy, BoundsTheVersionAndTheServer) {
  AdmissionState state = Idle();
  state.waiting = 99;
  state.all_waiting = 999;
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kAdmit);
  state.waiting = 100;
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kQueueFull);
  state.waiting_max = 0;  // Bounded by the total alone.
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kAdmit);
  state.all_waiting = 1000;
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kServerFull);
}

TEST(AdmissionPolicy, SaysWhenToComeBack) {
  AdmissionState state = Idle();
  state.waiting = 100;
  EXPECT_EQ(DecideAdmission(state).retry_delay, seconds(1));
  state.parallel = 4;
  EXPECT_EQ(DecideAdmission(state).retry_delay, milliseconds(250));
  state.usual_run = Duration(100);
  EXPECT_EQ(DecideAdmission(state).retry_delay, milliseconds(10));
  state.usual_run = std::chrono::hours(24);
  EXPECT_EQ(DecideAdmission(state).retry_delay, seconds(30));
  state.waiting = UINT64_MAX;
  state.usual_run = seconds(29);
  EXPECT_EQ(DecideAdmission(state).retry_delay, seconds(30));
  state.usual_run = Duration::zero();  // Not known.
  EXPECT_EQ(DecideAdmission(state).retry_delay, milliseconds(10));
}

TEST(AdmissionPolicy, RefusesDeadlinesThatArePastOrHopeless) {
  AdmissionState state = Idle();
  state.deadline = state.now;
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kExpired);
  EXPECT_EQ(DecideAdmission(state).retry_delay, Duration::zero());
  state.waiting = 50;  // 500 ms of work.
  state.deadline = state.now + milliseconds(250);
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kAdmit);
  state.deadline = state.now + milliseconds(249);
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kHopeless);
  state.waiting = 3;  // Too few for an estimate.
  state.deadline = state.now + milliseconds(1);
  EXPECT_EQ(DecideAdmission(state).admission, Admission::kAdmit);
}

}  // namespace
}  // namespace brim::serving
