// Fragmentation: how many free milli-cards of a node the typical pods could not use, in exact
// integers, at a few table look-ups a card. Immutable once made; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/cluster/occupancy.h"
#include "planner/pack/pod_types.h"

namespace brim::planner {

// All weights are counts of typical pods, so a value is milli-cards times pods(): divide by pods()
// for the expected milli-cards of fragment when one typical pod arrives.
class Fragmentation {
 public:
  // Entries beyond kTypesMax of the mix are left out: that bounds the tables.
  static constexpr std::size_t kTypesMax = 512;
  Fragmentation(const Cluster& cluster, const PodMix& typical);

  std::int64_t pods() const { return pods_; }

  // A node's CPU left and card model, resolved once for several looks at its cards.
  class View {
   public:
    // Free milli-cards of one card that single-card pods could use, times their count.
    std::int64_t Usable(std::int32_t card_milli) const {
      return std::int64_t{card_milli} * upto_[(*sizes_)[card_milli]];
    }
    // The same for pods of several whole cards, of a node with this many free ones.
    std::int64_t UsableWhole(std::int32_t whole_cards) const {
      return std::int64_t{whole_cards} * kCardMilli * several_[whole_cards];
    }

   private:
    friend class Fragmentation;
    const std::int64_t* upto_ = nullptr;
    const std::int64_t* several_ = nullptr;
    const std::array<std::uint16_t, kCardMilli + 1>* sizes_ = nullptr;
  };
  View At(std::int32_t card_model, std::int64_t cpu_milli) const;

  // Of a whole node as it stands: free times pods() less what is usable.
  std::int64_t Of(const FreeNode& free) const;

 private:
  struct Table {               // For one set of pods that a card model admits.
    std::uint64_t admits = 0;  // A representative: bit of the first such model, 0 for model -1.
    // Row k: pods whose CPU is among the first k breakpoints.
    std::vector<std::int64_t> upto;     // [k][j]: single-card pods of the j smallest sizes.
    std::vector<std::int64_t> several;  // [k][w]: pods of 2 to w whole cards.
  };
  Table Tabulate(const PodMix& typical, std::int32_t card_model) const;

  std::int64_t pods_ = 0;
  std::vector<std::int64_t> cpus_;                     // Breakpoints, ascending.
  std::size_t size_count_ = 0;                         // Distinct shares.
  std::array<std::uint16_t, kCardMilli + 1> sizes_{};  // Shares that fit this free amount.
  std::vector<Table> tables_;
  std::vector<std::int32_t> table_of_model_;  // Index card_model + 1.
};

}  // namespace brim::planner
