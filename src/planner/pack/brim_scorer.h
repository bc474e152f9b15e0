// BrimScorer: the default policy. Place where the expected pods lose the least usable space, with
// what is running out weighing most. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/pack/placer.h"

namespace brim::planner {

class BrimScorer : public NodeScorer {
 public:
  // Entries beyond kTypesMax of the expected mix are left out: that bounds a score's cost.
  static constexpr std::size_t kTypesMax = 512;
  BrimScorer(const Occupancy& occupancy, const PodMix& expected);

  std::int32_t Score(const Pod& pod, std::int32_t node) override { return Best(pod, node).score; }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override;
  std::vector<ScoreTerm> Terms(const Pod& pod, std::int32_t node) override;
  void Changed(std::int32_t node) override;
  bool Learn() override;

 private:
  // Expected pods of one card share, of one number of whole cards, or without cards.
  struct Group {
    std::int32_t cards = 0;
    std::int32_t card_milli = 0;
    std::uint32_t inverse = 0;  // 2^20 / card_milli, rounded up.
    std::uint64_t card_models = 0;
    std::int32_t first = 0, last = 0;  // Their types.
  };
  struct Type {
    std::int64_t weight = 0;  // All sum to about kWeights.
    std::int64_t cpu_milli = 0, memory_mib = 0;
    std::uint64_t cpu_inverse = 0, memory_inverse = 0;  // Copies = (free * inverse) >> 32.
    std::int64_t count = 0;
  };
  // What a group finds on a node's cards.
  struct Space {
    std::int32_t milli = 0;   // Free, on cards that could take one.
    std::int32_t copies = 0;  // As many fit the cards.
  };
  struct Scored {
    std::int32_t score = 0;
    std::int32_t card = -1;   // For a share.
    std::int64_t usable = 0;  // What is left usable, in milli-cards times kWeights.
  };

  static std::int32_t CopiesOn(const Group& group, std::int32_t card_milli) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(card_milli) * group.inverse >> 20);
  }
  bool Admits(const Group& group, std::int32_t card_model) const;
  void Measure(const FreeNode& free);
  std::int64_t Usable(const std::vector<Space>& spaces, std::int64_t cpu_milli,
                      std::int64_t memory_mib) const;
  std::int64_t UsableNow(std::int32_t node);
  Scored Best(const Pod& pod, std::int32_t node);
  void Weigh();

  const Occupancy& occupancy_;
  const std::int64_t capacity_milli_;
  std::vector<Group> groups_;
  std::vector<Type> types_;
  std::int64_t cpu_worth_ = 0;          // Milli-cards of a milli-core, times kWeights.
  std::vector<std::int64_t> usable_;    // Per node; negative: not known.
  std::vector<Space> spaces_, after_;   // Of the node being scored.
  std::int64_t changes_ = 0;            // Since the weights were made.
  std::int64_t weighed_at_milli_ = -1;  // Occupied then; negative: never.
};

}  // namespace brim::planner
