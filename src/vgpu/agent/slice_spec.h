// What somebody asks a slice to be, and whether a card has room for it. Values and pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vgpu/abi/slice_segment.h"
#include "vgpu/agent/backend_policy.h"

namespace brim::vgpu {

// Names are file names and metric labels: a letter or digit, then letters, digits, '.', '_', '-'.
inline constexpr std::size_t kSliceNameMax = 63;
inline constexpr std::uint64_t kMemoryMin = std::uint64_t{1} << 20;

struct SliceSpec {
  std::string name;
  std::string owner;
  std::uint32_t card = 0;
  std::uint32_t cores = 0;        // 1 to 100.
  std::uint64_t memory_soft = 0;  // Guaranteed, bytes.
  std::uint64_t memory_hard = 0;  // Never more, bytes; at least memory_soft.
  Share share = Share::kElastic;
  Priority priority = Priority::kOnline;
  std::uint32_t row = 0;  // In the card's table; chosen by the node.
  MemoryBackend memory_backend = MemoryBackend::kShim;
  CoresBackend cores_backend = CoresBackend::kShim;

  friend bool operator==(const SliceSpec&, const SliceSpec&) = default;
};

struct CardInfo {
  std::uint32_t index = 0;
  std::string uuid;
  std::string name;
  std::uint64_t memory = 0;         // Bytes.
  std::uint64_t context_bytes = 0;  // What a context takes, as calibrated.
  std::uint64_t module_bytes = 0;
};

// "8GiB", "512MiB", "1.5GB", "1073741824". INVALID_ARGUMENT (bad_size) with what is accepted.
Result<std::uint64_t> ParseBytes(std::string_view text);

// By itself: name, units, sizes. INVALID_ARGUMENT.
Status CheckSpec(const SliceSpec& spec);
// Beside the other slices of the node, of which none has its name (ALREADY_EXISTS): the card exists
// (NOT_FOUND), and has the cores and the guaranteed memory left (RESOURCE_EXHAUSTED, saying what is
// left and who has the rest). `others` may hold an older version of the slice when it is resized.
Status CheckRoom(const SliceSpec& spec, std::span<const SliceSpec> others,
                 std::span<const CardInfo> cards, bool resize);
// The lowest row of the card that no other slice has; kSlicesPerCard when there is none.
std::uint32_t FreeRow(std::uint32_t card, std::span<const SliceSpec> others);

}  // namespace brim::vgpu
