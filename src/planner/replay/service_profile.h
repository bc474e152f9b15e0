// ServiceProfile: how long one model takes on a share of a card, by batch size, as measured.
//
// Latencies come from the file; between two measured batches they are interpolated, beyond the last
// one there is nothing: a larger batch is refused. Values only; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace brim::planner {

inline constexpr std::int32_t kBatchMax = 1024;

// One share of a card: l(1) to l(batch_max), in seconds.
struct ShareProfile {
  std::int32_t share_milli = 0;
  std::vector<double> service_s;  // [n-1] is the time of a batch of n; never falls with n.

  std::int32_t batch_max() const { return static_cast<std::int32_t>(service_s.size()); }
  // Real-valued n between 1 and batch_max.
  double Service(double n) const;
};

struct MeasuredRow {
  std::int32_t share_milli = 0;
  std::int32_t batch = 0;
  double latency_s = 0;
};

struct ServiceProfile {
  std::string name;
  double slo_s = 0;
  double cpu_s = 0;                  // Core-seconds of one request; 0: not possible on a CPU.
  std::vector<ShareProfile> shares;  // Ascending; the last one is the whole card.

  const ShareProfile& whole() const { return shares.back(); }
  const ShareProfile* At(std::int32_t share_milli) const;  // Null when not measured.
};

// Builds the per-share curves, cut to batches with 2 l(b) <= slo (a request may just miss a batch
// and must then still make the next one; Nexus, SOSP'19). Empty message: done; else what is wrong.
std::string BuildShares(std::vector<MeasuredRow> rows, ServiceProfile* profile);

}  // namespace brim::planner
