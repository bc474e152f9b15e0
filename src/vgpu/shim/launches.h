// Launches: the way of a kernel or graph through the limiter: predict, wait for the slice's turn,
// launch, and now and then measure.
//
// A measurement is two timing events around the launch, from a ring made once per context; it is
// read at a later launch when the card is done with it, never waited for. On a stream that is being
// captured nothing is inserted and nobody waits: what is captured is charged when its graph runs.
//
// Threads: any. Never waits while it holds a lock. Libc only.
#pragma once

#include <atomic>

#include "vgpu/abi/lock.h"
#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/process.h"

namespace brim::vgpu {

struct Launch {
  std::uint64_t function = 0;  // Handle of the kernel or the instantiated graph.
  std::uint64_t blocks = 1;
  std::uint32_t block_threads = 1;
  std::uint32_t shared_bytes = 0;
  CUstream stream = nullptr;
  bool per_thread = false;  // The default stream is the thread's own (_ptsz).
};

class Launches {
 public:
  template <typename Call>
  CUresult Run(const Launch& launch, Call call) {
    if (!ThisProcess().attached() || Capturing(launch.stream, launch.per_thread)) return call();
    const Turn turn = Begin(launch);
    const CUresult result = call();
    End(launch, turn, result);
    return result;
  }

  void CaptureBegins() { captures_.fetch_add(1, std::memory_order_relaxed); }
  // Gives what was allocated in the capture to the graph (null: there is none), and forgets it.
  // `capture` 0: it never began.
  void CaptureEnds(std::uint64_t capture, CUgraph graph);
  bool Capturing(CUstream stream, bool per_thread) {
    return captures_.load(std::memory_order_relaxed) != 0 && AskCapturing(stream, per_thread);
  }
  // The number of the capture that the stream is in; 0: in none.
  std::uint64_t CaptureOf(CUstream stream, bool per_thread) {
    return captures_.load(std::memory_order_relaxed) != 0 ? AskCapture(stream, per_thread) : 0;
  }
  void CapturedBytes(std::uint64_t capture, std::uint64_t bytes);
  // Before a context ends, and the events with it.
  void ContextEnds(std::uint64_t context);
  void AfterFork();

 private:
  static constexpr int kProbes = 32;  // Measurements under way, in all contexts.

  struct Turn {
    std::uint64_t key = 0;
    Ns predicted = 0;
    bool known = false;
    int probe = -1;
  };
  enum class ProbeState : std::uint8_t { kFree, kMaking, kRunning };
  struct Probe {
    std::atomic<ProbeState> state{ProbeState::kFree};
    CUevent begin = nullptr;
    CUevent end = nullptr;
    std::uint64_t context = 0;  // Events belong to one.
    std::uint64_t key = 0;
    Ns predicted = 0;
    Ns begun_at = 0;  // Clock: when the first event was recorded,
    Ns between = 0;   // and how long after that the second.
    bool known = false;
    bool clean = false;
  };

  Turn Begin(const Launch& launch);
  void End(const Launch& launch, const Turn& turn, CUresult result);
  int StartProbe(const Launch& launch, const Turn& turn, Ns now);
  void Collect();
  bool AskCapturing(CUstream stream, bool per_thread);
  std::uint64_t AskCapture(CUstream stream, bool per_thread);

  std::atomic<std::int32_t> captures_{0};
  std::atomic<Ns> collected_at_{0};
  Probe probes_[kProbes];
};

Launches& ThisLaunches();

}  // namespace brim::vgpu
