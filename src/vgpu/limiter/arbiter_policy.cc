// See arbiter_policy.h.
#include "vgpu/limiter/arbiter_policy.h"

namespace brim::vgpu {
namespace {

Ns Min(Ns a, Ns b) { return a < b ? a : b; }
Ns Max(Ns a, Ns b) { return a > b ? a : b; }

// A quarter of the new value: forgets in a few rounds, forgives one outlier.
Ns Mean(Ns mean, Ns value) { return mean == 0 ? value : mean + (value - mean) / 4; }

bool PausesShortly(const Runner& runner) {
  return runner.burst > 0 && runner.pause <= runner.burst / 2 + 20 * kUs;
}

Decision Wait(Ns until, Ns now) {
  // Never in the past and never for nothing: 20 us is what a wake-up costs.
  return {false, Min(Max(until, now + 20 * kUs), now + kWaitMax), 0};
}

}  // namespace

bool Backlogged(const Runner& runner, Ns now) {
  if (runner.cores == 0) return false;
  if (runner.waiting_until > now || runner.busy_until > now) return true;
  const Ns pause = now - runner.busy_until;
  return PausesShortly(runner) && pause < Min(2 * runner.pause + 20 * kUs, kPauseMax);
}

Decision Decide(std::span<const Runner> runners, std::size_t self, Ns card_busy_until, Ns now) {
  const Runner& own = runners[self];
  if (own.share == Share::kHard && own.hard_next - now > kHardBurst) {
    return Wait(own.hard_next - kHardBurst, now);
  }
  const bool offline = own.priority == Priority::kOffline;
  bool alone = true;
  Ns least = 0;  // Virtual time of the slice that is furthest behind, among those that compete.
  for (std::size_t i = 0; i < runners.size(); ++i) {
    const Runner& other = runners[i];
    if (i == self || !Backlogged(other, now)) continue;
    const bool other_offline = other.priority == Priority::kOffline;
    if (offline && !other_offline) return Wait(Max(other.busy_until, now + 50 * kUs), now);
    if (!offline && other_offline) continue;  // It will step back.
    // A hard slice at its rate cannot use the card now; it is no reason to leave the card idle.
    if (other.share == Share::kHard && other.hard_next - now > kHardBurst) continue;
    least = alone ? other.virtual_time : Min(least, other.virtual_time);
    alone = false;
  }
  const Ns horizon = offline ? kHorizonOffline : alone ? kHorizonAlone : kHorizonShared;
  if (card_busy_until - now > horizon) return Wait(card_busy_until - horizon, now);
  if (alone) return {true, now, own.virtual_time};
  // Who comes back from idling starts where the others are, with a little credit.
  const Ns start = Backlogged(own, now)
                       ? own.virtual_time
                       : Max(own.virtual_time, least - VirtualCost(kCredit, own.cores));
  if (start > least + VirtualCost(kLead, own.cores)) {
    return Wait(Max(card_busy_until - horizon, now + 50 * kUs), now);
  }
  return {true, now, start};
}

Runner AfterLaunch(Runner runner, const Decision& decision, Ns card_busy_until, Ns cost, Ns now) {
  if (runner.busy_until < now && runner.busy_until > 0) {
    runner.pause = Mean(runner.pause, Min(now - runner.busy_until, 4 * kPauseMax));
    runner.burst = Mean(runner.burst, runner.run);
    runner.run = 0;
  }
  runner.run += cost;
  runner.virtual_time = decision.virtual_time + VirtualCost(cost, runner.cores);
  runner.busy_until = BusyAfter(card_busy_until, cost, now);
  runner.hard_next = Max(runner.hard_next, now) + VirtualCost(cost, runner.cores);
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
