// What the kernel says about this process, for metrics and the status page. Reads /proc/self; any
// thread.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace brim::api {

struct ProcessStats {
  double cpu_seconds = 0;  // User and system.
  std::uint64_t resident_bytes = 0;
  std::uint64_t threads = 0;
  double start_unix_seconds = 0;  // When the process began.
};

// Fields that cannot be read stay zero.
ProcessStats ReadProcessStats(const Clock& clock);

}  // namespace brim::api
