// share_matrix: what slices get of a card in virtual time, in every cell of the matrix, with this
// limiter, without one, and with the one of 2018; alone on the card; and online beside offline.
// Prints one JSON object. Pure computation: the same on every machine.
//
//   share_matrix matrix|alone|online [--seed N] [--noise PERCENT] [--bias PERCENT]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "vgpu/sim/card_sim.h"

namespace brim::vgpu {
namespace {

struct Cell {
  std::vector<std::uint32_t> cores;
  Ns kernel = kMs;
  Pattern pattern = Pattern::kAsync;
  int processes = 1;
};

struct Settings {
  std::uint64_t seed = 1;
  double noise = 0.10;
  double bias = 0.05;
};

constexpr const char* kPatterns[] = {"async", "sync", "graph"};
constexpr const char* kLimiters[] = {"none", "ours", "poll2018"};

std::vector<Cell> Matrix() {
  std::vector<Cell> cells;
  for (const std::vector<std::uint32_t>& cores :
       {std::vector<std::uint32_t>{10, 90}, {30, 70}, {50, 50}, {25, 25, 25, 25}}) {
    for (const Ns kernel : {20 * kUs, kMs, 100 * kMs}) {
      for (const Pattern pattern : {Pattern::kAsync, Pattern::kSync, Pattern::kGraph}) {
        for (const int processes : {1, 4}) cells.push_back({cores, kernel, pattern, processes});
      }
    }
  }
  return cells;
}

CardSim SimOf(const Cell& cell, Limiter limiter, const Settings& settings) {
  CardSim sim;
  sim.limiter = limiter;
  sim.seed = settings.seed;
  sim.prediction_noise = settings.noise;
  sim.prediction_bias = settings.bias;
  // At least a few thousand kernels, or for the longest a few hundred graphs.
  sim.length = 10'000 * kMs;
  if (cell.kernel < kMs) sim.length = 3'000 * kMs;
  if (cell.kernel >= 100 * kMs) sim.length = 60'000 * kMs;
  if (cell.kernel >= 100 * kMs && cell.pattern == Pattern::kGraph) sim.length = 400'000 * kMs;
  return sim;
}

std::vector<Tenant> TenantsOf(const Cell& cell) {
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

double Of(Ns part, Ns whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<Ns>(1, whole));
}

void PrintCell(const Cell& cell) {
  printf("{\"cores\":[");
  for (std::size_t i = 0; i < cell.cores.size(); ++i) {
    printf("%s%u", i == 0 ? "" : ",", cell.cores[i]);
  }
  printf("],\"kernel_us\":%lld,\"pattern\":\"%s\",\"processes\":%d",
         static_cast<long long>(cell.kernel / kUs), kPatterns[static_cast<int>(cell.pattern)],
         cell.processes);
}

void PrintResult(const char* name, const CardResult& result) {
  printf(",\"%s\":{\"busy\":%.5f,\"got\":[", name, Of(result.busy, result.window));
  for (std::size_t i = 0; i < result.tenants.size(); ++i) {
    printf("%s%.3f", i == 0 ? "" : ",", 100 * Of(result.tenants[i].gpu, result.busy));
  }
  printf("]}");
}

void PrintMatrix(const std::vector<Cell>& cells, const Settings& settings) {
  printf("{\"seed\":%llu,\"noise\":%g,\"bias\":%g,\"cells\":[\n",
         static_cast<unsigned long long>(settings.seed), settings.noise, settings.bias);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    PrintCell(cells[i]);
    for (const Limiter limiter : {Limiter::kNone, Limiter::kArbiter, Limiter::kPoll2018}) {
      PrintResult(kLimiters[static_cast<int>(limiter)],
                  RunCard(SimOf(cells[i], limiter, settings), TenantsOf(cells[i])));
    }
    printf("}%s\n", i + 1 < cells.size() ? "," : "");
  }
  printf("]}\n");
}

std::vector<Cell> Alone() {
  std::vector<Cell> cells;
  for (const Cell& cell : Matrix()) {
    if (cell.cores.front() == 10)
      cells.push_back({{10}, cell.kernel, cell.pattern, cell.processes});
  }
  return cells;
}

double Percentile(std::vector<Ns> times, double part) {
  if (times.empty()) return 0;
  std::sort(times.begin(), times.end());
  const auto at = static_cast<std::size_t>(part * static_cast<double>(times.size()));
  return static_cast<double>(times[std::min(at, times.size() - 1)]) / 1e6;
}

void PrintLatency(const char* name, const CardResult& result, const char* end) {
  printf("\"%s\":{\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"requests\":%zu,\"offline_gpu\":%.4f}%s", name,
         Percentile(result.tenants[0].requests, 0.5), Percentile(result.tenants[0].requests, 0.99),
         result.tenants[0].requests.size(),
         result.tenants.size() > 1 ? Of(result.tenants[1].gpu, result.window) : 0.0, end);
}

// Requests of `count` kernels of `kernel` with `idle` between, beside an offline slice that always
// has kernels of `other`.
void PrintOnline(const Settings& settings) {
  struct Case {
    Ns kernel, idle, other;
    int count;
  };
  const Case cases[] = {{500 * kUs, 10 * kMs, kMs, 40},
                        {500 * kUs, 5 * kMs, kMs, 20},
                        {500 * kUs, 5 * kMs, 100 * kUs, 20},
                        {100 * kUs, 5 * kMs, kMs, 100},
                        {50 * kUs, 20 * kMs, kMs, 20},
                        {500 * kUs, 5 * kMs, 10 * kMs, 20}};
  printf("{\"seed\":%llu,\"cases\":[\n", static_cast<unsigned long long>(settings.seed));
  for (const Case& c : cases) {
    Tenant online;
    online.cores = 50;
    online.kernel = c.kernel;
    online.request = c.count;
    online.idle = c.idle;
    Tenant offline;
    offline.cores = 50;
    offline.kernel = c.other;
    offline.priority = Priority::kOffline;
    CardSim sim;
    sim.seed = settings.seed;
    sim.length = 60'000 * kMs;
    sim.prediction_noise = settings.noise;
    sim.prediction_bias = settings.bias;
    printf("{\"kernel_us\":%lld,\"kernels\":%d,\"idle_us\":%lld,\"offline_us\":%lld,",
           static_cast<long long>(c.kernel / kUs), c.count, static_cast<long long>(c.idle / kUs),
           static_cast<long long>(c.other / kUs));
    PrintLatency("alone", RunCard(sim, {online}), ",");
    PrintLatency("ours", RunCard(sim, {online, offline}), ",");
    sim.limiter = Limiter::kNone;
    PrintLatency("none", RunCard(sim, {online, offline}), &c == &cases[5] ? "}\n" : "},\n");
  }
  printf("]}\n");
}

}  // namespace

int Main(int count, char** words) {
  Settings settings;
  const std::string what = count > 1 ? words[1] : "";
  for (int i = 2; i + 1 < count; i += 2) {
    const double value = strtod(words[i + 1], nullptr);
    if (strcmp(words[i], "--seed") == 0) settings.seed = static_cast<std::uint64_t>(value);
    if (strcmp(words[i], "--noise") == 0) settings.noise = value / 100;
    if (strcmp(words[i], "--bias") == 0) settings.bias = value / 100;
  }
  if (what == "matrix") return PrintMatrix(Matrix(), settings), 0;
  if (what == "alone") return PrintMatrix(Alone(), settings), 0;
  if (what == "online") return PrintOnline(settings), 0;
  fprintf(stderr, "usage: share_matrix matrix|alone|online [--seed N] [--noise P] [--bias P]\n");
  return 2;
}

}  // namespace brim::vgpu

int main(int count, char** words) { return brim::vgpu::Main(count, words); }
