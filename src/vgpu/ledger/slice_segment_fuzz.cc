// A slice's files as a tenant may leave them. Raw bytes against the checks that come before
// anything is read; and behind a good head a segment whose words are set to anything, between the
// calls of honest processes and of the reaper. Whatever stands there: nothing is touched outside,
// everything ends, an honest process is never given more than the limit, its release takes back
// what its reservation took, and a reaper that finds nobody alive leaves no cell taken.
//
// Input: one byte, 0 for raw bytes, else records of 12 bytes (vgpu/abi/fuzz_record.h).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "vgpu/abi/fuzz_record.h"
#include "vgpu/ledger/ledger.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

class Odd final : public Living {
 public:
  bool Alive(std::int32_t pid, std::uint64_t, std::uint64_t) override { return pid % 2 != 0; }
};
class Nobody final : public Living {
 public:
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

// Exactly `size` bytes, at an address as a mapping has it.
void CheckRaw(const std::uint8_t* data, std::size_t size) {
  void* at = nullptr;
  Require(posix_memalign(&at, 4096, size) == 0);
  const std::unique_ptr<void, decltype(&free)> owner(at, free);
  memcpy(at, data, size);
  const bool segment = CheckSegment(static_cast<SliceSegment*>(at), size) == SegmentFault::kNone;
  Require(!segment || size >= sizeof(SliceSegment));
  const auto* const limits = static_cast<SliceLimits*>(at);
  if (CheckLimits(limits, size) != SegmentFault::kNone) return;
  Require(size >= sizeof(SliceLimits));
  // Nobody lends here: what would be waited for is not asked.
  if (limits->memory_now.load() < limits->memory_hard.load()) return;
  const auto fresh = std::make_unique<SliceSegment>();
  InitSegment(fresh.get());
  Ledger ledger;
  ledger.Attach(limits, fresh.get());
  Require(ledger.Claim(1, 1, 1));
  for (int bit = 0; bit < 64; ++bit) ledger.Reserve(std::uint64_t{1} << bit, MemoryClass::kVmm);
  Require(ledger.held_bytes() <= limits->memory_now.load());
}

class Slice {
 public:
  Slice() {
    InitSegment(&segment_);
    limits_.memory_now = std::uint64_t{1} << 30;
  }

  void Do(const FuzzRecord& record) {
    Ledger& ledger = ledgers_[record.index % 2];
    switch (record.what % 8) {
      case 0:  // A word of a cell; from 0x8000 on of the cell that an honest process has.
        return Store(record.index >= 0x8000 && ledger.claimed()
                         ? ledger.cell()
                         : &segment_.cell[record.index % kCells],
                     record.field % (sizeof(Cell) / 8), record.value);
      case 1:  // A word before the cells.
        return Store(&segment_, record.index % (offsetof(SliceSegment, cell) / 8), record.value);
      case 2:
        limits_.memory_now = record.value;
        return;
      case 3:  // A process that starts; an earlier one of the same number is dead.
        ledger.AfterFork();
        ledger.Attach(&limits_, &segment_);
        ledger.Claim(static_cast<std::int32_t>(record.value), record.value >> 32, record.index);
        return;
      case 4:
        return Take(&ledger, record);
      case 5:
        if (ledger.claimed()) ledger.Release(record.value, ClassOf(record));
        return;
      case 6:
        Reaper(&segment_).Reap(&odd_);
        return;
      default:
        Reaper(&segment_).Resume();
    }
  }

  void End() {
    Reaper reaper(&segment_);
    reaper.Resume();
    reaper.Reap(&nobody_);
    Require(reaper.LiveCells() == 0);
    reaper.SumOfCells();
  }

 private:
  static MemoryClass ClassOf(const FuzzRecord& record) {
    return static_cast<MemoryClass>(record.field % kMemoryClasses);
  }
  static void Store(void* at, std::size_t word, std::uint64_t value) {
    memcpy(static_cast<char*>(at) + word * 8, &value, 8);
  }
  void Take(Ledger* ledger, const FuzzRecord& record) {
    if (!ledger->claimed()) return;
    const std::uint64_t before = ledger->held_bytes();
    if (ledger->Reserve(record.value, ClassOf(record)) != Answer::kYes) return;
    Require(record.value == 0 || ledger->held_bytes() <= ledger->limit_bytes());
    if (record.field >= 128) return;  // Kept.
    ledger->Release(record.value, ClassOf(record));
    Require(ledger->held_bytes() == before);
  }

  SliceLimits limits_{};
  Ledger ledgers_[2];
  Odd odd_;
  Nobody nobody_;
  SliceSegment segment_{};  // Last: what is written behind it is seen.
};

void Try(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  if (data[0] == 0) return CheckRaw(data + 1, size - 1);
  // Half a megabyte: in one place, made anew each time.
  alignas(Slice) static unsigned char room[sizeof(Slice)];
  auto* const slice = new (room) Slice;
  for (std::size_t at = 1; at + kRecordBytes <= size; at += kRecordBytes) {
    slice->Do(ReadRecord(data + at));
  }
  slice->End();
}

}  // namespace
}  // namespace brim::vgpu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  brim::vgpu::Try(data, size);
  return 0;
}
