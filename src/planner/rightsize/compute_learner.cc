// See compute_learner.h; why active samples and a prior: recommend.cc.
#include "planner/rightsize/compute_learner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace brim::planner {
namespace {

constexpr double kCpuLeast = 10;  // Milli-cores.
constexpr double kHoursPerDay = 24;
constexpr std::size_t kHourSamplesMin = 10;  // An hour with fewer takes the whole day's value.

}  // namespace

void Describe(const std::vector<float>& samples, Request* request) {
  request->samples = samples.size();
  if (samples.empty()) return;
  double sum = 0;
  for (const float sample : samples) sum += sample;
  request->seen_mean = sum / static_cast<double>(samples.size());
  request->seen_peak = *std::max_element(samples.begin(), samples.end());
}

double CyclesSeen(std::size_t samples, const Usage& usage, const RightsizeGoals& goals) {
  return static_cast<double>(samples) * usage.step_s / goals.cycle_s;
}

std::vector<ServicePods> TeachingServices(const Usage& usage) {
  std::vector<ServicePods> all;
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < usage.pods.size(); ++i) {
    const std::string& service = usage.pods[i].who.service;
    if (service.empty()) continue;
    const auto [at, fresh] = index.try_emplace(service, all.size());
    if (fresh) all.push_back({service, {}});
    all[at->second].pods.push_back(i);
  }
  std::erase_if(all, [](const ServicePods& s) { return s.pods.size() < kServicePodsMin; });
  return all;
}

ComputeLearner::ComputeLearner(const Usage& usage, Resource resource, const Window& learn,
                               const RightsizeGoals& goals, double half_life_s)
    : usage_(usage), resource_(resource), learn_(learn), goals_(goals), half_life_s_(half_life_s) {
  const std::vector<ServicePods> services = TeachingServices(usage);
  for (const UsagePod& pod : usage.pods) {
    const std::vector<float>& series = pod.of(resource);
    Learned one{{}, ActiveHistogram(series), LastCyclePeak(series), services.size()};
    Describe(Samples(series, learn), &one.seen);
    pods_.push_back(std::move(one));
  }
  for (const ServicePods& service : services) {
    Service all{DecayingHistogram(ShapeFor(resource, half_life_s)), service.pods.size()};
    for (const std::size_t pod : service.pods) {
      all.all.Merge(pods_[pod].own);
      pods_[pod].service = services_.size();
    }
    services_.push_back(std::move(all));
  }
}

double ComputeLearner::active_above() const {
  return resource_ == Resource::kCompute ? goals_.active_percent : 0;
}

DecayingHistogram ComputeLearner::ActiveHistogram(const std::vector<float>& series) const {
  DecayingHistogram histogram(ShapeFor(resource_, half_life_s_));
  if (series.empty()) return histogram;
  for (std::size_t slot = learn_.begin; slot < learn_.end; ++slot) {
    // NaN compares false: a gap teaches nothing.
    if (series[slot] > active_above()) histogram.Add(series[slot], 1, usage_.time(slot));
  }
  return histogram;
}

double ComputeLearner::LastCyclePeak(const std::vector<float>& series) const {
  const auto slots = static_cast<std::size_t>(goals_.cycle_s / usage_.step_s);
  const Window last{learn_.end - std::min(slots, learn_.size()), learn_.end};
  const std::vector<float> samples = Samples(series, last);
  return samples.empty() ? 0 : double{*std::max_element(samples.begin(), samples.end())};
}

// Up to a whole percent or milli-core, within what the pod may have.
double ComputeLearner::Rounded(double value, const UsagePod& pod) const {
  if (resource_ == Resource::kCpu) return std::ceil(std::max(value, kCpuLeast));
  return std::min(std::ceil(std::max(value, 1.0) - 1e-9), 100 * std::max(1.0, pod.who.cards));
}

std::vector<double> ComputeLearner::ByHour(std::size_t pod, const ComputeParams& params,
                                           double whole_day, double floor) const {
  const std::vector<float>& series = usage_.pods[pod].of(resource_);
  std::vector<DecayingHistogram> hours(static_cast<std::size_t>(kHoursPerDay),
                                       DecayingHistogram(ShapeFor(resource_, half_life_s_)));
  std::vector<std::size_t> counts(hours.size());
  for (std::size_t slot = learn_.begin; slot < learn_.end; ++slot) {
    if (!(series[slot] > active_above())) continue;
    const std::size_t hour = HourOfCycle(usage_.time(slot), goals_.cycle_s);
    hours[hour].Add(series[slot], 1, usage_.time(slot));
    ++counts[hour];
  }
  std::vector<double> out;
  for (std::size_t hour = 0; hour < hours.size(); ++hour) {
    const double own = hours[hour].Percentile(params.quantile) * (1 + params.margin);
    const double value = counts[hour] < kHourSamplesMin ? whole_day : std::max(own, floor);
    out.push_back(Rounded(value, usage_.pods[pod]));
  }
  return out;
}

Request ComputeLearner::ProposeOne(std::size_t pod, const ComputeParams& params,
                                   bool by_hour) const {
  const Learned& learned = pods_[pod];
  Request request = learned.seen;
  const bool taught = learned.service < services_.size() && !services_[learned.service].all.empty();
  const double cycles = CyclesSeen(request.samples, usage_, goals_);
  const double widening = std::min(kWideningMax, Widening(cycles));
  if (request.samples < kSamplesMin && !taught) {
    request.why = fmt::format("{} samples, fewer than {}, and no service of {} pods or more",
                              request.samples, kSamplesMin, kServicePodsMin);
    return request;
  }
  const double share = taught
                           ? learned.own.Percentile(params.quantile, services_[learned.service].all,
                                                    params.prior_samples * widening)
                           : learned.own.Percentile(params.quantile);
  const double margin = taught ? params.margin : std::max(params.margin, kSoloMargin * widening);
  double value = share * (1 + margin);
  double floor = 0;
  if (cycles >= 1) {
    floor = params.floor_share * learned.last_cycle_peak;
    value = std::max(value, floor);
    if (by_hour) request.by_hour = ByHour(pod, params, value, floor);
  }
  request.proposed = true;
  request.value = request.resting = Rounded(value, usage_.pods[pod]);
  if (!by_hour) return request;
  request.why = fmt::format(
      "p{:g} of active samples weighing {:.0f}{} +{:.0f} %{}; {:.2f} cycles seen, widened {:.1f} "
      "times",
      params.quantile * 100, learned.own.total(),
      taught ? fmt::format(" and {:.0f} of the service's {} pods", params.prior_samples * widening,
                           services_[learned.service].pods)
             : std::string(),
      margin * 100,
      floor > 0 ? fmt::format(", not under {:.0f} ({:g} of the last cycle's peak)", floor,
                              params.floor_share)
                : std::string(),
      cycles, widening);
  return request;
}

std::vector<Request> ComputeLearner::Propose(const ComputeParams& params, bool by_hour) const {
  std::vector<Request> out;
  for (std::size_t i = 0; i < pods_.size(); ++i) out.push_back(ProposeOne(i, params, by_hour));
  return out;
}

}  // namespace brim::planner
