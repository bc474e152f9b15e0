// The two files through which all slices of one card share its time: the table of slices, which
// their processes can only read, and the segment, in which they note what they launched.
//
// The same rules as vgpu/abi/slice_segment.h. A process that writes nonsense here can take or waste
// GPU time of its neighbours until the agent sees it; memory limits do not depend on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vgpu/abi/slice_segment.h"

namespace brim::vgpu {

inline constexpr std::uint64_t kTableMagic = 0x314c424154524200;  // "\0BRTABL1", little-endian.
inline constexpr std::uint64_t kCardMagic = 0x3144524143524200;   // "\0BRCARD1".

// Slices of one card: 100 of one unit each, and room for those that are leaving.
inline constexpr std::uint32_t kSlicesPerCard = 128;
// Processes of a slice that are told apart as having work on the card at the same time.
inline constexpr std::uint32_t kLaunchers = 16;

struct TableRow {
  std::atomic<std::uint32_t> cores;  // 1 to 100; 0: the row is free, or not the shim's.
  std::atomic<Share> share;
  std::atomic<Priority> priority;
  std::uint32_t reserved;
};

// Written by the agent alone.
struct CardTable {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t bytes;               // sizeof(CardTable) of the writer.
  std::atomic<std::uint32_t> rows;   // Rows at and behind this one are free.
  std::atomic<std::uint32_t> epoch;  // One up with every change.
  TableRow row[kSlicesPerCard];
};

// One slice's use of the card. Times in nanoseconds of CLOCK_MONOTONIC; meanings as in Runner
// (vgpu/limiter/arbiter_policy.h).
struct alignas(64) CardRow {
  std::atomic<std::int64_t> virtual_time;
  std::atomic<std::int64_t> busy_until;
  std::atomic<std::int64_t> waiting_until;
  std::atomic<std::int64_t> hard_next;
  std::atomic<std::int64_t> pause;
  std::atomic<std::int64_t> burst;
  std::atomic<std::int64_t> run;
  std::atomic<std::int64_t> level;
  std::atomic<std::int64_t> idle;
  std::atomic<std::int64_t> idle_spread;
  std::atomic<std::int64_t> request;
  std::atomic<std::int64_t> gpu;  // GPU time charged in all: measured where it was, else predicted.
  // When processes of the slice last launched; each has the place that its number falls on.
  alignas(64) std::atomic<std::int64_t> launched_at[kLaunchers];
};

struct CardSegment {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t rows;               // kSlicesPerCard of the writer.
  std::uint64_t bytes;              // sizeof(CardSegment) of the writer.
  std::atomic<std::uint32_t> wake;  // Futex word: one up when waiters should look again.
  alignas(64) std::atomic<std::int64_t> busy_until;
  CardRow row[kSlicesPerCard];
};

inline SegmentFault CheckTable(const CardTable* table, std::size_t mapped) {
  const SegmentFault fault = CheckHead(table, mapped, kTableMagic, sizeof(CardTable));
  if (fault != SegmentFault::kNone) return fault;
  return table->bytes == sizeof(CardTable) ? SegmentFault::kNone : SegmentFault::kOtherSize;
}

inline SegmentFault CheckCard(const CardSegment* card, std::size_t mapped) {
  const SegmentFault fault = CheckHead(card, mapped, kCardMagic, sizeof(CardSegment));
  if (fault != SegmentFault::kNone) return fault;
  return card->rows == kSlicesPerCard && card->bytes == sizeof(CardSegment)
             ? SegmentFault::kNone
             : SegmentFault::kOtherSize;
}

}  // namespace brim::vgpu
