// FgdScorer: place where fragmentation grows least. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "planner/pack/fragmentation.h"
#include "planner/pack/placer.h"

namespace brim::planner {

class FgdScorer : public NodeScorer {
 public:
  // `typical`: the pods that fragmentation is measured by.
  FgdScorer(const Occupancy& occupancy, const PodMix& typical);

  std::int32_t Score(const Pod& pod, std::int32_t node) override { return Best(pod, node).first; }
  std::uint64_t Cards(const Pod& pod, std::int32_t node) override;
  std::vector<ScoreTerm> Terms(const Pod& pod, std::int32_t node) override;

 private:
  // The score, and the card for a pod of a share.
  std::pair<std::int32_t, std::int32_t> Best(const Pod& pod, std::int32_t node) const;
  std::int32_t Rounded(std::int64_t less_fragment) const;

  const Occupancy& occupancy_;
  const Fragmentation fragmentation_;
  std::array<std::int64_t, 99> steps_{};  // Score s + 1 needs at least steps_[s].
};

}  // namespace brim::planner
