// What a fake card does and when: the launched work of all processes and the order in which it
// runs, as plain data in shared memory.
//
// A card keeps time by itself, however late a host wakes its threads. So nothing here runs in a
// thread: whoever looks brings the timeline up to the present (Advance), and what ended before has
// ended at its own time. The card runs one kernel at a time and goes round the processes that have
// work; while others wait a process keeps it for at most a time slice, and a kernel that does not
// fit is cut: the rest comes in the next turn.
//
// Pure but for its argument: no clock, no lock. The owner holds a lock across each call.
#pragma once

#include <atomic>
#include <cstdint>

namespace fake {

// Of one process: launches that have not ended or whose end it has not seen. A launch beyond waits.
inline constexpr std::uint64_t kQueued = 512;
// Processes with work on one card at a time.
inline constexpr int kLanes = 256;

struct Kernel {
  std::int64_t left;      // GPU nanoseconds still to run.
  std::int64_t ended_at;  // Clock.
};

// A process's queue: launches are numbered from 1.
struct Lane {
  std::atomic<std::int32_t> pid;        // 0: free.
  std::uint64_t start;                  // As in ProcessEntry.
  std::uint64_t pushed;                 // The last one launched,
  std::atomic<std::uint64_t> finished;  // and the last one that ended.
  Kernel kernel[kQueued];               // Number n is at (n - 1) % kQueued.
};

struct Timeline {
  std::int64_t clock;       // Brought up to this time.
  std::int64_t turn_began;  // Of the process that has the card.
  std::int32_t current;     // Its lane; meaningful while `turn` is set.
  bool turn;
  std::int32_t last;                   // The lane that had it before.
  std::int64_t checked_at;             // When the dead were last looked for.
  std::uint64_t waiting[kLanes / 64];  // A bit for each lane with work.
  Lane lane[kLanes];
};

// Runs what there is until `now`. Complexity: what ended since the last call.
void Advance(Timeline* timeline, std::int64_t now, std::int64_t time_slice);
// Adds a launch of `gpu_ns` to the lane, whose queue has room; returns its number. Advance() first.
std::uint64_t Push(Timeline* timeline, int lane, std::int64_t gpu_ns);
// From `clock`, how long it is at least until the lane's launch `number` has ended.
std::int64_t Remaining(const Timeline& timeline, int lane, std::uint64_t number,
                       std::int64_t time_slice);
// Takes a lane's work away: its process is gone.
void Drop(Timeline* timeline, int lane);
// Whether any process has work on the card.
bool Busy(const Timeline& timeline);
inline bool Waits(const Timeline& timeline, int lane) {
  return (timeline.waiting[lane / 64] >> (lane % 64) & 1) != 0;
}

}  // namespace fake
