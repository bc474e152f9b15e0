// GuideScorer: place where the least future is lost: card patterns priced by the pattern LP, cores
// and memory beside them, and room for what is running out. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "planner/pack/placer.h"

namespace brim::planner {

class GuideScorer : public NodeScorer {
 public:
  // Entries of the mix beyond so many are left out: that bounds a score's cost.
  static constexpr std::size_t kEntriesMax = 512;

  // `expected`: what arrives. The occupancy must outlive the scorer.
  GuideScorer(const Occupancy& occupancy, const PodMix& expected);

  std::int32_t Score(const Pod& pod, std::int32_t node) override;
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override;
  std::vector<ScoreTerm> Terms(const Pod& pod, std::int32_t node) override;
  void Changed(std::int32_t node) override;
  bool Learn() override;

  // What `milli` free of a card is worth, in cards: 0 to 1. For explanations and tests.
  double Worth(std::int32_t milli) const { return worth_[milli]; }

 private:
  // Expected pods that ask for the same cards and about the same cores.
  struct Kind {
    std::int32_t cards = 0;
    std::int32_t card_milli = 0;
    std::uint64_t card_models = 0;
    double share = 0;        // Of the expected pods.
    double cpu_inverse = 0;  // Per milli-core; copies = free * inverse.
    double memory_inverse = 0;
    double size = 0;        // In cards; without cards, its cores in cards.
    std::int32_t slot = 0;  // Its Slots entry.
    double weight = 0;      // Cards that one copy's room is worth now.
  };
  // Copies that a node's cards hold, per distinct demand on cards.
  using Slots = std::vector<std::int32_t>;
  struct Demand {
    std::int32_t cards = 0;
    std::int32_t card_milli = 0;
  };
  struct NodeValue {
    double cards = -1;  // Worth of the free parts; negative: not known.
    double value = 0;   // That, limited by cores and memory.
    double room = 0;    // Sum of weight * copies.
  };
  struct Best {
    double value_lost = 0;
    double room_lost = 0;
    std::int32_t card = -1;  // Of a share.
    double cost() const { return value_lost + room_lost; }
  };

  void MakeKinds(const PodMix& expected);
  void MakeWorth(const PodMix& expected);
  void Weigh();
  double Value(double cards, std::int64_t cpu_milli, std::int64_t memory_mib) const;
  double Copies(const Kind& kind, const Slots& slots, const FreeNode& free, std::int64_t cpu_milli,
                std::int64_t memory_mib) const;
  double Room(const Slots& slots, const FreeNode& free, std::int64_t cpu_milli,
              std::int64_t memory_mib) const;
  void Count(const FreeNode& free, Slots* slots) const;
  const NodeValue& Now(std::int32_t node);
  Best Cheapest(const Pod& pod, std::int32_t node);

  const Occupancy& occupancy_;
  const double capacity_milli_;
  std::vector<Kind> kinds_;
  std::vector<Demand> demands_;  // Per slot.
  std::array<double, kCardMilli + 1> worth_{};
  double cpu_per_card_ = 0;  // Of the mix, per card that the LP gives it.
  double memory_per_card_ = 0;
  double cards_per_pod_ = 0, cpu_per_pod_ = 0, memory_per_pod_ = 0;
  std::vector<NodeValue> now_;  // Per node.
  std::vector<Slots> slots_;    // Per node, with now_.
  Slots after_;
  double learnt_at_milli_ = -1;  // Placed then; negative: never.
  std::int64_t changes_ = 0;     // Since then.
};

}  // namespace brim::planner
