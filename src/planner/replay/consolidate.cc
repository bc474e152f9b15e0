// Consolidation in two steps.
//
// Drain: cards that carry only shares, fewest pods first, then least loaded, are emptied if every
// pod finds a used card elsewhere (best fit), one after the other, each new copy standing before
// the old one goes. A drain that cannot finish is undone; one whose freed hours are worth less than
// its moves is not begun. O(cards x pods on a card x cards).
//
// Search: of what is left, the `worst_cards` least loaded cards are taken together and their pods
// assigned anew, to each other and to the fullest cards with room, by branch and bound on (cards
// kept x value + moves x price). It finds what drains cannot: two half-empty cards whose pods must
// be split to fit. The assignment found must have an order of moves that never needs more room than
// there is; one that has none is dropped.
#include "planner/replay/consolidate.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "planner/cluster/occupancy.h"

namespace brim::planner {
namespace {

constexpr std::size_t kSearchTargetsMax = 8;  // Cards outside the worst ones that may take pods.
constexpr std::size_t kSearchPodsMax = 24;

struct CardLoad {
  std::int32_t node = 0, card = 0;
  std::int32_t milli = 0;  // Used.
  std::vector<std::int32_t> pods;
  bool movable = true;  // Only shares stand on it.
  Spot spot() const { return {node, std::uint64_t{1} << card}; }
};

class Consolidator {
 public:
  Consolidator(const Cluster& cluster, const std::vector<Pod>& pods, const std::vector<Spot>& spots,
               const ConsolidateOptions& options)
      : pods_(pods), options_(options), occupancy_(cluster) {
    result_.spots = spots;
    for (std::size_t p = 0; p < pods.size(); ++p) {
      if (spots[p].placed()) occupancy_.Place(pods[p], spots[p]);
    }
    result_.cards_before = occupancy_.used_cards();
  }

  Consolidation Run() {
    Drains();
    if (options_.worst_cards > 1) Search();
    ListStays();
    result_.cards_after = occupancy_.used_cards();
    return std::move(result_);
  }

 private:
  std::vector<CardLoad> Loads() const {
    std::vector<std::vector<CardLoad>> by_node(occupancy_.nodes());
    for (std::int32_t n = 0; n < occupancy_.nodes(); ++n) {
      for (std::int32_t c = 0; c < occupancy_.cluster().nodes[n].cards; ++c) {
        by_node[n].push_back({n, c, kCardMilli - occupancy_.free(n).card_milli[c], {}, true});
      }
    }
    for (std::size_t p = 0; p < pods_.size(); ++p) {
      const Spot& spot = result_.spots[p];
      if (!spot.placed()) continue;
      for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
        CardLoad& load = by_node[spot.node][std::countr_zero(left)];
        load.pods.push_back(static_cast<std::int32_t>(p));
        if (pods_[p].cards != 1 || pods_[p].whole()) load.movable = false;
      }
    }
    std::vector<CardLoad> used;
    for (auto& node : by_node) {
      for (CardLoad& load : node) {
        if (!load.pods.empty()) used.push_back(std::move(load));
      }
    }
    return used;
  }

  static bool SameCard(const CardLoad& a, const CardLoad& b) {
    return a.node == b.node && a.card == b.card;
  }

  // Seconds from one start to the next: one move at a time, and no more than the budget.
  double Spacing() const {
    return std::max(3600 / options_.moves_per_hour, options_.prices.load_s);
  }
  // Hours from now at which `moves` more moves are done.
  double DoneAfter(std::int64_t moves) const {
    const auto all = static_cast<double>(static_cast<std::int64_t>(result_.moves.size()) + moves);
    return (all - 1) * Spacing() / 3600 + options_.prices.load_s / 3600;
  }
  double CostOf(const std::vector<std::int32_t>& pods) const {
    double cost = 0;
    for (const std::int32_t p : pods) cost += MoveCost(options_.prices, pods_[p]);
    return cost;
  }

  void Step(std::int32_t pod, const Spot& to) {
    const auto at = static_cast<double>(result_.moves.size());
    const double start = at * Spacing();
    occupancy_.Place(pods_[pod], to);
    occupancy_.Remove(pods_[pod], result_.spots[pod]);
    result_.moves.push_back({pod, result_.spots[pod], to, start, start + options_.prices.load_s,
                             static_cast<std::int32_t>(result_.groups.size())});
    result_.spots[pod] = to;
  }
  // Takes the last moves back, newest first.
  void Undo(std::size_t moves_before) {
    while (result_.moves.size() > moves_before) {
      const Move move = result_.moves.back();
      result_.moves.pop_back();
      // The old place was this pod's until now: what it held is still free.
      occupancy_.Remove(pods_[move.pod], move.to);
      occupancy_.Place(pods_[move.pod], move.from);
      result_.spots[move.pod] = move.from;
    }
  }

  // The used card, other than `from`, that this pod fills best; null: none has room.
  const CardLoad* BestTarget(std::int32_t pod, const CardLoad& from,
                             const std::vector<CardLoad>& cards) const {
    const CardLoad* best = nullptr;
    std::int32_t best_free = kCardMilli;
    for (const CardLoad& card : cards) {
      if (SameCard(card, from)) continue;
      const std::int32_t free = occupancy_.free(card.node).card_milli[card.card];
      if (free >= best_free || free == kCardMilli) continue;
      if (!occupancy_.Fits(pods_[pod], card.node)) continue;
      if (!occupancy_.FitsCard(pods_[pod], card.node, card.card)) continue;
      best = &card;
      best_free = free;
    }
    return best;
  }

  bool Drain(const CardLoad& from, const std::vector<CardLoad>& cards) {
    const std::size_t before = result_.moves.size();
    std::vector<std::int32_t> order = from.pods;
    std::sort(order.begin(), order.end(), [this](std::int32_t a, std::int32_t b) {
      return std::make_tuple(-pods_[a].card_milli, a) < std::make_tuple(-pods_[b].card_milli, b);
    });
    for (const std::int32_t pod : order) {
      const CardLoad* to = BestTarget(pod, from, cards);
      if (to == nullptr) {
        Undo(before);
        return false;
      }
      Step(pod, to->spot());
    }
    return true;
  }

  // Whether the pods still stand as when the list was made.
  bool Unchanged(const CardLoad& card) const {
    if (kCardMilli - occupancy_.free(card.node).card_milli[card.card] != card.milli) return false;
    return std::all_of(card.pods.begin(), card.pods.end(),
                       [&](std::int32_t p) { return result_.spots[p] == card.spot(); });
  }

  void Drains() {
    for (bool again = true; again;) {
      again = false;
      std::vector<CardLoad> cards = Loads();
      std::sort(cards.begin(), cards.end(), [](const CardLoad& a, const CardLoad& b) {
        return std::make_tuple(a.pods.size(), a.milli, a.node, a.card) <
               std::make_tuple(b.pods.size(), b.milli, b.node, b.card);
      });
      for (const CardLoad& card : cards) {
        if (!card.movable || !Unchanged(card)) continue;
        const auto moves = static_cast<std::int64_t>(card.pods.size());
        const double gain = options_.horizon_h - DoneAfter(moves);
        const double cost = CostOf(card.pods);
        if (gain <= cost || !Drain(card, cards)) continue;
        result_.groups.push_back({{card.spot()}, moves, gain, cost, false});
        again = true;
      }
    }
  }

  void ListStays() {
    for (const CardLoad& card : Loads()) {
      if (!card.movable) continue;
      Stays stays{card.spot(), static_cast<std::int32_t>(card.pods.size()), card.milli, ""};
      const double gain = options_.horizon_h - DoneAfter(stays.pods);
      const double cost = CostOf(card.pods);
      if (gain <= cost) {
        stays.why = fmt::format("would give {:.2f} card-hours, its moves cost {:.2f}",
                                std::max(0.0, gain), cost);
      } else {
        stays.why =
            "its pods, largest first, do not all fit on other used cards beside what stands";
      }
      result_.stays.push_back(std::move(stays));
    }
  }

  // ---- The exact search

  struct Branch {
    std::vector<std::int32_t> pods;        // Largest first.
    std::vector<CardLoad> cards;           // The worst ones, then the outside targets.
    std::size_t worst = 0;                 // How many of them are worst ones.
    std::vector<std::size_t> home;         // Per pod: its card now.
    std::vector<std::size_t> at, best_at;  // Per pod: its card in this branch, in the best one.
    std::vector<std::int32_t> count;       // Per card: pods in this branch.
    double best = 0;
    std::int64_t nodes = 0;
  };

  void Search() {
    Branch b;
    std::vector<CardLoad> cards = Loads();
    std::sort(cards.begin(), cards.end(), [](const CardLoad& x, const CardLoad& y) {
      return std::make_tuple(x.milli, x.node, x.card) < std::make_tuple(y.milli, y.node, y.card);
    });
    for (const CardLoad& card : cards) {
      if (b.cards.size() == static_cast<std::size_t>(options_.worst_cards)) break;
      if (!card.movable || b.pods.size() + card.pods.size() > kSearchPodsMax) continue;
      b.pods.insert(b.pods.end(), card.pods.begin(), card.pods.end());
      b.cards.push_back(card);
    }
    b.worst = b.cards.size();
    if (b.worst < 2) return;
    for (auto card = cards.rbegin(); card != cards.rend(); ++card) {
      if (b.cards.size() == b.worst + kSearchTargetsMax) break;
      const bool taken = std::any_of(b.cards.begin(), b.cards.end(),
                                     [&](const CardLoad& c) { return SameCard(c, *card); });
      if (!taken && card->milli < kCardMilli) b.cards.push_back(*card);
    }
    std::sort(b.pods.begin(), b.pods.end(), [this](std::int32_t x, std::int32_t y) {
      return std::make_tuple(-pods_[x].card_milli, x) < std::make_tuple(-pods_[y].card_milli, y);
    });
    for (const std::int32_t pod : b.pods) {
      for (std::size_t c = 0; c < b.worst; ++c) {
        if (result_.spots[pod] == b.cards[c].spot()) b.home.push_back(c);
      }
    }
    b.at = b.best_at = b.home;
    b.count.assign(b.cards.size(), 0);
    b.best = static_cast<double>(b.worst) * CardValue(b) - 1e-9;  // As it stands.
    // Pods are taken off; each branch puts them where it says, so only room at the end is checked.
    for (const std::int32_t pod : b.pods) occupancy_.Remove(pods_[pod], result_.spots[pod]);
    Assign(&b, 0, 0, 0);
    for (const std::int32_t pod : b.pods) occupancy_.Place(pods_[pod], result_.spots[pod]);
    result_.search_complete = b.nodes < options_.search_nodes_max;
    if (b.best_at != b.home) Carry(b);
  }

  // A card's free hours once all pods of the search were moved: the least that is sure.
  double CardValue(const Branch& b) const {
    return std::max(0.0, options_.horizon_h - DoneAfter(static_cast<std::int64_t>(b.pods.size())));
  }

  void Assign(Branch* b, std::size_t i, std::int32_t kept, double cost) {
    if (++b->nodes >= options_.search_nodes_max) return;
    if (kept * CardValue(*b) + cost >= b->best) return;
    if (i == b->pods.size()) {
      b->best = kept * CardValue(*b) + cost;
      b->best_at = b->at;
      return;
    }
    const Pod& pod = pods_[b->pods[i]];
    // Home first: staying costs nothing, so good answers come early.
    for (std::size_t k = 0; k <= b->cards.size(); ++k) {
      const std::size_t c = k == 0 ? b->home[i] : k - 1;
      if (k > 0 && c == b->home[i]) continue;
      const CardLoad& card = b->cards[c];
      if (!occupancy_.Fits(pod, card.node) || !occupancy_.FitsCard(pod, card.node, card.card)) {
        continue;
      }
      const bool opens = c < b->worst && b->count[c] == 0;
      occupancy_.Place(pod, card.spot());
      ++b->count[c];
      b->at[i] = c;
      Assign(b, i + 1, kept + (opens ? 1 : 0),
             cost + (c == b->home[i] ? 0 : MoveCost(options_.prices, pod)));
      --b->count[c];
      occupancy_.Remove(pod, card.spot());
    }
  }

  // Carries the best assignment out in an order that always has room; else not at all.
  void Carry(const Branch& b) {
    const std::size_t before = result_.moves.size();
    std::vector<std::size_t> open;
    std::vector<std::int32_t> count(b.cards.size());
    double cost = 0;
    for (std::size_t i = 0; i < b.pods.size(); ++i) {
      ++count[b.best_at[i]];
      if (b.best_at[i] == b.home[i]) continue;
      open.push_back(i);
      cost += MoveCost(options_.prices, pods_[b.pods[i]]);
    }
    for (bool moved = true; moved && !open.empty();) {
      moved = false;
      for (std::size_t k = 0; k < open.size(); ++k) {
        const Pod& pod = pods_[b.pods[open[k]]];
        const CardLoad& to = b.cards[b.best_at[open[k]]];
        if (!occupancy_.Fits(pod, to.node) || !occupancy_.FitsCard(pod, to.node, to.card)) continue;
        Step(b.pods[open[k]], to.spot());
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(k));
        moved = true;
        break;
      }
    }
    MoveGroup group{{}, static_cast<std::int64_t>(result_.moves.size() - before), 0, cost, true};
    for (std::size_t c = 0; c < b.worst; ++c) {
      if (count[c] == 0) group.freed.push_back(b.cards[c].spot());
    }
    group.gain_card_h =
        static_cast<double>(group.freed.size()) * (options_.horizon_h - DoneAfter(0));
    if (!open.empty() || group.freed.empty() || group.gain_card_h <= cost) {
      Undo(before);
      return;
    }
    result_.groups.push_back(std::move(group));
  }

  const std::vector<Pod>& pods_;
  const ConsolidateOptions& options_;
  Occupancy occupancy_;
  Consolidation result_;
};

// Everything that stands, counted from nothing; what is too much, empty: nothing.
std::string CheckStanding(const Cluster& cluster, const std::vector<Pod>& pods,
                          const std::vector<Spot>& spots, std::int32_t extra_pod,
                          const Spot& extra) {
  std::vector<std::int64_t> cpu(cluster.nodes.size()), memory(cluster.nodes.size());
  std::vector<std::vector<std::int64_t>> milli(cluster.nodes.size()), held(cluster.nodes.size());
  for (std::size_t n = 0; n < cluster.nodes.size(); ++n) {
    milli[n].resize(cluster.nodes[n].cards);
    held[n].resize(cluster.nodes[n].cards);
  }
  for (std::size_t i = 0; i <= pods.size(); ++i) {
    const std::size_t p = i < pods.size() ? i : static_cast<std::size_t>(std::max(0, extra_pod));
    if (i == pods.size() && extra_pod < 0) break;
    const Spot& spot = i < pods.size() ? spots[p] : extra;
    if (!spot.placed()) continue;
    cpu[spot.node] += pods[p].cpu_milli;
    memory[spot.node] += pods[p].memory_mib;
    const Node& node = cluster.nodes[spot.node];
    if (std::popcount(spot.cards) != pods[p].cards) {
      return fmt::format("{} stands on {} cards, it wants {}", pods[p].name,
                         std::popcount(spot.cards), pods[p].cards);
    }
    if (pods[p].cards > 0 && pods[p].card_models != 0 &&
        (node.card_model < 0 || (pods[p].card_models >> node.card_model & 1) == 0)) {
      return fmt::format("{} stands on {}, whose card model it does not accept", pods[p].name,
                         node.name);
    }
    for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
      const int c = std::countr_zero(left);
      if (c >= node.cards) return fmt::format("{} has no card {}", node.name, c);
      milli[spot.node][c] += pods[p].card_milli;
      held[spot.node][c] += pods[p].card_memory_mib;
    }
  }
  for (std::size_t n = 0; n < cluster.nodes.size(); ++n) {
    const Node& node = cluster.nodes[n];
    if (cpu[n] > node.cpu_milli) return fmt::format("{} has too little CPU", node.name);
    if (memory[n] > node.memory_mib) return fmt::format("{} has too little memory", node.name);
    for (std::int32_t c = 0; c < node.cards; ++c) {
      if (milli[n][c] > kCardMilli) return fmt::format("{} card {} is overfull", node.name, c);
      if (node.card_memory_mib > 0 && held[n][c] > node.card_memory_mib) {
        return fmt::format("{} card {} has too little memory", node.name, c);
      }
    }
  }
  return {};
}

}  // namespace

double MoveCost(const MovePrices& prices, const Pod& pod) {
  return prices.load_s / 3600 * static_cast<double>(pod.demand_milli()) / kCardMilli +
         prices.disruption_card_h + prices.slo_risk * prices.slo_card_h;
}

Consolidation Consolidate(const Cluster& cluster, const std::vector<Pod>& pods,
                          const std::vector<Spot>& spots, const ConsolidateOptions& options) {
  return Consolidator(cluster, pods, spots, options).Run();
}

std::string CheckLayout(const Cluster& cluster, const std::vector<Pod>& pods,
                        const std::vector<Spot>& spots) {
  return CheckStanding(cluster, pods, spots, -1, {});
}

std::string CheckMoves(const Cluster& cluster, const std::vector<Pod>& pods,
                       std::vector<Spot> spots, const std::vector<Move>& moves) {
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const Move& move = moves[i];
    if (!(spots[move.pod] == move.from)) {
      return fmt::format("move {}: {} does not stand there", i, pods[move.pod].name);
    }
    if (i > 0 && move.start_s < moves[i - 1].end_s - 1e-6) {
      return fmt::format("move {}: starts before the one before it is done", i);
    }
    const std::string wrong = CheckStanding(cluster, pods, spots, move.pod, move.to);
    if (!wrong.empty()) return fmt::format("move {}: {}", i, wrong);
    spots[move.pod] = move.to;
  }
  return {};
}

}  // namespace brim::planner
