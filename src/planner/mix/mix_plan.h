// Plans which models run where: on CPU, or in which segment of which card; and has it pass a
// simulation before it is called a plan.
//
//   BRIM_ASSIGN_OR_RETURN(const MixPlan plan, PlanMix(models, options, {}, progress));
//
// The steps, each a header of its own: homes.h (CPU or card), mig_optimum.h (MIG, one model a
// segment: the proven optimum) or shared_packing.h (duty cycles, memory, local search), simulate.h,
// and repair: a model below the target gets more headroom and the plan is made again, or its nodes
// relieved, until all pass or the rounds are spent; then the plan says `accepted` false and why.
// Pure: no clock, no threads; same input and seed, same plan. Any thread.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "planner/cluster/progress.h"
#include "planner/mix/mix_context.h"

namespace brim::planner {

// Recorded arrivals, seconds ascending, by model; a model without any is Poisson at its rate.
using Arrivals = std::map<std::int32_t, std::vector<double>>;

// INVALID_ARGUMENT: bad_model (a value out of range, a name twice), bad_options.
Status CheckMix(std::span<const MixModel> models, const MixOptions& options);

Result<MixPlan> PlanMix(std::span<const MixModel> models, const MixOptions& options,
                        const Arrivals& arrivals, const Progress& progress);

// Judges a placement made elsewhere by the same simulation. Segments have card, start, share,
// processes and tenants (model, batch); the rest is filled in. INVALID_ARGUMENT (bad_segment): a
// point that the profile does not have.
Result<MixPlan> JudgeMix(std::span<const MixModel> models, const MixOptions& options,
                         std::vector<Segment> segments, const Arrivals& arrivals);

// Lower bounds on the cards of these models, each by one relaxation.
std::vector<Bound> MixBounds(const MixContext& context, std::span<const std::int32_t> models);

}  // namespace brim::planner
