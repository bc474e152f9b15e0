// See usage.h.
#include "planner/rightsize/usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace brim::planner {

std::string_view ResourceName(Resource resource) {
  switch (resource) {
    case Resource::kCompute:
      return "compute";
    case Resource::kMemory:
      return "memory";
    case Resource::kCpu:
      return "cpu";
    case Resource::kRate:
      return "rate";
  }
  return "";
}

std::string_view ResourceUnit(Resource resource) {
  switch (resource) {
    case Resource::kCompute:
      return "% of a card";
    case Resource::kMemory:
      return "MiB";
    case Resource::kCpu:
      return "milli-cores";
    case Resource::kRate:
      return "requests/s";
  }
  return "";
}

std::size_t HourOfCycle(double time_s, double cycle_s) {
  const double cycles = time_s / cycle_s;
  return std::min<std::size_t>(23, static_cast<std::size_t>((cycles - std::floor(cycles)) * 24));
}

Coverage CoverageOf(const std::vector<float>& series, const Window& window) {
  Coverage coverage;
  if (series.empty()) {
    coverage.longest_gap = window.size();
    return coverage;
  }
  std::size_t gap = 0;
  for (std::size_t slot = window.begin; slot < window.end; ++slot) {
    if (std::isnan(series[slot])) {
      coverage.longest_gap = std::max(coverage.longest_gap, ++gap);
    } else {
      gap = 0;
      ++coverage.samples;
    }
  }
  if (window.size() > 0) {
    coverage.share = static_cast<double>(coverage.samples) / static_cast<double>(window.size());
  }
  return coverage;
}

std::vector<float> Samples(const std::vector<float>& series, const Window& window) {
  std::vector<float> out;
  if (series.empty()) return out;
  for (std::size_t slot = window.begin; slot < window.end; ++slot) {
    if (!std::isnan(series[slot])) out.push_back(series[slot]);
  }
  return out;
}

double PercentileOf(std::vector<float> values, double share) {
  BRIM_CHECK(!values.empty());
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(low);
  std::nth_element(values.begin(), at, values.end());
  const double below = *at;
  if (low + 1 >= values.size()) return below;
  const double above = *std::min_element(at + 1, values.end());
  return below + (above - below) * (rank - static_cast<double>(low));
}

std::size_t UsageBuilder::AddPod(const UsageIdentity& who) {
  const auto [at, fresh] = index_.try_emplace(who.pod, pods_.size());
  if (fresh) {
    pods_.push_back({who, {}});
  } else {
    UsageIdentity& known = pods_[at->second].who;
    if (known.owner.empty()) known.owner = who.owner;
    if (known.service.empty()) known.service = who.service;
  }
  return at->second;
}

void UsageBuilder::Add(std::size_t pod, Resource resource, double time_s, double value) {
  pods_[pod].samples[static_cast<std::size_t>(resource)].push_back(
      {time_s, static_cast<float>(value)});
}

// Sorts every series on the way.
double UsageBuilder::MedianStep() {
  std::vector<double> gaps;
  for (Pod& pod : pods_) {
    for (auto& series : pod.samples) {
      std::sort(series.begin(), series.end());
      for (std::size_t i = 1; i < series.size(); ++i) {
        const double gap = series[i].first - series[i - 1].first;
        if (gap > 0) gaps.push_back(gap);
      }
    }
  }
  if (gaps.empty()) return 60;  // One sample a pod: any step tells the same.
  const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  return *middle;
}

Result<Usage> UsageBuilder::Build(const UsageOptions& options) && {
  Usage usage;
  const double median = MedianStep();
  usage.step_s = options.step_s > 0 ? options.step_s : median;
  double first = std::numeric_limits<double>::infinity();
  double last = -first;
  std::size_t series_count = 0;
  for (const Pod& pod : pods_) {
    for (const auto& series : pod.samples) {
      if (series.empty()) continue;
      ++series_count;
      usage.samples += static_cast<std::int64_t>(series.size());
      first = std::min(first, series.front().first);
      last = std::max(last, series.back().first);
    }
  }
  if (series_count == 0) {
    return Status(Code::kInvalidArgument, "no_samples",
                  "the usage holds no samples; give at least one row with a value");
  }
  usage.start_s = first;
  const double slots = std::floor((last - first) / usage.step_s + 0.5) + 1;
  if (slots * static_cast<double>(series_count) > static_cast<double>(options.cells_max)) {
    return Status(Code::kResourceExhausted, "grid_too_large",
                  fmt::format("{:.0f} steps of {:g} s for {} series are more than {} values; use a "
                              "larger step, or look for a wrong time stamp ({:g} s to {:g} s)",
                              slots, usage.step_s, series_count, options.cells_max, first, last));
  }
  usage.slots = static_cast<std::size_t>(slots);
  usage.pods.reserve(pods_.size());
  for (Pod& pod : pods_) {
    UsagePod& out = usage.pods.emplace_back();
    out.who = std::move(pod.who);
    for (std::size_t r = 0; r < kResources; ++r) {
      if (pod.samples[r].empty()) continue;
      std::vector<float>& values = out.values[r];
      values.assign(usage.slots, std::numeric_limits<float>::quiet_NaN());
      for (const auto& [time, value] : pod.samples[r]) {
        const double offset = std::floor((time - first) / usage.step_s + 0.5);
        const std::size_t slot = std::min(static_cast<std::size_t>(offset), usage.slots - 1);
        if (!std::isnan(values[slot])) ++usage.merged;
        if (std::isnan(values[slot]) || value > values[slot]) values[slot] = value;
      }
      pod.samples[r] = {};
    }
  }
  return usage;
}

Usage AliveThroughout(const Usage& usage, const std::vector<Resource>& resources, double share,
                      std::vector<std::string>* left_out) {
  Usage out = usage;
  out.pods.clear();
  for (const UsagePod& pod : usage.pods) {
    const bool alive = std::all_of(resources.begin(), resources.end(), [&](Resource resource) {
      return CoverageOf(pod.of(resource), usage.all()).share > share;
    });
    if (alive) {
      out.pods.push_back(pod);
    } else {
      left_out->push_back(pod.who.pod);
    }
  }
  return out;
}

}  // namespace brim::planner
