// Exponential buckets: bucket i starts at first * (r^i - 1) / (r - 1), r = 1 + growth, so its width
// is first * r^i and its end is at most r times its start plus `first`. Decay without touching old
// buckets: a new sample weighs 2^((t - reference) / half-life) instead; once that exponent exceeds
// 60 all weights are scaled down and the reference moved (amortised O(1)).
// Source: Kubernetes autoscaler, vertical-pod-autoscaler, "decaying exponential histogram".
#include "planner/rightsize/histogram.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace brim::planner {
namespace {
constexpr double kExponentMax = 60;  // Half-lives between two changes of the reference.
}  // namespace

HistogramShape ShapeFor(Resource resource, double half_life_s) {
  HistogramShape shape;
  shape.half_life_s = half_life_s;
  switch (resource) {
    case Resource::kCompute:
      shape.first = 0.05;
      shape.top = 102.4;
      break;
    case Resource::kMemory:
      shape.first = 10;
      shape.top = 4e6;
      break;
    case Resource::kCpu:
      shape.first = 10;
      shape.top = 1e6;
      break;
    case Resource::kRate:
      shape.first = 0.01;
      shape.top = 1e6;
      break;
  }
  return shape;
}

DecayingHistogram::DecayingHistogram(const HistogramShape& shape) : shape_(shape) {
  BRIM_CHECK(shape.first > 0 && shape.growth > 0 && shape.half_life_s > 0);
  weights_.resize(BucketOf(shape.top) + 1);
}

std::size_t DecayingHistogram::BucketOf(double value) const {
  const double index =
      std::log(value / shape_.first * shape_.growth + 1) / std::log1p(shape_.growth);
  auto bucket = static_cast<std::size_t>(std::max(0.0, index));
  // The logarithm may land one beside at a bucket's very end.
  if (bucket > 0 && value < EndOf(bucket - 1)) --bucket;
  return weights_.empty() ? bucket : std::min(bucket, weights_.size() - 1);
}

double DecayingHistogram::EndOf(std::size_t bucket) const {
  return shape_.first * (std::pow(1 + shape_.growth, static_cast<double>(bucket + 1)) - 1) /
         shape_.growth;
}

void DecayingHistogram::MoveReference(double time_s) {
  const double scale = std::exp2((reference_s_ - time_s) / shape_.half_life_s);
  for (double& weight : weights_) weight *= scale;
  total_ *= scale;
  reference_s_ = time_s;
}

double DecayingHistogram::Fade() const {
  return std::exp2((reference_s_ - newest_s_) / shape_.half_life_s);
}

void DecayingHistogram::Add(double value, double weight, double time_s) {
  BRIM_CHECK(value >= 0 && weight >= 0);
  if (!started_) reference_s_ = newest_s_ = time_s;
  started_ = true;
  newest_s_ = std::max(newest_s_, time_s);
  if (time_s > reference_s_ + kExponentMax * shape_.half_life_s) MoveReference(time_s);
  const double scaled = weight * std::exp2((time_s - reference_s_) / shape_.half_life_s);
  weights_[BucketOf(value)] += scaled;
  total_ += scaled;
  largest_ = std::max(largest_, value);
}

void DecayingHistogram::Merge(const DecayingHistogram& other, double scale) {
  BRIM_CHECK(shape_ == other.shape_);
  if (!other.started_) return;
  if (!started_) {
    reference_s_ = other.reference_s_;
    newest_s_ = other.newest_s_;
  }
  started_ = true;
  newest_s_ = std::max(newest_s_, other.newest_s_);
  if (other.reference_s_ > reference_s_) MoveReference(other.reference_s_);
  const double at = scale * std::exp2((other.reference_s_ - reference_s_) / shape_.half_life_s);
  for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i] += other.weights_[i] * at;
  total_ += other.total_ * at;
  largest_ = std::max(largest_, other.largest_);
}

double DecayingHistogram::Percentile(double share) const { return Percentile(share, *this, 0); }

double DecayingHistogram::Percentile(double share, const DecayingHistogram& prior,
                                     double prior_weight) const {
  BRIM_CHECK(shape_ == prior.shape_);
  const double scale = prior.total_ > 0 ? prior_weight / prior.total_ : 0;
  const double fade = Fade();
  const double sum = total_ * fade + scale * prior.total_;
  if (sum <= 0) return 0;
  const double top = std::max(total_ > 0 ? largest_ : 0, scale > 0 ? prior.largest_ : 0);
  double reached = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    reached += weights_[i] * fade + scale * prior.weights_[i];
    // The last bucket has no end.
    if (reached >= share * sum * (1 - 1e-12)) {
      return i + 1 < weights_.size() ? std::min(EndOf(i), top) : top;
    }
  }
  return top;
}

}  // namespace brim::planner
