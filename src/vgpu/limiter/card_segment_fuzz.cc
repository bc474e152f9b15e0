// A card's files as its tenants may leave them. Raw bytes against the checks that come before
// anything is read; and behind good heads a table and a segment whose words are set to anything,
// between the questions of two honest slices. Whatever stands there: nothing is touched outside,
// and every question is answered by yes or by a time at most kWaitMax away.
//
// Input: one byte, 0 for raw bytes, else records of 12 bytes (vgpu/abi/fuzz_record.h).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "vgpu/abi/fuzz_record.h"
#include "vgpu/limiter/arbiter.h"

namespace brim::vgpu {
namespace {

// Exactly `size` bytes, at an address as a mapping has it.
void CheckRaw(const std::uint8_t* data, std::size_t size) {
  void* at = nullptr;
  Require(posix_memalign(&at, 4096, size) == 0);
  const std::unique_ptr<void, decltype(&free)> owner(at, free);
  memcpy(at, data, size);
  const bool table = CheckTable(static_cast<CardTable*>(at), size) == SegmentFault::kNone;
  Require(!table || size >= sizeof(CardTable));
  const bool card = CheckCard(static_cast<CardSegment*>(at), size) == SegmentFault::kNone;
  Require(!card || size >= sizeof(CardSegment));
}

class Card {
 public:
  Card() {
    for (std::uint32_t i = 0; i < 2; ++i) {
      table_.row[i].cores = 50;
      arbiters_[i].Attach(&table_, &card_, i);
    }
    table_.rows = 2;
  }

  void Do(const FuzzRecord& record) {
    Arbiter& arbiter = arbiters_[record.index % 2];
    // A process's own predictions and measurements are its own; kernels of up to 13 days.
    const auto cost = static_cast<Ns>(record.value >> (14 + record.field % 50));
    switch (record.what % 8) {
      case 0:  // A word of a row.
        return Store(&card_.row[record.index % kSlicesPerCard],
                     record.field % (sizeof(CardRow) / 8), record.value);
      case 1:  // A word before the rows.
        return Store(&card_, record.field % (offsetof(CardSegment, row) / 8), record.value);
      case 2:  // A word of the table.
        return Store(&table_, record.index % (sizeof(CardTable) / 8), record.value);
      case 3:
        arbiter.Attach(&table_, &card_, static_cast<std::uint32_t>(record.value % kSlicesPerCard));
        return;
      case 4:
        now_ += cost;
        return;
      case 5:
        arbiter.Measured(cost, static_cast<Ns>(record.value >> 14));
        return;
      case 6:
        arbiter.Contended(now_);
        return;
      default:
        const Ns again_at = arbiter.Ask(cost, now_);
        Require(again_at == 0 || (again_at > now_ && again_at <= now_ + kWaitMax));
    }
  }

 private:
  static void Store(void* at, std::size_t word, std::uint64_t value) {
    memcpy(static_cast<char*>(at) + word * 8, &value, 8);
  }

  CardTable table_{};
  CardSegment card_{};
  Arbiter arbiters_[2];
  Ns now_ = kMs;
};

void Try(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  if (data[0] == 0) return CheckRaw(data + 1, size - 1);
  const auto card = std::make_unique<Card>();
  for (std::size_t at = 1; at + kRecordBytes <= size; at += kRecordBytes) {
    card->Do(ReadRecord(data + at));
  }
}

}  // namespace
}  // namespace brim::vgpu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  brim::vgpu::Try(data, size);
  return 0;
}
