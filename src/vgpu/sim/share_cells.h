// The cells in which limiters are compared, in virtual time: the share matrix, and requests of an
// online slice beside an offline one. One list for the tests and for bench/vgpu; with each cell
// goes the best that anybody could do there.
//
// Pure. Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "vgpu/sim/card_sim.h"

namespace brim::vgpu {

// How well kernels are known beforehand, and what is random.
struct Foresight {
  double noise = 0.10;
  double bias = 0.05;
  std::uint64_t seed = 1;
};

// All slices of a cell run the same program.
struct ShareCell {
  std::vector<std::uint32_t> cores;
  Ns kernel = kMs;
  Pattern pattern = Pattern::kAsync;
  int processes = 1;
  Ns host_late = 0;  // As in CardSim.
  double host_stalls = 0;
};

// {10/90, 30/70, 50/50, 4 x 25} x {20 us, 1 ms, 100 ms} x {async, sync, graph} x {1, 4 processes}.
std::vector<ShareCell> ShareMatrix();
// The same kernels, patterns and processes with a slice of 10 units alone on the card.
std::vector<ShareCell> AloneCells();
// {10/90, 30/70} x {1 ms, 100 ms}, each kernel waited for, on hosts that wake their programs late.
std::vector<ShareCell> LateCells();
// Runs long enough for a few thousand kernels, or for the longest a few hundred graphs.
CardSim CardFor(const ShareCell& cell, Limiter limiter, const Foresight& foresight);
std::vector<Tenant> TenantsOf(const ShareCell& cell);
// The largest difference between share received and asked, in points of the card.
double ShareError(const ShareCell& cell, const CardResult& result);
// The largest part of the card's time that can be in use while every slice has exactly its share.
//
// Below 1 only where single processes wait for each of their kernels. Kernels are not cut, so in
// the host's gap g between two kernels k of a slice there are 0, 1, ... kernels of others, and the
// card idles for max(0, g - j k). A slice of share s has (1 - s) / s kernels of others for each of
// its own; since the idle time is convex in j it is least when they are spread evenly. A host's
// delay has no memory, so that nobody knows which gap is a long one; stalls are not counted.
double ShareCeiling(const ShareCell& cell, const CardSim& sim);

// Requests of `kernels` kernels, the last one waited for, and `idle` between two; beside an offline
// slice that always has kernels of `other`.
struct OnlineCell {
  Ns kernel = 0;
  int kernels = 0;
  Ns idle = 0;
  bool random = false;  // `idle` is a mean, and nobody knows when the next request comes.
  Ns other = 0;
};

std::vector<OnlineCell> OnlineCells();
CardSim CardFor(const OnlineCell& cell, Limiter limiter, const Foresight& foresight);
// The online one, then the offline one.
std::vector<Tenant> TenantsOf(const OnlineCell& cell);
// The latency that `part` of the requests stay below; 0 when there are none.
Ns RequestPercentile(const CardResult& result, double part);
// The part of the time between requests in which an offline kernel ran, when alone they take
// `request`.
double PausesUsed(const CardResult& result, Ns request);
// The least that the slowest hundredth of the requests has to wait when offline kernels run in
// `used` of the time between requests. When the next request can be foreseen, what a kernel is
// longer than that time. Else it meets a running kernel with probability `used`, which has a
// uniform rest: P(wait > x) = used (1 - x / other).
Ns LeastWait(const OnlineCell& cell, double used);

}  // namespace brim::vgpu
