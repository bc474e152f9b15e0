// See lend_policy.h.
#include "vgpu/agent/lend_policy.h"

#include <algorithm>

namespace brim::vgpu {

std::vector<std::uint64_t> Lend(std::span<const Borrower> slices, std::uint64_t memory) {
  // Room above what is held is kept while it is small, so that a loan does not come and go with
  // each allocation.
  constexpr std::uint64_t kSpare = std::uint64_t{64} << 20;
  std::vector<std::uint64_t> now;
  std::uint64_t promised = 0;
  // Not while somebody lacks it.
  const bool scarce = std::any_of(slices.begin(), slices.end(),
                                  [](const Borrower& slice) { return slice.wanted > 0; });
  for (const Borrower& slice : slices) {
    const std::uint64_t spare = slice.held > slice.soft && !scarce ? kSpare : 0;
    const std::uint64_t keep = std::min(slice.now, slice.held + spare);
    now.push_back(
        std::max({slice.soft, std::min(keep, slice.hard), std::min(slice.held, slice.now)}));
    promised += std::max(now.back(), slice.held);
  }
  // Who was refused gets what it wanted, the smallest first, so that most are served.
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].wanted > 0 && now[i] < slices[i].hard) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return slices[a].wanted < slices[b].wanted;
  });
  for (const std::size_t i : order) {
    const std::uint64_t left = memory > promised ? memory - promised : 0;
    const std::uint64_t to = std::min(slices[i].hard, slices[i].held + slices[i].wanted + kSpare);
    if (to <= now[i]) continue;
    const std::uint64_t more = std::min(left, to - now[i]);
    // Half of what is needed helps nobody.
    if (now[i] + more < std::min(slices[i].hard, slices[i].held + slices[i].wanted)) continue;
    now[i] += more;
    promised += more;
  }
  return now;
}

}  // namespace brim::vgpu
