// Brim's rule: what each pod should ask for, learned in one window.
//
//   const RightsizeParams params = Tune(usage, learn, goals);           // tune.h; then frozen
//   const std::vector<Proposal> plan = BrimProposals(usage, learn, goals, params);
//
// Reads nothing outside the window. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "planner/rightsize/compute_learner.h"
#include "planner/rightsize/memory_gears.h"
#include "planner/rightsize/proposal.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

// GPU memory of one service's pods, and what the tuning saw.
struct ServiceMemory {
  std::string service;
  std::size_t pods = 0;
  MemoryGears gears;
  double allowed = 0;   // Share of samples over the limit that was allowed in the window.
  double seen = 0;      // What the replay of the window had.
  double mean_mib = 0;  // Mean limit in that replay.
  double changes_per_pod_hour = 0;
};

struct RightsizeParams {
  ComputeParams compute;
  ComputeParams cpu;
  std::vector<ServiceMemory> memory;  // Services with kServicePodsMin pods or more.

  const ServiceMemory* MemoryOf(const std::string& service) const;
};

// Compute: percentile of the pod's decayed active samples together with its service's, + margin,
// up to a whole percent, at least floor_share of the last full cycle's peak, at most its cards;
// by hour of day once a full cycle was seen. Memory: the service's working floor or the pod's own
// recent peak + margin; without a service the pod's peak + 10 % times the widening.
std::vector<Proposal> BrimProposals(const Usage& usage, const Window& learn,
                                    const RightsizeGoals& goals, const RightsizeParams& params);

// How a rule's memory limit goes on from its proposal while it stays in force: Brim's two gears;
// vpa, krr and peak rise with each new peak and by their bump after a kill (20 %, 25 %, 20 %); the
// other percentiles only by the bump.
MemoryGears GearsFor(RightsizeRule rule, const Request& memory, const std::string& service,
                     const RightsizeParams& params);

}  // namespace brim::planner
