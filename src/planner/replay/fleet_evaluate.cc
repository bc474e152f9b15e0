// Whether a server holds its models, and which cards no plan can do without.
//
// A server is one process that runs one batch at a time (a CPU pool: one request per core). Let C
// be half the tightest latency objective among its models. If all work that arrives within any C is
// done within the next C, every request waits at most C and then takes at most its own batch, which
// is cut to C: the duty-cycle argument of Nexus (SOSP'19), without its fixed order, because the
// server picks by earliest deadline. Arrivals are random, so "all work" is the mean plus z standard
// deviations. A model's requests come as a Poisson stream whose rate itself varies (burst_cv);
// those that gather, in a cycle or in half the model's own objective if that is longer, go as one
// batch: with m expected, none come with probability e^-m, and a batch of n costs l(n), so a model
// that can batch costs little more when it bursts. O(models x hours). It is an approximation: the
// event simulation has the last word.
#include <algorithm>
#include <cmath>

#include "planner/replay/fleet_plan.h"

namespace brim::planner {
namespace {

double TightestSlo(const std::vector<Load>& loads) {
  double slo = loads.front().slo_s;
  for (const Load& load : loads) slo = std::min(slo, load.slo_s);
  return slo;
}

// Mean and variance of the work that one load brings in any `cycle` seconds of one hour.
struct Work {
  double mean = 0, variance = 0;
};

// n requests, real-valued, in batches as large as they come, at most batch_max.
double Batches(const Load& load, double n, std::int32_t batch_max, double slowdown) {
  if (load.profile == nullptr) return load.cpu_s * n;
  if (n <= batch_max) return load.profile->Service(n) * slowdown;
  return load.profile->Service(batch_max) * slowdown * n / batch_max;
}

Work WorkOf(const FleetSpec& spec, const Load& load, double rate, std::int32_t batch_max,
            double slowdown, double cycle) {
  // It may gather for half its own objective, which is a cycle or longer.
  const double gathers = std::max(cycle, load.slo_s / 2);
  const double expected = rate * gathers;
  if (expected <= 0) return {};
  const double some = -std::expm1(-expected);  // Probability that any request comes.
  const double n = std::max(1.0, expected / some);
  const double each = Batches(load, n, batch_max, slowdown);
  const double slope = Batches(load, n + 1, batch_max, slowdown) - each;
  const double spread = expected + spec.burst_cv * spec.burst_cv * expected * expected;
  const double mean = some * each;
  const double square = some * (each * each + slope * slope * spread);
  // One gathering in `gathers / cycle` falls into a given cycle.
  const double part = cycle / gathers;
  return {part * mean, part * square - part * part * mean * mean};
}

// Relaxed need of one model: card-seconds per second (share x time) at its best measured point.
double BestCost(const ServiceProfile& profile) {
  double best = 1e300;
  for (const ShareProfile& share : profile.shares) {
    for (std::int32_t n = 1; n <= share.batch_max(); ++n) {
      best = std::min(best, share.share_milli / 1000.0 * share.service_s[n - 1] / n);
    }
  }
  return best;
}

struct Relaxed {
  double need = 0;   // Cards.
  double cores = 0;  // To take it off the cards; infinite when impossible.
};

// Least total need when at most `cores` may take models away, fractions allowed.
double AfterCores(std::vector<Relaxed> items, double cores) {
  std::sort(items.begin(), items.end(),
            [](const Relaxed& a, const Relaxed& b) { return a.need * b.cores > b.need * a.cores; });
  double total = 0;
  for (const Relaxed& item : items) {
    double part = 0;
    if (std::isfinite(item.cores)) {
      part = item.cores <= 0 ? 1 : std::min(1.0, cores / item.cores);
      cores -= part * item.cores;
    }
    total += item.need * (1 - part);
  }
  return total;
}

}  // namespace

std::int32_t BatchWithin(const Load& load, double slo_min_s, double slowdown) {
  const double limit = slo_min_s / 2;
  if (load.profile == nullptr) return load.cpu_s <= limit ? 1 : 0;
  const auto& service = load.profile->service_s;
  std::int32_t batch = 0;
  while (batch < load.profile->batch_max() && service[batch] * slowdown <= limit) ++batch;
  return batch;
}

bool ServerHolds(const FleetSpec& spec, const std::vector<Load>& loads, std::int32_t executors,
                 double slowdown) {
  if (loads.empty()) return true;
  const double slo_min = TightestSlo(loads);
  const double cycle = slo_min / 2;
  std::vector<std::int32_t> batches;
  for (const Load& load : loads) {
    batches.push_back(BatchWithin(load, slo_min, slowdown));
    if (batches.back() == 0) return false;
  }
  for (int h = 0; h < kHours; ++h) {
    Work all;
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const double rate = (*loads[i].rates)[h] * loads[i].part;
      const Work work = WorkOf(spec, loads[i], rate, batches[i], slowdown, cycle);
      all.mean += work.mean;
      all.variance += work.variance;
    }
    if (all.mean + spec.safety_z * std::sqrt(all.variance) > cycle * executors) return false;
  }
  return true;
}

HourRates PlannedRates(const FleetSpec& spec, const FleetModel& model, std::uint32_t levers) {
  HourRates rates{};
  const double peak = model.learned_peak();
  for (int h = 0; h < kHours; ++h) {
    if ((levers & kRightSizing) == 0 || !model.adopts) {
      rates[h] = spec.declared_headroom * peak;
      continue;
    }
    // The hour before and after as well: tomorrow's peak may come early or late. A twentieth of
    // the peak is the floor, for a model that sleeps.
    const double around = std::max({model.learned[h], model.learned[(h + 1) % kHours],
                                    model.learned[(h + kHours - 1) % kHours]});
    rates[h] = spec.margin * std::max(around, peak / 20);
  }
  return rates;
}

std::vector<Bound> FleetBounds(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers) {
  const bool share = (levers & (kMixed | kSlices)) != 0;
  std::vector<std::vector<Relaxed>> compute(kHours);
  std::vector<Relaxed> memory;
  double fixed = 0;  // Cards of models that no sharing may touch.
  // Every card that holds anything has somebody's workspace beside what is resident.
  double workspace_min = spec.card_memory_gib;
  for (const FleetModel& model : fleet.models) {
    workspace_min = std::min(workspace_min, model.peak_gib - model.resident_gib);
  }
  for (const FleetModel& model : fleet.models) {
    const ServiceProfile& profile = spec.profiles[model.profile];
    const HourRates rates = PlannedRates(spec, model, levers);
    const double peak = *std::max_element(rates.begin(), rates.end());
    const bool to_cpu = (levers & kCpuMove) != 0 && model.adopts && profile.cpu_s > 0 &&
                        profile.cpu_s <= profile.slo_s / 2;
    const double cores = to_cpu ? peak * profile.cpu_s : INFINITY;
    if (!model.adopts || !share) {
      const double cards = std::max(1.0, std::ceil(peak * BestCost(profile) - 1e-9));
      if (!to_cpu) {
        fixed += cards;
      } else {
        memory.push_back({cards, cores});
      }
      continue;
    }
    for (int h = 0; h < kHours; ++h) compute[h].push_back({rates[h] * BestCost(profile), cores});
    // With one process per model each keeps its own peak; a shared process keeps what is resident.
    const double held = (levers & kMixed) != 0 ? model.resident_gib - spec.context_gib
                                               : spec.memory_margin * model.peak_gib;
    const double room = (levers & kMixed) != 0 ? spec.card_memory_gib / spec.memory_margin -
                                                     spec.context_gib - workspace_min
                                               : spec.card_memory_gib;
    // Alone on a card a model may have all of it, so no model counts for more than one.
    memory.push_back({room > 0 ? std::clamp(held / room, 0.0, 1.0) : 1, cores});
  }
  double busiest = 0;
  for (int h = 0; h < kHours; ++h) {
    busiest = std::max(busiest, AfterCores(compute[h], spec.cpu_cores));
  }
  const double held = AfterCores(memory, spec.cpu_cores);
  return {{"compute, fluid", fixed + busiest,
           "the busiest hour's planned requests, each at the best measured batch and share"},
          {"memory, fluid", fixed + held,
           share ? "what stays resident, over the cards' memory, cut at will"
                 : "a whole card for each model, more where one cannot carry its peak"}};
}

}  // namespace brim::planner
