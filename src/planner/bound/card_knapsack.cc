#include "planner/bound/card_knapsack.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "planner/cluster/cluster.h"

namespace brim::planner {

CardKnapsack::CardKnapsack(std::span<const std::int32_t> sizes,
                           std::span<const std::int64_t> copies_max)
    : sizes_(sizes.size()) {
  BRIM_CHECK(sizes.size() == copies_max.size());
  std::int32_t divisor = 0;
  for (const std::int32_t size : sizes) divisor = std::gcd(divisor, size);
  cell_ = std::max(divisor, 1);
  cells_ = kCardMilli / cell_;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    BRIM_CHECK(sizes[i] >= 1 && sizes[i] <= kCardMilli);
    const std::int32_t cells = sizes[i] / cell_;
    auto left = static_cast<std::int32_t>(std::min<std::int64_t>(copies_max[i], cells_ / cells));
    for (std::int32_t lot = 1; left > 0; lot *= 2) {
      const std::int32_t copies = std::min(lot, left);
      lots_.push_back({static_cast<std::int32_t>(i), copies, copies * cells});
      left -= copies;
    }
  }
}

std::int64_t CardKnapsack::Solve(std::span<const std::int64_t> values) {
  BRIM_CHECK(values.size() == sizes_);
  const std::size_t width = static_cast<std::size_t>(cells_) + 1;
  best_.assign(width, 0);
  taken_.assign(lots_.size() * width, 0);
  for (std::size_t i = 0; i < lots_.size(); ++i) {
    const Lot& lot = lots_[i];
    const std::int64_t value = values[lot.size] * lot.copies;
    if (value <= 0) continue;
    std::uint8_t* const taken = taken_.data() + i * width;
    for (std::int32_t cell = cells_; cell >= lot.cells; --cell) {
      const std::int64_t with = best_[cell - lot.cells] + value;
      if (with <= best_[cell]) continue;
      best_[cell] = with;
      taken[cell] = 1;
    }
  }
  return best_[cells_];
}

Pattern CardKnapsack::Best(std::int32_t milli) const {
  Pattern pattern(sizes_, 0);
  const std::size_t width = static_cast<std::size_t>(cells_) + 1;
  std::int32_t cell = milli / cell_;
  for (std::size_t i = lots_.size(); i-- > 0;) {
    if (taken_[i * width + cell] == 0) continue;
    pattern[lots_[i].size] += lots_[i].copies;
    cell -= lots_[i].cells;
  }
  return pattern;
}

}  // namespace brim::planner
