// Agent: looks after the slices of a node: takes dead processes out, lends memory, keeps the
// figures.
//
// Tick() is one look at everything and costs microseconds while nothing changes. It is called ten
// times a second, and at once when a process of a slice ends (a pidfd says so). An agent that is
// killed loses nothing: what is counted is in shared memory, what was asked in the state file.
//
// Threads: Tick() from one; Figures() from any. Time comes by constructor.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "vgpu/agent/node.h"

namespace brim::vgpu {

// One slice as it is; sums over its processes, the ended ones included where they are counters.
struct SliceFigures {
  SliceSpec spec;
  std::uint64_t memory_now = 0;
  std::uint64_t held = 0;
  std::uint64_t class_bytes[kMemoryClasses] = {};
  std::int64_t drift = 0;
  double gpu_seconds = 0;
  double throttled_seconds = 0;
  double share_received = 0;
  double idle_seconds = 0;
  std::uint64_t launches = 0;
  std::uint64_t refusals = 0;
  std::uint64_t unknown_symbols = 0;
  std::uint64_t reaped = 0;
  std::optional<std::uint64_t> driver_used;  // What a backend outside the shim counts.
  bool in_force = true;                      // Every backend of the slice has its limit.
  std::vector<std::int32_t> pids;
  std::vector<std::string> unknown_names;
};

struct NodeFigures {
  std::vector<CardInfo> cards;
  std::vector<SliceFigures> slices;
};

// Reads a slice's figures from its files; share and drift need an agent and stay 0.
SliceFigures ReadFigures(const SliceSpec& spec, SliceFiles& files, CardFiles* card, Time now);
// The exposition of figures: every slice has every series, also without a process.
std::string MetricsText(const NodeFigures& figures);

// What each process holds on a card, as NVML says; empty when it does not tell.
using NvmlUse = std::map<std::int32_t, std::uint64_t>;

class Agent {
 public:
  // `nvml` is asked once a second, by card index; may be null.
  Agent(Node* node, const Clock& clock, const Logger& logger, NvmlUse (*nvml)(std::uint32_t card));
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // FAILED_PRECONDITION (agent_running) when another agent looks after this folder.
  Status Start();
  void Tick();
  // Waits for a process of a slice to end, at most so long.
  void WaitForDeath(std::chrono::milliseconds at_most);
  NodeFigures Figures() const;

 private:
  struct Watched {
    int pidfd = -1;
    std::uint64_t owner = 0;  // The cell's word when it was watched.
  };
  struct Sample {
    Time at;
    double gpu_seconds;
  };

  // What the backends of a slice outside the shim said last.
  struct Driver {
    std::optional<std::uint64_t> used;
    bool in_force = true;
  };

  void Watch(const std::string& name, SliceSegment* segment);
  void Reap(const std::string& name, SliceSegment* segment);
  void LendOn(const CardInfo& card);
  void AskDriver(const SliceSpec& spec);
  void KeepFigures();

  Node& node_;
  const Clock& clock_;
  const Logger& logger_;
  NvmlUse (*const nvml_)(std::uint32_t);
  int lock_fd_ = -1;
  std::map<std::pair<std::string, std::uint32_t>, Watched> watched_;
  std::map<std::string, std::deque<Sample>> samples_;
  std::map<std::string, Time> made_;
  std::map<std::string, std::int64_t> drift_;
  std::map<std::string, Driver> driver_;
  Time looked_all_{};
  Time asked_nvml_{};

  mutable Mutex mutex_;
  NodeFigures figures_ BRIM_GUARDED_BY(mutex_);
};

}  // namespace brim::vgpu
