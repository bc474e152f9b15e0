// The packing policies by name. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "planner/pack/placer.h"

namespace brim::planner {

struct PolicyInfo {
  std::string_view name;     // Static storage, as all here.
  std::string_view says;     // One sentence.
  bool whole_cards = false;  // A share is placed as a whole card.
  bool any_node = false;     // Chance is the policy: ties are random whatever was asked.
  bool knows_mix = false;    // Works with the mix of pods that it is told to expect.
};

inline constexpr std::string_view kDefaultPolicy = "brim";

std::span<const PolicyInfo> Policies();
// INVALID_ARGUMENT (policy_unknown) lists the names.
Result<PolicyInfo> FindPolicy(std::string_view name);

// `expected`: what arrives, for policies that know a mix.
std::unique_ptr<NodeScorer> MakeScorer(const PolicyInfo& policy, const Occupancy& occupancy,
                                       const PodMix& expected, std::uint64_t seed);

}  // namespace brim::planner
