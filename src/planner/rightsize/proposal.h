// Proposal: the requests that a rule gives a pod, and why; the goals and weights that rules are
// tuned to. Values only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "planner/rightsize/usage.h"

namespace brim::planner {

// What counts as safe, and what safety is worth. Fixed by the operator, never tuned.
struct RightsizeGoals {
  double compute_miss = 0.01;  // Share of the active samples that may exceed the compute request.
  double memory_miss = 0.001;  // Share of the samples that may exceed the memory limit.
  double active_percent = 0;   // A sample above it is active: an idle pod is not throttled.
  double cycle_s = 86'400;     // One full traffic cycle.
  double card_memory_mib = 0;  // No limit exceeds a card's memory; 0: unknown.
  // The objective: overrun (share of a card held and not used), underrun (misses above what is
  // allowed, in multiples of it), changes (a pod and hour).
  double weight_overrun = 1;
  double weight_underrun = 10;
  double weight_changes = 0.005;
};

// How far a window is from having seen a full cycle: the VPA's 1 + 1/days, with cycles for days.
// What is allowed shrinks by it, and what others did weighs more by it.
double Widening(double cycles_seen);

enum class RightsizeRule : std::uint8_t { kBrim, kVpa, kKrr, kPeak, kP99, kP95, kP90 };
std::string_view RuleName(RightsizeRule rule);

// One resource of one pod. Without a proposal, `why` says what is missing.
struct Request {
  bool proposed = false;
  double value = 0;      // Percent, MiB or milli-cores.
  double resting = 0;    // Memory while the pod rests; equal to value where it has one gear.
  double seen_peak = 0;  // In the learning window.
  double seen_mean = 0;
  std::size_t samples = 0;
  std::vector<double> by_hour;  // 24 hours of the cycle's day; empty before a full cycle.
  std::string why;              // One sentence.
};

struct Proposal {
  std::array<Request, kResources> requests;  // By Resource; kRate is never proposed.

  Request& of(Resource resource) { return requests[static_cast<std::size_t>(resource)]; }
  const Request& of(Resource resource) const {
    return requests[static_cast<std::size_t>(resource)];
  }
};

// The percentile rules that others ship, and plain peaks, as baselines: each pod for itself.
//  vpa   Kubernetes VPA's target: decaying histogram p90 (memory: of the 24 h peaks) + 15 %, at
//        least 25 milli-cores and 250 MB.
//  krr   robusta KRR: p95 for CPU and compute, largest memory + 15 %; nothing from under 100
//        samples or 3 hours.
//  peak, p99, p95, p90   + 15 %, of the samples.
// A resource of card share is at most the pod's cards.
std::vector<Proposal> BaselineProposals(RightsizeRule rule, const Usage& usage, const Window& learn,
                                        const RightsizeGoals& goals);

}  // namespace brim::planner
