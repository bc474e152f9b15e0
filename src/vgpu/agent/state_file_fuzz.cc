// The node's state file: whatever the bytes, an error or a state that is written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vgpu/agent/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const brim::Result<brim::vgpu::NodeState> state =
      brim::vgpu::ParseState(std::string_view(reinterpret_cast<const char*>(data), size));
  if (state.ok() && !brim::vgpu::ParseState(brim::vgpu::FormatState(*state)).ok()) std::abort();
  return 0;
}
