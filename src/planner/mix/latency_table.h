// LatencyTable: how long a batch of any size takes on any share, from the points that were
// measured.
//
// Monotone by two moves that anyone can make: a smaller batch may be padded to a measured larger
// one, and a process may leave part of its share unused. So l(n, s) is the least over measured
// batches >= n (and, in units, over shares <= s).
//   kMig    measured shares and process counts alone, nothing between.
//   kUnits  one process. Between two batches linear; between two shares linear in 1/share; below
//           the smallest measured share in inverse proportion (a time quota); above the largest
//           constant.
// Immutable; any thread.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "planner/mix/model.h"

namespace brim::planner {

inline constexpr double kNeverMs = std::numeric_limits<double>::infinity();

class LatencyTable {
 public:
  LatencyTable(std::span<const ProfilePoint> points, const MixOptions& options);

  // Milliseconds by batch, from 1; [0] is 0. Empty: nothing is known of this share.
  const std::vector<double>& Row(int share, int processes = 1) const;
  double Ms(int share, int batch, int processes = 1) const;
  int batch_max(int share, int processes = 1) const;

 private:
  void Measured(std::span<const ProfilePoint> points, int processes_max);
  void Interpolated(std::span<const ProfilePoint> points, int step);

  std::vector<std::vector<double>> rows_;  // [(processes - 1) * (kUnitsPerCard + 1) + share]
  std::vector<double> none_;
};

// The shares that segments may have, ascending.
std::vector<int> ShareGrid(const MixOptions& options);

}  // namespace brim::planner
