// Allocations: what this process holds of its slice, by pointer or handle, so that a free gives
// back what the allocation took.
//
// Open addressing in memory that is mapped once and touched as it fills: at most kEntries at a
// time; more are refused as out of memory. Threads: any, under one lock that is held for tens of
// nanoseconds and never across a driver call. Libc only.
#pragma once

#include <cstdint>

#include "vgpu/abi/lock.h"
#include "vgpu/abi/memory_class.h"

namespace brim::vgpu {

// What a key means; the same number may be a pointer and a handle.
enum class Kind : std::uint8_t {
  kFree = 0,
  kPointer,
  kArray,
  kHandle,   // Of cuMemCreate; referred to by its holders and its mappings.
  kMapping,  // An address range; `context` is the handle.
  kContext,
  kPrimary,  // A device's primary context, by device; referred to by each retain.
  kModule,
  kGraph,    // A graph with memory nodes; referred to by itself and what was instantiated from it.
  kExec,     // An instantiated graph; `context` is the graph.
  kCapture,  // Memory nodes of a capture under way, by its number, until it becomes a graph.
};

struct Allocation {
  std::uint64_t key = 0;
  std::uint64_t bytes = 0;
  std::uint64_t context = 0;  // The CUcontext whose end frees it; of a mapping: the handle.
  std::uint32_t references = 1;
  Kind kind = Kind::kFree;
  MemoryClass memory_class = MemoryClass::kBuffer;
  std::uint16_t spare = 0;
};

class Allocations {
 public:
  static constexpr std::uint64_t kEntries = std::uint64_t{1} << 20;

  // False when full, or when memory for the table itself is lacking.
  bool Add(const Allocation& allocation);
  // Adds its bytes to the one with the same key and kind, or adds it.
  bool Grow(const Allocation& allocation);
  // Removes it and returns it; kind kFree when unknown (allocated before the process was attached,
  // or by somebody else).
  Allocation Take(std::uint64_t key, Kind kind);
  // Adds to `references`; returns the allocation as it is afterwards, removed if none are left.
  Allocation Refer(std::uint64_t key, Kind kind, std::int32_t by);
  // Removes one that lies in [from, from + length) or, with `context`, belongs to it; kind kFree
  // when there is none (left). Walks the whole table, TakeOf() from where it found the last (*at,
  // 0 to begin with): for rare calls.
  Allocation TakeWithin(std::uint64_t from, std::uint64_t length, Kind kind);
  Allocation TakeOf(std::uint64_t context, std::uint64_t* at);
  void AfterFork();

 private:
  bool Ready();
  Allocation* Find(std::uint64_t key, Kind kind);
  bool AddLocked(const Allocation& allocation);
  Allocation TakeLocked(Allocation* entry);
  template <typename Match>
  Allocation TakeFirst(std::uint64_t* at, Match match);

  ThreadLock lock_;
  Allocation* table_ = nullptr;
  std::uint64_t used_ = 0;     // Entries that are not kFree.
  std::uint64_t highest_ = 0;  // No entry is used behind it.
};

}  // namespace brim::vgpu
