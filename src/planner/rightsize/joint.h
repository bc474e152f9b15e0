// Joint packing: pods with a use over time on as few cards as possible. Peaks seldom meet, so what
// is limited is the card's summed series, not the sum of peaks.
//
//   BRIM_ASSIGN_OR_RETURN(const JointInput input, ...);
//   const JointPlan plan = PackJointly(input, options);
//
// Pure: seeded, no clock; same answer for the same seed. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/cluster/gap.h"
#include "planner/cluster/progress.h"

namespace brim::planner {

struct JointPod {
  std::string name;
  double memory_mib = 0;       // Held all the time.
  double floor_percent = 0;    // The card's floors must fit too: what a forecast may not go below.
  std::vector<float> compute;  // Percent of one card, one value a step; gaps are 0.
};

struct JointOptions {
  double card_memory_mib = 0;
  double compute_percent = 80;      // The card's summed series stays within this ...
  double quantile = 0.99;           // ... in this share of the steps.
  double overload_max = 0.001;      // Of card-time above 100 %, all cards together.
  std::int64_t tries_max = 10'000;  // Insertions tried for each card saved.
  std::uint64_t seed = 1;
  Progress progress;
};

struct JointPlan {
  std::vector<std::vector<std::size_t>> cards;  // Indices of the pods; each pod once.
  bool overload_met = true;                     // False: no layout found within overload_max.
  std::size_t first_fit = 0;                    // Cards of first-fit decreasing, for comparison.
  std::vector<Bound> bounds;
  Gap gap;
};

// INVALID_ARGUMENT (pod_too_large): a pod that fits no card alone, by memory; (series_differ). A
// pod whose own series exceeds the limit stands alone: no packing helps it.
Result<JointPlan> PackJointly(const std::vector<JointPod>& pods, const JointOptions& options);

// What a plan meets when the cards live through given series.
struct JointOverload {
  double time_share = 0;    // Of card-time with the sum above 100 %.
  double work_share = 0;    // Of the work that does not fit in such steps.
  double worst_card = 0;    // The largest share of one card's time.
  double mean_percent = 0;  // Mean of the cards' sums.
};
JointOverload Overload(const std::vector<JointPod>& pods,
                       const std::vector<std::vector<std::size_t>>& cards);

}  // namespace brim::planner
