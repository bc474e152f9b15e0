// Says why a model stands where it stands: why here, why not on CPU, why not on another card, and
// what would free a card. Sentences for people; each states the numbers it rests on. Pure; any
// thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "planner/mix/mix_plan.h"

namespace brim::planner {

// REQUIRES: plan was made by PlanMix() or JudgeMix() from these models and options.
std::vector<std::string> ExplainMix(std::span<const MixModel> models, const MixOptions& options,
                                    const MixPlan& plan, std::int32_t model);

}  // namespace brim::planner
