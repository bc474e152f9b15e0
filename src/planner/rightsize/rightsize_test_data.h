// Made fleets for the tests: seeded, small.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "planner/cluster/random.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

inline constexpr float kGap = std::numeric_limits<float>::quiet_NaN();

inline UsagePod MadePod(const std::string& name, std::vector<float> compute,
                        std::vector<float> memory, const std::string& service = "") {
  UsagePod pod;
  pod.who = {name, "team", service, 1};
  pod.values[static_cast<std::size_t>(Resource::kCompute)] = std::move(compute);
  pod.values[static_cast<std::size_t>(Resource::kMemory)] = std::move(memory);
  return pod;
}

inline Usage MadeUsage(std::vector<UsagePod> pods, std::size_t slots, double step_s = 60) {
  Usage usage;
  usage.step_s = step_s;
  usage.slots = slots;
  usage.pods = std::move(pods);
  return usage;
}

// Pods of one service: bursts of work, memory that rises with some bursts, gaps.
inline Usage MadeFleet(std::uint64_t seed, std::size_t pods, std::size_t slots) {
  Random random(seed);
  std::vector<UsagePod> out;
  for (std::size_t p = 0; p < pods; ++p) {
    std::vector<float> compute(slots), memory(slots), cpu(slots);
    double held = 1000;
    bool works = false;
    for (std::size_t t = 0; t < slots; ++t) {
      if (random.Below(10) == 0) works = !works;
      compute[t] = works ? static_cast<float>(5 + 60 * random.Uniform() * random.Uniform()) : 0;
      if (works && random.Below(20) == 0) held = 1000 + 800 * random.Uniform() * random.Uniform();
      memory[t] = static_cast<float>(held);
      cpu[t] = works ? static_cast<float>(100 + 900 * random.Uniform()) : 0;
      if (random.Below(50) == 0) compute[t] = memory[t] = kGap;
    }
    out.push_back(MadePod("pod-" + std::to_string(p), compute, memory, "made"));
    out.back().values[static_cast<std::size_t>(Resource::kCpu)] = cpu;
  }
  return MadeUsage(std::move(out), slots);
}

}  // namespace brim::planner
