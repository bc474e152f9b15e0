// The two files through which the agent and the processes in a slice agree: the limits, which the
// processes can only read, and the segment, in which they count.
//
// Shared memory between programs of different builds: plain fixed-size fields, lock-free atomics,
// explicit sizes, a magic and a version in front. A reader checks Usable() before anything else.
// Nothing here allocates, throws or needs more than libc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vgpu/abi/memory_class.h"

namespace brim::vgpu {

inline constexpr std::uint64_t kLimitsMagic = 0x31494c4d49524200;   // "\0BRIMLI1", little-endian.
inline constexpr std::uint64_t kSegmentMagic = 0x3147455342524200;  // "\0BRBSEG1".
inline constexpr std::uint32_t kSegmentVersion = 3;

// Processes of one slice at a time; cell 0 is the agent's.
inline constexpr std::uint32_t kCells = 2048;
// Memory is counted in these; sizes are rounded up, as the driver's allocator does.
inline constexpr std::uint64_t kUnitBytes = 512;

inline constexpr std::uint64_t UnitsOf(std::uint64_t bytes) {
  return bytes / kUnitBytes + (bytes % kUnitBytes != 0 ? 1 : 0);
}

enum class Share : std::uint32_t { kHard = 0, kElastic = 1 };
enum class Priority : std::uint32_t { kOnline = 0, kOffline = 1 };

// Written by the agent alone; the processes of the slice map it read-only.
struct SliceLimits {
  std::uint64_t magic;  // Written last, with release, when all else stands.
  std::uint32_t version;
  std::uint32_t bytes;                    // sizeof(SliceLimits) of the writer.
  std::atomic<std::uint32_t> epoch;       // One up with every change; a futex word.
  std::uint32_t card;                     // Index of the card on this host.
  std::atomic<std::uint64_t> memory_now;  // What may be held now, in bytes: soft plus what is lent.
  std::atomic<std::uint64_t> memory_soft;  // Guaranteed, in bytes.
  std::atomic<std::uint64_t> memory_hard;  // Never more, in bytes.
  std::atomic<std::uint32_t> cores;        // 1 to 100.
  std::atomic<Share> share;
  std::atomic<Priority> priority;
  std::uint32_t row;            // In the card's table and segment.
  std::uint64_t context_bytes;  // What this driver takes on this card for a context, as calibrated.
  std::uint64_t module_bytes;   // The same for a loaded module.
  char name[64];                // Zero-terminated.
  char owner[64];               // Zero-terminated.
  char card_uuid[64];
};

enum class CellPhase : std::uint8_t { kFree = 0, kLive = 1, kReaping = 2 };

// One process (or the agent) in the slice. Written by its process alone while it lives; by whoever
// reaps it afterwards. How the fields survive a kill is told in vgpu/ledger/ledger.h.
struct alignas(64) Cell {
  // CellPhase in the low 8 bits, 24 bits that go up with every claim, the pid in the high 32.
  std::atomic<std::uint64_t> owner;
  std::atomic<std::uint64_t> start_ticks;    // /proc/PID/stat field 22; 0: not yet written.
  std::atomic<std::uint64_t> pid_namespace;  // Inode of /proc/PID/ns/pid; 0: not yet written.

  std::atomic<std::uint64_t> finished;  // Changes that came to an end.
  std::atomic<std::uint64_t> pending;   // finished + 1 while a change is under way, else 0.
  std::atomic<std::int64_t> before;     // Units held before it.
  std::atomic<std::int64_t> delta;      // Units it adds.
  std::atomic<std::uint64_t> target;    // The cell that the agent's change empties; 0: none.
  std::atomic<std::int64_t> held;       // Units held.
  std::atomic<std::uint64_t> seen;      // The last change another process overwrote in the total.

  std::atomic<std::int64_t> class_bytes[kMemoryClasses];  // Told, not limited.
  std::atomic<std::uint64_t> launches;
  std::atomic<std::uint64_t> refusals;
  std::atomic<std::uint64_t> throttled_ns;
  std::atomic<std::uint64_t> gpu_ns;
  std::atomic<std::uint64_t> last_kernel_s;    // CLOCK_MONOTONIC.
  std::atomic<std::uint64_t> unknown_symbols;  // Asked for, not known here, and like work.
  std::atomic<std::uint64_t> export_tables;    // Private tables of functions handed out.
};

// The last names asked for that are not known here: a ring, told by metrics and `brim node show`.
inline constexpr std::uint32_t kUnknownNames = 16;
struct UnknownName {
  std::atomic<std::uint64_t> count;
  char name[56];  // Zero-terminated, cut if longer; written once by who claims the entry.
};

// Mapped for reading and writing by every process of the slice.
struct SliceSegment {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t cells;                            // kCells of the writer.
  std::uint64_t bytes;                            // sizeof(SliceSegment) of the writer.
  alignas(64) std::atomic<std::uint64_t> total;   // See ledger.h.
  alignas(64) std::atomic<std::uint64_t> wanted;  // Bytes refused for lack of what could be lent.
  std::atomic<std::uint64_t> reaped;              // Processes taken out after their death.
  // Counters of processes that have gone, so that sums never fall.
  std::atomic<std::uint64_t> past_launches;
  std::atomic<std::uint64_t> past_refusals;
  std::atomic<std::uint64_t> past_throttled_ns;
  std::atomic<std::uint64_t> past_gpu_ns;
  std::atomic<std::uint64_t> past_unknown_symbols;
  UnknownName unknown[kUnknownNames];
  Cell cell[kCells];
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8);

enum class SegmentFault : std::uint8_t { kNone, kTruncated, kNotOurs, kOtherVersion, kOtherSize };

// How each of the files begins.
struct SegmentHead {
  std::uint64_t magic;
  std::uint32_t version;
};

// The head before the size: a file of another version may have another size, and is then not cut.
// Never reads beyond the `mapped` bytes.
inline SegmentFault CheckHead(const void* file, std::size_t mapped, std::uint64_t magic,
                              std::size_t whole) {
  static_assert(offsetof(SegmentHead, version) == 8);
  const auto* const head = static_cast<const SegmentHead*>(file);
  if (mapped >= sizeof(head->magic) && __atomic_load_n(&head->magic, __ATOMIC_ACQUIRE) != magic) {
    return SegmentFault::kNotOurs;
  }
  const bool versioned = mapped >= offsetof(SegmentHead, version) + sizeof(head->version);
  if (versioned && head->version != kSegmentVersion) return SegmentFault::kOtherVersion;
  return mapped < whole ? SegmentFault::kTruncated : SegmentFault::kNone;
}

// Whether `mapped` bytes at the address can be used as such. Never reads beyond them.
inline SegmentFault CheckLimits(const SliceLimits* limits, std::size_t mapped) {
  const SegmentFault fault = CheckHead(limits, mapped, kLimitsMagic, sizeof(SliceLimits));
  if (fault != SegmentFault::kNone) return fault;
  return limits->bytes == sizeof(SliceLimits) ? SegmentFault::kNone : SegmentFault::kOtherSize;
}

inline SegmentFault CheckSegment(const SliceSegment* segment, std::size_t mapped) {
  const SegmentFault fault = CheckHead(segment, mapped, kSegmentMagic, sizeof(SliceSegment));
  if (fault != SegmentFault::kNone) return fault;
  return segment->cells == kCells && segment->bytes == sizeof(SliceSegment)
             ? SegmentFault::kNone
             : SegmentFault::kOtherSize;
}

}  // namespace brim::vgpu
