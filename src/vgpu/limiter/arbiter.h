// Arbiter: one process's door to its card's time. Asks the pure policy, notes what is launched in
// shared memory, and sleeps while it is not this slice's turn.
//
// Many small launches share one question: while the process keeps the card busy it takes a lease of
// kLease GPU time and launches from that. What is left when a launch does not fit, or when the
// lease is over, counts towards the next question: a process pays for what it launches, no more.
//
// Threads: any, at once. No lock is shared between processes; the values of a slice are changed by
// compare-and-swap on its virtual time, so that two of its processes never launch on one turn. A
// process killed at any instruction leaves at most one lease charged and not used.
// Nothing here allocates, throws, or needs more than libc.
#pragma once

#include <atomic>
#include <cstdint>

#include "vgpu/abi/card_segment.h"
#include "vgpu/limiter/arbiter_policy.h"

namespace brim::vgpu {

inline constexpr Ns kLease = 100 * kUs;

class Arbiter {
 public:
  constexpr Arbiter() = default;
  // All must pass their checks and stay mapped; row < kSlicesPerCard.
  void Attach(const CardTable* table, CardSegment* card, std::uint32_t row);
  bool attached() const { return card_ != nullptr; }

  // One question: 0 when `cost` may be launched at `now` (it is then charged), else when to ask
  // again. `now` is CLOCK_MONOTONIC.
  Ns Ask(Ns cost, Ns now);
  // Asks and sleeps until the answer is yes; returns how long it slept. Call with no lock held that
  // others need. `awake` is called after each sleep: what is learned there counts in the answer.
  Ns Launch(Ns cost, void (*awake)() = nullptr);
  // What a launch really took.
  void Measured(Ns predicted, Ns measured);
  // Whether another slice wanted the card at `now`: a measurement then may hold its time too.
  bool Contended(Ns now) const;
  // Processes that launched work since shortly before `since`, this one included; at least 1. A
  // card goes round them, so what a launch seems to take is so many times what it takes.
  Ns Launchers(Ns since) const;
  // In a forked child: the lease stays with the parent.
  void AfterFork();

 private:
  Ns AskCard(Ns cost, Ns now);

  const CardTable* table_ = nullptr;
  CardSegment* card_ = nullptr;
  std::uint32_t row_ = 0;
  std::uint32_t place_ = 0;         // In launched_at.
  std::atomic<Ns> lease_{0};        // GPU time paid and not yet launched.
  std::atomic<Ns> lease_until_{0};  // Clock.
};

// CLOCK_MONOTONIC.
Ns MonotonicNow();

}  // namespace brim::vgpu
