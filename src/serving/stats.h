// VersionStats: what one model version did, as counters that any thread may add to and read.
//
// Relaxed atomics: each figure is exact, but figures read together may be a request apart.
// Durations are summed in nanoseconds. The split is Triton's: queue (arrival to a worker taking
// it), input (checks, gather), infer (the runtime), output (scatter, encoding). CPU is the calling
// thread's, by CLOCK_THREAD_CPUTIME_ID, spread over the requests of a batch by rows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "metrics/histogram.h"

namespace brim::serving {

struct Counter {
  std::atomic<std::uint64_t> value{0};
  void Add(std::uint64_t n) {
    if (n != 0) value.fetch_add(n, std::memory_order_relaxed);
  }
  std::uint64_t Get() const { return value.load(std::memory_order_relaxed); }
};

enum class FailureKind : std::uint8_t { kRejected, kCancelled, kBackend, kOther };
inline constexpr std::size_t kFailureKinds = 4;
// Batch sizes (rows) 1 to 127 are counted apart, larger ones together in the last.
inline constexpr std::size_t kBatchSizesMax = 128;

struct BatchSizeStats {
  Counter executions;
  Counter input_ns, infer_ns, output_ns;
};

// TensorFlow Serving's own view, written by api alone: requests by canonical status code, and the
// latency of successful ones by API and entry point, as its exporter splits them.
struct TfsStats {
  enum Api : std::uint8_t { kPredict, kClassify, kRegress };
  enum Entrypoint : std::uint8_t { kGrpc, kRest };
  std::array<Counter, 17> status;
  std::array<std::array<metrics::Histogram, 2>, 3> latency;  // [Api][Entrypoint]
};

struct VersionStats {
  Counter success;                             // Requests answered.
  std::array<Counter, kFailureKinds> failure;  // By FailureKind.
  Counter failure_ns;
  Counter inferences;                                           // Rows.
  Counter padding;                                              // Rows added to keep a shape.
  Counter executions;                                           // Runs of the runtime.
  Counter request_ns, queue_ns, input_ns, infer_ns, output_ns;  // Of successful requests.
  Counter cpu_ns;                                               // CPU time of the runs, attributed.
  Counter copy_misses;                                          // Quick runs that found no copy.
  std::atomic<std::int64_t> pending{0};                  // Requests accepted and not yet answered.
  std::atomic<std::int64_t> last_inference_ms{0};        // Unix milliseconds.
  std::array<BatchSizeStats, kBatchSizesMax + 1> batch;  // Index: rows (0 unused).
  metrics::Histogram latency;                            // Request seconds, arrival to answer.
  TfsStats tfs;
};

}  // namespace brim::serving
