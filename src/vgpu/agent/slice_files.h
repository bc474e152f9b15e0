// The files in shared memory of one card and one slice: made, opened, kept in step with what was
// asked. vgpu/abi says what is in them.
//
// Threads: none of its own; the node's lock (node.h) keeps writers apart. Readers need no lock.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "vgpu/abi/card_segment.h"
#include "vgpu/agent/slice_spec.h"

namespace brim::vgpu {

// A file mapped whole, until the object goes. Movable.
template <typename T>
class Mapped {
 public:
  Mapped() = default;
  explicit Mapped(T* at) : at_(at) {}
  Mapped(Mapped&& other) noexcept : at_(other.at_) { other.at_ = nullptr; }
  Mapped& operator=(Mapped&& other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~Mapped();

  T* get() const { return at_; }
  T* operator->() const { return at_; }
  T& operator*() const { return *at_; }
  explicit operator bool() const { return at_ != nullptr; }

 private:
  T* at_ = nullptr;
};

struct CardFiles {
  Mapped<CardTable> table;
  Mapped<CardSegment> card;
};

struct SliceFiles {
  Mapped<SliceLimits> limits;
  Mapped<SliceSegment> segment;
};

// Opens the card's files in `folder`, making what is not there. FAILED_PRECONDITION (bad_segment)
// when a file is there and cannot be used: it says which and what to do, and changes nothing.
Result<CardFiles> OpenCard(const std::string& folder);
// The slice's, in `folder`, with hard links to its card's files in `card_folder`. A new segment
// starts empty; one that is there keeps its counts.
Result<SliceFiles> OpenSlice(const std::string& folder, const std::string& card_folder,
                             const SliceSpec& spec, const CardInfo& card);

// Writes what is asked into the files and tells those who wait. memory_now is left to the lender
// unless it is now out of [soft, hard].
void WriteLimits(const SliceSpec& spec, const CardInfo& card, SliceLimits* limits);
// Units of the slice's row in the card's table; 0: another backend shares out the cores, and the
// shim counts without waiting.
std::uint32_t TableCores(const SliceSpec& spec);
void WriteRow(const SliceSpec& spec, CardTable* table, CardSegment* card);
void ClearRow(std::uint32_t row, CardTable* table, CardSegment* card);
void SetMemoryNow(std::uint64_t bytes, SliceLimits* limits);

}  // namespace brim::vgpu
