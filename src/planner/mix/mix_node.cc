#include "planner/mix/mix_node.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace brim::planner {

namespace {

std::vector<CycleLoad> LoadsOf(const MixContext& context, const FitRule& rule,
                               const MixNode& node) {
  std::vector<CycleLoad> loads;
  loads.reserve(node.items.size());
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::int32_t m = node.items[i].model;
    const double load_ms = node.memory.resident[i] ? 0 : context.model(m).load_ms;
    loads.push_back({&context.table(m),
                     node.items[i].rate * rule.headroom[static_cast<std::size_t>(m)],
                     context.limit_ms(m), load_ms, context.LeastMs(m, node.share)});
  }
  return loads;
}

bool FitMemory(const MixContext& context, const FitRule& rule, MixNode* node) {
  std::vector<MemoryNeed> needs;
  for (const MixItem& item : node->items) {
    const MixModel& model = context.model(item.model);
    needs.push_back({model.weights_mib, model.workspace_mib, model.load_ms, item.rate});
  }
  double room = context.RoomMib(node->share);
  if (rule.tight_memory && context.options().slices == Slices::kUnits) {
    room *= static_cast<double>(node->share) / kUnitsPerCard;
  }
  node->memory = SplitMemory(needs, context.options().context_mib, room);
  return node->memory.fits;
}

// The work alone must fit: a cheap test that refuses most misfits.
bool WorkFits(const MixContext& context, const FitRule& rule, const MixNode& node) {
  double busy = 0;
  for (const MixItem& item : node.items) {
    const double rate = item.rate * rule.headroom[static_cast<std::size_t>(item.model)];
    busy += rate / 1000 * context.LeastMs(item.model, node.share);
  }
  return busy <= context.options().busy_max;
}

struct CardRoom {
  int share = 0;  // Free.
  double memory_mib = 0;
  double interference = 0;  // Of all its nodes, each as it is alone.
  std::vector<std::size_t> nodes;
};

// Puts nodes on cards one by one, each where least is left.
class UnitsPlacer {
 public:
  UnitsPlacer(const MixContext& context, const FitRule& rule, std::vector<MixNode>* nodes)
      : context_(context), rule_(rule), nodes_(*nodes) {
    for (MixNode& node : nodes_) {
      if (node.slowdown != 1) {  // Fitted beside other neighbours.
        node.slowdown = 1;
        ResliceNode(context_, rule_, &node);
      }
      alone_.push_back(InterferenceOf(context_, node));
    }
  }

  std::int32_t Place() {
    std::vector<std::size_t> order(nodes_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return SizeOf(a) > SizeOf(b); });
    for (const std::size_t i : order) PlaceOne(i);
    for (std::size_t c = 0; c < cards_.size(); ++c) {
      int start = 0;
      for (const std::size_t i : cards_[c].nodes) {
        nodes_[i].card = static_cast<std::int32_t>(c);
        nodes_[i].start = start;
        start += nodes_[i].share;
      }
    }
    return static_cast<std::int32_t>(cards_.size());
  }

 private:
  double SizeOf(std::size_t i) const {
    return std::max(static_cast<double>(nodes_[i].share) / kUnitsPerCard,
                    nodes_[i].memory.memory_mib / context_.options().card_memory_mib);
  }

  // The card's nodes and this one beside each other: those that are slowed too much get more share.
  // Empty: they do not fit together.
  std::vector<MixNode> Together(const CardRoom& card, std::size_t i) const {
    constexpr double kMibRounding = 1e-6;
    const MixNode& node = nodes_[i];
    if (card.share < node.share || card.memory_mib + kMibRounding < node.memory.memory_mib)
      return {};
    std::vector<MixNode> together;
    for (const std::size_t at : card.nodes) together.push_back(nodes_[at]);
    together.push_back(node);
    const double sum = card.interference + alone_[i];
    if (sum <= 0) return together;
    int share = 0;
    for (std::size_t n = 0; n < together.size(); ++n) {
      MixNode& each = together[n];
      each.slowdown = 1 + sum - alone_[n < card.nodes.size() ? card.nodes[n] : i];
      if (!FitNode(context_, rule_, &each) && !ResliceNode(context_, rule_, &each)) return {};
      share += each.share;
    }
    return share <= kUnitsPerCard ? together : std::vector<MixNode>();
  }

  void PlaceOne(std::size_t i) {
    const double card_memory = context_.options().card_memory_mib;
    std::vector<MixNode> best;
    std::size_t best_card = cards_.size();
    double best_left = 3;
    for (const std::size_t c : open_) {
      const double left = static_cast<double>(cards_[c].share - nodes_[i].share) / kUnitsPerCard +
                          (cards_[c].memory_mib - nodes_[i].memory.memory_mib) / card_memory;
      if (left >= best_left) continue;
      std::vector<MixNode> together = Together(cards_[c], i);
      if (together.empty()) continue;
      best = std::move(together);
      best_card = c;
      best_left = left;
    }
    if (best_card == cards_.size()) {
      open_.push_back(best_card);
      cards_.push_back({kUnitsPerCard, card_memory, 0, {}});
      best = {nodes_[i]};
    }
    CardRoom& card = cards_[best_card];
    card.nodes.push_back(i);
    card.interference += alone_[i];
    card.share = kUnitsPerCard;
    card.memory_mib = card_memory;
    for (std::size_t n = 0; n < best.size(); ++n) {
      card.share -= best[n].share;
      card.memory_mib -= best[n].memory.memory_mib;
      nodes_[card.nodes[n]] = std::move(best[n]);
    }
    if (card.share == 0) open_.erase(std::find(open_.begin(), open_.end(), best_card));
  }

  const MixContext& context_;
  const FitRule& rule_;
  std::vector<MixNode>& nodes_;
  std::vector<double> alone_;  // Interference of each node.
  std::vector<CardRoom> cards_;
  std::vector<std::size_t> open_;  // Cards with share left.
};

}  // namespace

bool FitNode(const MixContext& context, const FitRule& rule, MixNode* node) {
  if (node->point != nullptr) {  // Measured there, so it fits there; alone.
    if (node->items.size() != 1) return false;
    node->memory = {true, context.RoomMib(node->share), {true}};
    Cycle& cycle = node->cycle;
    cycle.batches = {node->point->batch};
    cycle.busy = node->items.front().rate / RateOf(*node->point);
    cycle.busy_each = {cycle.busy};
    cycle.fits = true;
    return true;
  }
  if (!FitMemory(context, rule, node)) return false;
  if (!WorkFits(context, rule, *node)) return false;
  node->cycle = FitCycle(LoadsOf(context, rule, *node), node->share, context.options().busy_max,
                         node->slowdown);
  return node->cycle.fits;
}

bool ResliceNode(const MixContext& context, const FitRule& rule, MixNode* node) {
  if (node->point != nullptr) return FitNode(context, rule, node);
  MixNode tried = *node;
  for (const int share : context.shares()) {
    tried.share = share;
    if (!FitNode(context, rule, &tried)) continue;
    *node = std::move(tried);
    return true;
  }
  return false;
}

double MemoryOf(const MixContext& context, const MixNode& node) {
  return context.options().slices == Slices::kMig ? context.RoomMib(node.share)
                                                  : node.memory.memory_mib;
}

double InterferenceOf(const MixContext& context, const MixNode& node) {
  double sum = 0;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const double coefficient = context.model(node.items[i].model).interference;
    if (coefficient > 0) sum += coefficient * node.cycle.busy_each[i];
  }
  return sum;
}

std::int32_t PlaceNodes(const MixContext& context, const FitRule& rule,
                        std::vector<MixNode>* nodes) {
  if (context.options().slices != Slices::kMig) {
    return UnitsPlacer(context, rule, nodes).Place();
  }
  std::vector<int> sizes;
  MigCounts counts{};
  for (const MixNode& node : *nodes) {
    sizes.push_back(node.share);
    ++counts[MigSizeIndex(node.share)];
  }
  const std::vector<MigPlace> places = MigLayout(sizes);
  for (std::size_t i = 0; i < nodes->size(); ++i) {
    (*nodes)[i].card = places[i].card;
    (*nodes)[i].start = places[i].start;
  }
  return MigCards(counts);
}

}  // namespace brim::planner
