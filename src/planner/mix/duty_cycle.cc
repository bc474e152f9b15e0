#include "planner/mix/duty_cycle.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace brim::planner {

namespace {

constexpr double kRounding = 1e-9;

int BatchOf(double rate, double duty_ms) {
  const double batch = std::ceil(rate * duty_ms / 1000 - kRounding);
  return static_cast<int>(std::clamp(batch, 1.0, double{kMixBatchMax} + 1));
}

double TurnMs(const CycleLoad& load, int share, int batch, double slowdown) {
  return load.table->Ms(share, batch) * slowdown + load.load_ms;
}

// The longest cycle whose collected batches keep every objective, given batches for `duty_ms`.
double LongestDuty(std::span<const CycleLoad> loads, int share, double duty_ms, double slowdown) {
  double longest = kNeverMs;
  for (const CycleLoad& load : loads) {
    const double turn = TurnMs(load, share, BatchOf(load.rate, duty_ms), slowdown);
    longest = std::min(longest, load.limit_ms - turn);
  }
  return longest;
}

// Fills in the cycle for this duty; fits if the turns do.
void Measure(std::span<const CycleLoad> loads, int share, double duty_ms, double busy_max,
             double slowdown, Cycle* cycle) {
  cycle->duty_ms = duty_ms;
  cycle->busy = 0;
  cycle->batches.clear();
  cycle->busy_each.clear();
  for (const CycleLoad& load : loads) {
    const int batch = BatchOf(load.rate, duty_ms);
    const double collected = load.rate * duty_ms / 1000;
    const double chance = collected < 1 ? -std::expm1(-collected) : 1;
    const double turns = chance * TurnMs(load, share, batch, slowdown);
    const double busy = std::max(turns, collected * load.least_ms) / duty_ms;
    cycle->batches.push_back(batch);
    cycle->busy_each.push_back(busy);
    cycle->busy += busy;
  }
  cycle->fits = cycle->busy <= busy_max;
}

}  // namespace

Cycle FitCycle(std::span<const CycleLoad> loads, int share, double busy_max, double slowdown) {
  Cycle cycle;
  const auto allowed = [&](double duty) {
    return duty > 0 && LongestDuty(loads, share, duty, slowdown) >= duty;
  };
  // No cycle is longer than what batches of one allow, and LongestDuty() falls with the duty: so
  // what the longest allows is itself allowed, and the largest lies between the two.
  double above = LongestDuty(loads, share, 0, slowdown);
  if (!(above > 0)) return cycle;
  double below = LongestDuty(loads, share, above, slowdown);
  if (below >= above) {
    below = above;
  } else if (!allowed(below)) {
    below = 0;
  }
  for (int step = 0; step < 14 && above - below > 0.001 * above; ++step) {
    const double middle = (below + above) / 2;
    (allowed(middle) ? below : above) = middle;
  }
  if (below <= 0) return cycle;
  Measure(loads, share, below, busy_max, slowdown, &cycle);
  if (cycle.fits) return cycle;
  // Rounding up of batches may waste less in a shorter cycle: where a batch is just full.
  Cycle shorter;
  for (const CycleLoad& load : loads) {
    const int batch = BatchOf(load.rate, below);
    for (int full = batch - 1; full >= 1 && full >= batch / 2 && load.rate > 0;
         full -= std::max(1, batch / 4)) {
      const double duty = 1000.0 * full / load.rate;
      if (duty >= below || duty * 2 < below) continue;
      Measure(loads, share, duty, busy_max, slowdown, &shorter);
      if (shorter.fits) return shorter;
    }
  }
  return cycle;
}

double SoloRate(const LatencyTable& table, double limit_ms, int share, double busy_max,
                int* batch) {
  double best = 0;
  for (int n = 1; n <= table.batch_max(share); ++n) {
    const double ms = table.Ms(share, n);
    if (ms / busy_max + ms > limit_ms) break;  // Rows are monotone.
    const double rate = 1000.0 * n / ms * busy_max;
    if (rate > best) {
      best = rate;
      *batch = n;
    }
  }
  return best;
}

MemorySplit SplitMemory(std::span<const MemoryNeed> needs, double context_mib, double room_mib) {
  MemorySplit split;
  split.resident.assign(needs.size(), true);
  std::vector<std::size_t> order;
  double workspace = 0, weights = 0, slot = 0;
  for (std::size_t i = 0; i < needs.size(); ++i) {
    workspace = std::max(workspace, needs[i].workspace_mib);
    weights += needs[i].weights_mib;
    if (needs[i].load_ms > 0) order.push_back(i);
  }
  // Cheapest first: load time a second, per MiB that it frees.
  const auto price = [&](std::size_t i) {
    return needs[i].rate * needs[i].load_ms / std::max(needs[i].weights_mib, 1e-9);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return price(a) < price(b); });
  std::size_t next = 0;
  const auto need = [&] { return context_mib + weights + workspace + slot; };
  while (need() > room_mib && next < order.size()) {
    const std::size_t model = order[next++];
    split.resident[model] = false;
    weights -= needs[model].weights_mib;
    slot = std::max(slot, needs[model].weights_mib);
  }
  split.memory_mib = need();
  split.fits = split.memory_mib <= room_mib;
  return split;
}

}  // namespace brim::planner
