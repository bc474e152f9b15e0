// ComputeLearner: what the active samples of each pod looked like in one window, and the compute or
// CPU requests that parameters make of it. Learned once, asked many times: that is what tuning is.
//
// Reads nothing outside the window. The usage must outlive it. One thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "planner/rightsize/histogram.h"
#include "planner/rightsize/proposal.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

// A service teaches its pods only with this many of them.
inline constexpr std::size_t kServicePodsMin = 8;
// A pod without such a service gets no proposal from fewer samples.
inline constexpr std::size_t kSamplesMin = 30;

inline constexpr double kWideningMax = 10;
inline constexpr double kSoloMargin = 0.1;  // Of a pod that stands alone, times the widening.

// Compute and CPU: a percentile of the active samples.
struct ComputeParams {
  double quantile = 0.99;
  double prior_samples = 3;  // What the service's other pods weigh, times the widening.
  double margin = 0;
  double floor_share = 0.5;  // Of the last full cycle's peak, once there was one.
  double half_life_s = 86'400;
};

// Samples of the window that teach, as cycles; gaps do not count.
double CyclesSeen(std::size_t samples, const Usage& usage, const RightsizeGoals& goals);

// The pods of each service that has kServicePodsMin or more, services in order of appearance.
struct ServicePods {
  std::string service;
  std::vector<std::size_t> pods;
};
std::vector<ServicePods> TeachingServices(const Usage& usage);

class ComputeLearner {
 public:
  ComputeLearner(const Usage& usage, Resource resource, const Window& learn,
                 const RightsizeGoals& goals, double half_life_s);

  // One request for each pod. Without `by_hour` the hours of the day are left out: the tuning does
  // not need them, and they cost a pass over the samples.
  std::vector<Request> Propose(const ComputeParams& params, bool by_hour) const;

 private:
  struct Learned {
    Request seen;  // Samples, mean and peak.
    DecayingHistogram own;
    double last_cycle_peak = 0;
    std::size_t service = 0;  // Index in services_, or services_.size().
  };
  struct Service {
    DecayingHistogram all;
    std::size_t pods = 0;
  };

  DecayingHistogram ActiveHistogram(const std::vector<float>& series) const;
  double LastCyclePeak(const std::vector<float>& series) const;
  Request ProposeOne(std::size_t pod, const ComputeParams& params, bool by_hour) const;
  std::vector<double> ByHour(std::size_t pod, const ComputeParams& params, double whole_day,
                             double floor) const;
  double Rounded(double value, const UsagePod& pod) const;
  double active_above() const;

  const Usage& usage_;
  const Resource resource_;
  const Window learn_;
  const RightsizeGoals goals_;
  const double half_life_s_;
  std::vector<Learned> pods_;
  std::vector<Service> services_;
};

// Samples, mean and peak into the request.
void Describe(const std::vector<float>& samples, Request* request);

}  // namespace brim::planner
