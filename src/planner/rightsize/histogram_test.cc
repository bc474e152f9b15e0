// DecayingHistogram against exact percentiles and exact weights.
#include "planner/rightsize/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

// Exact: the smallest value at which the share of the weight is reached.
double Exact(std::vector<std::pair<double, double>> weighted, double share) {
  std::sort(weighted.begin(), weighted.end());
  double total = 0, reached = 0;
  for (const auto& [value, weight] : weighted) total += weight;
  for (const auto& [value, weight] : weighted) {
    reached += weight;
    if (reached >= share * total * (1 - 1e-12)) return value;
  }
  return weighted.back().first;
}

TEST(DecayingHistogram, PercentilesAreAtMostABucketAboveTheExactOnes) {
  for (const Resource resource : {Resource::kCompute, Resource::kMemory, Resource::kCpu}) {
    const HistogramShape shape = ShapeFor(resource);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(testing::Message() << ResourceName(resource) << " seed " << seed);
      Random random(seed);
      DecayingHistogram histogram(shape);
      std::vector<std::pair<double, double>> exact;
      for (int i = 0; i < 500; ++i) {
        // Many sizes: the range's logarithm is uniform.
        const double value = shape.top * std::exp(-8 * random.Uniform());
        const double time = 1000.0 * i;
        histogram.Add(value, 1, time);
        exact.push_back({value, std::exp2((time - 499'000) / shape.half_life_s)});
      }
      for (const double share : {0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0}) {
        const double want = Exact(exact, std::max(share, 1e-9));
        const double got = histogram.Percentile(share == 0 ? 1e-9 : share);
        EXPECT_GE(got, want * (1 - 1e-9)) << share;
        EXPECT_LE(got, want * 1.05 + shape.first) << share;
      }
    }
  }
}

TEST(DecayingHistogram, WeightHalvesEachHalfLifeInAnyOrder) {
  HistogramShape shape = ShapeFor(Resource::kMemory, 100);
  DecayingHistogram forward(shape), backward(shape);
  for (int i = 0; i <= 10; ++i) forward.Add(100, 1, i * 100.0);
  for (int i = 10; i >= 0; --i) backward.Add(100, 1, i * 100.0);
  const double want = 2 - std::exp2(-10);  // 1 + 1/2 + ... + 1/1024
  EXPECT_NEAR(forward.total(), want, 1e-9);
  EXPECT_NEAR(backward.total(), want, 1e-9);
}

TEST(DecayingHistogram, OldSamplesFadeOverThousandsOfHalfLives) {
  DecayingHistogram histogram(ShapeFor(Resource::kMemory, 10));
  histogram.Add(50'000, 1000, 0);
  for (int i = 0; i < 50; ++i) histogram.Add(10, 1, 100'000 + i);
  EXPECT_TRUE(std::isfinite(histogram.total()));
  EXPECT_LT(histogram.Percentile(0.99), 21);
  EXPECT_EQ(histogram.largest(), 50'000);  // Kept for what needs the peak.
}

TEST(DecayingHistogram, EmptyAndZeroAndBeyondTheTop) {
  DecayingHistogram histogram(ShapeFor(Resource::kCompute));
  EXPECT_TRUE(histogram.empty());
  EXPECT_EQ(histogram.Percentile(0.99), 0);
  histogram.Add(0, 1, 0);
  EXPECT_EQ(histogram.Percentile(1), 0);  // Never above the largest sample.
  histogram.Add(640, 1, 0);
  EXPECT_EQ(histogram.Percentile(1), 640);
}

TEST(DecayingHistogram, APriorWeighsAsManySamplesAsItIsGiven) {
  const HistogramShape shape = ShapeFor(Resource::kCompute);
  DecayingHistogram own(shape), service(shape);
  for (int i = 0; i < 90; ++i) own.Add(10, 1, 0);
  for (int i = 0; i < 5000; ++i) service.Add(80, 1, 0);
  EXPECT_LT(own.Percentile(0.99, service, 0), 11);
  // 10 of 100: p89 is the pod's own, p91 the service's.
  EXPECT_LT(own.Percentile(0.89, service, 10), 11);
  EXPECT_NEAR(own.Percentile(0.91, service, 10), 80, 0.1);
  // A pod never seen takes the service's.
  EXPECT_NEAR(DecayingHistogram(shape).Percentile(0.5, service, 3), 80, 0.1);
}

TEST(DecayingHistogram, MergeIsAddingAllSamples) {
  const HistogramShape shape = ShapeFor(Resource::kCpu, 50);
  DecayingHistogram a(shape), b(shape), all(shape);
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    const double value = 1000 * random.Uniform();
    (i % 3 == 0 ? a : b).Add(value, 1, i);
    all.Add(value, 1, i);
  }
  a.Merge(b);
  EXPECT_NEAR(a.total(), all.total(), 1e-9);
  for (const double share : {0.2, 0.5, 0.9}) {
    EXPECT_DOUBLE_EQ(a.Percentile(share), all.Percentile(share));
  }
}

}  // namespace
}  // namespace brim::planner
