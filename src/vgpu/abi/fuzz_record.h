// What the fuzzers of shared files have in common: an input of records, each of which changes a
// word of a file or calls somebody. Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace brim::vgpu {

struct FuzzRecord {
  std::uint8_t what;
  std::uint8_t field;
  std::uint16_t index;
  std::uint64_t value;
};
inline constexpr std::size_t kRecordBytes = 12;

// REQUIRES: kRecordBytes at `data`.
inline FuzzRecord ReadRecord(const std::uint8_t* data) {
  FuzzRecord record{data[0], data[1], 0, 0};
  std::memcpy(&record.index, data + 2, 2);
  std::memcpy(&record.value, data + 4, 8);
  return record;
}

// Also where assertions are off.
inline void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace brim::vgpu
