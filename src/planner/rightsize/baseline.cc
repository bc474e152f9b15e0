// The rules that others ship. Sources: kubernetes/autoscaler vertical-pod-autoscaler (percentiles,
// margin, minimum, bucket growth, half-life, memory peaks a day), robusta-dev/krr (percentiles,
// buffer, least history), as documented.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/rightsize/histogram.h"
#include "planner/rightsize/proposal.h"

namespace brim::planner {
namespace {

constexpr double kMargin = 1.15;
constexpr double kVpaPercentile = 0.9;
constexpr double kVpaCpuMin = 25;                    // Milli-cores.
constexpr double kVpaMemoryMin = 250e6 / (1 << 20);  // MiB.
constexpr double kVpaMemoryInterval = 86'400;        // One memory peak each.
constexpr std::size_t kKrrSamplesMin = 100;
constexpr double kKrrSecondsMin = 3 * 3600;

double VpaMemory(const Usage& usage, const std::vector<float>& series, const Window& learn) {
  DecayingHistogram peaks(ShapeFor(Resource::kMemory));
  double peak = -1;
  auto interval = static_cast<std::int64_t>(0);
  for (std::size_t slot = learn.begin; slot <= learn.end; ++slot) {
    const bool last = slot == learn.end;
    const double into = static_cast<double>(slot - learn.begin) * usage.step_s;
    const auto now = static_cast<std::int64_t>(into / kVpaMemoryInterval);
    if ((last || now != interval) && peak >= 0) {
      peaks.Add(peak, 1, usage.time(slot));
      peak = -1;
    }
    interval = now;
    if (!last && !std::isnan(series[slot])) peak = std::max(peak, double{series[slot]});
  }
  return std::max(kVpaMemoryMin, peaks.Percentile(kVpaPercentile) * kMargin);
}

double VpaOther(const Usage& usage, Resource resource, const std::vector<float>& series,
                const Window& learn) {
  DecayingHistogram all(ShapeFor(resource));
  for (std::size_t slot = learn.begin; slot < learn.end; ++slot) {
    if (!std::isnan(series[slot])) all.Add(series[slot], 1, usage.time(slot));
  }
  const double value = all.Percentile(kVpaPercentile) * kMargin;
  return resource == Resource::kCpu ? std::max(kVpaCpuMin, value) : value;
}

double Value(RightsizeRule rule, const Usage& usage, Resource resource, const UsagePod& pod,
             const Window& learn) {
  const std::vector<float>& series = pod.of(resource);
  const auto percentile = [&](double share) { return PercentileOf(Samples(series, learn), share); };
  switch (rule) {
    case RightsizeRule::kVpa:
      return resource == Resource::kMemory ? VpaMemory(usage, series, learn)
                                           : VpaOther(usage, resource, series, learn);
    case RightsizeRule::kKrr:
      return resource == Resource::kMemory ? percentile(1) * kMargin : percentile(0.95);
    case RightsizeRule::kP99:
      return percentile(0.99) * kMargin;
    case RightsizeRule::kP95:
      return percentile(0.95) * kMargin;
    case RightsizeRule::kP90:
      return percentile(0.9) * kMargin;
    case RightsizeRule::kPeak:
    case RightsizeRule::kBrim:
      break;
  }
  return percentile(1) * kMargin;
}

}  // namespace

double Widening(double cycles_seen) { return 1 + 1 / std::max(cycles_seen, 1e-3); }

std::string_view RuleName(RightsizeRule rule) {
  switch (rule) {
    case RightsizeRule::kBrim:
      return "brim";
    case RightsizeRule::kVpa:
      return "vpa";
    case RightsizeRule::kKrr:
      return "krr";
    case RightsizeRule::kPeak:
      return "peak";
    case RightsizeRule::kP99:
      return "p99";
    case RightsizeRule::kP95:
      return "p95";
    case RightsizeRule::kP90:
      return "p90";
  }
  return "";
}

std::vector<Proposal> BaselineProposals(RightsizeRule rule, const Usage& usage, const Window& learn,
                                        const RightsizeGoals& goals) {
  std::vector<Proposal> out(usage.pods.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const UsagePod& pod = usage.pods[i];
    for (const Resource resource : {Resource::kCompute, Resource::kMemory, Resource::kCpu}) {
      Request& request = out[i].of(resource);
      const std::vector<float> samples = Samples(pod.of(resource), learn);
      request.samples = samples.size();
      if (samples.empty()) {
        request.why = "no sample in the learning window";
        continue;
      }
      double sum = 0;
      for (const float sample : samples) sum += sample;
      request.seen_mean = sum / static_cast<double>(samples.size());
      request.seen_peak = *std::max_element(samples.begin(), samples.end());
      if (rule == RightsizeRule::kKrr &&
          (samples.size() < kKrrSamplesMin || usage.seconds(learn) < kKrrSecondsMin)) {
        request.why =
            fmt::format("{} samples: KRR wants {} and 3 h", samples.size(), kKrrSamplesMin);
        continue;
      }
      request.proposed = true;
      request.value = Value(rule, usage, resource, pod, learn);
      if (resource == Resource::kCompute) {
        request.value = std::min(request.value, 100 * std::max(1.0, pod.who.cards));
      }
      if (resource == Resource::kMemory && goals.card_memory_mib > 0) {
        request.value =
            std::min(request.value, goals.card_memory_mib * std::max(1.0, pod.who.cards));
      }
      request.resting = request.value;
      request.why = fmt::format("{} of {} samples", RuleName(rule), samples.size());
    }
  }
  return out;
}

}  // namespace brim::planner
