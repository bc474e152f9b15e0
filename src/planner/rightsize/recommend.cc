// What makes a GPU request hard to guess is that most samples are zero: a percentile over all of
// them says how often a pod works, not how much it needs when it does. So:
//
// Compute counts active samples alone (an idle pod is never throttled) and the goal is a share of
// them. A pod seen for half a day has a few dozen, whose own p99 is their maximum or less; so its
// histogram is mixed with that of its service as a Dirichlet prior of n samples, n widened by
// 1 + 1/cycles (the Kubernetes VPA's confidence factor) so that it fades as the pod is seen longer.
//
// Memory is a limit whose miss kills, so no percentile. Peaks of one pod say little about its next
// (they come from rare large requests), peaks of its service say much: the floor is one level for
// the service, found by replaying the window itself until at most the allowed share, narrowed by
// the same factor, would have been killed (tune.cc). Memory rises with work, so a resting pod needs
// less (memory_gears.h). Cost: one pass over the samples, 200 numbers a pod and resource.
#include "planner/rightsize/recommend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace brim::planner {
namespace {

void ProposeMemory(const Usage& usage, const UsagePod& pod, const Window& learn,
                   const RightsizeGoals& goals, const RightsizeParams& params, Request* request) {
  const std::vector<float> samples = Samples(pod.of(Resource::kMemory), learn);
  Describe(samples, request);
  const ServiceMemory* service = params.MemoryOf(pod.who.service);
  if (samples.size() < kSamplesMin && service == nullptr) {
    request->why = fmt::format("{} samples, fewer than {}, and no service of 8 pods or more",
                               samples.size(), kSamplesMin);
    return;
  }
  request->proposed = true;
  const double cap = goals.card_memory_mib * std::max(1.0, pod.who.cards);
  if (service != nullptr) {
    const MemoryGears& gears = service->gears;
    const std::vector<float>& series = pod.of(Resource::kMemory);
    const std::size_t hold = std::min(learn.size(), gears.hold);
    const std::vector<float> lately =
        series.empty() ? std::vector<float>() : Samples(series, {learn.end - hold, learn.end});
    const double peak =
        lately.empty() ? 0 : double{*std::max_element(lately.begin(), lately.end())};
    request->value = std::max(gears.working_mib, peak * (1 + gears.margin));
    request->resting = gears.rest_after > 0 ? gears.resting_mib : request->value;
    request->why = fmt::format(
        "working: what {} pods of service '{}' need, {:.0f} MiB, or the pod's own {:.0f} MiB of "
        "the last {:.0f} min +{:.0f} %; resting after {:.0f} min",
        service->pods, service->service, gears.working_mib, peak,
        static_cast<double>(gears.hold) * usage.step_s / 60, gears.margin * 100,
        static_cast<double>(gears.rest_after) * usage.step_s / 60);
  } else {
    const double cycles = CyclesSeen(samples.size(), usage, goals);
    const double margin = kSoloMargin * std::min(kWideningMax, Widening(cycles));
    request->value = request->resting = request->seen_peak * (1 + margin);
    request->why = fmt::format("peak of {} samples +{:.0f} % ({:.2f} cycles seen)", samples.size(),
                               margin * 100, cycles);
  }
  if (cap > 0) {
    request->value = std::min(request->value, cap);
    request->resting = std::min(request->resting, cap);
  }
}

}  // namespace

const ServiceMemory* RightsizeParams::MemoryOf(const std::string& service) const {
  if (service.empty()) return nullptr;
  for (const ServiceMemory& one : memory) {
    if (one.service == service) return &one;
  }
  return nullptr;
}

std::vector<Proposal> BrimProposals(const Usage& usage, const Window& learn,
                                    const RightsizeGoals& goals, const RightsizeParams& params) {
  std::vector<Proposal> out(usage.pods.size());
  const auto requests = [&](Resource resource, const ComputeParams& chosen) {
    return ComputeLearner(usage, resource, learn, goals, chosen.half_life_s).Propose(chosen, true);
  };
  const std::vector<Request> compute = requests(Resource::kCompute, params.compute);
  const std::vector<Request> cpu = requests(Resource::kCpu, params.cpu);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].of(Resource::kCompute) = compute[i];
    out[i].of(Resource::kCpu) = cpu[i];
    ProposeMemory(usage, usage.pods[i], learn, goals, params, &out[i].of(Resource::kMemory));
  }
  return out;
}

MemoryGears GearsFor(RightsizeRule rule, const Request& memory, const std::string& service,
                     const RightsizeParams& params) {
  MemoryGears gears;
  gears.working_mib = gears.resting_mib = memory.value;
  gears.margin = 0.15;
  switch (rule) {
    case RightsizeRule::kBrim:
      if (const ServiceMemory* known = params.MemoryOf(service)) return known->gears;
      gears.margin = kSoloMargin;
      break;
    case RightsizeRule::kKrr:
      gears.bump = 1.25;
      break;
    case RightsizeRule::kVpa:
    case RightsizeRule::kPeak:
      break;
    case RightsizeRule::kP99:
    case RightsizeRule::kP95:
    case RightsizeRule::kP90:
      gears.margin = -1;
      break;
  }
  return gears;
}

}  // namespace brim::planner
