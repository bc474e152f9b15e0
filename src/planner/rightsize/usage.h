// Usage: what pods used over time, on one grid of equal steps. The input of right-sizing.
//
//   UsageBuilder builder;
//   builder.Add({"pod-a", "team", "ranker", 1}, Resource::kCompute, time_s, 12.5);
//   BRIM_ASSIGN_OR_RETURN(const Usage usage, std::move(builder).Build({}));
//
// A slot without a sample is NaN: a gap, never a zero. Samples that fall into the same slot keep
// the largest (a peak must not be averaged away). Values; one thread while building.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace brim::planner {

enum class Resource : std::uint8_t {
  kCompute,  // GPU duty, percent of one card (200: two cards' worth).
  kMemory,   // GPU memory, MiB.
  kCpu,      // Milli-cores.
  kRate,     // Requests per second.
};
inline constexpr std::size_t kResources = 4;
inline constexpr std::array<Resource, kResources> kAllResources = {
    Resource::kCompute, Resource::kMemory, Resource::kCpu, Resource::kRate};
std::string_view ResourceName(Resource resource);
std::string_view ResourceUnit(Resource resource);

struct UsageIdentity {
  std::string pod;
  std::string owner;    // May be empty.
  std::string service;  // Pods of one service share what is learned; empty: shares nothing.
  double cards = 1;     // Reserved today.
};

struct UsagePod {
  UsageIdentity who;
  // usage.slots values, or empty where the resource was never measured.
  std::array<std::vector<float>, kResources> values;

  const std::vector<float>& of(Resource resource) const {
    return values[static_cast<std::size_t>(resource)];
  }
};

// A part of the grid: slots [begin, end).
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
};

struct Usage {
  double start_s = 0;  // Of slot 0.
  double step_s = 60;
  std::size_t slots = 0;
  std::int64_t samples = 0;
  std::int64_t merged = 0;  // Samples that fell into a slot that had one.
  std::vector<UsagePod> pods;

  Window all() const { return {0, slots}; }
  // Both halves leave out no slot.
  Window first_half() const { return {0, slots / 2}; }
  Window second_half() const { return {slots / 2, slots}; }
  double seconds(const Window& window) const { return static_cast<double>(window.size()) * step_s; }
  double time(std::size_t slot) const { return start_s + static_cast<double>(slot) * step_s; }
};

// The hour, 0 to 23, of the cycle's day: a 24th of the cycle each. Any time, also before 0.
std::size_t HourOfCycle(double time_s, double cycle_s);

// What there is of one series in a window.
struct Coverage {
  std::size_t samples = 0;
  std::size_t longest_gap = 0;  // Slots; the ends count.
  double share = 0;             // Of the window's slots.
};
Coverage CoverageOf(const std::vector<float>& series, const Window& window);

// The window's samples in order, without the gaps.
std::vector<float> Samples(const std::vector<float>& series, const Window& window);
// Linear between ranks, as numpy and most tools. REQUIRES: values not empty, 0 <= share <= 1.
double PercentileOf(std::vector<float> values, double share);

struct UsageOptions {
  double step_s = 0;                    // 0: the median gap between a pod's samples.
  std::size_t cells_max = 400'000'000;  // Of 4 bytes each.
};

class UsageBuilder {
 public:
  // A pod seen again keeps its first identity; what was empty is filled. Returns the pod's index,
  // for the faster Add.
  std::size_t AddPod(const UsageIdentity& who);
  // REQUIRES: finite time, finite value >= 0.
  void Add(std::size_t pod, Resource resource, double time_s, double value);
  void Add(const UsageIdentity& who, Resource resource, double time_s, double value) {
    Add(AddPod(who), resource, time_s, value);
  }
  // INVALID_ARGUMENT (no_samples); RESOURCE_EXHAUSTED (grid_too_large): use a larger step.
  Result<Usage> Build(const UsageOptions& options) &&;

 private:
  struct Pod {
    UsageIdentity who;
    std::array<std::vector<std::pair<double, float>>, kResources> samples;
  };
  double MedianStep();

  std::vector<Pod> pods_;
  std::unordered_map<std::string, std::size_t> index_;
};

// The same usage without the pods that have samples in at most `share` of the slots of any of the
// given resources; their names are appended to *left_out.
Usage AliveThroughout(const Usage& usage, const std::vector<Resource>& resources, double share,
                      std::vector<std::string>* left_out);

}  // namespace brim::planner
