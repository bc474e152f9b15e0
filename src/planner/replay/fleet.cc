#include "planner/replay/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

// The shape of the day at hour h, shifted by a real number of hours.
double ShapeAt(const HourRates& hours, double h) {
  const double wrapped = h - kHours * std::floor(h / kHours);
  const int low = static_cast<int>(wrapped) % kHours;
  const double part = wrapped - std::floor(wrapped);
  return hours[low] + part * (hours[(low + 1) % kHours] - hours[low]);
}

// A factor with mean 1 and log-deviation `sd`.
double LogNormal(Random* random, double sd) {
  return std::exp(sd * random->Normal() - sd * sd / 2);
}

}  // namespace

double FleetModel::learned_peak() const {
  return *std::max_element(learned.begin(), learned.end());
}

Fleet DrawFleet(const FleetSpec& spec, std::uint64_t seed) {
  BRIM_CHECK(!spec.profiles.empty() && !spec.resident_gib.empty() &&
             spec.resident_gib.size() == spec.peak_gib.size());
  Random random(seed);
  std::vector<double> weights;
  double weight_sum = 0;
  for (std::int32_t rank = 1; rank <= spec.models; ++rank) {
    weights.push_back(std::pow(rank + spec.zipf_shift, -spec.zipf));
    weight_sum += weights.back();
  }
  Fleet fleet;
  for (std::int32_t i = 0; i < spec.models; ++i) {
    FleetModel model;
    model.name = fmt::format("model-{:04d}", i);
    model.profile = static_cast<std::int32_t>(random.Below(spec.profiles.size()));
    const std::size_t memory = random.Below(spec.resident_gib.size());
    model.resident_gib = spec.resident_gib[memory];
    model.peak_gib = spec.peak_gib[memory];
    if (!spec.declared_shares.empty()) {
      model.declared_share = spec.declared_shares[random.Below(spec.declared_shares.size())];
    }
    model.adopts = random.Uniform() < spec.adoption;
    const double shift = spec.phase_sd_h * random.Normal();
    const double error = LogNormal(&random, spec.drift);
    double mean = 0;
    for (int h = 0; h < kHours; ++h) {
      model.learned[h] = ShapeAt(spec.hours, h + shift);
      mean += model.learned[h] / kHours;
    }
    const double rate = spec.requests_per_s * weights[i] / weight_sum;
    for (int h = 0; h < kHours; ++h) {
      model.learned[h] *= mean > 0 ? rate / mean : 0;
      model.test[h] = model.learned[h] * error;
    }
    fleet.models.push_back(std::move(model));
  }
  return fleet;
}

Streams DrawStreams(const FleetSpec& spec, const Fleet& fleet, Day day, std::uint64_t seed) {
  Streams streams(fleet.models.size());
  const double burst_sd = std::sqrt(std::log1p(spec.burst_cv * spec.burst_cv));
  for (std::size_t i = 0; i < fleet.models.size(); ++i) {
    // A stream of its own per model: a change to one leaves the others as they were.
    Random random(seed * 1'000'003 + i * 2 + (day == Day::kTest ? 1 : 0));
    const HourRates& rates = day == Day::kTest ? fleet.models[i].test : fleet.models[i].learned;
    for (int h = 0; h < kHours; ++h) {
      const double hour_end = (h + 1) * spec.seconds_per_hour;
      for (double second = h * spec.seconds_per_hour; second < hour_end; second += 1) {
        const double end = std::min(second + 1, hour_end);
        const double rate = rates[h] * (burst_sd > 0 ? LogNormal(&random, burst_sd) : 1);
        if (rate <= 0) continue;
        for (double t = second + random.Exponential() / rate; t < end;
             t += random.Exponential() / rate) {
          streams[i].push_back(t);
        }
      }
    }
  }
  return streams;
}

}  // namespace brim::planner
