// See slice_spec.h.
#include "vgpu/agent/slice_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "vgpu/abi/card_segment.h"

namespace brim::vgpu {
namespace {

bool GoodName(std::string_view name) {
  if (name.empty() || name.size() > kSliceNameMax) return false;
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return plain(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
           return plain(c) || c == '.' || c == '_' || c == '-';
         });
}

Status BadSize(std::string_view text) {
  return Status(
      Code::kInvalidArgument, "bad_size",
      fmt::format("'{}' is no size: give a number with B, KiB, MiB, GiB, TiB, KB, MB, GB or "
                  "TB, for example 8GiB",
                  text));
}

}  // namespace

Result<std::uint64_t> ParseBytes(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0)) return BadSize(text);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  constexpr struct {
    std::string_view name;
    double bytes;
  } kUnits[] = {{"", 1},         {"B", 1},    {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
                {"TiB", 0x1p40}, {"KB", 1e3}, {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
  for (const auto& row : kUnits) {
    if (!EqualsIgnoreCase(unit, row.name)) continue;
    const double bytes = std::floor(number * row.bytes);
    if (bytes > 0x1p50) return BadSize(text);
    return static_cast<std::uint64_t>(bytes);
  }
  return BadSize(text);
}

Status CheckSpec(const SliceSpec& spec) {
  if (!GoodName(spec.name)) {
    return Status(
        Code::kInvalidArgument, "bad_name",
        fmt::format("'{}' is no name for a slice: 1 to {} letters, digits, '.', '_' or '-', "
                    "the first a letter or digit",
                    spec.name, kSliceNameMax));
  }
  if (spec.owner.size() > kSliceNameMax) {
    return Status(Code::kInvalidArgument, "bad_owner",
                  fmt::format("the owner has {} characters, at most {} are kept", spec.owner.size(),
                              kSliceNameMax));
  }
  // It is the rest of a line in the state file and a label of metrics.
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (!IsUtf8(spec.owner) || std::any_of(spec.owner.begin(), spec.owner.end(), control)) {
    return Status(Code::kInvalidArgument, "bad_owner",
                  "the owner holds a control character, or is no UTF-8 text: give it plain");
  }
  if (spec.cores < 1 || spec.cores > 100) {
    return Status(Code::kInvalidArgument, "bad_cores",
                  fmt::format("--cores {}: a card has 100 units; give 1 to 100", spec.cores));
  }
  if (spec.memory_hard < kMemoryMin) {
    return Status(Code::kInvalidArgument, "bad_memory",
                  fmt::format("--memory {} bytes: at least 1MiB", spec.memory_hard));
  }
  if (spec.memory_soft > spec.memory_hard) {
    return Status(Code::kInvalidArgument, "bad_memory",
                  fmt::format("--soft-memory ({}) is what is guaranteed and cannot be more than "
                              "--memory ({})",
                              HumanBytes(spec.memory_soft), HumanBytes(spec.memory_hard)));
  }
  return OkStatus();
}

Status CheckRoom(const SliceSpec& spec, std::span<const SliceSpec> others,
                 std::span<const CardInfo> cards, bool resize) {
  const auto card = std::find_if(cards.begin(), cards.end(),
                                 [&](const CardInfo& info) { return info.index == spec.card; });
  if (card == cards.end()) {
    return Status(
        Code::kNotFound, "card_unknown",
        fmt::format("card {} is not on this host, which has {}; `brim node doctor` lists them",
                    spec.card, cards.size()));
  }
  std::uint32_t cores = 0;
  std::uint64_t memory = 0;
  std::string names;
  for (const SliceSpec& other : others) {
    if (other.name == spec.name) {
      if (resize) continue;
      return Status(
          Code::kAlreadyExists, "slice_exists",
          fmt::format("there is a slice '{}' already; `brim node slices resize {}` changes it",
                      spec.name, spec.name));
    }
    if (other.card != spec.card) continue;
    cores += other.cores;
    memory += other.memory_soft;
    names += fmt::format("{}{} ({} units, {})", names.empty() ? "" : ", ", other.name, other.cores,
                         HumanBytes(other.memory_soft));
  }
  const std::string has = names.empty()
                              ? ""
                              : fmt::format(
                                    "; the rest have {}: `brim node slices resize` or `remove` "
                                    "makes room",
                                    names);
  if (cores + spec.cores > 100) {
    return Status(Code::kResourceExhausted, "no_cores",
                  fmt::format("card {} has {} of 100 units left, {} asked{}", spec.card,
                              100 - cores, spec.cores, has));
  }
  const std::uint64_t left = card->memory > memory ? card->memory - memory : 0;
  if (spec.memory_soft > left) {
    return Status(
        Code::kResourceExhausted, "no_memory",
        fmt::format("card {} has {} of {} left to guarantee, {} asked{}", spec.card,
                    HumanBytes(left), HumanBytes(card->memory), HumanBytes(spec.memory_soft), has));
  }
  if (spec.memory_hard > card->memory) {
    return Status(Code::kResourceExhausted, "no_memory",
                  fmt::format("card {} has {} in all, --memory asks for {}", spec.card,
                              HumanBytes(card->memory), HumanBytes(spec.memory_hard)));
  }
  return OkStatus();
}

std::uint32_t FreeRow(std::uint32_t card, std::span<const SliceSpec> others) {
  for (std::uint32_t row = 0; row < kSlicesPerCard; ++row) {
    const bool taken = std::any_of(others.begin(), others.end(), [&](const SliceSpec& other) {
      return other.card == card && other.row == row;
    });
    if (!taken) return row;
  }
  return kSlicesPerCard;
}

}  // namespace brim::vgpu
