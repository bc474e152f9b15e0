// What the planner places and where: nodes with cards, pods with demands. Values only.
//
// Units: CPU in milli-cores, memory in MiB, a card in milli-cards (1000 is a whole card; a slice of
// 1/100 is 10). The same as the open traces' cpu_milli, memory_mib and gpu_milli.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace brim::planner {

inline constexpr std::int32_t kCardMilli = 1000;
inline constexpr std::int32_t kCardsPerNodeMax = 64;  // A node's chosen cards are one 64-bit mask.
inline constexpr std::int32_t kCardModelsMax = 64;    // So are the card models a pod accepts.

struct Node {
  std::string name;
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int32_t cards = 0;            // 0 to kCardsPerNodeMax.
  std::int32_t card_model = -1;      // Index into Cluster::card_models; -1 without cards.
  std::int64_t card_memory_mib = 0;  // Per card; 0: unknown, not checked.
};

struct Cluster {
  std::vector<std::string> card_models;  // At most kCardModelsMax.
  std::vector<Node> nodes;

  std::int64_t cards() const;  // Sum over the nodes.
};

// One pod. Either no card (cards 0), or a share of one (cards 1, card_milli 1 to 1000), or whole
// ones (cards > 1, card_milli 1000).
struct Pod {
  std::string name;
  std::string owner;  // May be empty.
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int32_t cards = 0;
  std::int32_t card_milli = 0;       // Of each card.
  std::int64_t card_memory_mib = 0;  // Of each card; 0: not declared, not checked.
  std::uint64_t card_models = 0;     // Bit i: Cluster::card_models[i] is accepted; 0: any.
  double arrives_s = 0;              // Seconds from the stream's start.
  double leaves_s = -1;              // Negative: stays.

  // Milli-cards in all.
  std::int64_t demand_milli() const { return std::int64_t{cards} * card_milli; }
  bool whole() const { return cards > 0 && card_milli == kCardMilli; }
};

// Where a pod stands.
struct Spot {
  std::int32_t node = -1;   // Index into Cluster::nodes; -1: nowhere.
  std::uint64_t cards = 0;  // Bit i: card i of the node.

  bool placed() const { return node >= 0; }
  friend bool operator==(const Spot&, const Spot&) = default;
};

}  // namespace brim::planner
