// See forecast.h.
#include "planner/rightsize/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace brim::planner {
namespace {

constexpr std::size_t kHours = 24;

double MeanOf(const std::vector<float>& rate, const Window& window) {
  const std::vector<float> samples = Samples(rate, window);
  double sum = 0;
  for (const float sample : samples) sum += sample;
  return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

// The last cycle against the one before, means so that gaps do not count.
double GrowthOf(const Usage& usage, const std::vector<float>& rate, const Window& learn,
                const RightsizeGoals& goals, const ReplicaGoals& replicas) {
  const auto slots = static_cast<std::size_t>(goals.cycle_s / usage.step_s);
  if (slots == 0 || learn.size() < 2 * slots) return 1;
  const double last = MeanOf(rate, {learn.end - slots, learn.end});
  const double before = MeanOf(rate, {learn.end - 2 * slots, learn.end - slots});
  return before > 0 ? std::clamp(last / before, 1.0, replicas.growth_max) : 1;
}

}  // namespace

ReplicaForecast ForecastReplicas(const Usage& usage, const std::vector<float>& rate,
                                 const Window& learn, const RightsizeGoals& goals,
                                 const ReplicaGoals& replicas) {
  BRIM_CHECK(replicas.safe_rate > 0);
  ReplicaForecast out;
  const Coverage coverage = CoverageOf(rate, learn);
  if (coverage.samples == 0) {
    out.why = "no request rate in the learning window";
    return out;
  }
  std::vector<double> hours(kHours, -1);
  double peak = 0;
  for (std::size_t slot = learn.begin; slot < learn.end; ++slot) {
    if (std::isnan(rate[slot])) continue;
    double& hour = hours[HourOfCycle(usage.time(slot), goals.cycle_s)];
    hour = std::max(hour, double{rate[slot]});
    peak = std::max(peak, hour);
  }
  const double cycles = static_cast<double>(coverage.samples) * usage.step_s / goals.cycle_s;
  const double widened = cycles < 1 ? std::sqrt(std::min(10.0, Widening(cycles))) : 1;
  out.forecast = true;
  out.growth = GrowthOf(usage, rate, learn, goals, replicas);
  std::size_t unseen = 0;
  for (double& hour : hours) {
    if (hour < 0) {
      hour = peak;
      ++unseen;
    }
    hour = std::max(hour, replicas.floor_share * peak) * out.growth * widened;
    out.rate_by_hour.push_back(hour);
    const double wanted = std::ceil(hour / replicas.safe_rate - 1e-9);
    out.replicas_by_hour.push_back(
        std::max(replicas.replicas_min, static_cast<std::size_t>(std::max(0.0, wanted))));
    out.peak_rate = std::max(out.peak_rate, hour);
    out.replicas = std::max(out.replicas, out.replicas_by_hour.back());
  }
  out.why = fmt::format(
      "largest of the same hour in {:.2f} cycles, growth {:.2f}, widened {:.2f}; "
      "{} hours never seen take the peak",
      cycles, out.growth, widened, unseen);
  return out;
}

std::vector<IdleReservation> IdleReservations(const Usage& usage, const Window& window,
                                              const RightsizeGoals& goals, const IdleGoals& idle) {
  const auto slots = static_cast<std::size_t>(std::max(1.0, goals.cycle_s / usage.step_s));
  const Window last{window.end - std::min(slots, window.size()), window.end};
  std::vector<IdleReservation> out;
  for (std::size_t i = 0; i < usage.pods.size(); ++i) {
    const std::vector<float> samples = Samples(usage.pods[i].of(Resource::kCompute), last);
    if (samples.empty()) continue;
    const auto below = std::count_if(samples.begin(), samples.end(),
                                     [&](float sample) { return sample < idle.use_percent; });
    IdleReservation one;
    one.pod = i;
    one.cards = usage.pods[i].who.cards;
    one.hours = static_cast<double>(samples.size()) * usage.step_s / 3600;
    one.card_hours = one.cards * one.hours;
    one.idle_share = static_cast<double>(below) / static_cast<double>(samples.size());
    double sum = 0;
    for (const float sample : samples) sum += sample;
    one.mean_percent = sum / static_cast<double>(samples.size());
    if (one.idle_share > idle.share) out.push_back(one);
  }
  std::stable_sort(out.begin(), out.end(), [](const IdleReservation& a, const IdleReservation& b) {
    return a.card_hours > b.card_hours;
  });
  return out;
}

}  // namespace brim::planner
