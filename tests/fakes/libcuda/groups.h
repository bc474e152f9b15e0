// Memory limits of control groups: what nvmlDeviceSetMemoryLimits_v1 sets and every allocation
// obeys. README.md says what stands in for a control group where there is none.
#pragma once

#include <cstdint>

namespace fake {

enum class Mode { kOff, kOn, kDenied };
Mode LimitsMode();  // FAKE_CUDA_MEMORY_LIMITS of this process.

enum class GroupAnswer { kDone, kNoGroup, kNoLimit, kFull };
// A soft limit of 0 with a hard one of ~0 takes the limit away.
GroupAnswer SetGroupLimit(int card, const char* path, std::uint64_t soft, std::uint64_t hard);
GroupAnswer GetGroupLimit(int card, const char* path, std::uint64_t* soft, std::uint64_t* hard,
                          std::uint64_t* used);
// Whether this process may take so much more. REQUIRES: the state's lock.
bool FitsGroups(int card, std::uint64_t bytes);

}  // namespace fake
