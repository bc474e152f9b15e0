// Fragmentation in closed form.
//
// The measure (Weng et al., "Beware of Fragmentation", USENIX ATC 2023): draw one typical pod; if
// the node cannot take it (card model, CPU, or no card or too few cards with the share free), all
// the node's free milli-cards are fragment; if it can, those on cards with less free than the share
// are. CPU-only pods use no card, so for them all is fragment: a constant share.
//
// Turned around: usable = sum over typical pods that fit of (count x free units on cards that could
// take the share). A single-card pod that fits no card contributes nothing to that sum by itself,
// so for single-card pods the sum splits by card: a card with f free is worth f times the number of
// admitted single-card pods with a share of at most f and CPU of at most what the node has left.
// That number is one look-up in a table over (card model, CPU breakpoint, size). Pods of w whole
// cards add 1000 x free whole cards when these are at least w: a second look-up. So a node costs
// O(cards), whatever the number of types, and all arithmetic is in integers: no order of summation,
// no rounding, the same on every machine.
//
// Size of the tables: types squared for each distinct set of admitted pods, types at most
// kTypesMax.
#include "planner/pack/fragmentation.h"

#include <algorithm>
#include <bit>

namespace brim::planner {
namespace {

bool Admits(const Pod& pod, std::int32_t card_model) {
  if (pod.card_models == 0) return true;
  return card_model >= 0 && (pod.card_models >> card_model & 1) != 0;
}

constexpr std::size_t kWholeWidth = kCardsPerNodeMax + 1;

}  // namespace

Fragmentation::Fragmentation(const Cluster& cluster, const PodMix& typical) {
  PodMix mix = typical;
  if (mix.entries.size() > kTypesMax) mix.entries.resize(kTypesMax);
  std::vector<std::int32_t> shares;
  for (const PodMix::Entry& entry : mix.entries) {
    pods_ += entry.count;
    if (entry.pod.cards == 0) continue;
    cpus_.push_back(entry.pod.cpu_milli);
    if (entry.pod.cards == 1) shares.push_back(entry.pod.card_milli);
  }
  std::sort(cpus_.begin(), cpus_.end());
  cpus_.erase(std::unique(cpus_.begin(), cpus_.end()), cpus_.end());
  std::sort(shares.begin(), shares.end());
  shares.erase(std::unique(shares.begin(), shares.end()), shares.end());
  size_count_ = shares.size();
  for (std::int32_t milli = 0; milli <= kCardMilli; ++milli) {
    sizes_[milli] = static_cast<std::uint16_t>(
        std::upper_bound(shares.begin(), shares.end(), milli) - shares.begin());
  }
  // Card models that admit the same pods share a table.
  std::vector<std::vector<bool>> admitted;
  const auto models = static_cast<std::int32_t>(cluster.card_models.size());
  for (std::int32_t model = -1; model < models; ++model) {
    std::vector<bool> set;
    for (const PodMix::Entry& entry : mix.entries) set.push_back(Admits(entry.pod, model));
    const auto known = std::find(admitted.begin(), admitted.end(), set);
    table_of_model_.push_back(static_cast<std::int32_t>(known - admitted.begin()));
    if (known != admitted.end()) continue;
    admitted.push_back(std::move(set));
    tables_.push_back(Tabulate(mix, model));
  }
}

Fragmentation::Table Fragmentation::Tabulate(const PodMix& typical, std::int32_t card_model) const {
  Table table;
  const std::size_t width = size_count_ + 1;
  table.upto.assign((cpus_.size() + 1) * width, 0);
  table.several.assign((cpus_.size() + 1) * kWholeWidth, 0);
  for (const PodMix::Entry& entry : typical.entries) {
    const Pod& pod = entry.pod;
    if (pod.cards == 0 || !Admits(pod, card_model)) continue;
    const auto row = static_cast<std::size_t>(
        std::lower_bound(cpus_.begin(), cpus_.end(), pod.cpu_milli) - cpus_.begin() + 1);
    if (pod.cards == 1) {
      table.upto[row * width + sizes_[pod.card_milli]] += entry.count;
    } else if (pod.cards <= kCardsPerNodeMax) {
      table.several[row * kWholeWidth + pod.cards] += entry.count;
    }
  }
  const auto accumulate = [](std::vector<std::int64_t>* cells, std::size_t columns) {
    for (std::size_t i = 0; i < cells->size(); ++i) {
      if (i % columns > 0) (*cells)[i] += (*cells)[i - 1];
    }
    for (std::size_t i = columns; i < cells->size(); ++i) (*cells)[i] += (*cells)[i - columns];
  };
  accumulate(&table.upto, width);
  accumulate(&table.several, kWholeWidth);
  return table;
}

Fragmentation::View Fragmentation::At(std::int32_t card_model, std::int64_t cpu_milli) const {
  const Table& table = tables_[table_of_model_[card_model + 1]];
  const auto row = static_cast<std::size_t>(
      std::upper_bound(cpus_.begin(), cpus_.end(), cpu_milli) - cpus_.begin());
  View view;
  view.upto_ = table.upto.data() + row * (size_count_ + 1);
  view.several_ = table.several.data() + row * kWholeWidth;
  view.sizes_ = &sizes_;
  return view;
}

std::int64_t Fragmentation::Of(const FreeNode& free) const {
  const View view = At(free.card_model, free.cpu_milli);
  std::int64_t fragment = free.card_milli_sum * pods_ - view.UsableWhole(free.whole_cards);
  for (const std::int32_t milli : free.card_milli) fragment -= view.Usable(milli);
  return fragment;
}

}  // namespace brim::planner
