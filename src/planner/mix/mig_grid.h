// MIG's grid on an A100: which instances fit one card, how few cards hold a set, and where.
//
// A card is one instance of 7, or a left half (placements 0 to 3: one of 4, or 2s at 0 and 2, or
// 1s) beside a right half (placements 4 to 6: one of 3, or a 2 at 4, or 1s): the eleven maximal
// layouts that ParvaGPU uses, and their parts. Four sums say whether a set fits K cards:
//   c7 + c4 <= K,   c7 + c3 <= K,   c2 + 2 c4 + c3 + 3 c7 <= 3 K,   all instances' sizes <= 7 K,
// for after the 7s, 4s and 3s the free left halves take two 2s each, the right ones one, and 1s
// fill what is left. NVIDIA also lets a 3 stand at placement 0: it takes the left half there, as a
// 4 does (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-mig-profiles.html).
// Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace brim::planner {

inline constexpr std::array<int, 5> kMigSizes = {7, 4, 3, 2, 1};
using MigCounts = std::array<std::int32_t, 5>;  // By kMigSizes.

// A set's four sums.
using MigUse = std::array<std::int32_t, 4>;
inline constexpr MigUse kMigCard = {1, 1, 3, 7};  // What a card has of each.
inline constexpr std::array<MigUse, 5> kMigUses = {MigUse{1, 1, 3, 7}, MigUse{1, 0, 2, 4},
                                                   MigUse{0, 1, 1, 3}, MigUse{0, 0, 1, 2},
                                                   MigUse{0, 0, 0, 1}};

MigUse UseOf(const MigCounts& counts);
std::int32_t MigCards(const MigCounts& counts);
// A slice's part of the card's memory: eighths, of which 3 and 4 have four.
double MigMemoryPart(int size);
std::size_t MigSizeIndex(int size);  // REQUIRES: one of kMigSizes.

struct MigPlace {
  std::int32_t card = 0;
  int start = 0;
};
// Where instances of these sizes stand, on MigCards() cards, in the order given.
std::vector<MigPlace> MigLayout(const std::vector<int>& sizes);

}  // namespace brim::planner
