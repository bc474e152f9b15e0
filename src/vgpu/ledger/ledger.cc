// See ledger.h.
#include "vgpu/ledger/ledger.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace brim::vgpu {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kBoth = std::memory_order_acq_rel;

constexpr std::uint64_t kPhaseMask = 0xff;
constexpr std::uint64_t kClaimStep = std::uint64_t{1} << 8;
constexpr std::uint64_t kClaimMask = ((std::uint64_t{1} << 24) - 1) << 8;

// Modulo 2^64, since a tampered cell may hold anything.
std::int64_t Sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

void Step(StepHook hook, int step) {
  if (__builtin_expect(hook != nullptr, 0)) hook(step);
}

// Writes the mark that is about to be overwritten into its cell's `seen`.
void Acknowledge(SliceSegment* segment, std::uint64_t word) {
  const Mark mark = Unpack(word);
  std::atomic<std::uint64_t>& seen = segment->cell[mark.cell].seen;
  std::uint64_t old = seen.load(kAcquire);
  if ((old & kChangeMask) == mark.change) return;
  // Only while the word still stands is `old` known to be from before it left.
  if (segment->total.load(kAcquire) != word) return;
  seen.compare_exchange_strong(old, ((old >> 17) + 1) << 17 | mark.change, kBoth);
}

}  // namespace

void InitSegment(SliceSegment* segment) {
  segment->version = kSegmentVersion;
  segment->cells = kCells;
  segment->bytes = sizeof(SliceSegment);
  __atomic_store_n(&segment->magic, kSegmentMagic, __ATOMIC_RELEASE);
}

std::uint64_t HeldBytes(const SliceSegment& segment) {
  return Unpack(segment.total.load(kAcquire)).units * kUnitBytes;
}

bool ChangeTotal(SliceSegment* segment, std::uint32_t cell, std::int64_t delta,
                 std::uint64_t limit_units, StepHook hook) {
  Cell& own = segment->cell[cell];
  const std::uint64_t change = own.finished.load(kRelaxed) + 1;
  const std::int64_t before = own.held.load(kRelaxed);
  own.before.store(before, kRelaxed);
  own.delta.store(delta, kRelaxed);
  Step(hook, 1);
  own.pending.store(change, kRelease);
  Step(hook, 2);
  std::uint64_t word = segment->total.load(kAcquire);
  for (;;) {
    const Mark mark = Unpack(word);
    const std::int64_t units = static_cast<std::int64_t>(mark.units) + delta;
    if (delta > 0 && static_cast<std::uint64_t>(units) > limit_units) {
      own.pending.store(0, kRelease);
      return false;
    }
    Acknowledge(segment, word);
    Step(hook, 3);
    // Below zero only by a tampered cell; the total then stops at nothing rather than wrap round.
    const Mark next{units < 0 ? 0 : static_cast<std::uint64_t>(units), cell,
                    static_cast<std::uint32_t>(change & kChangeMask)};
    if (segment->total.compare_exchange_weak(word, Pack(next), kBoth, kAcquire)) break;
  }
  Step(hook, 4);
  const std::uint64_t target = own.target.load(kRelaxed);
  if (target == 0) {
    own.held.store(Sum(before, delta), kRelease);
  } else if (target < kCells) {
    segment->cell[target].held.store(0, kRelease);
  }
  Step(hook, 5);
  own.finished.store(change, kRelease);
  Step(hook, 6);
  own.pending.store(0, kRelease);
  return true;
}

void Settle(SliceSegment* segment, std::uint32_t cell) {
  Cell& dead = segment->cell[cell];
  const std::uint64_t pending = dead.pending.load(kAcquire);
  if (pending == 0) return;
  if (pending == dead.finished.load(kAcquire) + 1) {
    // The word first: a mark that has left it was in `seen` before it left.
    const Mark mark = Unpack(segment->total.load(kAcquire));
    const std::uint64_t change = pending & kChangeMask;
    const bool done = (mark.cell == cell && mark.change == change) ||
                      (dead.seen.load(kAcquire) & kChangeMask) == change;
    if (done) {
      const std::uint64_t target = dead.target.load(kRelaxed);
      if (target == 0) {
        dead.held.store(Sum(dead.before.load(kRelaxed), dead.delta.load(kRelaxed)), kRelease);
      } else if (target < kCells) {
        segment->cell[target].held.store(0, kRelease);
      }
      dead.finished.store(pending, kRelease);
    }
  }
  dead.pending.store(0, kRelease);
}

bool Ledger::Claim(std::int32_t pid, std::uint64_t start_ticks, std::uint64_t pid_namespace) {
  // From a place of its own, so that many processes that start together do not meet.
  const std::uint32_t first = static_cast<std::uint32_t>(pid) * 2654435761u % (kCells - 1);
  for (std::uint32_t i = 0; i < kCells - 1; ++i) {
    const std::uint32_t index = 1 + (first + i) % (kCells - 1);
    Cell& cell = segment_->cell[index];
    std::uint64_t owner = cell.owner.load(kAcquire);
    if ((owner & kPhaseMask) != static_cast<std::uint64_t>(CellPhase::kFree)) continue;
    const std::uint64_t mine = std::uint64_t{static_cast<std::uint32_t>(pid)} << 32 |
                               ((owner + kClaimStep) & kClaimMask) |
                               static_cast<std::uint64_t>(CellPhase::kLive);
    if (!cell.owner.compare_exchange_strong(owner, mine, kBoth)) continue;
    Step(hook_, 7);
    cell.pid_namespace.store(pid_namespace, kRelaxed);
    cell.start_ticks.store(start_ticks, kRelease);
    cell_ = index;
    return true;
  }
  return false;
}

void Ledger::AfterFork() {
  cell_ = 0;
  lock_.Reset();
}

bool Ledger::Try(std::uint64_t bytes, MemoryClass memory_class) {
  Cell& own = segment_->cell[cell_];
  const std::uint64_t units = UnitsOf(bytes);
  const std::uint64_t limit = limit_bytes() / kUnitBytes;
  const ThreadLocked locked(&lock_);
  const bool yes = units <= kUnitsMax && limit <= kUnitsMax &&
                   ChangeTotal(segment_, cell_, static_cast<std::int64_t>(units), limit, hook_);
  if (yes) {
    own.class_bytes[static_cast<int>(memory_class)].fetch_add(
        static_cast<std::int64_t>(units * kUnitBytes), kRelaxed);
  }
  return yes;
}

// Tells the agent what was lacking and waits until the limits change, or not longer than a program
// may be made to wait for its refusal. False when no loan could make the room. No lock is held:
// what other threads free meanwhile counts too.
bool Ledger::Borrow(std::uint64_t bytes, std::uint32_t epoch) {
  const std::uint64_t hard = limits_->memory_hard.load(kRelaxed);
  if (limit_bytes() >= hard || bytes > hard || held_bytes() > hard - bytes) return false;
  std::uint64_t wanted = segment_->wanted.load(kRelaxed);
  while (wanted < bytes && !segment_->wanted.compare_exchange_weak(wanted, bytes, kRelaxed)) {
  }
  const timespec most{0, kLoanWaitMs * 1'000'000L};
  // The mapping is read-only and shared: the kernel finds the word by its file (futex(2)).
  syscall(SYS_futex, reinterpret_cast<const std::uint32_t*>(&limits_->epoch), FUTEX_WAIT, epoch,
          &most, nullptr, 0);
  return true;
}

Answer Ledger::Reserve(std::uint64_t bytes, MemoryClass memory_class) {
  if (cell_ == 0) return Answer::kNoCell;
  // Before the try: a change that comes between is not slept through.
  const std::uint32_t epoch = limits_->epoch.load(kAcquire);
  if (Try(bytes, memory_class)) return Answer::kYes;
  if (Borrow(bytes, epoch) && Try(bytes, memory_class)) return Answer::kYes;
  segment_->cell[cell_].refusals.fetch_add(1, kRelaxed);
  return Answer::kFull;
}

void Ledger::Release(std::uint64_t bytes, MemoryClass memory_class) {
  if (cell_ == 0) return;
  const std::uint64_t units = UnitsOf(bytes);
  if (units > kUnitsMax) return;
  Cell& own = segment_->cell[cell_];
  const ThreadLocked locked(&lock_);
  own.class_bytes[static_cast<int>(memory_class)].fetch_sub(
      static_cast<std::int64_t>(units * kUnitBytes), kRelaxed);
  ChangeTotal(segment_, cell_, -static_cast<std::int64_t>(units), kUnitsMax, hook_);
}

}  // namespace brim::vgpu
