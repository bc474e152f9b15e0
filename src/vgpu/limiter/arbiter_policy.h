// Who may put work on the card next: the pure heart of the compute limiter.
//
// The problem. Processes of several slices launch kernels on one card. The card takes whatever
// comes and shares it out evenly among processes; a slice of 30 units beside one of 70 has to get
// 30 % of the card's TIME, whatever its kernels look like (20 us or 100 ms, launched ahead, or one
// by one with a wait after each), while nobody's unused time is lost. There is no preemption: what
// was launched runs to its end.
//
// The idea. Self-clocked fair queueing (S. Golestani, INFOCOM 1994) with the launch as the packet
// and its predicted GPU time as the length. Each slice has a virtual time that advances by cost *
// 100 / cores; only the backlogged slice that is furthest behind may launch, and only while less
// than a small horizon of predicted work stands before the card. Fairness so comes from order, not
// from a rate: when every prediction is 5 % too high, nobody loses anything. (A limiter that
// refills tokens by the clock idles the card by just that 5 %.)
//
// Additions:
// - A loop that waits for each kernel has nothing queued while its host works. Were it taken for
//   idle then, the others would fill the card each time and it would get what they leave
//   ("deceptive idleness": S. Iyer, P. Druschel, "Anticipatory scheduling", SOSP 2001). A slice
//   whose pauses are short against its bursts counts as backlogged for up to twice its usual pause.
// - A pause may still turn out longer than that, since a host wakes late, and then somebody's
//   kernel is before the card when the slice comes back. It keeps what it was behind, and after a
//   short gap it is owed what the others got in that time, up to kOwed.
// - A hard slice also has a rate: it may not run ahead of cores/100 of the clock by more than
//   kHardBurst (the virtual scheduling form of GCRA, ITU-T I.371).
// - An offline slice launches only when no online slice is backlogged; about one kernel at a
//   time while an online slice was there lately; and when that comes back at regular times, only
//   what will be done before the next.
//
// Pure: no clock, no lock, no memory but its arguments. The owner keeps the values in shared
// memory, calls Decide() before a launch, and does what the answer says.
#pragma once

#include <cstdint>
#include <span>

#include "vgpu/abi/slice_segment.h"

namespace brim::vgpu {

// Nanoseconds; of the clock or of GPU time, as said. Signed, so that differences are harmless.
using Ns = std::int64_t;

inline constexpr Ns kUs = 1'000;
inline constexpr Ns kMs = 1'000'000;

// Predicted work before the card while several slices want it, in GPU time. Enough to hide the time
// between a launch and its start (5-10 us) and a late wake-up (50 us timer slack).
inline constexpr Ns kHorizonShared = 400 * kUs;
// The same for a slice alone on the card: a newcomer waits at most this long.
inline constexpr Ns kHorizonAlone = 4 * kMs;
// An offline slice beside an online one that was there in the last kRecent has one kernel before
// the card, and the next when that is about to end; or more, but no more than a kOfflinePart of one
// of the online slice's requests, and kHorizonShared.
inline constexpr Ns kOfflineNext = 20 * kUs;
inline constexpr Ns kOfflinePart = 20;
inline constexpr Ns kRecent = 1'000 * kMs;
// How far a slice may get ahead of the furthest-behind one, in GPU time of a slice of 100 units.
inline constexpr Ns kLead = 100 * kUs;
// Credit that a slice gets for having been idle, in GPU time; and what it can be owed at most after
// it was away for no longer than kLateMost, which may be its host's doing.
inline constexpr Ns kCredit = 1 * kMs;
inline constexpr Ns kOwed = 20 * kMs;
inline constexpr Ns kLateMost = 10 * kMs;
inline constexpr Ns kHardBurst = 1 * kMs;
// A longer gap is no pause in work but the time between two requests, unless the work before it was
// more than sixteen times as much: then it may as well be an error of its prediction.
inline constexpr Ns kPauseMax = 1 * kMs;
// Nobody waits longer than this without looking again, so that a killed process blocks no one.
inline constexpr Ns kWaitMax = 1 * kMs;
// A waiter counts as waiting for this long after the time at which it wants to look again: a host
// with more threads than cores wakes it late.
inline constexpr Ns kWakeLate = 300 * kUs;

// What is known of one slice on the card.
struct Runner {
  std::uint32_t cores = 0;  // 1 to 100; 0: no such slice.
  Share share = Share::kElastic;
  Priority priority = Priority::kOnline;
  Ns virtual_time = 0;   // GPU time * 100 / cores.
  Ns busy_until = 0;     // Clock: when the work it launched is predicted to be done.
  Ns waiting_until = 0;  // Clock: one of its processes waits, said so, and will till then.
  Ns hard_next = 0;      // Clock: GCRA's theoretical arrival time.
  Ns pause = 0;          // Mean time between the end of its work and its next wish, when short.
  Ns burst = 0;          // Mean GPU time before such a pause.
  Ns run = 0;            // GPU time since the last gap.
  Ns level = 0;          // Virtual time of the furthest-behind rival when it last asked.
  Ns idle = 0;           // Mean time between requests: gaps too long for a pause.
  Ns idle_spread = 0;    // Mean deviation from it.
  Ns request = 0;        // Mean GPU time of a request.
};

// Whether the slice wants the card at `now`: it waits, has work there, or is in a short pause.
bool Backlogged(const Runner& runner, Ns now);
// Whether the slice, idle at `now`, comes back at regular times and is expected before `until`.
// What fits into none of its idle times is not kept from starting: it would never run.
bool ComesBack(const Runner& runner, Ns until, Ns now);

struct Decision {
  bool launch = false;
  Ns again_at = 0;      // Clock: ask again then, or when woken. At most kWaitMax away.
  Ns virtual_time = 0;  // The start tag: of a launch; or to be kept by who has to wait.
  Ns level = 0;         // To be kept too, with a launch or without.
};

// Whether `self` may launch now. `runners` are all slices of the card, `card_busy_until` when all
// launched work is predicted to be done, `cost` the launch's predicted GPU time.
Decision Decide(std::span<const Runner> runners, std::size_t self, Ns card_busy_until, Ns cost,
                Ns now);

inline Ns VirtualCost(Ns cost, std::uint32_t cores) {
  return cost * 100 / (cores == 0 ? 1 : cores);
}

// The runner after a launch of `cost` at `now` that Decide() allowed; also its pause and burst.
Runner AfterLaunch(Runner runner, const Decision& decision, Ns card_busy_until, Ns cost, Ns now);
// The runner that Decide() told to wait.
Runner AfterRefusal(Runner runner, const Decision& decision, Ns now);
// The card's predicted end after it.
inline Ns BusyAfter(Ns card_busy_until, Ns cost, Ns now) {
  return (card_busy_until > now ? card_busy_until : now) + cost;
}
// The same once it is known that a launch took `measured` instead of `predicted`. The difference is
// carried whole: a 500 ms kernel taken for 1 ms costs its slice 500 ms.
Runner AfterMeasure(Runner runner, Ns predicted, Ns measured);

}  // namespace brim::vgpu
