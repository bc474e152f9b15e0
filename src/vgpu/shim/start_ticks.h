// When a process started, from the text of /proc/PID/stat (proc(5)). Pure; libc only.
#pragma once

#include <stdlib.h>
#include <string.h>

#include <cstdint>

namespace brim::vgpu {

// Field 22: the start, in clock ticks since boot; 0 when the text holds no such field.
inline std::uint64_t StartTicksIn(const char* text) {
  // The second field is the name in brackets and may hold anything, brackets included.
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; ++field) at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
}

}  // namespace brim::vgpu
