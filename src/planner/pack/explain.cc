// Explanations replay the plan up to the pod, look at every node, and go on to the end to see what
// shares the card then. Pure; O(nodes) scores and one more plan.
#include "planner/pack/explain.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <tuple>

#include "base/check.h"
#include "planner/pack/card_choice.h"

namespace brim::planner {
namespace {

std::vector<NodeClass> Classes(const Occupancy& occupancy, const Pod& pod) {
  std::vector<NodeClass> classes;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int32_t, std::int32_t, std::int64_t>,
           std::size_t>
      known;
  for (std::int32_t i = 0; i < occupancy.nodes(); ++i) {
    const Node& node = occupancy.cluster().nodes[i];
    const auto key = std::tuple(node.cpu_milli, node.memory_mib, node.cards, node.card_model,
                                node.card_memory_mib);
    const auto [entry, fresh] = known.try_emplace(key, classes.size());
    if (fresh) classes.push_back({node, 0, {}});
    NodeClass& one = classes[entry->second];
    ++one.nodes;
    ++one.by_misfit[static_cast<std::size_t>(occupancy.WhyNot(pod, i))];
  }
  return classes;
}

ScoredNode RunnerUp(Packer* packer, const Pod& pod, std::int32_t chosen) {
  ScoredNode best;
  for (std::int32_t node = 0; node < packer->occupancy().nodes(); ++node) {
    if (node == chosen || !packer->occupancy().Fits(pod, node)) continue;
    const std::int32_t score = packer->scorer().Score(pod, node);
    if (best.node < 0 || score > best.score) best = {node, score, {}};
  }
  if (best.node >= 0) best.terms = packer->scorer().Terms(pod, best.node);
  return best;
}

struct Standing {
  std::int64_t pod = 0;
  Pod placed;  // As it stands: rounded up where the policy does so.
  Spot spot;
};

// Moves the pods of one card, largest first, onto the tightest other cards in use.
void FreeCard(const Occupancy& end, const std::vector<Standing>& standing, Explanation* result) {
  Occupancy occupancy = end;
  std::vector<const Standing*> here;
  for (const Standing& one : standing) {
    if (one.spot.node != result->free_node || !(one.spot.cards >> result->free_card & 1)) continue;
    here.push_back(&one);
    occupancy.Remove(one.placed, one.spot);
  }
  std::stable_sort(here.begin(), here.end(), [](const Standing* a, const Standing* b) {
    return a->placed.demand_milli() > b->placed.demand_milli();
  });
  result->frees = true;
  for (const Standing* one : here) {
    Spot to;
    std::int32_t least = std::numeric_limits<std::int32_t>::max();
    for (std::int32_t node = 0; one->placed.cards == 1 && node < occupancy.nodes(); ++node) {
      if (!occupancy.Fits(one->placed, node)) continue;
      const FreeNode& free = occupancy.free(node);
      for (std::size_t card = 0; card < free.card_milli.size(); ++card) {
        const auto index = static_cast<std::int32_t>(card);
        if (node == result->free_node && index == result->free_card) continue;
        if (free.card_milli[card] == kCardMilli || free.card_milli[card] >= least) continue;
        if (!occupancy.FitsCard(one->placed, node, index)) continue;
        least = free.card_milli[card];
        to = {node, CardBit(index)};
      }
    }
    if (to.placed()) occupancy.Place(one->placed, to);
    result->frees = result->frees && to.placed();
    result->movers.push_back({one->pod, to});
  }
}

// The pods that would have to leave this node for the pod to fit, in the order taken: those with
// the largest card share first, those without cards last, and none that was not needed in the end.
// Empty: it does not fit even the empty node.
std::vector<std::size_t> Evictions(const Occupancy& end, const std::vector<Standing>& standing,
                                   const std::vector<std::size_t>& on_node, const Pod& pod,
                                   std::int32_t node) {
  Occupancy occupancy = end;
  std::vector<std::size_t> order = on_node;
  std::stable_sort(order.begin(), order.end(), [&standing](std::size_t a, std::size_t b) {
    return standing[a].placed.demand_milli() > standing[b].placed.demand_milli();
  });
  std::vector<std::size_t> gone;
  for (const std::size_t index : order) {
    if (occupancy.Fits(pod, node)) break;
    occupancy.Remove(standing[index].placed, standing[index].spot);
    gone.push_back(index);
  }
  if (!occupancy.Fits(pod, node)) return {};
  for (std::size_t i = 0; i < gone.size();) {  // Puts back what need not go.
    const Standing& one = standing[gone[i]];
    occupancy.Place(one.placed, one.spot);
    if (occupancy.Fits(pod, node)) {
      gone.erase(gone.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      occupancy.Remove(one.placed, one.spot);
      ++i;
    }
  }
  return gone;
}

// A cluster of one node, so that trying evictions does not copy the others.
void FreeNodeFor(const Cluster& cluster, const std::vector<Standing>& standing, const Pod& pod,
                 Explanation* result) {
  std::vector<std::vector<std::size_t>> on_node(cluster.nodes.size());
  for (std::size_t i = 0; i < standing.size(); ++i) on_node[standing[i].spot.node].push_back(i);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t node = 0; node < cluster.nodes.size(); ++node) {
    Cluster one;
    one.card_models = cluster.card_models;
    one.nodes.push_back(cluster.nodes[node]);
    Occupancy occupancy(one);
    std::vector<Standing> local;
    std::vector<std::size_t> indices;
    for (const std::size_t index : on_node[node]) {
      local.push_back(standing[index]);
      local.back().spot.node = 0;
      occupancy.Place(local.back().placed, local.back().spot);
      indices.push_back(indices.size());
    }
    const std::vector<std::size_t> gone = Evictions(occupancy, local, indices, pod, 0);
    if (gone.empty()) continue;
    std::int64_t milli = 0;
    for (const std::size_t index : gone) milli += local[index].placed.demand_milli();
    if (milli >= least) continue;
    least = milli;
    result->free_node = static_cast<std::int32_t>(node);
    result->frees = true;
    result->movers.clear();
    for (const std::size_t index : gone) result->movers.push_back({local[index].pod, {}});
  }
}

}  // namespace

Explanation Explain(const Cluster& cluster, const std::vector<Pod>& pods,
                    const PackOptions& options, std::size_t pod, const Progress& progress) {
  BRIM_CHECK(pod < pods.size());
  Packer packer(cluster, options);
  Explanation result;
  std::vector<Standing> standing;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (progress && i % 256 == 0) {
      progress("pods placed", static_cast<std::int64_t>(i), static_cast<std::int64_t>(pods.size()));
    }
    const Choice choice = packer.Choose(pods[i]);
    if (i == pod) {
      const Pod placed = packer.AsPlaced(pods[i]);
      result.choice = choice;
      result.classes = Classes(packer.occupancy(), placed);
      result.runner_up = RunnerUp(&packer, placed, choice.spot.node);
      if (choice.spot.placed()) {
        result.chosen = {choice.spot.node, choice.score,
                         packer.scorer().Terms(placed, choice.spot.node)};
      } else {
        FreeNodeFor(cluster, standing, placed, &result);
      }
    }
    if (!choice.spot.placed()) continue;
    packer.Put(pods[i], choice);
    standing.push_back({static_cast<std::int64_t>(i), packer.AsPlaced(pods[i]), choice.spot});
  }
  if (result.choice.spot.placed() && pods[pod].cards > 0) {
    result.free_node = result.choice.spot.node;
    result.free_card = std::countr_zero(result.choice.spot.cards);
    FreeCard(packer.occupancy(), standing, &result);
  }
  return result;
}

}  // namespace brim::planner
