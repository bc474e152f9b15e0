// The memory ledger of one slice: reserve, call the driver, keep or roll back; exact across
// processes that may be killed at any instruction.
//
// The problem. Many processes share one limit. A check followed by an act lets two of them pass
// together; a lock in shared memory is left locked by a kill; a plain shared counter keeps what a
// killed process added, or has not yet noted as its own, and nobody can tell which.
//
// The idea. The total is one 64-bit word that carries, beside its value, who changed it last:
//
//     bits 63..28  units held by all (36 bits of 512 bytes: 32 TiB)
//     bits 27..17  cell of the last change
//     bits 16..0   number of that cell's change, modulo 2^17
//
// A process notes in its own cell what it is about to do (before, delta, then `pending`), changes
// the word by compare-and-swap, and notes the result (held, finished). Before anyone overwrites
// somebody's mark in the word, he writes its number into that cell's `seen`. So when a process is
// dead, its pending change took effect if and only if its mark is in the word or in `seen`, and
// what it held is known to the unit.
//
// Why numbers modulo 2^17 do not mislead: a refused change uses up no number, and every mark that
// leaves the word was put into `seen` first, so `seen` is never more than one behind. `seen` itself
// carries a count above its 17 bits, so that a helper that slept cannot put back an old one. What
// is left: a process that sleeps between reading the word and swapping it while one cell makes an
// exact multiple of 131,072 changes and the total is the same again, that cell's process being
// killed within the next few instructions. Then that one change is forgotten.
//
// The cost is one compare-and-swap and five stores to lines that nobody else writes; no system
// call, no lock shared between processes. Threads of one process take turns by a lock in its own
// memory, which dies with it. Nothing here allocates, throws, or needs more than libc.
#pragma once

#include <atomic>
#include <cstdint>

#include "vgpu/abi/lock.h"
#include "vgpu/abi/slice_segment.h"

namespace brim::vgpu {

// The word in SliceSegment::total.
struct Mark {
  std::uint64_t units = 0;
  std::uint32_t cell = 0;
  std::uint32_t change = 0;  // Modulo 2^17.
};
inline constexpr std::uint64_t kChangeMask = (std::uint64_t{1} << 17) - 1;
inline constexpr std::uint64_t kUnitsMax = (std::uint64_t{1} << 36) - 1;
static_assert(kCells <= (1u << 11));

inline constexpr std::uint64_t Pack(const Mark& mark) {
  return mark.units << 28 | std::uint64_t{mark.cell} << 17 | (mark.change & kChangeMask);
}
inline constexpr Mark Unpack(std::uint64_t word) {
  return {word >> 28, static_cast<std::uint32_t>(word >> 17 & 0x7ff),
          static_cast<std::uint32_t>(word & kChangeMask)};
}

// Prepare zeroed memory as an empty segment. The agent's, before anyone maps it.
void InitSegment(SliceSegment* segment);
// Bytes held by the slice, as counted.
std::uint64_t HeldBytes(const SliceSegment& segment);

enum class Answer : std::uint8_t { kYes, kFull, kNoCell };

// Called at each step of a change, so that tests can kill there. Null in production.
using StepHook = void (*)(int step);

// Moves the total by `delta` units on behalf of `cell`; false when that would exceed `limit`.
// REQUIRES: nobody else changes for this cell meanwhile.
bool ChangeTotal(SliceSegment* segment, std::uint32_t cell, std::int64_t delta,
                 std::uint64_t limit_units, StepHook hook);
// Brings the cell of a dead process to rest: afterwards nothing is pending and `held` is true.
void Settle(SliceSegment* segment, std::uint32_t cell);

// One process's door to the ledger of its slice. All methods from any thread, but Claim() and
// AfterFork(), which come before and between.
class Ledger {
 public:
  constexpr Ledger() = default;
  // Both must pass CheckLimits() and CheckSegment() and stay mapped.
  void Attach(const SliceLimits* limits, SliceSegment* segment, StepHook hook = nullptr) {
    limits_ = limits;
    segment_ = segment;
    hook_ = hook;
  }

  // Takes a cell for this process. False when all are taken: then nothing may be reserved.
  bool Claim(std::int32_t pid, std::uint64_t start_ticks, std::uint64_t pid_namespace);
  // In a forked child: forgets the parent's cell and lock; claim anew.
  void AfterFork();
  bool claimed() const { return cell_ != 0; }

  // Before the driver's call. kFull: no unit was taken; answer out of memory. Then, after the call:
  // nothing to do when it succeeded, Release() when it failed. What would fit below the hard limit
  // is asked of the agent as a loan and waited for once, kLoanWaitMs at most.
  Answer Reserve(std::uint64_t bytes, MemoryClass memory_class);
  // REQUIRES: reserved before, with the same bytes and class (a whole reservation at a time).
  void Release(std::uint64_t bytes, MemoryClass memory_class);

  std::uint64_t limit_bytes() const {
    return limits_->memory_now.load(std::memory_order_relaxed);
  }
  std::uint64_t held_bytes() const { return HeldBytes(*segment_); }
  Cell* cell() { return cell_ == 0 ? nullptr : &segment_->cell[cell_]; }

  static constexpr int kLoanWaitMs = 60;

 private:
  bool Try(std::uint64_t bytes, MemoryClass memory_class);
  bool Borrow(std::uint64_t bytes, std::uint32_t epoch);

  const SliceLimits* limits_ = nullptr;
  SliceSegment* segment_ = nullptr;
  StepHook hook_ = nullptr;
  std::uint32_t cell_ = 0;
  ThreadLock lock_;
};

}  // namespace brim::vgpu
