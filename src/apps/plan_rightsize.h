// What `brim plan rightsize` computed, and its tables. Values; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "planner/report/report.h"
#include "planner/rightsize/forecast.h"
#include "planner/rightsize/joint.h"
#include "planner/rightsize/oracle.h"
#include "planner/rightsize/safety.h"
#include "planner/rightsize/tune.h"

namespace brim::apps {

struct RuleOutcome {
  planner::RightsizeRule rule = planner::RightsizeRule::kBrim;
  std::vector<planner::Proposal> proposals;
  planner::SafetyRecord fixed;     // Never changed through the test window.
  planner::SafetyRecord in_force;  // The rule goes on sizing memory through it.
};

struct JointOutcome {
  double card_memory_mib = 0;
  planner::JointPlan plan;           // Pods by their index in usage.pods.
  std::vector<std::size_t> refused;  // Pods that hold more than a card's memory.
  planner::JointOverload learnt;     // In the window it was packed by.
  planner::JointOverload tested;     // In the test window.
  planner::JointOverload memory;     // Of the test window: time above a card's memory.
};

struct RightsizeOutcome {
  planner::Usage usage;
  planner::Window learn, test;
  bool same_window = true;  // Nothing was held back: the record is of what was learned from.
  planner::RightsizeGoals goals;
  std::vector<std::string> left_out;
  planner::Tuning tuning;
  std::vector<RuleOutcome> rules;
  std::size_t chosen = 0;  // Index in rules.
  planner::FixedLimitBounds memory_bounds;
  std::vector<planner::IdleReservation> idle;
  std::vector<planner::ReplicaForecast> replicas;  // As usage.pods; empty: not asked for.
  std::vector<JointOutcome> joint;
  double joint_percent = 80;
};

// The tables and numbers of everything above.
void ReportRightsize(const RightsizeOutcome& outcome, planner::Report* report);
// Why one pod gets what it gets, and what that would have broken. False: no such pod.
bool ExplainRightsize(const RightsizeOutcome& outcome, const std::string& pod,
                      planner::Report* report);

}  // namespace brim::apps
