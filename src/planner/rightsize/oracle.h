// What fixed limits could reach at best, knowing the future: the yardstick when a goal is missed.
// Pure; any thread.
#pragma once

#include <vector>

#include "planner/rightsize/usage.h"

namespace brim::planner {

// Lower bounds on the mean memory limit (MiB) of any limits that stay fixed through the window and
// are exceeded in at most `allowed` of its samples.
struct FixedLimitBounds {
  double all_knowing = 0;  // Knows each pod's future.
  // Knows the whole window, but not which pod will do what: no rule whose choice has no bearing on
  // which pod gets the large requests can do better in the mean over all ways to deal them out.
  double pod_blind = 0;
  // Correlation over pods of the largest sample in `before` with that in `window`: how much a pod's
  // own past says about its next peak.
  double peak_correlation = 0;
};

FixedLimitBounds BoundFixedLimits(const Usage& usage, Resource resource, const Window& before,
                                  const Window& window, double allowed);

// The bound for groups of samples that get one limit each: groups weighted by their samples.
double LeastMeanLimit(std::vector<std::vector<float>> groups, double allowed);

}  // namespace brim::planner
