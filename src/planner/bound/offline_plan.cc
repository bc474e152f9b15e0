// The set is known, so the hard part is solved first: the pattern LP rounded (pattern_lp.h) says
// which shares stand together, and each filled card becomes one item that wants a card and its
// shares' CPU and memory, like a pod of one whole card. What remains is to give every node as many
// items as it has cards with no more CPU and memory than it has. Where all cards are needed, a node
// whose CPU runs out before its cards strands them; so
//
//   pods of several cards first, on the node where they leave the least beside them;
//   then the items, hungriest first, each to the node with the most CPU per free card: the hungry
//   meet the rich, and what is left on each node is as near as can be to the average;
//   pods without cards among them, where most CPU is beyond what the free cards will want;
//   an item that finds no place is exchanged in: some node has a free card but not the CPU, another
//   holds a lighter item and has CPU to spare; they swap.
//
// Cost: O(items * nodes) and, for the few that need a swap, O(items) per node with a free card.
// Idea: pattern plan and assembly as in cutting stock with two stages (Gilmore and Gomory,
// Operations Research 13, 1965); the exchange is a 2-opt move.
#include "planner/bound/offline_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/check.h"
#include "planner/bound/node_lp.h"
#include "planner/bound/pattern_lp.h"
#include "planner/cluster/occupancy.h"

namespace brim::planner {
namespace {

// What goes on a node as one: a pod, or the shares of one card.
struct Item {
  std::vector<std::int32_t> pods;
  Pod demand;  // Sums; cards as the node must have them free and whole.
  std::int32_t node = -1;
};

// What is left of a node, in whole cards.
struct Room {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int32_t cards = 0;
};

class Assembly {
 public:
  Assembly(const Cluster& cluster, std::vector<Item> items);

  void Run();
  const std::vector<Item>& items() const { return items_; }
  std::int64_t swaps() const { return swaps_; }

 private:
  bool Fits(const Pod& demand, std::int32_t node) const;
  bool Suits(const Pod& demand, std::int32_t node) const;
  double Score(const Pod& demand, std::int32_t node) const;
  std::int32_t Best(const Pod& demand) const;
  void Move(Item* item, std::int32_t node);
  bool SwapIn(Item* item);
  bool SwapInto(Item* item, std::int32_t node);

  const Cluster& cluster_;
  std::vector<Item> items_;
  std::vector<Room> rooms_;
  std::vector<std::vector<std::int32_t>> on_node_;  // Items of one card or none, per node.
  double cpu_per_card_ = 0;                         // Of the items of one card not yet placed.
  std::int64_t swaps_ = 0;
};

// The order in which items are placed.
bool Harder(const Item& a, const Item& b) {
  const Pod& x = a.demand;
  const Pod& y = b.demand;
  const bool x_many = x.cards > 1, y_many = y.cards > 1;
  if (x_many != y_many) return x_many;
  if (x_many && x.cards != y.cards) return x.cards > y.cards;
  const bool x_bound = x.card_models != 0, y_bound = y.card_models != 0;
  if (x_bound != y_bound) return x_bound;
  if (x.cpu_milli != y.cpu_milli) return x.cpu_milli > y.cpu_milli;
  return x.memory_mib > y.memory_mib;
}

Assembly::Assembly(const Cluster& cluster, std::vector<Item> items)
    : cluster_(cluster), items_(std::move(items)), on_node_(cluster.nodes.size()) {
  for (const Node& node : cluster.nodes) {
    rooms_.push_back({node.cpu_milli, node.memory_mib, node.cards});
  }
  std::stable_sort(items_.begin(), items_.end(), Harder);
}

// Whether the node is of a kind that the item may stand on.
bool Assembly::Suits(const Pod& demand, std::int32_t node) const {
  const Node& kind = cluster_.nodes[node];
  if (demand.cards == 0) return true;
  if (demand.card_models != 0 &&
      (kind.card_model < 0 || (demand.card_models >> kind.card_model & 1) == 0)) {
    return false;
  }
  return kind.card_memory_mib == 0 || demand.card_memory_mib <= kind.card_memory_mib;
}

bool Assembly::Fits(const Pod& demand, std::int32_t node) const {
  const Room& room = rooms_[node];
  return demand.cpu_milli <= room.cpu_milli && demand.memory_mib <= room.memory_mib &&
         demand.cards <= room.cards && Suits(demand, node);
}

// Higher is better.
double Assembly::Score(const Pod& demand, std::int32_t node) const {
  const Room& room = rooms_[node];
  const auto cpu = static_cast<double>(room.cpu_milli);
  // Several cards: the node that keeps the fewest cards and then the least CPU beside them.
  if (demand.cards > 1) return -(1e9 * room.cards + cpu);
  // No card: the node with the most CPU that its cards will not want.
  if (demand.cards == 0) return cpu - cpu_per_card_ * room.cards;
  return cpu / room.cards;
}

std::int32_t Assembly::Best(const Pod& demand) const {
  std::int32_t best = -1;
  double best_score = 0;
  for (std::int32_t node = 0; node < static_cast<std::int32_t>(rooms_.size()); ++node) {
    if (!Fits(demand, node)) continue;
    const double score = Score(demand, node);
    if (best >= 0 && score <= best_score) continue;
    best = node;
    best_score = score;
  }
  return best;
}

void Assembly::Move(Item* item, std::int32_t node) {
  const auto index = static_cast<std::int32_t>(item - items_.data());
  const Pod& demand = item->demand;
  if (item->node >= 0) {
    Room& from = rooms_[item->node];
    from.cpu_milli += demand.cpu_milli;
    from.memory_mib += demand.memory_mib;
    from.cards += demand.cards;
    if (demand.cards <= 1) std::erase(on_node_[item->node], index);
  }
  item->node = node;
  if (node < 0) return;
  Room& to = rooms_[node];
  to.cpu_milli -= demand.cpu_milli;
  to.memory_mib -= demand.memory_mib;
  to.cards -= demand.cards;
  if (demand.cards <= 1) on_node_[node].push_back(index);
}

// Makes room on the node by sending one of its items to where a lighter one stands, and that one
// here: the new item needs a card (or none), so cards come out even only if both have as many.
bool Assembly::SwapInto(Item* item, std::int32_t node) {
  const std::vector<std::int32_t> here = on_node_[node];
  for (const std::int32_t heavy : here) {
    Item& leaves = items_[heavy];
    for (Item& comes : items_) {
      if (comes.node < 0 || comes.node == node || comes.demand.cards != leaves.demand.cards) {
        continue;
      }
      const std::int64_t gain = leaves.demand.cpu_milli - comes.demand.cpu_milli;
      if (rooms_[node].cpu_milli + gain < item->demand.cpu_milli || gain <= 0) continue;
      if (rooms_[comes.node].cpu_milli < gain || !Suits(leaves.demand, comes.node) ||
          !Suits(comes.demand, node)) {
        continue;
      }
      const std::int32_t other = comes.node;
      Move(&leaves, -1);
      Move(&comes, -1);
      if (Fits(leaves.demand, other) && Fits(comes.demand, node)) {
        Move(&leaves, other);
        Move(&comes, node);
        if (Fits(item->demand, node)) {
          Move(item, node);
          ++swaps_;
          return true;
        }
        Move(&leaves, -1);
        Move(&comes, -1);
      }
      Move(&leaves, node);
      Move(&comes, other);
    }
  }
  return false;
}

bool Assembly::SwapIn(Item* item) {
  if (item->demand.cards > 1) return false;
  for (std::int32_t node = 0; node < static_cast<std::int32_t>(rooms_.size()); ++node) {
    if (rooms_[node].cards < item->demand.cards || !Suits(item->demand, node)) continue;
    if (cluster_.nodes[node].cpu_milli < item->demand.cpu_milli) continue;
    if (SwapInto(item, node)) return true;
  }
  return false;
}

void Assembly::Run() {
  double cpu = 0, cards = 0;
  for (const Item& item : items_) {
    if (item.demand.cards != 1) continue;
    cpu += static_cast<double>(item.demand.cpu_milli);
    cards += 1;
  }
  for (Item& item : items_) {
    cpu_per_card_ = cards > 0 ? cpu / cards : 0;
    const std::int32_t node = Best(item.demand);
    if (node >= 0) {
      Move(&item, node);
    } else if (!SwapIn(&item)) {
      continue;
    }
    if (item.demand.cards != 1) continue;
    cpu -= static_cast<double>(item.demand.cpu_milli);
    cards -= 1;
  }
}

// Pods that may stand on the same card by what else they ask for than its share. Card memory is
// summed when a card is filled, so shares with declared card memory stay apart by it.
using Kind = std::pair<std::uint64_t, std::int64_t>;

void AddPodItem(const Pod& pod, std::int32_t index, std::vector<Item>* items) {
  Item item;
  item.pods = {index};
  item.demand = pod;
  item.demand.name.clear();
  item.demand.owner.clear();
  items->push_back(std::move(item));
}

// The shares of one kind as filled cards.
Status AddShares(std::span<const Pod> pods, const std::vector<std::int32_t>& indices,
                 std::vector<Item>* items) {
  std::map<std::int32_t, std::vector<std::int32_t>> by_size;
  for (const std::int32_t index : indices) by_size[pods[index].card_milli].push_back(index);
  std::vector<SizeCount> sizes;
  for (auto& [milli, members] : by_size) {
    sizes.push_back({milli, static_cast<std::int64_t>(members.size())});
    // Taken from the back: a light one of one size then stands beside a heavy one of the next.
    const bool rising = sizes.size() % 2 == 0;
    std::stable_sort(members.begin(), members.end(), [&](std::int32_t a, std::int32_t b) {
      return rising ? pods[a].cpu_milli < pods[b].cpu_milli : pods[a].cpu_milli > pods[b].cpu_milli;
    });
  }
  BRIM_ASSIGN_OR_RETURN(const PatternLp lp, SolvePatternLp(sizes));
  BRIM_ASSIGN_OR_RETURN(const PatternPlan plan, RoundPatterns(lp));
  for (std::size_t i = 0; i < plan.patterns.size(); ++i) {
    for (std::int64_t card = 0; card < plan.cards[i]; ++card) {
      Item item;
      item.demand.cards = 1;
      item.demand.card_milli = kCardMilli;
      for (std::size_t s = 0; s < sizes.size(); ++s) {
        std::vector<std::int32_t>& members = by_size[sizes[s].milli];
        for (std::int32_t n = 0; n < plan.patterns[i][s]; ++n) {
          const Pod& pod = pods[members.back()];
          item.pods.push_back(members.back());
          members.pop_back();
          item.demand.cpu_milli += pod.cpu_milli;
          item.demand.memory_mib += pod.memory_mib;
          item.demand.card_memory_mib += pod.card_memory_mib;
          item.demand.card_models = pod.card_models;
        }
      }
      items->push_back(std::move(item));
    }
  }
  return OkStatus();
}

Result<std::vector<Item>> ItemsOf(std::span<const Pod> pods) {
  std::vector<Item> items;
  std::map<Kind, std::vector<std::int32_t>> shares;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    const Pod& pod = pods[i];
    if (pod.cards == 1 && !pod.whole() && pod.card_memory_mib == 0) {
      shares[{pod.card_models, 0}].push_back(index);
    } else {
      AddPodItem(pod, index, &items);
    }
  }
  for (const auto& [kind, indices] : shares) BRIM_RETURN_IF_ERROR(AddShares(pods, indices, &items));
  return items;
}

// The first fitting cards of the node.
std::uint64_t FreeCards(const Occupancy& occupancy, const Pod& pod, std::int32_t node) {
  std::uint64_t mask = 0;
  std::int32_t left = pod.cards;
  const std::int32_t cards = occupancy.cluster().nodes[node].cards;
  for (std::int32_t card = 0; card < cards && left > 0; ++card) {
    if (!occupancy.FitsCard(pod, node, card)) continue;
    mask |= std::uint64_t{1} << card;
    --left;
  }
  return mask;
}

// Best fit, for what the assembly left: a share may still stand beside others.
Spot TightestSpot(const Occupancy& occupancy, const Pod& pod) {
  Spot best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::int32_t node = 0; node < occupancy.nodes(); ++node) {
    if (!occupancy.Fits(pod, node)) continue;
    const FreeNode& free = occupancy.free(node);
    const std::int32_t cards = pod.cards == 1 ? occupancy.cluster().nodes[node].cards : 1;
    for (std::int32_t card = 0; card < cards; ++card) {
      if (pod.cards == 1 && !occupancy.FitsCard(pod, node, card)) continue;
      const std::int64_t left = pod.cards == 1 ? free.card_milli[card] : free.card_milli_sum;
      if (left >= least) continue;
      least = left;
      best = {node, pod.cards == 1 ? std::uint64_t{1} << card : FreeCards(occupancy, pod, node)};
    }
  }
  return best;
}

}  // namespace

Result<OfflinePlan> PlanOffline(const Cluster& cluster, std::span<const Pod> pods) {
  BRIM_ASSIGN_OR_RETURN(std::vector<Item> items, ItemsOf(pods));
  Assembly assembly(cluster, std::move(items));
  assembly.Run();

  OfflinePlan plan;
  plan.spots.resize(pods.size());
  plan.swaps = assembly.swaps();
  Occupancy occupancy(cluster);
  std::vector<std::int32_t> loose;
  for (const Item& item : assembly.items()) {
    if (item.node < 0) {
      loose.insert(loose.end(), item.pods.begin(), item.pods.end());
      continue;
    }
    // All shares of an item on the one card that was free when the first came.
    std::uint64_t mask = FreeCards(occupancy, item.demand, item.node);
    for (const std::int32_t index : item.pods) {
      plan.spots[index] = {item.node, mask};
      occupancy.Place(pods[index], plan.spots[index]);
    }
  }
  std::stable_sort(loose.begin(), loose.end(), [&](std::int32_t a, std::int32_t b) {
    return pods[a].demand_milli() > pods[b].demand_milli();
  });
  for (const std::int32_t index : loose) {
    const Spot spot = TightestSpot(occupancy, pods[index]);
    plan.spots[index] = spot;
    if (spot.placed()) {
      occupancy.Place(pods[index], spot);
    } else {
      ++plan.left_out;
    }
  }
  plan.used_cards = occupancy.used_cards();
  return plan;
}

namespace {

Cluster FirstNodes(const Cluster& cluster, std::int64_t nodes) {
  Cluster prefix;
  prefix.card_models = cluster.card_models;
  prefix.nodes.assign(cluster.nodes.begin(), cluster.nodes.begin() + nodes);
  return prefix;
}

Result<bool> MayHold(const Cluster& cluster, const std::vector<PodClass>& classes) {
  Result<NodeLp> lp = NodeLp::Make(NodeTypes(cluster), classes);
  if (!lp.ok()) {
    if (lp.status().reason() == "pod_too_large") return false;
    return lp.status();
  }
  std::vector<std::int64_t> counts;
  for (const PodClass& c : classes) counts.push_back(c.count);
  return lp->MayFit(counts);
}

}  // namespace

Result<PrefixPlan> PlanPrefix(const Cluster& cluster, std::span<const Pod> pods,
                              const Progress& progress) {
  const std::vector<PodClass> classes = PodClasses(pods, nullptr);
  const auto nodes = static_cast<std::int64_t>(cluster.nodes.size());
  std::int64_t fails = -1, may = nodes;
  while (fails + 1 < may) {
    const std::int64_t middle = fails + (may - fails) / 2;
    BRIM_ASSIGN_OR_RETURN(const bool may_hold, MayHold(FirstNodes(cluster, middle), classes));
    (may_hold ? may : fails) = middle;
  }
  PrefixPlan result;
  result.nodes_bound = may;
  result.cards_bound = FirstNodes(cluster, may).cards();
  for (result.nodes = may; result.nodes <= nodes; ++result.nodes) {
    if (progress) progress("nodes", result.nodes, nodes);
    const Cluster prefix = FirstNodes(cluster, result.nodes);
    result.cards = prefix.cards();
    BRIM_ASSIGN_OR_RETURN(result.plan, PlanOffline(prefix, pods));
    result.held = result.plan.left_out == 0;
    if (result.held) break;
  }
  return result;
}

}  // namespace brim::planner
