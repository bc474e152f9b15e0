// The table of policies. Pure.
#include "planner/pack/policies.h"

#include <string>

#include "base/check.h"
#include "planner/pack/brim_scorer.h"
#include "planner/pack/fgd_scorer.h"
#include "planner/pack/guide_scorer.h"
#include "planner/pack/simple_scorers.h"

namespace brim::planner {
namespace {

constexpr PolicyInfo kPolicies[] = {
    {"brim", "where the expected pods lose the least usable space, scarce hosts weighing most",
     false, false, true},
    {"guide", "where the least future is lost: patterns of cards, cores beside them, scarce hosts",
     false, false, true},
    {"whole-card", "shares rounded up to whole cards; the node with most CPU and memory free",
     true},
    {"whole-card-most", "shares rounded up to whole cards; the node with least CPU and memory free",
     true},
    {"spread", "the node, and on it the card, with the largest share free"},
    {"binpack", "the node, and on it the card, with the largest share used"},
    {"hami", "HAMi's default mix: the node with the largest share used, on it the freest card"},
    {"best-fit", "the node with the least CPU and card left over; the tightest card"},
    {"tightest", "the card with the least left over, then a used node, then the fullest node"},
    {"random", "any node that fits, any card on it", false, true},
    {"fgd", "fragmentation gradient descent: where the typical pods lose the least", false, false,
     true},
};

}  // namespace

std::span<const PolicyInfo> Policies() { return kPolicies; }

Result<PolicyInfo> FindPolicy(std::string_view name) {
  std::string names;
  for (const PolicyInfo& policy : kPolicies) {
    if (policy.name == name) return policy;
    names += names.empty() ? "" : ", ";
    names += policy.name;
  }
  return Status(Code::kInvalidArgument, "policy_unknown",
                "policy '" + std::string(name) + "' is not known; take one of " + names);
}

std::unique_ptr<NodeScorer> MakeScorer(const PolicyInfo& policy, const Occupancy& occupancy,
                                       const PodMix& expected, std::uint64_t seed) {
  const std::string_view name = policy.name;
  if (name == "brim") return std::make_unique<BrimScorer>(occupancy, expected);
  if (name == "guide") return std::make_unique<GuideScorer>(occupancy, expected);
  if (name == "whole-card") return NodeResourcesScorer(occupancy, false);
  if (name == "whole-card-most") return NodeResourcesScorer(occupancy, true);
  if (name == "spread") return CardShareScorer(occupancy, false, false);
  if (name == "binpack") return CardShareScorer(occupancy, true, true);
  if (name == "hami") return CardShareScorer(occupancy, true, false);
  if (name == "best-fit") return BestFitScorer(occupancy);
  if (name == "tightest") return TightestScorer(occupancy);
  if (name == "random") return AnyScorer(occupancy, seed ^ 0x5eed);
  BRIM_CHECK(name == "fgd");
  return std::make_unique<FgdScorer>(occupancy, WithoutMemory(expected));
}

}  // namespace brim::planner
