// The tables of `brim plan fleet`. Pure; one thread.
#pragma once

#include <string>
#include <vector>

#include "planner/replay/fleet_study.h"
#include "planner/report/report.h"

namespace brim::apps {

void ReportFleet(const planner::FleetSpec& spec, const planner::StudyOptions& options,
                 const std::vector<planner::SeedResult>& seeds, planner::Report* report);

// Lines for people: where the model stands with all levers, and why.
std::vector<std::string> ExplainFleetModel(const planner::FleetSpec& spec,
                                           const planner::SeedResult& seed, std::int32_t model);

}  // namespace brim::apps
