// A card and its tenants in virtual time, for testing limiters: the share matrix in seconds.
//
// The card runs one kernel at a time. Each process has its own queue; the card goes round the
// processes that have work and gives each a time slice (2 ms, NVIDIA's default for compute), as
// cards without MPS do. A process launches ahead of the card until its queue is full (async), waits
// for each kernel (sync), or launches graphs of several kernels ahead (graph).
//
// Pure and single-threaded; the same seed gives the same run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vgpu/limiter/arbiter_policy.h"

namespace brim::vgpu {

enum class Pattern : std::uint8_t { kAsync, kSync, kGraph };
// kPoll2018: the limiter of S. Gu et al., "GaiaGPU" (ISPA 2018), as GPU-Manager and its descendants
// have it: tokens by grid size, given out again every 100 ms by what the card's utilisation was.
enum class Limiter : std::uint8_t { kNone, kArbiter, kPoll2018 };

struct Tenant {
  std::uint32_t cores = 100;
  Share share = Share::kElastic;
  Priority priority = Priority::kOnline;
  int processes = 1;
  Pattern pattern = Pattern::kAsync;
  Ns kernel = kMs;           // GPU time of one kernel.
  double spread = 0;         // Uniform, plus and minus this share of it.
  Ns starts = 0, stops = 0;  // Clock; stops 0: never.
  Ns idle = 0;               // Between requests of `request` kernels; 0: a closed loop.
  bool random_idle = false;  // `idle` is the mean of an exponential distribution, not always so.
  int request = 0;           // Kernels per request, the last one waited for; 0: no requests.
};

inline constexpr Ns kHostStall = 3 * kMs;  // A turn of another thread on the core.

struct CardSim {
  Ns length = 10'000 * kMs;
  Ns time_slice = 2 * kMs;
  Ns launch_cost = 4 * kUs;  // Host time of a launch.
  Ns sync_cost = 8 * kUs;    // From the end of a kernel to the host's next step.
  Ns host_late = 0;          // A process that wakes runs later by this in the mean (exponential),
  double host_stalls = 0;    // and this part of the times by kHostStall more: a busy host.
  int queue = 1024;          // Launches a process may have outstanding.
  int graph_kernels = 20;
  double prediction_noise = 0;  // Each prediction is off by up to this share.
  double prediction_bias = 0;   // All predictions are off by this share.
  Limiter limiter = Limiter::kArbiter;
  std::uint64_t seed = 1;
};

struct TenantResult {
  Ns gpu = 0;  // GPU time received while all tenants were there.
  std::uint64_t kernels = 0;
  std::vector<Ns> requests;  // Latency of each finished request.
};
struct CardResult {
  std::vector<TenantResult> tenants;
  Ns busy = 0;    // GPU time of all.
  Ns window = 0;  // The clock time in which all of it was counted.
};

CardResult RunCard(const CardSim& sim, const std::vector<Tenant>& tenants);

}  // namespace brim::vgpu
