#include "metrics/histogram.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace brim::metrics {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

TEST(Histogram, BoundsAscendFromTenMicrosecondsFourPerDecade) {
  const auto bounds = Histogram::Bounds();
  ASSERT_EQ(bounds.size(), Histogram::kBuckets - 1);
  EXPECT_DOUBLE_EQ(bounds[0], 10e-6);
  EXPECT_DOUBLE_EQ(bounds[1], 18e-6);
  EXPECT_DOUBLE_EQ(bounds[4], 100e-6);
  EXPECT_DOUBLE_EQ(bounds.back(), 56.0);
  for (std::size_t i = 1; i < bounds.size(); ++i) EXPECT_LT(bounds[i - 1], bounds[i]);
}

TEST(Histogram, AValueOnABoundCountsBelowIt) {
  Histogram histogram;
  histogram.Observe(microseconds(10));
  histogram.Observe(nanoseconds(10001));
  histogram.Observe(nanoseconds(0));
  histogram.Observe(nanoseconds(-5));
  histogram.Observe(std::chrono::hours(1));
  const auto snapshot = histogram.Read();
  EXPECT_EQ(snapshot.counts[0], 3u);
  EXPECT_EQ(snapshot.counts[1], 1u);
  EXPECT_EQ(snapshot.counts.back(), 1u);
  EXPECT_EQ(snapshot.count, 5u);
  EXPECT_NEAR(snapshot.sum_seconds, 3600.000020001, 1e-9);
}

TEST(Histogram, QuantileIsWithinOneBucket) {
  constexpr unsigned kSeed = 7;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  std::lognormal_distribution<double> microsecond(5.0, 1.0);
  Histogram histogram;
  std::vector<double> seconds;
  for (int i = 0; i < 5000; ++i) {
    const auto ns = static_cast<std::int64_t>(microsecond(random) * 1000);
    histogram.Observe(nanoseconds(ns));
    seconds.push_back(static_cast<double>(ns) / 1e9);
  }
  std::sort(seconds.begin(), seconds.end());
  const auto snapshot = histogram.Read();
  for (double q : {0.5, 0.9, 0.99}) {
    const double truth = seconds[static_cast<std::size_t>(q * 5000) - 1];
    EXPECT_LT(snapshot.Quantile(q), truth * 1.8) << q;
    EXPECT_GT(snapshot.Quantile(q), truth / 1.8) << q;
  }
}

TEST(Histogram, QuantileOfNothingAndOfTheOpenEnd) {
  Histogram histogram;
  EXPECT_EQ(histogram.Read().Quantile(0.5), 0);
  histogram.Observe(std::chrono::hours(1));
  EXPECT_DOUBLE_EQ(histogram.Read().Quantile(0.99), 56.0);
}

TEST(Histogram, SinceSubtracts) {
  Histogram histogram;
  histogram.Observe(microseconds(20));
  const auto before = histogram.Read();
  histogram.Observe(microseconds(20));
  histogram.Observe(microseconds(2000));
  const auto change = histogram.Read().Since(before);
  EXPECT_EQ(change.count, 2u);
  EXPECT_NEAR(change.sum_seconds, 2020e-6, 1e-9);
}

TEST(Histogram, ManyThreadsLoseNothing) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram] {
      for (int i = 0; i < 1000; ++i) histogram.Observe(microseconds(i));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(histogram.Read().count, 4000u);
}

}  // namespace
}  // namespace brim::metrics
