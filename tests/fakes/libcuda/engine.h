// The card's time, in real time. Each process has one queue for each card, in the order of its
// launches; a thread of its own takes the card's turn, runs the queue for at most a time slice by
// letting the kernels' GPU time pass, and hands the turn on when others wait. Kernels of one
// process do not overlap. Nothing is computed.
//
// A deadline is waited for by sleeping to just before it and then yielding, so that a kernel of
// 20 us takes 20 us and not 70.
#pragma once

#include <cstdint>
#include <functional>

namespace fake {

// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t Now();

// One thing to do in order. `gpu_ns` passes on the card; then `done` is called with the time at
// which it ended, on the engine's thread.
struct Work {
  std::uint64_t stream = 0;
  std::int64_t gpu_ns = 0;
  std::function<void(std::int64_t ended_at)> done;
};

void Enqueue(int card, Work work);
// Waits until all that was enqueued for the stream (0: for all) before this call is done.
void WaitForStream(int card, std::uint64_t stream);
bool StreamDone(int card, std::uint64_t stream);

}  // namespace fake
