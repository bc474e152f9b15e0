// See allocations.h.
#include "vgpu/shim/allocations.h"

#include <sys/mman.h>

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kMask = Allocations::kEntries - 1;

std::uint64_t SlotOf(std::uint64_t key) { return key * 0x9e3779b97f4a7c15 >> 44; }
static_assert(Allocations::kEntries == std::uint64_t{1} << (64 - 44));

}  // namespace

bool Allocations::Ready() {
  if (table_ != nullptr) return true;
  void* const at = mmap(nullptr, kEntries * sizeof(Allocation), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return false;
  table_ = static_cast<Allocation*>(at);
  return true;
}

Allocation* Allocations::Find(std::uint64_t key, Kind kind) {
  if (table_ == nullptr) return nullptr;
  for (std::uint64_t slot = SlotOf(key);; slot = (slot + 1) & kMask) {
    Allocation& entry = table_[slot];
    if (entry.kind == Kind::kFree) return nullptr;
    if (entry.kind == kind && entry.key == key) return &entry;
  }
}

bool Allocations::Add(const Allocation& allocation) {
  const ThreadLocked locked(&lock_);
  return AddLocked(allocation);
}

bool Allocations::Grow(const Allocation& allocation) {
  const ThreadLocked locked(&lock_);
  Allocation* const there = Find(allocation.key, allocation.kind);
  if (there == nullptr) return AddLocked(allocation);
  there->bytes += allocation.bytes;
  return true;
}

bool Allocations::AddLocked(const Allocation& allocation) {
  // An eighth stays free, so that a search for what is not there ends soon.
  if (!Ready() || used_ >= kEntries - kEntries / 8) return false;
  std::uint64_t slot = SlotOf(allocation.key);
  while (table_[slot].kind != Kind::kFree) slot = (slot + 1) & kMask;
  table_[slot] = allocation;
  ++used_;
  if (slot > highest_) highest_ = slot;
  return true;
}

Allocation Allocations::Take(std::uint64_t key, Kind kind) {
  const ThreadLocked locked(&lock_);
  Allocation* const entry = Find(key, kind);
  return entry == nullptr ? Allocation{} : TakeLocked(entry);
}

Allocation Allocations::TakeLocked(Allocation* entry) {
  const Allocation taken = *entry;
  // Move up what was pushed behind this slot (Knuth, volume 3, 6.4, algorithm R), so that the table
  // holds nothing but what is live.
  auto hole = static_cast<std::uint64_t>(entry - table_);
  for (std::uint64_t at = (hole + 1) & kMask; table_[at].kind != Kind::kFree;
       at = (at + 1) & kMask) {
    if (((at - SlotOf(table_[at].key)) & kMask) < ((at - hole) & kMask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = Allocation();
  --used_;
  return taken;
}

Allocation Allocations::Refer(std::uint64_t key, Kind kind, std::int32_t by) {
  const ThreadLocked locked(&lock_);
  Allocation* const entry = Find(key, kind);
  if (entry == nullptr) return {};
  const auto references = static_cast<std::int64_t>(entry->references) + by;
  entry->references = references > 0 ? static_cast<std::uint32_t>(references) : 0;
  return entry->references > 0 ? *entry : TakeLocked(entry);
}

template <typename Match>
Allocation Allocations::TakeFirst(std::uint64_t* at, Match match) {
  const ThreadLocked locked(&lock_);
  for (std::uint64_t slot = *at; used_ > 0 && slot <= highest_; ++slot) {
    Allocation& entry = table_[slot];
    if (entry.kind == Kind::kFree || !match(entry)) continue;
    *at = slot;  // What is moved up comes here.
    return TakeLocked(&entry);
  }
  return {};
}

Allocation Allocations::TakeWithin(std::uint64_t from, std::uint64_t length, Kind kind) {
  std::uint64_t at = 0;
  return TakeFirst(&at, [=](const Allocation& entry) {
    return entry.kind == kind && entry.key >= from && entry.key - from < length;
  });
}

Allocation Allocations::TakeOf(std::uint64_t context, std::uint64_t* at) {
  return TakeFirst(at, [=](const Allocation& entry) {
    return entry.context == context && (entry.kind == Kind::kPointer ||
                                        entry.kind == Kind::kArray || entry.kind == Kind::kModule);
  });
}

void Allocations::AfterFork() {
  // What the parent holds is not the child's.
  lock_.Reset();
  if (table_ != nullptr) madvise(table_, kEntries * sizeof(Allocation), MADV_DONTNEED);
  used_ = highest_ = 0;
}

}  // namespace brim::vgpu
