#include "planner/mix/mig_grid.h"

#include <algorithm>

#include "base/check.h"

namespace brim::planner {

namespace {

// Free placements while instances are laid out, largest first.
class Cards {
 public:
  explicit Cards(std::int32_t cards) : taken_(static_cast<std::size_t>(cards)) {}

  // The first card that has `size` placements free from one of `starts`.
  MigPlace Take(int size, std::initializer_list<int> starts) {
    for (const int start : starts) {
      for (std::size_t card = 0; card < taken_.size(); ++card) {
        const unsigned mask = ((1u << size) - 1) << start;
        if ((taken_[card] & mask) != 0) continue;
        taken_[card] |= mask;
        return {static_cast<std::int32_t>(card), start};
      }
    }
    BRIM_CHECK(false);  // MigCards() said it fits.
    return {};
  }

 private:
  std::vector<unsigned> taken_;
};

}  // namespace

MigUse UseOf(const MigCounts& counts) {
  MigUse use{};
  for (std::size_t size = 0; size < counts.size(); ++size) {
    for (std::size_t sum = 0; sum < use.size(); ++sum)
      use[sum] += counts[size] * kMigUses[size][sum];
  }
  return use;
}

std::int32_t MigCards(const MigCounts& counts) {
  const MigUse use = UseOf(counts);
  std::int32_t cards = 0;
  for (std::size_t sum = 0; sum < use.size(); ++sum) {
    cards = std::max(cards, (use[sum] + kMigCard[sum] - 1) / kMigCard[sum]);
  }
  return cards;
}

double MigMemoryPart(int size) { return size == 7 ? 1.0 : size >= 3 ? 0.5 : size / 8.0; }

std::size_t MigSizeIndex(int size) {
  const auto it = std::find(kMigSizes.begin(), kMigSizes.end(), size);
  BRIM_CHECK(it != kMigSizes.end());
  return static_cast<std::size_t>(it - kMigSizes.begin());
}

std::vector<MigPlace> MigLayout(const std::vector<int>& sizes) {
  MigCounts counts{};
  for (const int size : sizes) ++counts[MigSizeIndex(size)];
  Cards cards(MigCards(counts));
  std::vector<MigPlace> places(sizes.size());
  for (const int size : kMigSizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != size) continue;
      switch (size) {
        case 7:
        case 4:
          places[i] = cards.Take(size, {0});
          break;
        case 3:
          places[i] = cards.Take(size, {4});
          break;
        case 2:
          places[i] = cards.Take(size, {0, 2, 4});
          break;
        default:
          places[i] = cards.Take(size, {6, 4, 5, 0, 1, 2, 3});
          break;
      }
    }
  }
  return places;
}

}  // namespace brim::planner
