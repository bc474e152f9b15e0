// This process's work on the cards, in real time. The card itself is the timeline that all
// processes share; here is what only this process knows: which stream a launch belongs to, and what
// is to be done when it has ended.
//
// Nobody runs the card. A call that launches, waits or looks brings the timeline up to date and
// does what is due; so does a thread, made when it is first needed, for what a program may expect
// without looking: host functions and the freeing of memory.
//
// Who waits sleeps to just before the end and then yields, as drivers spin by default
// (CU_CTX_SCHED_AUTO): it is back a few microseconds after the kernel.
#pragma once

#include <cstdint>
#include <functional>

namespace fake {

// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t Now();

// One thing to do in order. `gpu_ns` passes on the card; then `done` is called with the time at
// which it ended, by whichever thread looks next; `soon`: without anyone looking.
struct Work {
  std::uint64_t stream = 0;
  std::int64_t gpu_ns = 0;
  std::function<void(std::int64_t ended_at)> done;
  bool soon = false;
};

// The work's number; 0: too many processes have work on the card. Waits while the queue is full.
std::uint64_t Enqueue(int card, Work work);
// Waits until the work of this number, and what was enqueued before it, is done.
void WaitForWork(int card, std::uint64_t number);
bool WorkDone(int card, std::uint64_t number);
// Waits until all that was enqueued for the stream (0: for all) before this call is done.
void WaitForStream(int card, std::uint64_t stream);
bool StreamDone(int card, std::uint64_t stream);

}  // namespace fake
