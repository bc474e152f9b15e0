#include "planner/bound/bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "planner/bound/node_lp.h"
#include "planner/bound/pattern_lp.h"

namespace brim::planner {
namespace {

constexpr std::int64_t kCountMax = 1'000'000'000'000;

void Say(const BoundOptions& options, std::string_view what, std::int64_t done) {
  if (options.progress) options.progress(what, done, 5);
}

// The pods that stand at the moment of the most demand (the first such moment).
std::vector<Pod> AtPeak(std::span<const Pod> pods) {
  std::vector<std::pair<double, std::int64_t>> changes;
  for (const Pod& pod : pods) {
    changes.emplace_back(pod.arrives_s, pod.demand_milli());
    if (pod.leaves_s >= 0) changes.emplace_back(pod.leaves_s, -pod.demand_milli());
  }
  std::sort(changes.begin(), changes.end());
  std::int64_t now = 0, most = -1;
  double when = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    now += changes[i].second;
    if (now <= most || (i + 1 < changes.size() && changes[i + 1].first == changes[i].first)) {
      continue;
    }
    most = now;
    when = changes[i].first;
  }
  std::vector<Pod> standing;
  for (const Pod& pod : pods) {
    if (pod.arrives_s <= when && (pod.leaves_s < 0 || pod.leaves_s > when)) standing.push_back(pod);
  }
  return standing;
}

std::vector<Pod> Placeable(const Cluster& cluster, std::span<const Pod> pods,
                           std::vector<std::size_t>* too_large) {
  std::vector<std::int32_t> class_of;
  const std::vector<PodClass> classes = PodClasses(pods, &class_of);
  const std::vector<NodeType> types = NodeTypes(cluster);
  std::vector<bool> fits;
  for (const PodClass& c : classes) {
    fits.push_back(std::any_of(types.begin(), types.end(),
                               [&](const NodeType& type) { return FitsEmpty(c.pod, type.node); }));
  }
  std::vector<Pod> placeable;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (fits[class_of[i]]) {
      placeable.push_back(pods[i]);
    } else {
      too_large->push_back(i);
    }
  }
  return placeable;
}

// Fewest cards of the nodes that together have this much of one resource: the nodes richest in it
// per card first, the last one in part.
Bound ResourceArea(const char* name, const std::vector<NodeType>& types, std::int64_t demand,
                   std::int64_t Node::*capacity) {
  std::vector<const NodeType*> order;
  for (const NodeType& type : types) order.push_back(&type);
  std::sort(order.begin(), order.end(), [&](const NodeType* a, const NodeType* b) {
    return static_cast<double>(a->node.*capacity) * b->node.cards >
           static_cast<double>(b->node.*capacity) * a->node.cards;
  });
  Bound bound{name, 0, "the nodes richest in it per card that have what the pods ask for"};
  auto left = static_cast<double>(demand);
  for (const NodeType* type : order) {
    const double all = static_cast<double>(type->node.*capacity) * static_cast<double>(type->count);
    if (left <= 0 || all <= 0) continue;
    const double share = std::min(1.0, left / all);
    bound.value += share * static_cast<double>(type->node.cards * type->count);
    left -= share * all;
  }
  return bound;
}

Status CheckSizes(std::span<const SizeCount> sizes) {
  for (const SizeCount& size : sizes) {
    if (size.milli >= 1 && size.milli <= kCardMilli && size.count >= 0 && size.count <= kCountMax) {
      continue;
    }
    return Status(Code::kInvalidArgument, "size_out_of_range",
                  fmt::format("{} shares of {} milli-cards: a share is 1 to 1000 milli-cards, and "
                              "there may be 0 to 10^12 of each",
                              size.count, size.milli));
  }
  return OkStatus();
}

Status NodeBounds(const Cluster& cluster, std::span<const Pod> pods, const BoundOptions& options,
                  BoundSet* set) {
  std::vector<NodeType> types = NodeTypes(cluster);
  std::int64_t cpu = 0, memory = 0, demand = 0;
  for (const Pod& pod : pods) {
    cpu += pod.cpu_milli;
    memory += pod.memory_mib;
    demand += pod.demand_milli();
  }
  set->node_cards.push_back(ResourceArea("area, CPU", types, cpu, &Node::cpu_milli));
  set->node_cards.push_back(ResourceArea("area, memory", types, memory, &Node::memory_mib));
  Say(options, "aggregated LP", 3);
  BRIM_ASSIGN_OR_RETURN(
      NodeLp lp, NodeLp::Make(std::move(types), PodClasses(pods, nullptr), options.iterations_max));
  const Result<NodeLpSolution> fewest = lp.FewestCards();
  if (fewest.ok()) {
    set->node_cards.push_back({"aggregated LP", fewest->value,
                               "CPU, memory, models, patterns; pods in fractions over node types"});
  } else if (fewest.status().reason() == "set_too_large") {
    set->may_fit = false;
  } else {
    return fewest.status();
  }
  if (!options.ceilings || pods.empty()) return OkStatus();
  Say(options, "ceiling", 4);
  BRIM_ASSIGN_OR_RETURN(const NodeLpSolution most, lp.MostCopies());
  const double copies = most.value;
  const double cards = static_cast<double>(cluster.cards()) * kCardMilli;
  set->ceilings.push_back(
      {"aggregated LP", cards > 0 ? std::min(1.0, copies * static_cast<double>(demand) / cards) : 0,
       copies, "no scheduler gets further with exactly this mix before it refuses a pod"});
  return OkStatus();
}

}  // namespace

Result<std::vector<Bound>> SizeBounds(std::span<const SizeCount> sizes, std::int64_t whole,
                                      bool patterns, std::int64_t iterations_max) {
  BRIM_RETURN_IF_ERROR(CheckSizes(sizes));
  std::vector<Bound> bounds = {AreaBound(sizes), L2Bound(sizes)};
  if (patterns) {
    BRIM_ASSIGN_OR_RETURN(const PatternLp lp, SolvePatternLp(sizes, iterations_max));
    bounds.push_back({"pattern LP", lp.value, "cards filled by patterns of shares, in fractions"});
  }
  for (Bound& bound : bounds) bound.value += static_cast<double>(whole);
  return bounds;
}

Result<BoundSet> BoundsFor(const Cluster& cluster, std::span<const Pod> pods,
                           const BoundOptions& options) {
  BoundSet set;
  std::vector<Pod> kept;
  if (options.nodes || options.ceilings) {
    kept = Placeable(cluster, pods, &set.too_large);
    if (!set.too_large.empty()) pods = kept;
  }
  std::vector<Pod> standing;
  if (options.lifetimes) {
    standing = AtPeak(pods);
    pods = standing;
  }
  Say(options, "pattern LP", 0);
  BRIM_ASSIGN_OR_RETURN(set.shared,
                        SizeBounds(SharedSizes(pods), 0, options.patterns, options.iterations_max));
  set.cards = set.shared;
  for (Bound& bound : set.cards) bound.value += static_cast<double>(WholeCards(pods));
  set.node_cards = set.cards;
  if (options.lifetimes) set.cards.push_back(FluidBound(pods));
  if (options.nodes || options.ceilings) {
    BRIM_RETURN_IF_ERROR(NodeBounds(cluster, pods, options, &set));
  }
  return set;
}

}  // namespace brim::planner
