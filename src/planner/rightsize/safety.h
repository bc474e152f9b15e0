// The safety record: what would have been throttled or killed had a proposal been in force, and
// what it would have saved. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "planner/rightsize/proposal.h"
#include "planner/rightsize/recommend.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

// One resource of one pod, or the sum over pods.
struct SafetyCount {
  std::int64_t samples = 0;  // In the window, where there was a proposal.
  std::int64_t active = 0;   // Of them above the activity threshold; memory: all.
  std::int64_t over = 0;     // Above the request or limit: throttled, or (memory) killed.
  std::int64_t events = 0;   // Spells of such samples: throttled spells, kills.
  std::int64_t changes = 0;  // Of the limit.
  double over_s = 0;
  double limit_sum = 0;  // Over the samples.
  double used_sum = 0;
  std::int64_t working = 0;      // Memory in force: samples in the working gear,
  double working_limit_sum = 0;  // and their limits.

  double over_of_active() const { return active > 0 ? Ratio(over, active) : 0; }
  double over_of_samples() const { return samples > 0 ? Ratio(over, samples) : 0; }
  double limit_mean() const { return samples > 0 ? limit_sum / double(samples) : 0; }
  double used_mean() const { return samples > 0 ? used_sum / double(samples) : 0; }
  // Share of what is held that is not used: 1 - integral(used) / integral(limit).
  double slack() const { return limit_sum > 0 ? 1 - used_sum / limit_sum : 0; }
  void Add(const SafetyCount& other);

 private:
  static double Ratio(std::int64_t a, std::int64_t b) { return double(a) / double(b); }
};

struct SafetyRecord {
  std::array<SafetyCount, kResources> total;              // By Resource.
  std::vector<std::array<SafetyCount, kResources>> pods;  // As usage.pods.
  std::array<std::size_t, kResources> pods_over{};        // Pods with any sample over.
  std::array<std::size_t, kResources> pods_without{};     // Pods with samples, no proposal.

  const SafetyCount& of(Resource resource) const {
    return total[static_cast<std::size_t>(resource)];
  }
  // The pod with the largest share of active samples over; its index, or pods.size() if none is.
  std::size_t Worst(Resource resource) const;
};

// The proposals stay as they are through the window.
SafetyRecord ReplayFixed(const Usage& usage, const Window& window,
                         const std::vector<Proposal>& proposals, const RightsizeGoals& goals);

// Memory limits go on by GearsFor(rule) from sample to sample, having observed `learn` (which must
// end where the window begins, or lie after it: then a limit starts without a history); compute
// and CPU stay as they are. Nothing later than a sample has a part in its limit.
SafetyRecord ReplayInForce(const Usage& usage, const Window& learn, const Window& window,
                           RightsizeRule rule, const std::vector<Proposal>& proposals,
                           const RightsizeGoals& goals, const RightsizeParams& params);

// One pod's memory by gears; `warm` slots are observed first and not counted.
SafetyCount FollowMemory(const Usage& usage, const UsagePod& pod, const Window& warm,
                         const Window& window, const MemoryGears& gears,
                         const RightsizeGoals& goals);

}  // namespace brim::planner
