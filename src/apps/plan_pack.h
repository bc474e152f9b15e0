// What `brim plan pack` computes (plan_pack.cc) and prints (plan_pack_tables.cc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/plan.h"
#include "planner/bound/bound.h"
#include "planner/formats/cluster_format.h"
#include "planner/pack/explain.h"
#include "planner/pack/packing.h"
#include "planner/report/report.h"

namespace brim::apps {

// One policy's plan for the given pods.
struct PlacedPolicy {
  planner::PolicyInfo policy;
  planner::Packing packing;
  std::vector<planner::Bound> bounds;  // On the cards in use, for the pods it placed.
  double seconds = 0;                  // CPU, of the packing alone.
};

// One policy on one stream of arrivals.
struct InflatedPolicy {
  planner::PolicyInfo policy;
  std::uint64_t seed = 0;
  planner::Inflation inflation;
  double seconds = 0;
};
struct InflatedStream {
  std::uint64_t seed = 0;
  double first_refusal_max = 0;  // Proven: what any scheduler has allocated at its first refusal.
};
struct InflateOutcome {
  double demand = 0;
  std::vector<InflatedPolicy> runs;     // By policy, then seed.
  std::vector<InflatedStream> streams;  // By seed.
  std::vector<planner::Ceiling> ceilings;
};

struct CompactedPolicy {
  planner::PolicyInfo policy;
  std::uint64_t seed = 0;
  planner::Compaction compaction;
  std::vector<planner::Bound> bounds;  // On the cards of the nodes kept.
  double seconds = 0;
};

void ReportPlaced(const planner::PlanInput& input, const std::vector<PlacedPolicy>& plans,
                  planner::Report* report);
void ReportInflated(const planner::PlanInput& input, const InflateOutcome& outcome,
                    planner::Report* report);
void ReportCompacted(const std::vector<CompactedPolicy>& runs, planner::Report* report);
void ReportExplanation(const planner::PlanInput& input, const std::vector<planner::Pod>& pods,
                       std::size_t pod, const planner::PolicyInfo& policy,
                       const planner::Explanation& why, planner::Report* report);

std::string PlacedPicture(const planner::PlanInput& input, const PlacedPolicy& plan);
std::string InflatedPicture(const InflateOutcome& outcome);
std::string CompactedPicture(const std::vector<CompactedPolicy>& runs);

// Mean of the runs' curves, by percent of demand. `policy`: of these runs alone.
std::vector<double> MeanCurve(const InflateOutcome& outcome, std::string_view policy);

}  // namespace brim::apps
