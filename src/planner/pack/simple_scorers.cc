// The baselines' scores. Every score is a few sums over one node. One thread.
#include "planner/pack/simple_scorers.h"

#include <algorithm>

#include "planner/pack/card_choice.h"

namespace brim::planner {
namespace {

std::uint64_t Tight(const Occupancy& occupancy, const Pod& pod, std::int32_t node) {
  if (pod.cards != 1) return FirstCards(occupancy, pod, node);
  return CardBit(TightestCard(occupancy, pod, node));
}

class NodeResources : public NodeScorer {
 public:
  NodeResources(const Occupancy& occupancy, bool most) : occupancy_(occupancy), most_(most) {}

  std::int32_t Score(const Pod& pod, std::int32_t node) override {
    const Node& capacity = occupancy_.cluster().nodes[node];
    const FreeNode& free = occupancy_.free(node);
    const auto share = [this](std::int64_t left, std::int64_t whole) -> std::int64_t {
      if (whole <= 0) return 0;
      return (most_ ? whole - left : left) * 100 / whole;
    };
    return static_cast<std::int32_t>(
        (share(free.cpu_milli - pod.cpu_milli, capacity.cpu_milli) +
         share(free.memory_mib - pod.memory_mib, capacity.memory_mib)) /
        2);
  }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override {
    return FirstCards(occupancy_, pod, node);
  }

 private:
  const Occupancy& occupancy_;
  const bool most_;
};

class CardShare : public NodeScorer {
 public:
  CardShare(const Occupancy& occupancy, bool node_binpack, bool card_binpack)
      : occupancy_(occupancy), node_binpack_(node_binpack), card_binpack_(card_binpack) {}

  std::int32_t Score(const Pod& pod, std::int32_t node) override {
    const std::int64_t whole = std::int64_t{occupancy_.cluster().nodes[node].cards} * kCardMilli;
    const std::int64_t left = occupancy_.free(node).card_milli_sum - pod.demand_milli();
    const std::int64_t used = whole == 0 ? 1000 : (whole - left) * 1000 / whole;
    return static_cast<std::int32_t>(node_binpack_ ? used : 1000 - used);
  }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override {
    if (pod.cards != 1) return FirstCards(occupancy_, pod, node);
    return CardBit(card_binpack_ ? TightestCard(occupancy_, pod, node)
                                 : FreestCard(occupancy_, pod, node));
  }

 private:
  const Occupancy& occupancy_;
  const bool node_binpack_, card_binpack_;
};

class BestFit : public NodeScorer {
 public:
  explicit BestFit(const Occupancy& occupancy) : occupancy_(occupancy) {
    for (const Node& node : occupancy.cluster().nodes) {
      cpu_max_ = std::max(cpu_max_, node.cpu_milli);
      cards_max_ = std::max(cards_max_, node.cards);
    }
  }
  std::int32_t Score(const Pod& pod, std::int32_t node) override {
    return static_cast<std::int32_t>(100 * (1 - Left(pod, node, false) - Left(pod, node, true)));
  }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override {
    return Tight(occupancy_, pod, node);
  }

 private:
  double Left(const Pod& pod, std::int32_t node, bool cards) const {
    const FreeNode& free = occupancy_.free(node);
    const std::int64_t left =
        cards ? free.card_milli_sum - pod.demand_milli() : free.cpu_milli - pod.cpu_milli;
    const std::int64_t most = cards ? std::int64_t{cards_max_} * kCardMilli : cpu_max_;
    return 0.5 * static_cast<double>(left) / static_cast<double>(std::max<std::int64_t>(1, most));
  }

  const Occupancy& occupancy_;
  std::int64_t cpu_max_ = 0;
  std::int32_t cards_max_ = 0;
};

class Tightest : public NodeScorer {
 public:
  explicit Tightest(const Occupancy& occupancy) : occupancy_(occupancy) {}

  // 1000 << 17 at most for the card, 64,000 for the node: no overlap, no overflow.
  std::int32_t Score(const Pod& pod, std::int32_t node) override {
    const FreeNode& free = occupancy_.free(node);
    std::int32_t left = 0;
    if (pod.cards == 1) {
      left = free.card_milli[TightestCard(occupancy_, pod, node)] - pod.card_milli;
    }
    const auto sum = static_cast<std::int32_t>(free.card_milli_sum);
    return -(left << 17 | (free.used() ? 0 : 1) << 16 | sum);
  }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override {
    return Tight(occupancy_, pod, node);
  }
  std::vector<ScoreTerm> Terms(const Pod& pod, std::int32_t node) override {
    const std::int32_t cost = -Score(pod, node);
    return {{"card_left", -static_cast<double>(cost >> 17 << 17)},
            {"unused_node", -static_cast<double>(cost >> 16 & 1) * 65536},
            {"node_free", -static_cast<double>(cost & 0xffff)}};
  }

 private:
  const Occupancy& occupancy_;
};

class Any : public NodeScorer {
 public:
  Any(const Occupancy& occupancy, std::uint64_t seed) : occupancy_(occupancy), random_(seed) {}

  std::int32_t Score(const Pod&, std::int32_t) override { return 0; }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override {
    if (pod.cards != 1) return FirstCards(occupancy_, pod, node);
    std::uint64_t chosen = 0;
    std::uint64_t fitting = 0;
    const std::int32_t cards = occupancy_.cluster().nodes[node].cards;
    for (std::int32_t card = 0; card < cards; ++card) {
      if (!occupancy_.FitsCard(pod, node, card)) continue;
      if (random_.Below(++fitting) == 0) chosen = CardBit(card);
    }
    return chosen;
  }

 private:
  const Occupancy& occupancy_;
  Random random_;
};

}  // namespace

std::unique_ptr<NodeScorer> NodeResourcesScorer(const Occupancy& occupancy, bool most) {
  return std::make_unique<NodeResources>(occupancy, most);
}
std::unique_ptr<NodeScorer> CardShareScorer(const Occupancy& occupancy, bool node_binpack,
                                            bool card_binpack) {
  return std::make_unique<CardShare>(occupancy, node_binpack, card_binpack);
}
std::unique_ptr<NodeScorer> BestFitScorer(const Occupancy& occupancy) {
  return std::make_unique<BestFit>(occupancy);
}
std::unique_ptr<NodeScorer> TightestScorer(const Occupancy& occupancy) {
  return std::make_unique<Tightest>(occupancy);
}
std::unique_ptr<NodeScorer> AnyScorer(const Occupancy& occupancy, std::uint64_t seed) {
  return std::make_unique<Any>(occupancy, seed);
}

}  // namespace brim::planner
