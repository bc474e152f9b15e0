// See safety.h.
#include "planner/rightsize/safety.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace brim::planner {
namespace {

constexpr std::size_t kMemoryIndex = static_cast<std::size_t>(Resource::kMemory);
constexpr std::array<Resource, 3> kRequested = {Resource::kCompute, Resource::kMemory,
                                                Resource::kCpu};

SafetyCount Fixed(const Usage& usage, const std::vector<float>& series, const Window& window,
                  double limit, double active_above) {
  SafetyCount count;
  bool over = false;
  for (std::size_t slot = window.begin; slot < window.end; ++slot) {
    const float value = series[slot];
    if (std::isnan(value)) continue;  // A spell goes on over a gap.
    ++count.samples;
    if (value > active_above) ++count.active;
    count.limit_sum += limit;
    count.used_sum += value;
    const bool now = value > limit;
    if (now) ++count.over;
    if (now && !over) ++count.events;
    over = now;
  }
  count.over_s = static_cast<double>(count.over) * usage.step_s;
  return count;
}

void Sum(SafetyRecord* record) {
  for (const auto& pod : record->pods) {
    for (std::size_t r = 0; r < kResources; ++r) {
      record->total[r].Add(pod[r]);
      if (pod[r].over > 0) ++record->pods_over[r];
    }
  }
}

}  // namespace

void SafetyCount::Add(const SafetyCount& other) {
  samples += other.samples;
  active += other.active;
  over += other.over;
  events += other.events;
  changes += other.changes;
  over_s += other.over_s;
  limit_sum += other.limit_sum;
  used_sum += other.used_sum;
  working += other.working;
  working_limit_sum += other.working_limit_sum;
}

std::size_t SafetyRecord::Worst(Resource resource) const {
  const auto r = static_cast<std::size_t>(resource);
  std::size_t worst = pods.size();
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (pods[i][r].over == 0) continue;
    if (worst == pods.size() || pods[i][r].over_of_active() > pods[worst][r].over_of_active()) {
      worst = i;
    }
  }
  return worst;
}

SafetyRecord ReplayFixed(const Usage& usage, const Window& window,
                         const std::vector<Proposal>& proposals, const RightsizeGoals& goals) {
  SafetyRecord record;
  record.pods.resize(usage.pods.size());
  for (std::size_t i = 0; i < usage.pods.size(); ++i) {
    for (const Resource resource : kRequested) {
      const auto r = static_cast<std::size_t>(resource);
      const std::vector<float>& series = usage.pods[i].of(resource);
      const Request& request = proposals[i].of(resource);
      if (CoverageOf(series, window).samples == 0) continue;
      if (!request.proposed) {
        ++record.pods_without[r];
        continue;
      }
      // An idle sample holds memory all the same.
      const double active = resource == Resource::kCompute ? goals.active_percent
                            : resource == Resource::kCpu   ? 0
                                                           : -1;
      record.pods[i][r] = Fixed(usage, series, window, request.value, active);
    }
  }
  Sum(&record);
  return record;
}

SafetyCount FollowMemory(const Usage& usage, const UsagePod& pod, const Window& warm,
                         const Window& window, const MemoryGears& gears,
                         const RightsizeGoals& goals) {
  const std::vector<float>& memory = pod.of(Resource::kMemory);
  const std::vector<float>& compute = pod.of(Resource::kCompute);
  const auto at = [&](std::size_t slot) {
    return compute.empty() ? std::numeric_limits<float>::quiet_NaN() : compute[slot];
  };
  MemoryFollower follower(gears, goals.card_memory_mib * std::max(1.0, pod.who.cards),
                          goals.active_percent);
  for (std::size_t slot = warm.begin; slot < warm.end; ++slot) {
    follower.Observe(memory[slot], at(slot));
  }
  const std::int64_t before = follower.changes();
  SafetyCount count;
  for (std::size_t slot = window.begin; slot < window.end; ++slot) {
    const double limit = follower.limit();
    const bool working = !follower.resting();
    const bool killed = follower.Observe(memory[slot], at(slot));
    if (std::isnan(memory[slot])) continue;
    ++count.samples;
    ++count.active;
    count.limit_sum += limit;
    count.used_sum += memory[slot];
    if (working) {
      ++count.working;
      count.working_limit_sum += limit;
    }
    if (killed) {
      ++count.over;
      ++count.events;
    }
  }
  count.over_s = static_cast<double>(count.over) * usage.step_s;
  count.changes = follower.changes() - before;
  return count;
}

SafetyRecord ReplayInForce(const Usage& usage, const Window& learn, const Window& window,
                           RightsizeRule rule, const std::vector<Proposal>& proposals,
                           const RightsizeGoals& goals, const RightsizeParams& params) {
  SafetyRecord record = ReplayFixed(usage, window, proposals, goals);
  record.total = {};
  record.pods_over = {};
  const Window warm = learn.end == window.begin ? learn : Window{window.begin, window.begin};
  for (std::size_t i = 0; i < usage.pods.size(); ++i) {
    const UsagePod& pod = usage.pods[i];
    const Request& request = proposals[i].of(Resource::kMemory);
    SafetyCount& count = record.pods[i][kMemoryIndex];
    if (count.samples == 0) continue;
    count = FollowMemory(usage, pod, warm, window, GearsFor(rule, request, pod.who.service, params),
                         goals);
  }
  Sum(&record);
  return record;
}

}  // namespace brim::planner
