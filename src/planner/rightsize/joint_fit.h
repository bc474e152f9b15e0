// JointFit: may these pods share a card? The one test that the packing and its bounds have in
// common. Private to planner/rightsize. A value; any thread reads.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "planner/rightsize/joint.h"

namespace brim::planner {

class JointFit {
 public:
  // `full_max`: steps in which a card may exceed 100 %. REQUIRES: all series of one length; they
  // and the options outlive this.
  JointFit(const std::vector<JointPod>& pods, const JointOptions& options,
           std::size_t full_max = std::numeric_limits<std::size_t>::max());

  std::size_t steps() const { return steps_; }
  // Steps in which a card may exceed compute_percent.
  std::size_t over_max() const { return over_max_; }
  double memory(std::size_t pod) const { return (*pods_)[pod].memory_mib; }
  double memory_max() const { return options_->card_memory_mib; }
  bool MemoryFits(double sum) const { return sum <= options_->card_memory_mib * (1 + 1e-12); }
  bool FloorFits(double sum) const { return sum <= options_->compute_percent * (1 + 1e-12); }
  double floor(std::size_t pod) const { return (*pods_)[pod].floor_percent; }
  const float* series(std::size_t pod) const { return (*pods_)[pod].compute.data(); }

  // The summed series with `add` and without `out` (at most two) stays within the limit.
  bool SeriesFits(const float* sum, std::size_t add, std::span<const std::size_t> out) const;
  // The pods fit together. One pod always fits alone.
  bool Together(std::span<const std::size_t> pods) const;

 private:
  const std::vector<JointPod>* pods_;
  const JointOptions* options_;
  std::size_t steps_ = 0;
  std::size_t over_max_ = 0;
  std::size_t full_max_ = 0;
};

// Lower bounds on the cards: memory area and L2, fluid, and the joint pattern LP.
Result<std::vector<Bound>> JointBounds(const std::vector<JointPod>& pods,
                                       const JointOptions& options, const JointFit& fit);

}  // namespace brim::planner
