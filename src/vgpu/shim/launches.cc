// See launches.h.
#include "vgpu/shim/launches.h"

#include "vgpu/shim/charge.h"
#include "vgpu/shim/pools.h"

namespace brim::vgpu {
namespace {

constinit Launches launches;
constexpr Ns kCollectEvery = 50 * kUs;
constexpr Ns kBetweenMin = 20 * kUs;

// On an idle stream the first event of a measurement is over at once: had the thread lost its
// processor before the launch, that pause would be taken for the kernel's time. `between` is what
// passed on the processor from one event to the other: a few microseconds as a rule.
bool PauseCounts(Ns between, Ns measured) {
  return between > kBetweenMin && between > measured / 8;
}

CUresult Record(const Launch& launch, CUevent event) {
  return launch.per_thread ? BRIM_REAL(cuEventRecord_ptsz)(event, launch.stream)
                           : BRIM_REAL(cuEventRecord)(event, launch.stream);
}

}  // namespace

Launches& ThisLaunches() { return launches; }

bool Launches::AskCapturing(CUstream stream, bool per_thread) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = per_thread ? BRIM_REAL(cuStreamIsCapturing_ptsz)(stream, &status)
                                     : BRIM_REAL(cuStreamIsCapturing)(stream, &status);
  // An error means that this stream must not be asked now: leave it alone as if captured.
  return result != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

std::uint64_t Launches::AskCapture(CUstream stream, bool per_thread) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  cuuint64_t capture = 0;
  const CUresult result = per_thread
                              ? BRIM_REAL(cuStreamGetCaptureInfo_ptsz)(stream, &status, &capture)
                              : BRIM_REAL(cuStreamGetCaptureInfo)(stream, &status, &capture);
  if (result != CUDA_SUCCESS || status == CU_STREAM_CAPTURE_STATUS_NONE) return 0;
  return capture != 0 ? capture : ~std::uint64_t{0};  // An invalidated one may have none.
}

void Launches::CapturedBytes(std::uint64_t capture, std::uint64_t bytes) {
  Allocation owner;
  owner.key = capture;
  owner.bytes = bytes;
  owner.kind = Kind::kCapture;
  owner.memory_class = MemoryClass::kGraph;
  ThisProcess().allocations().Grow(owner);
}

void Launches::CaptureEnds(std::uint64_t capture, CUgraph graph) {
  if (captures_.fetch_sub(1, std::memory_order_relaxed) <= 0) captures_.store(0);
  if (capture == 0 || !ThisProcess().attached()) return;
  Allocation owner = ThisProcess().allocations().Take(capture, Kind::kCapture);
  if (owner.kind == Kind::kFree) return;
  if (graph == nullptr) return ThisPools().Unpromise(owner.bytes);
  owner.key = reinterpret_cast<std::uint64_t>(graph);
  owner.kind = Kind::kGraph;
  ThisProcess().allocations().Grow(owner);
}

void Launches::ContextEnds(std::uint64_t context) {
  for (Probe& probe : probes_) {
    ProbeState state = ProbeState::kFree;
    if (!probe.state.compare_exchange_strong(state, ProbeState::kMaking)) {
      if (state != ProbeState::kRunning) continue;
      if (!probe.state.compare_exchange_strong(state, ProbeState::kMaking)) continue;
    }
    const bool ends = probe.context == context;
    if (ends) probe.begin = nullptr;
    probe.state.store(ends ? ProbeState::kFree : state, std::memory_order_release);
  }
}

Launches::Turn Launches::Begin(const Launch& launch) {
  Process& process = ThisProcess();
  Turn turn;
  turn.key = LaunchKey(launch.function, launch.blocks, launch.block_threads, launch.shared_bytes);
  Ns now = MonotonicNow();
  if (now - collected_at_.load(std::memory_order_relaxed) > kCollectEvery) {
    collected_at_.store(now, std::memory_order_relaxed);
    Collect();
  }
  const Prediction prediction = process.costs().Predict(turn.key, now);
  turn.predicted = prediction.cost;
  turn.known = prediction.known;
  // What was measured meanwhile may shorten the wait.
  const Ns throttled = process.arbiter().Launch(prediction.cost, [] { ThisLaunches().Collect(); });
  now += throttled;
  process.CountLaunch(throttled, now);
  if (prediction.sample) turn.probe = StartProbe(launch, turn, now);
  return turn;
}

int Launches::StartProbe(const Launch& launch, const Turn& turn, Ns now) {
  const std::uint64_t context = CurrentContext();
  for (int i = 0; i < kProbes; ++i) {
    Probe& probe = probes_[i];
    ProbeState state = ProbeState::kFree;
    if (probe.state.load(std::memory_order_relaxed) != state) continue;
    if (!probe.state.compare_exchange_strong(state, ProbeState::kMaking)) continue;
    // A probe made in another context stays with it: there are enough.
    if (probe.begin != nullptr && probe.context != context) {
      probe.state.store(ProbeState::kFree, std::memory_order_release);
      continue;
    }
    if (probe.begin == nullptr) {
      const bool made = BRIM_REAL(cuEventCreate)(&probe.begin, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
                        BRIM_REAL(cuEventCreate)(&probe.end, CU_EVENT_DEFAULT) == CUDA_SUCCESS;
      if (!made) probe.begin = nullptr;
      probe.context = context;
    }
    if (probe.begin == nullptr || Record(launch, probe.begin) != CUDA_SUCCESS) {
      probe.state.store(ProbeState::kFree);
      return -1;
    }
    probe.key = turn.key;
    probe.predicted = turn.predicted;
    probe.begun_at = MonotonicNow();
    probe.known = turn.known;
    probe.clean = !ThisProcess().arbiter().Contended(now);
    return i;
  }
  return -1;
}

void Launches::End(const Launch& launch, const Turn& turn, CUresult result) {
  if (turn.probe < 0) return;
  Probe& probe = probes_[turn.probe];
  const bool running = result == CUDA_SUCCESS && Record(launch, probe.end) == CUDA_SUCCESS;
  probe.between = MonotonicNow() - probe.begun_at;
  probe.state.store(running ? ProbeState::kRunning : ProbeState::kFree, std::memory_order_release);
}

void Launches::Collect() {
  Process& process = ThisProcess();
  const Ns now = MonotonicNow();
  for (Probe& probe : probes_) {
    ProbeState state = ProbeState::kRunning;
    if (probe.state.load(std::memory_order_relaxed) != state) continue;
    if (!probe.state.compare_exchange_strong(state, ProbeState::kMaking)) continue;
    const CUresult done = BRIM_REAL(cuEventQuery)(probe.end);
    if (done == CUDA_ERROR_NOT_READY) {
      probe.state.store(ProbeState::kRunning, std::memory_order_release);
      continue;
    }
    float milliseconds = 0;
    if (done == CUDA_SUCCESS &&
        BRIM_REAL(cuEventElapsedTime)(&milliseconds, probe.begin, probe.end) == CUDA_SUCCESS) {
      auto measured = static_cast<Ns>(static_cast<double>(milliseconds) * 1e6);
      const Ns launchers = process.arbiter().Launchers(probe.begun_at);
      // Nothing is known yet, not even to others whether they were in its way: a share of the time.
      if (!probe.known) measured /= launchers;
      const bool clean = probe.clean && launchers == 1 && !PauseCounts(probe.between, measured) &&
                         !process.arbiter().Contended(now);
      const Ns owed = process.costs().Sample(probe.key, measured, clean);
      if (owed != 0) process.arbiter().Measured(0, owed);
      if (probe.known && (clean || measured < probe.predicted)) {
        process.arbiter().Measured(probe.predicted, measured);
      }
    } else {
      probe.begin = nullptr;  // Its context has gone, and the events with it.
    }
    probe.state.store(ProbeState::kFree, std::memory_order_release);
  }
}

void Launches::AfterFork() {
  captures_.store(0);
  for (Probe& probe : probes_) {
    probe.begin = probe.end = nullptr;
    probe.state.store(ProbeState::kFree);
  }
}

}  // namespace brim::vgpu
