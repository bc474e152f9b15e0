// The search. Autopilot's objective (Rzadca et al., EuroSys 2020): w1 overrun + w2 underrun + w3
// changes, each summed over pods; the weights are the operator's, the parameters are chosen.
//
// Compute: about a hundred choices, each learned on one half of the window and judged on the other,
// both ways: out of sample, and with quiet and busy hours on either side.
//
// Memory, for each service: gears by replay of the window from a cold start. For each way to rest
// and to remember, the working floor is the lowest whose kills are at most
// allowed = memory_miss / (1 + 1/cycles): kills fall as the floor rises, so it is found by
// bisection. Overrun weighs the hours not seen yet as if every pod worked through them: half a
// cycle of quiet hours must not make resting look like the whole of life.
// Cost: choices * log2(levels) * samples; half a second for 94 pods of 720 samples.
#include "planner/rightsize/tune.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "planner/rightsize/safety.h"

namespace brim::planner {
namespace {

constexpr double kQuantiles[] = {0.97, 0.98, 0.985, 0.99, 0.995};
constexpr double kPriorSamples[] = {0, 1, 3, 10, 30};
constexpr double kMargins[] = {0, 0.05, 0.1, 0.15};
constexpr double kRestMinutes[] = {2, 5, 10, 20};
constexpr double kHoldMinutes[] = {15, 60, 180};
constexpr double kRestingShares[] = {0.5, 0.75, 0.9, 0.99};
constexpr double kMemoryMargin = 0.1;
constexpr double kRestingMargin = 1.05;  // On the level that resting pods hold.
constexpr double kLevelStep = 0.005;     // Of the largest memory seen: the bisection's end.

double Cost(const RightsizeGoals& goals, const Objective& o) {
  return goals.weight_overrun * o.overrun + goals.weight_underrun * o.underrun +
         goals.weight_changes * o.changes;
}

std::size_t Slots(double minutes, const Usage& usage) {
  return static_cast<std::size_t>(std::max(1.0, std::round(minutes * 60 / usage.step_s)));
}

// Requests learned in one half of the window, judged on the other, both ways.
class ComputeJudge {
 public:
  ComputeJudge(const Usage& usage, Resource resource, const Window& train,
               const RightsizeGoals& goals)
      : usage_(usage),
        resource_(resource),
        goals_(goals),
        halves_{Window{train.begin, train.begin + train.size() / 2},
                Window{train.begin + train.size() / 2, train.end}},
        learners_{ComputeLearner(usage, resource, halves_[0], goals, ComputeParams().half_life_s),
                  ComputeLearner(usage, resource, halves_[1], goals, ComputeParams().half_life_s)},
        allowed_(goals.compute_miss / Widening(CyclesSeen(train.size(), usage, goals))) {}

  Objective Judge(const ComputeParams& params) const {
    Objective sum;
    for (std::size_t half = 0; half < 2; ++half) {
      JudgeFold(learners_[half].Propose(params, false), halves_[1 - half], &sum);
    }
    sum.cost = Cost(goals_, sum);
    return sum;
  }

 private:
  void JudgeFold(const std::vector<Request>& requests, const Window& test, Objective* sum) const {
    double unit = 100;  // CPU has no card: the largest sample stands for it.
    if (resource_ == Resource::kCpu) {
      unit = 1;
      for (const Request& request : requests) unit = std::max(unit, request.seen_peak);
    }
    const double above = resource_ == Resource::kCompute ? goals_.active_percent : 0;
    std::int64_t active = 0, over = 0, samples = 0;
    double held = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::vector<float>& series = usage_.pods[i].of(resource_);
      if (!requests[i].proposed || series.empty()) continue;
      for (std::size_t slot = test.begin; slot < test.end; ++slot) {
        const float value = series[slot];
        if (std::isnan(value)) continue;
        ++samples;
        held += std::max(0.0, requests[i].value - value);
        if (value > above) ++active;
        if (value > requests[i].value) ++over;
      }
    }
    if (samples == 0 || active == 0) return;
    const double miss = static_cast<double>(over) / static_cast<double>(active);
    sum->overrun += held / static_cast<double>(samples) / unit / 2;
    sum->underrun += std::max(0.0, miss / allowed_ - 1) / 2;
  }

  const Usage& usage_;
  const Resource resource_;
  const RightsizeGoals& goals_;
  const std::array<Window, 2> halves_;
  const std::array<ComputeLearner, 2> learners_;
  const double allowed_;
};

ComputeParams TuneCompute(const Usage& usage, Resource resource, const Window& train,
                          const RightsizeGoals& goals, Objective* best) {
  const ComputeJudge judge(usage, resource, train, goals);
  ComputeParams chosen;
  best->cost = std::numeric_limits<double>::infinity();
  for (const double quantile : kQuantiles) {
    for (const double prior : kPriorSamples) {
      for (const double margin : kMargins) {
        ComputeParams params;
        params.quantile = quantile;
        params.prior_samples = prior;
        params.margin = margin;
        const Objective objective = judge.Judge(params);
        if (objective.cost < best->cost) {
          *best = objective;
          chosen = params;
        }
      }
    }
  }
  return chosen;
}

// What a service's replay of the window comes to.
struct MemoryTrial {
  SafetyCount count;
  double miss = 0;
  Objective objective;
};

class MemoryTuner {
 public:
  MemoryTuner(const Usage& usage, const ServicePods& service, const Window& train,
              const RightsizeGoals& goals)
      : usage_(usage), service_(service), train_(train), goals_(goals) {
    std::size_t samples = 0;
    for (const std::size_t pod : service.pods) {
      for (const float value : Samples(usage.pods[pod].of(Resource::kMemory), train)) {
        largest_ = std::max(largest_, double{value});
        ++samples;
      }
    }
    cycles_ = CyclesSeen(samples / service.pods.size(), usage, goals);
    allowed_ = goals.memory_miss / Widening(cycles_);
    CollectResting();
  }

  bool any() const { return largest_ > 0; }

  ServiceMemory Best(Objective* best) {
    ServiceMemory chosen;
    best->cost = std::numeric_limits<double>::infinity();
    for (const double hold : kHoldMinutes) {
      MemoryGears gears;
      gears.margin = kMemoryMargin;
      gears.hold = Slots(hold, usage_);
      gears.bump_floor_mib = largest_ * (1 + kMemoryMargin);
      Consider(gears, best, &chosen);  // One gear.
      for (const double rest : kRestMinutes) {
        for (const double share : kRestingShares) {
          if (resting_.empty()) continue;
          gears.rest_after = Slots(rest, usage_);
          gears.resting_mib = PercentileOf(resting_, share) * kRestingMargin;
          Consider(gears, best, &chosen);
        }
      }
    }
    chosen.service = service_.service;
    chosen.pods = service_.pods.size();
    chosen.allowed = allowed_;
    return chosen;
  }

 private:
  void CollectResting() {
    for (const std::size_t pod : service_.pods) {
      const std::vector<float>& memory = usage_.pods[pod].of(Resource::kMemory);
      const std::vector<float>& compute = usage_.pods[pod].of(Resource::kCompute);
      if (memory.empty() || compute.empty()) continue;
      for (std::size_t slot = train_.begin; slot < train_.end; ++slot) {
        if (compute[slot] <= goals_.active_percent && !std::isnan(memory[slot])) {
          resting_.push_back(memory[slot]);
        }
      }
    }
  }

  MemoryTrial Try(MemoryGears gears, double working) const {
    MemoryTrial trial;
    gears.working_mib = working;
    gears.resting_mib = std::min(working, gears.resting_mib);
    for (const std::size_t pod : service_.pods) {
      const UsagePod& one = usage_.pods[pod];
      if (one.of(Resource::kMemory).empty()) continue;
      const Window cold{train_.begin, train_.begin};
      const SafetyCount count = FollowMemory(usage_, one, cold, train_, gears, goals_);
      trial.count.Add(count);
    }
    const auto samples = static_cast<double>(std::max<std::int64_t>(1, trial.count.samples));
    trial.miss = trial.count.over_of_samples();
    const double seen = std::min(1.0, cycles_);
    // What is above the used, in the hours seen and in those taken as all work.
    const double at_work = trial.count.working_limit_sum /
                           static_cast<double>(std::max<std::int64_t>(1, trial.count.working));
    const double held = seen * trial.count.limit_mean() + (1 - seen) * at_work;
    trial.objective.overrun = (held - trial.count.used_mean()) / largest_;
    trial.objective.underrun = std::max(0.0, trial.miss / allowed_ - 1);
    trial.objective.changes =
        static_cast<double>(trial.count.changes) / (samples * usage_.step_s / 3600);
    trial.objective.cost = Cost(goals_, trial.objective);
    return trial;
  }

  // The lowest working floor that is allowed; the largest peak + margin if none is.
  void Consider(const MemoryGears& gears, Objective* best, ServiceMemory* chosen) const {
    double low = 0, high = largest_ * (1 + kMemoryMargin);
    MemoryTrial at_high = Try(gears, high);
    while (high - low > kLevelStep * largest_) {
      const double middle = (low + high) / 2;
      MemoryTrial trial = Try(gears, middle);
      if (trial.miss <= allowed_) {
        high = middle;
        at_high = trial;
      } else {
        low = middle;
      }
    }
    if (at_high.objective.cost >= best->cost) return;
    *best = at_high.objective;
    chosen->gears = gears;
    chosen->gears.working_mib = high;
    chosen->gears.resting_mib = gears.rest_after > 0 ? std::min(high, gears.resting_mib) : high;
    chosen->seen = at_high.miss;
    chosen->mean_mib = at_high.count.limit_mean();
    chosen->changes_per_pod_hour = at_high.objective.changes;
  }

  const Usage& usage_;
  const ServicePods& service_;
  const Window train_;
  const RightsizeGoals& goals_;
  double largest_ = 0;
  double cycles_ = 0;
  double allowed_ = 0;
  std::vector<float> resting_;  // Memory of samples without activity.
};

}  // namespace

Tuning Tune(const Usage& usage, const Window& train, const RightsizeGoals& goals,
            const Progress& progress) {
  Tuning tuning;
  const std::vector<ServicePods> services = TeachingServices(usage);
  const auto total = static_cast<std::int64_t>(services.size() + 2);
  const auto tell = [&](std::int64_t done) {
    if (progress) progress("tuning", done, total);
  };
  tell(0);
  tuning.params.compute = TuneCompute(usage, Resource::kCompute, train, goals, &tuning.compute);
  tell(1);
  const bool cpu = std::any_of(usage.pods.begin(), usage.pods.end(),
                               [](const UsagePod& pod) { return !pod.of(Resource::kCpu).empty(); });
  if (cpu) tuning.params.cpu = TuneCompute(usage, Resource::kCpu, train, goals, &tuning.cpu);
  for (std::size_t i = 0; i < services.size(); ++i) {
    tell(static_cast<std::int64_t>(i) + 2);
    MemoryTuner tuner(usage, services[i], train, goals);
    if (!tuner.any()) continue;
    Objective best;
    tuning.params.memory.push_back(tuner.Best(&best));
    tuning.memory.push_back(best);
  }
  return tuning;
}

}  // namespace brim::planner
