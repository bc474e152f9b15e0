// AvailableBytes: how much memory this process may still take before the kernel reclaims or kills.
//
// Threads: any; reads small files of /proc and /sys.
#pragma once

#include <cstdint>

namespace brim::serving {

// The least of the machine's MemAvailable and what its control group (v2 or v1) leaves, where file
// pages that can be dropped count as free. 0 when neither can be read.
std::uint64_t AvailableBytes();

}  // namespace brim::serving
