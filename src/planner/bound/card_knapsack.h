// CardKnapsack: the most valuable set of shares that one card holds.
//
// Bounded knapsack by dynamic programming over a card's cells (1000 over the sizes' greatest common
// divisor), exact in integers. Each size's copies are split into 1, 2, 4, ... so a size costs
// O(cells * log copies). It prices the patterns of the pattern LPs, proves their dual prices, and
// tells what a part of a card is worth. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace brim::planner {

// How many of each size stand on one card.
using Pattern = std::vector<std::int32_t>;

class CardKnapsack {
 public:
  // REQUIRES: sizes 1 to 1000, ascending, each once; copies_max (how many of each may be taken) as
  // many, at least 0.
  CardKnapsack(std::span<const std::int32_t> sizes, std::span<const std::int64_t> copies_max);

  // The most that a whole card's shares are worth. REQUIRES: a value for each size, 0 to 2^40.
  std::int64_t Solve(std::span<const std::int64_t> values);
  // A set that is worth it, or, of shares of at most `milli` together, the most; after Solve().
  Pattern Best(std::int32_t milli = 1000) const;
  // The most that shares of at most `milli` together are worth, after Solve().
  std::int64_t Worth(std::int32_t milli) const { return best_[milli / cell_]; }

  std::int32_t cell_milli() const { return cell_; }

 private:
  struct Lot {
    std::int32_t size = 0;  // Index.
    std::int32_t copies = 0;
    std::int32_t cells = 0;  // Of all the copies.
  };

  std::size_t sizes_;
  std::int32_t cell_ = 1;
  std::int32_t cells_ = 0;  // Of a card.
  std::vector<Lot> lots_;
  std::vector<std::int64_t> best_;   // Per cells used at most.
  std::vector<std::uint8_t> taken_;  // lots * (cells + 1).
};

}  // namespace brim::planner
