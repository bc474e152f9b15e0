// Histogram: lock-free counts in fixed logarithmic buckets, 10 microseconds to 56 seconds.
//
// Four buckets per factor of ten (10, 18, 32, 56 microseconds, …). Quantile() interpolates within a
// bucket, so it is within a factor 1.8 of the truth; it never reads a clock. Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace brim::metrics {

class Histogram {
 public:
  static constexpr std::size_t kBuckets = 29;  // 28 bounds and +Inf.
  // Upper bounds in seconds of the first kBuckets - 1 buckets, ascending.
  static std::span<const double> Bounds();

  void Observe(std::chrono::nanoseconds value);

  struct Snapshot {
    std::array<std::uint64_t, kBuckets> counts{};  // Not cumulative.
    std::uint64_t count = 0;
    double sum_seconds = 0;
    // q in [0, 1]; seconds; 0 without observations.
    double Quantile(double q) const;
    Snapshot Since(const Snapshot& before) const;
  };
  Snapshot Read() const;

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

}  // namespace brim::metrics
