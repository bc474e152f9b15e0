#include "metrics/histogram.h"

#include <algorithm>

namespace brim::metrics {
namespace {

constexpr std::size_t kBounds = Histogram::kBuckets - 1;

// 10, 18, 32, 56 microseconds and their multiples by ten: powers of 10^(1/4) at two digits, so
// that `le` labels are short and exact.
struct BoundTable {
  std::array<std::uint64_t, kBounds> ns{};
  std::array<double, kBounds> seconds{};
};

constexpr BoundTable MakeBounds() {
  constexpr std::uint64_t kMantissa[] = {10, 18, 32, 56};
  BoundTable table;
  std::uint64_t scale = 1000;  // Nanoseconds in a microsecond.
  for (std::size_t i = 0; i < kBounds; ++i) {
    if (i > 0 && i % 4 == 0) scale *= 10;
    table.ns[i] = kMantissa[i % 4] * scale;
    table.seconds[i] = static_cast<double>(table.ns[i]) / 1e9;
  }
  return table;
}

constexpr BoundTable kTable = MakeBounds();

}  // namespace

std::span<const double> Histogram::Bounds() { return kTable.seconds; }

void Histogram::Observe(std::chrono::nanoseconds value) {
  const std::uint64_t ns = value.count() > 0 ? static_cast<std::uint64_t>(value.count()) : 0;
  const auto at = std::lower_bound(kTable.ns.begin(), kTable.ns.end(), ns);  // First bound >= ns.
  counts_[static_cast<std::size_t>(at - kTable.ns.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(ns, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::Read() const {
  Snapshot snapshot;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    snapshot.counts[i] = counts_[i].load(std::memory_order_relaxed);
    snapshot.count += snapshot.counts[i];
  }
  snapshot.sum_seconds = static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  return snapshot;
}

double Histogram::Snapshot::Quantile(double q) const {
  if (count == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count);
  double below = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const double here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= rank) {
      if (i == kBounds) return kTable.seconds[kBounds - 1];  // Open-ended: its lower bound.
      const double low = i == 0 ? 0 : kTable.seconds[i - 1];
      return low + (kTable.seconds[i] - low) * std::max(0.0, rank - below) / here;
    }
    below += here;
  }
  return kTable.seconds[kBounds - 1];
}

Histogram::Snapshot Histogram::Snapshot::Since(const Snapshot& before) const {
  Snapshot change;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    change.counts[i] = counts[i] - std::min(counts[i], before.counts[i]);
    change.count += change.counts[i];
  }
  change.sum_seconds = std::max(0.0, sum_seconds - before.sum_seconds);
  return change;
}

}  // namespace brim::metrics
