// See arbiter_policy.h.
#include "vgpu/limiter/arbiter_policy.h"

namespace brim::vgpu {
namespace {

Ns Min(Ns a, Ns b) { return a < b ? a : b; }
Ns Max(Ns a, Ns b) { return a > b ? a : b; }

// A quarter of the new value: forgets in a few rounds, forgives one outlier.
Ns Mean(Ns mean, Ns value) { return mean == 0 ? value : mean + (value - mean) / 4; }

// The longest gap after `burst` of work that still is a pause.
Ns PauseMost(Ns burst) { return Max(kPauseMax, burst / 16); }

bool PausesShortly(const Runner& runner) {
  return runner.burst > 0 && runner.pause <= runner.burst / 2 + 20 * kUs;
}

// When the slice was last seen to want the card.
Ns LastWanted(const Runner& runner) { return Max(runner.busy_until, runner.waiting_until); }

// A hard slice at its rate cannot use the card now; it is no reason to leave the card idle.
bool AtItsRate(const Runner& runner, Ns now) {
  return runner.share == Share::kHard && runner.hard_next - now > kHardBurst;
}

// Work before the card is seconds at most; more is nonsense in shared memory.
constexpr Ns kOutstandingMost = 100'000 * kMs;

Decision Wait(const Runner& own, Ns until, Ns now) {
  // Never in the past and never for nothing: 20 us is what a wake-up costs.
  return {false, Min(Max(until, now + 20 * kUs), now + kWaitMax), own.virtual_time, own.level};
}

// Those that compete with a slice for the card.
struct Rivals {
  bool any = false;
  Ns least = 0;   // Virtual time of the furthest-behind one,
  Ns served = 0;  // and without what is still before the card.
};

Rivals RivalsOf(std::span<const Runner> runners, std::size_t self, Ns now) {
  Rivals rivals;
  for (std::size_t i = 0; i < runners.size(); ++i) {
    const Runner& other = runners[i];
    if (i == self || !Backlogged(other, now) || AtItsRate(other, now)) continue;
    // An offline slice steps back for an online one.
    if (other.priority == Priority::kOffline && runners[self].priority != Priority::kOffline) {
      continue;
    }
    const Ns outstanding =
        Min(Min(Max(other.busy_until - now, 0), Max(other.run, 0)), kOutstandingMost);
    const Ns served = other.virtual_time - VirtualCost(outstanding, other.cores);
    rivals.least = rivals.any ? Min(rivals.least, other.virtual_time) : other.virtual_time;
    rivals.served = rivals.any ? Min(rivals.served, served) : served;
    rivals.any = true;
  }
  return rivals;
}

// Where a slice starts that comes back from idling: the time that it was away is lost to it. What
// the others got meanwhile is so too, but for what it was behind when it left, or a little.
Ns StartOf(const Runner& own, const Rivals& rivals, Ns now) {
  const Ns away = Max(now - LastWanted(own), 0);
  const Ns behind = own.level - own.virtual_time;
  const Ns keeps = Max(behind, VirtualCost(away <= kLateMost ? kOwed : kCredit, own.cores));
  const Ns start = Max(own.virtual_time + away, rivals.served - keeps);
  return Max(own.virtual_time, Min(start, rivals.least - VirtualCost(kCredit, own.cores)));
}

// What online slices leave to an offline launch.
struct Leave {
  Ns again_at = 0;             // 0: nobody is in the way; else when to ask again.
  Ns horizon = kHorizonAlone;  // Work before the card at most.
};

Leave LeaveOf(std::span<const Runner> runners, Ns card_busy_until, Ns cost, Ns now) {
  Leave leave;
  for (const Runner& other : runners) {
    if (other.cores == 0 || other.priority == Priority::kOffline) continue;
    if (now - LastWanted(other) < kRecent) {
      const Ns most = Min(other.request / kOfflinePart, kHorizonShared) - cost;
      leave.horizon = Min(leave.horizon, Max(most, kOfflineNext));
    }
    if (Backlogged(other, now)) {
      leave.again_at = Max(leave.again_at, Max(other.busy_until, now + 50 * kUs));
    } else if (ComesBack(other, Max(card_busy_until, now) + cost, now)) {
      leave.again_at = Max(leave.again_at, now + 100 * kUs);
    }
  }
  return leave;
}

// The runner that asks at `now`: when its work had ended, the gap ends here, though it may have to
// wait for its turn.
Runner Arrived(Runner runner, Ns now) {
  const Ns gap = now - runner.busy_until;
  const bool waited = runner.waiting_until > runner.busy_until;
  if (gap <= 0 || runner.busy_until <= 0 || waited) return runner;
  if (gap <= PauseMost(runner.run)) {
    runner.pause = Mean(runner.pause, gap);
    runner.burst = Mean(runner.burst, runner.run);
  } else {
    // As round-trip times are tracked (RFC 6298); at first nothing is regular.
    const Ns off = gap > runner.idle ? gap - runner.idle : runner.idle - gap;
    runner.idle_spread = runner.idle == 0 ? gap / 2 : Mean(runner.idle_spread, off);
    runner.idle = Mean(runner.idle, gap);
    runner.request = Mean(runner.request, runner.run);
  }
  runner.run = 0;
  return runner;
}

}  // namespace

bool Backlogged(const Runner& runner, Ns now) {
  if (runner.cores == 0) return false;
  const Ns pause = now - LastWanted(runner);
  if (pause < 0) return true;
  // A sixteenth: the work may take longer than predicted.
  return PausesShortly(runner) &&
         pause < Min(2 * runner.pause + runner.burst / 16 + 20 * kUs, PauseMost(runner.burst));
}

bool ComesBack(const Runner& runner, Ns until, Ns now) {
  // Not below 0 but by somebody who writes nonsense into shared memory.
  if (runner.idle <= 0 || runner.idle_spread < 0) return false;
  if (runner.idle_spread > runner.idle / 8) return false;
  const Ns expected = runner.busy_until + runner.idle;
  const Ns margin = 4 * runner.idle_spread + runner.idle / 64 + 50 * kUs;
  if (until - now > runner.idle - 2 * margin) return false;
  return until > expected - margin && now < expected + margin;
}

Decision Decide(std::span<const Runner> runners, std::size_t self, Ns card_busy_until, Ns cost,
                Ns now) {
  const Runner& own = runners[self];
  if (AtItsRate(own, now)) return Wait(own, own.hard_next - kHardBurst, now);
  Leave leave;
  if (own.priority == Priority::kOffline) leave = LeaveOf(runners, card_busy_until, cost, now);
  if (leave.again_at > 0) return Wait(own, leave.again_at, now);
  const Rivals rivals = RivalsOf(runners, self, now);
  const Ns horizon = rivals.any ? Min(leave.horizon, kHorizonShared) : leave.horizon;
  Decision decision{true, now, own.virtual_time, own.virtual_time};
  if (rivals.any) {
    if (!Backlogged(own, now)) decision.virtual_time = StartOf(own, rivals, now);
    decision.level = rivals.least;
  }
  if (card_busy_until - now > horizon) {
    decision.launch = false;
    decision.again_at = Wait(own, card_busy_until - horizon, now).again_at;
  } else if (rivals.any && decision.virtual_time > rivals.least + VirtualCost(kLead, own.cores)) {
    decision.launch = false;
    decision.again_at = Wait(own, Max(card_busy_until - horizon, now + 50 * kUs), now).again_at;
  }
  return decision;
}

Runner AfterLaunch(Runner runner, const Decision& decision, Ns card_busy_until, Ns cost, Ns now) {
  runner = Arrived(runner, now);
  runner.run += cost;
  runner.level = decision.level;
  runner.virtual_time = decision.virtual_time + VirtualCost(cost, runner.cores);
  runner.busy_until = BusyAfter(card_busy_until, cost, now);
  runner.waiting_until = 0;
  runner.hard_next = Max(runner.hard_next, now) + VirtualCost(cost, runner.cores);
  return runner;
}

Runner AfterRefusal(Runner runner, const Decision& decision, Ns now) {
  runner = Arrived(runner, now);
  runner.virtual_time = decision.virtual_time;
  runner.level = decision.level;
  runner.waiting_until = decision.again_at + kWakeLate;
  return runner;
}

Runner AfterMeasure(Runner runner, Ns predicted, Ns measured) {
  const Ns error = measured - predicted;
  runner.virtual_time += VirtualCost(error, runner.cores);
  runner.hard_next += VirtualCost(error, runner.cores);
  runner.busy_until += error;
  return runner;
}

}  // namespace brim::vgpu
