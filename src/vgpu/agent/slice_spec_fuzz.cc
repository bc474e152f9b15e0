// What is typed for a slice: name, owner, sizes, units, each ended by a zero byte as an argument of
// a program is. Whatever they hold: an error that says something, or a slice whose name is a safe
// file name and whose line in the state file is read again as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "vgpu/agent/slice_spec.h"
#include "vgpu/agent/state_file.h"

namespace brim::vgpu {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string_view Next(std::string_view* rest) {
  const std::size_t end = rest->find('\0');
  const std::string_view word = rest->substr(0, end);
  *rest = end == std::string_view::npos ? "" : rest->substr(end + 1);
  return word;
}

std::uint64_t Size(std::string_view text) {
  const Result<std::uint64_t> bytes = ParseBytes(text);
  if (!bytes.ok()) return Require(!bytes.status().message().empty()), 0;
  Require(*bytes <= std::uint64_t{1} << 50);
  Require(*ParseBytes(std::to_string(*bytes) + "B") == *bytes);
  return *bytes;
}

void Try(std::string_view rest) {
  SliceSpec spec;
  spec.name = Next(&rest);
  spec.owner = Next(&rest);
  spec.memory_hard = Size(Next(&rest));
  spec.memory_soft = Size(Next(&rest));
  spec.cores = static_cast<std::uint32_t>(ParseUint64(Next(&rest)).value_or(0));
  if (const Status status = CheckSpec(spec); !status.ok())
    return Require(!status.message().empty());
  Require(spec.name.find('/') == std::string::npos && spec.name.front() != '.');
  NodeState state;
  state.cards = {{0, "GPU-0", "A card", std::uint64_t{16} << 30, 0, 0}};
  state.slices = {spec};
  const Result<NodeState> again = ParseState(FormatState(state));
  Require(again.ok() && again->slices.size() == 1 && again->slices[0] == spec);
  SliceSpec other = spec;
  other.name += other.name.size() < kSliceNameMax ? "2" : "";
  const Status room = CheckRoom(other, state.slices, state.cards, false);
  if (!room.ok()) return Require(!room.message().empty());
  Require(other.cores + spec.cores <= 100 &&
          other.memory_soft + spec.memory_soft <= state.cards[0].memory);
  Require(FreeRow(0, state.slices) == 1);
}

}  // namespace
}  // namespace brim::vgpu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  brim::vgpu::Try(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
