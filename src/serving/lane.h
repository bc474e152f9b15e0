// Lane: what the engine keeps for one version: the queue of its waiting requests, its place among
// the versions that wait, and what was learnt from its runs. Part of the Version, so that it goes
// when the version goes.
//
// Threads: `learnt` and the atomics from any; the rest is guarded by the scheduler's lock (the one
// of the only engine that serves the version).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "model/shape.h"
#include "model/signature.h"
#include "serving/batch_policy.h"
#include "serving/waiting_queue.h"

namespace brim::serving {

struct ModelConfig;
class Version;

// Moving averages in relaxed atomics: a rare lost update is harmless.
class Learnt {
 public:
  // `cap` bounds the interval, so that one long silence is soon forgotten.
  // Requests with equal `received` were read in the same round of a loop: a burst.
  void ObserveArrival(Time now, Time received, Duration cap);
  Duration arrival_interval() const {
    return Duration(interval_ns_.load(std::memory_order_relaxed));
  }

  // Mean requests per burst; 0 before the first burst ended.
  double burst() const { return burst_.load(std::memory_order_relaxed); }

  // Whether to measure the CPU of the next single run: reading a thread's CPU clock twice costs
  // half a microsecond, so of quick models only one single run in 32 is measured.
  bool WantsCpu() const;
  void CountRun(std::uint64_t bytes, Duration wall);
  // `changed`: the copy's run before had other rows.
  void ObserveCost(std::uint32_t rows, Duration cost, bool changed = false);

  std::uint64_t runs() const { return runs_.load(std::memory_order_relaxed); }
  std::uint64_t usual_bytes() const { return bytes_.load(std::memory_order_relaxed); }
  RowCosts costs() const;  // Of runs whose shape had not changed.
  // What a changed shape adds to a run, about the median; zero: not known.
  Duration change() const { return Duration(change_ns_.load(std::memory_order_relaxed)); }
  Duration ExpectedRun(std::uint32_t rows) const;
  // What one request of so many rows costs when many wait.
  Duration UsualCost(std::uint32_t rows) const;
  // About the median time on the clock: one preempted run in a hundred does not make a quick model
  // slow.
  Duration usual_wall() const { return Duration(wall_ns_.load(std::memory_order_relaxed)); }
  BatchGain gain() const { return gain_.load(std::memory_order_relaxed); }

  // The model was seen to mix or refuse joined rows: never join again. True for the first caller.
  bool ForbidJoining() { return !joining_forbidden_.exchange(true, std::memory_order_relaxed); }
  bool joining_forbidden() const { return joining_forbidden_.load(std::memory_order_relaxed); }

 private:
  struct Burst {
    std::atomic<std::int64_t> received_ns{0};
    std::atomic<std::uint32_t> requests{0};
  };
  BatchGain Judge() const;
  void ObserveChange(std::int64_t added_ns);
  void CountBurst(std::int64_t received_ns);

  std::atomic<std::int64_t> last_arrival_ns_{0};
  std::atomic<std::int64_t> interval_ns_{0};
  std::array<Burst, 2> bursts_{};  // The latest two: rounds of two loops overlap.
  std::atomic<double> burst_{0};
  std::atomic<std::uint64_t> runs_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::int64_t> wall_ns_{0};
  std::array<std::atomic<std::uint32_t>, RowCosts::kBuckets> seen_{};
  std::array<std::atomic<double>, RowCosts::kBuckets> row_ns_{};
  std::atomic<std::int64_t> change_ns_{0};
  std::atomic<BatchGain> gain_{BatchGain::kUnknown};
  std::atomic<bool> joining_forbidden_{false};
};

enum class LaneState : std::uint8_t {
  kStale,    // Ask the batch policy.
  kReady,    // A batch may be launched and a copy is free.
  kExpired,  // Front requests are to be refused.
  kWaiting,  // For company, until `ask_at`.
  kBlocked,  // No copy is free; front requests expire at `ask_at`.
};

// Tells which requests may be joined: those of equal groups differ in axis 0 only. Not for several
// threads.
class JoinGroups {
 public:
  // Never 0. Compares with the newest group alone: requests that take turns get a new one each.
  std::uint32_t GroupOf(const InferRequest& request);

 private:
  std::uint32_t group_ = 0;
  const model::Signature* signature_ = nullptr;
  std::vector<model::Shape> shapes_;
  std::vector<std::uint32_t> outputs_;
};

class Lane {
 public:
  Learnt learnt;
  std::atomic<std::uint32_t> waiting{0};  // queue.size().
  std::atomic<std::uint32_t> choices{0};  // Launches that could have joined.

  // Guarded by the scheduler's lock.
  WaitingQueue queue;
  JoinGroups groups;
  LaneState state = LaneState::kStale;
  Time ask_at = Time::max();
  std::size_t active_at = kNotActive;  // Index among the scheduler's active lanes.
  std::int64_t virtual_ns = 0;
  std::uint32_t running = 0;   // Runs of Jobs that were launched and have not finished.
  std::uint32_t promised = 0;  // Loops that will take from it at the end of their round.
  std::uint32_t reruns_left = 0;
  bool rerun_failed = false;

  static constexpr std::size_t kNotActive = SIZE_MAX;
};

// The most rows that a joined run may have.
std::uint32_t RowsMax(const ModelConfig& config);
// What the batch policy may know of a version's next batch. `front` is of the queue it would be
// taken from. The preferred sizes are the configuration's own: valid while the version lives.
BatchLimits LimitsFor(const Version& version, const Waiting& front);
// What the policies may know of a request that begins to wait; its group is left 0.
Waiting WaitingFor(const InferRequest& request, std::uint32_t rows, Time now);

}  // namespace brim::serving
