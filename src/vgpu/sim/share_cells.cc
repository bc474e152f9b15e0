// See share_cells.h.
#include "vgpu/sim/share_cells.h"

#include <algorithm>
#include <cmath>

namespace brim::vgpu {
namespace {

void Foresee(const Foresight& foresight, CardSim* sim) {
  sim->seed = foresight.seed;
  sim->prediction_noise = foresight.noise;
  sim->prediction_bias = foresight.bias;
}

std::vector<ShareCell> CellsOf(const std::vector<std::vector<std::uint32_t>>& shares) {
  std::vector<ShareCell> cells;
  for (const std::vector<std::uint32_t>& cores : shares) {
    for (const Ns kernel : {20 * kUs, kMs, 100 * kMs}) {
      for (const Pattern pattern : {Pattern::kAsync, Pattern::kSync, Pattern::kGraph}) {
        for (const int processes : {1, 4})
          cells.push_back({cores, kernel, pattern, processes, 0, 0});
      }
    }
  }
  return cells;
}

}  // namespace

std::vector<ShareCell> ShareMatrix() {
  return CellsOf({{10, 90}, {30, 70}, {50, 50}, {25, 25, 25, 25}});
}

std::vector<ShareCell> LateCells() {
  std::vector<ShareCell> cells;
  for (const std::vector<std::uint32_t>& cores : {std::vector<std::uint32_t>{10, 90}, {30, 70}}) {
    for (const Ns kernel : {kMs, 100 * kMs}) {
      for (const Ns late : {30 * kUs, 80 * kUs, 200 * kUs}) {
        for (const double stalls : {0.0, 0.02}) {
          cells.push_back({cores, kernel, Pattern::kSync, 1, late, stalls});
        }
      }
    }
  }
  return cells;
}

std::vector<ShareCell> AloneCells() { return CellsOf({{10}}); }

CardSim CardFor(const ShareCell& cell, Limiter limiter, const Foresight& foresight) {
  CardSim sim;
  sim.limiter = limiter;
  Foresee(foresight, &sim);
  sim.host_late = cell.host_late;
  sim.host_stalls = cell.host_stalls;
  sim.length = 10'000 * kMs;
  if (cell.kernel < kMs) sim.length = 3'000 * kMs;
  if (cell.kernel >= 100 * kMs) sim.length = 60'000 * kMs;
  if (cell.kernel >= 100 * kMs && cell.pattern == Pattern::kGraph) sim.length = 400'000 * kMs;
  return sim;
}

std::vector<Tenant> TenantsOf(const ShareCell& cell) {
  std::vector<Tenant> tenants;
  for (const std::uint32_t cores : cell.cores) {
    Tenant tenant;
    tenant.cores = cores;
    tenant.processes = cell.processes;
    tenant.pattern = cell.pattern;
    tenant.kernel = cell.kernel;
    tenant.spread = 0.1;
    tenants.push_back(tenant);
  }
  return tenants;
}

double ShareError(const ShareCell& cell, const CardResult& result) {
  double worst = 0;
  for (std::size_t i = 0; i < cell.cores.size(); ++i) {
    const double got = 100.0 * static_cast<double>(result.tenants[i].gpu) /
                       static_cast<double>(std::max<Ns>(1, result.busy));
    worst = std::max(worst, std::abs(got - cell.cores[i]));
  }
  return worst;
}

double ShareCeiling(const ShareCell& cell, const CardSim& sim) {
  if (cell.pattern != Pattern::kSync) return 1;
  double whole = 0;
  for (const std::uint32_t cores : cell.cores) whole += cores;
  const auto kernel = static_cast<double>(cell.kernel);
  const auto gap = static_cast<double>(sim.sync_cost);
  const auto late = static_cast<double>(sim.host_late);
  const auto idle = [&](double others) {
    const double more = gap - others * kernel;  // The mean of max(0, more + the delay).
    return more >= 0 ? more + late : late > 0 ? late * std::exp(more / late) : 0;
  };
  double ceiling = 1;
  for (const std::uint32_t cores : cell.cores) {
    const double share = cores / whole;
    if (cell.processes > 1) {  // Alone they use this much.
      ceiling = std::min(ceiling, cell.processes * kernel / (kernel + gap + late) / share);
      continue;
    }
    const double others = (1 - share) / share;
    const double fewer = std::floor(others);
    const double lost = idle(fewer) + (others - fewer) * (idle(fewer + 1) - idle(fewer));
    const double used = (1 + others) * kernel;
    ceiling = std::min(ceiling, used / (used + lost));
  }
  return ceiling;
}

std::vector<OnlineCell> OnlineCells() {
  std::vector<OnlineCell> cells;
  for (const bool random : {false, true}) {
    cells.push_back({500 * kUs, 40, 10 * kMs, random, kMs});
    cells.push_back({500 * kUs, 20, 5 * kMs, random, kMs});
    cells.push_back({100 * kUs, 100, 5 * kMs, random, kMs});
    cells.push_back({500 * kUs, 20, 5 * kMs, random, 100 * kUs});
    cells.push_back({50 * kUs, 20, 20 * kMs, random, kMs});
    cells.push_back({50 * kUs, 20, 20 * kMs, random, 100 * kUs});
    cells.push_back({500 * kUs, 20, 5 * kMs, random, 10 * kMs});
  }
  return cells;
}

CardSim CardFor(const OnlineCell&, Limiter limiter, const Foresight& foresight) {
  CardSim sim;
  sim.limiter = limiter;
  Foresee(foresight, &sim);
  sim.length = 60'000 * kMs;
  return sim;
}

std::vector<Tenant> TenantsOf(const OnlineCell& cell) {
  Tenant online;
  online.cores = 50;
  online.kernel = cell.kernel;
  online.request = cell.kernels;
  online.idle = cell.idle;
  online.random_idle = cell.random;
  Tenant offline;
  offline.cores = 50;
  offline.kernel = cell.other;
  offline.priority = Priority::kOffline;
  return {online, offline};
}

Ns RequestPercentile(const CardResult& result, double part) {
  std::vector<Ns> times = result.tenants.front().requests;
  if (times.empty()) return 0;
  std::sort(times.begin(), times.end());
  const auto at = static_cast<std::size_t>(part * static_cast<double>(times.size()));
  return times[std::min(at, times.size() - 1)];
}

double PausesUsed(const CardResult& result, Ns request) {
  const auto requests = static_cast<Ns>(result.tenants.front().requests.size());
  const Ns pauses = result.window - requests * request;
  if (pauses <= 0) return 0;
  return std::min(1.0,
                  static_cast<double>(result.tenants.back().gpu) / static_cast<double>(pauses));
}

Ns LeastWait(const OnlineCell& cell, double used) {
  if (used <= 0.01) return 0;
  if (!cell.random) return std::max<Ns>(0, cell.other - cell.idle);
  return static_cast<Ns>(static_cast<double>(cell.other) * (1 - 0.01 / used));
}

}  // namespace brim::vgpu
