// See arbiter.h.
#include "vgpu/limiter/arbiter.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace brim::vgpu {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// Any tenant of the card can write any value: what is read is held to what a clock can say (36
// years), so that no sum of two overflows.
Ns Bounded(Ns value) {
  constexpr Ns kMost = Ns{1} << 60;
  return value > kMost ? kMost : value < -kMost ? -kMost : value;
}

Runner Read(const TableRow& row, const CardRow& card) {
  Runner runner;
  runner.cores = row.cores.load(kRelaxed);
  runner.share = row.share.load(kRelaxed);
  runner.priority = row.priority.load(kRelaxed);
  runner.virtual_time = Bounded(card.virtual_time.load(kRelaxed));
  runner.busy_until = Bounded(card.busy_until.load(kRelaxed));
  runner.waiting_until = Bounded(card.waiting_until.load(kRelaxed));
  runner.hard_next = Bounded(card.hard_next.load(kRelaxed));
  runner.pause = Bounded(card.pause.load(kRelaxed));
  runner.burst = Bounded(card.burst.load(kRelaxed));
  runner.run = Bounded(card.run.load(kRelaxed));
  runner.level = Bounded(card.level.load(kRelaxed));
  runner.idle = Bounded(card.idle.load(kRelaxed));
  runner.idle_spread = Bounded(card.idle_spread.load(kRelaxed));
  runner.request = Bounded(card.request.load(kRelaxed));
  return runner;
}

// What only the slice itself knows and changes. The latest of several of its processes is as good
// as any.
void Write(const Runner& runner, CardRow* card) {
  card->waiting_until.store(runner.waiting_until, kRelaxed);
  card->pause.store(runner.pause, kRelaxed);
  card->burst.store(runner.burst, kRelaxed);
  card->run.store(runner.run, kRelaxed);
  card->level.store(runner.level, kRelaxed);
  card->idle.store(runner.idle, kRelaxed);
  card->idle_spread.store(runner.idle_spread, kRelaxed);
  card->request.store(runner.request, kRelaxed);
}

// Room for all rows without writing to it first: most cards have a few.
union Runners {
  Runners() {}
  Runner at[kSlicesPerCard];
};

std::uint32_t RowsOf(const CardTable& table) {
  const std::uint32_t rows = table.rows.load(std::memory_order_acquire);
  return rows < kSlicesPerCard ? rows : kSlicesPerCard;
}

}  // namespace

Ns MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Ns{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Arbiter::Attach(const CardTable* table, CardSegment* card, std::uint32_t row) {
  table_ = table;
  card_ = card;
  row_ = row;
  place_ = static_cast<std::uint32_t>(getpid()) % kLaunchers;
}

void Arbiter::AfterFork() {
  lease_.store(0, kRelaxed);
  place_ = static_cast<std::uint32_t>(getpid()) % kLaunchers;
}

Ns Arbiter::Ask(Ns cost, Ns now) {
  if (lease_.load(kRelaxed) >= cost && lease_until_.load(kRelaxed) > now) {
    if (lease_.fetch_sub(cost, kRelaxed) >= cost) return 0;
    lease_.fetch_add(cost, kRelaxed);
  }
  // What is left of the last lease was charged then.
  const Ns left = lease_.exchange(0, kRelaxed);
  const bool busy = card_->row[row_].busy_until.load(kRelaxed) > now;
  const bool lease = busy && cost < kLease;
  const Ns want = (lease ? kLease : cost) - left;
  const Ns charged = want > 0 ? want : 0;
  const Ns again_at = AskCard(charged, now);
  if (again_at != 0) {
    lease_.fetch_add(left, kRelaxed);
    return again_at;
  }
  lease_.fetch_add(left + charged - cost, kRelaxed);
  if (lease) lease_until_.store(now + 4 * kLease, kRelaxed);
  return 0;
}

Ns Arbiter::AskCard(Ns cost, Ns now) {
  Runners room;
  Runner* const runners = room.at;
  const std::uint32_t rows = RowsOf(*table_);
  // No units: another backend shares out the cores, or the slice is gone. Counted, not held.
  if (row_ >= rows || table_->row[row_].cores.load(kRelaxed) == 0) {
    card_->row[row_].gpu.fetch_add(cost, kRelaxed);
    return 0;
  }
  CardRow& own = card_->row[row_];
  for (std::uint32_t i = 0; i < rows; ++i) runners[i] = Read(table_->row[i], card_->row[i]);
  for (;;) {
    Ns before = own.virtual_time.load(kRelaxed);
    runners[row_].virtual_time = Bounded(before);
    Ns busy_until = card_->busy_until.load(std::memory_order_acquire);
    const Decision decision = Decide({runners, rows}, row_, Bounded(busy_until), cost, now);
    if (!decision.launch) {
      const Runner after = AfterRefusal(runners[row_], decision, now);
      // When another process of the slice was faster, its value stays.
      if (after.virtual_time != before) {
        own.virtual_time.compare_exchange_strong(before, after.virtual_time, kRelaxed);
      }
      Write(after, &own);
      return decision.again_at;
    }
    const Runner after = AfterLaunch(runners[row_], decision, Bounded(busy_until), cost, now);
    if (!own.virtual_time.compare_exchange_strong(before, after.virtual_time,
                                                  std::memory_order_acq_rel)) {
      runners[row_] = Read(table_->row[row_], own);
      continue;
    }
    while (!card_->busy_until.compare_exchange_weak(
        busy_until, BusyAfter(Bounded(busy_until), cost, now), std::memory_order_acq_rel)) {
    }
    own.busy_until.store(BusyAfter(Bounded(busy_until), cost, now), kRelaxed);
    own.hard_next.store(after.hard_next, kRelaxed);
    Write(after, &own);
    own.gpu.fetch_add(cost, kRelaxed);
    own.launched_at[place_].store(now, kRelaxed);
    return 0;
  }
}

Ns Arbiter::Launch(Ns cost, void (*awake)()) {
  Ns now = MonotonicNow();
  const Ns began = now;
  for (;;) {
    const std::uint32_t wake = card_->wake.load(std::memory_order_acquire);
    const Ns again_at = Ask(cost, now);
    if (again_at == 0) return now - began;
    // Absolute and on CLOCK_MONOTONIC: FUTEX_WAIT_BITSET (futex(2)).
    const timespec until{static_cast<time_t>(again_at / 1'000'000'000), again_at % 1'000'000'000};
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&card_->wake), FUTEX_WAIT_BITSET, wake,
            &until, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (awake != nullptr) awake();
    now = MonotonicNow();
  }
}

void Arbiter::Measured(Ns predicted, Ns measured) {
  const std::uint32_t cores = table_->row[row_].cores.load(kRelaxed);
  const Ns error = measured - predicted;
  CardRow& own = card_->row[row_];
  if (cores == 0) {
    own.gpu.fetch_add(error, kRelaxed);
    return;
  }
  own.virtual_time.fetch_add(VirtualCost(error, cores), kRelaxed);
  own.hard_next.fetch_add(VirtualCost(error, cores), kRelaxed);
  own.busy_until.fetch_add(error, kRelaxed);
  own.gpu.fetch_add(error, kRelaxed);
  card_->busy_until.fetch_add(error, kRelaxed);
}

Ns Arbiter::Launchers(Ns since) const {
  constexpr Ns kShortly = 50 * kMs;
  const std::uint32_t rows = RowsOf(*table_);
  Ns launchers = 0;
  for (std::uint32_t i = 0; i < rows; ++i) {
    for (const std::atomic<Ns>& place : card_->row[i].launched_at) {
      const Ns at = place.load(kRelaxed);
      launchers += at > 0 && at > since - kShortly ? 1 : 0;
    }
  }
  return launchers > 1 ? launchers : 1;
}

bool Arbiter::Contended(Ns now) const {
  const std::uint32_t rows = RowsOf(*table_);
  for (std::uint32_t i = 0; i < rows; ++i) {
    if (i == row_ || table_->row[i].cores.load(kRelaxed) == 0) continue;
    if (card_->row[i].busy_until.load(kRelaxed) > now) return true;
  }
  return false;
}

}  // namespace brim::vgpu
