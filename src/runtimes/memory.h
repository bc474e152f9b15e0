// ResidentBytes: how much memory this process holds, for measuring what a load adds.
//
// Threads: any; but what other threads allocate between two readings counts too.
#pragma once

#include <cstdint>

namespace brim::runtimes {

// Resident bytes (anonymous, file-backed and shared) after giving the heap's free pages back to the
// kernel. Exact, from /proc/self/smaps_rollup, where the kernel has it; else from statm, which lags
// by up to 64 pages a thread. 0 when neither can be read.
std::uint64_t ResidentBytes();

}  // namespace brim::runtimes
