// DecayingHistogram: what a resource's samples looked like, in 200 numbers, the old fading.
//
// Buckets grow by 5 %, so a percentile is at most 5 % above the exact one whatever the range. A
// sample's weight halves every half-life; the same as the Kubernetes VPA's histograms. O(1) to add,
// O(buckets) for a percentile. A value; one thread.
#pragma once

#include <cstddef>
#include <vector>

#include "planner/rightsize/usage.h"

namespace brim::planner {

struct HistogramShape {
  double first = 1;  // Width of the first bucket.
  double growth = 0.05;
  double top = 1000;  // Larger samples are counted in the last bucket.
  double half_life_s = 86'400;

  friend bool operator==(const HistogramShape&, const HistogramShape&) = default;
};
// The shapes used here: 95 buckets for compute, 205 for memory, 180 for CPU.
HistogramShape ShapeFor(Resource resource, double half_life_s = 86'400);

class DecayingHistogram {
 public:
  explicit DecayingHistogram(const HistogramShape& shape);

  // Times may come in any order. REQUIRES: value >= 0, weight >= 0.
  void Add(double value, double weight, double time_s);
  // Adds the other's buckets, scaled. REQUIRES: same shape.
  void Merge(const DecayingHistogram& other, double scale = 1);

  bool empty() const { return total_ <= 0; }
  // Sum of the weights as of the newest sample.
  double total() const { return total_ * Fade(); }
  std::size_t buckets() const { return weights_.size(); }
  // The upper end of the bucket in which the share of the weight is reached, or the largest sample
  // where that is lower; 0 when empty.
  double Percentile(double share) const;
  // The same of this histogram and `prior` together, the prior scaled to `prior_weight` in all: a
  // Dirichlet prior of that many samples. REQUIRES: same shape.
  double Percentile(double share, const DecayingHistogram& prior, double prior_weight) const;
  double largest() const { return largest_; }

 private:
  std::size_t BucketOf(double value) const;
  double EndOf(std::size_t bucket) const;
  void MoveReference(double time_s);
  double Fade() const;  // From the reference to the newest sample.

  HistogramShape shape_;
  std::vector<double> weights_;  // As of reference_s_.
  double total_ = 0;
  double largest_ = 0;
  double reference_s_ = 0;
  double newest_s_ = 0;
  bool started_ = false;
};

}  // namespace brim::planner
