// share_matrix: what slices get of a card in virtual time, in every cell of the matrix, with this
// limiter, without one, and with the one of 2018; alone on the card; on hosts that wake their
// programs late; and online beside offline.
// Prints one JSON object. Pure computation: the same on every machine.
//
//   share_matrix matrix|alone|late|online [--seed N] [--noise PERCENT] [--bias PERCENT]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "vgpu/sim/share_cells.h"

namespace brim::vgpu {
namespace {

constexpr const char* kPatterns[] = {"async", "sync", "graph"};
constexpr const char* kLimiters[] = {"none", "ours", "poll2018"};

double Of(Ns part, Ns whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<Ns>(1, whole));
}

void PrintCell(const ShareCell& cell) {
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

void PrintMatrix(const std::vector<ShareCell>& cells, const Foresight& foresight) {
  printf("{\"seed\":%llu,\"noise\":%g,\"bias\":%g,\"cells\":[\n",
         static_cast<unsigned long long>(foresight.seed), foresight.noise, foresight.bias);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    PrintCell(cells[i]);
    printf(",\"ceiling\":%.5f",
           ShareCeiling(cells[i], CardFor(cells[i], Limiter::kNone, foresight)));
    for (const Limiter limiter : {Limiter::kNone, Limiter::kArbiter, Limiter::kPoll2018}) {
      PrintResult(kLimiters[static_cast<int>(limiter)],
                  RunCard(CardFor(cells[i], limiter, foresight), TenantsOf(cells[i])));
    }
    printf("}%s\n", i + 1 < cells.size() ? "," : "");
  }
  printf("]}\n");
}

// Beside the shares, what each slice's program can use of a card of its own on such a host.
void PrintLate(const Foresight& foresight) {
  printf("{\"seed\":%llu,\"cells\":[\n", static_cast<unsigned long long>(foresight.seed));
  const std::vector<ShareCell> cells = LateCells();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const ShareCell& cell = cells[i];
    const std::vector<Tenant> tenants = TenantsOf(cell);
    const CardSim bare = CardFor(cell, Limiter::kNone, foresight);
    if (i > 0) printf(",\n");
    PrintCell(cell);
    printf(",\"late_us\":%lld,\"stalls\":%g,", static_cast<long long>(cell.host_late / kUs),
           cell.host_stalls);
    if (cell.host_stalls == 0) printf("\"ceiling\":%.5f,", ShareCeiling(cell, bare));
    printf("\"wants\":[");
    for (std::size_t t = 0; t < tenants.size(); ++t) {
      const CardResult own = RunCard(bare, {tenants[t]});
      printf("%s%.4f", t > 0 ? "," : "", Of(own.busy, own.window));
    }
    printf("]");
    PrintResult("none", RunCard(bare, tenants));
    PrintResult("ours", RunCard(CardFor(cell, Limiter::kArbiter, foresight), tenants));
    printf("}");
  }
  printf("]}\n");
}

double Milliseconds(Ns time) { return static_cast<double>(time) / 1e6; }

// pauses_used: of the time between requests, when one takes `request`, the part that the offline
// slice got; least_p99_ms: what then has to be waited at least.
void PrintLatency(const char* name, const OnlineCell& cell, const CardResult& result, Ns request) {
  const bool beside = result.tenants.size() > 1;
  const double used = beside ? PausesUsed(result, request) : 0;
  printf(
      ",\"%s\":{\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"requests\":%zu,\"offline_gpu\":%.4f,"
      "\"pauses_used\":%.4f,\"least_p99_ms\":%.4f}",
      name, Milliseconds(RequestPercentile(result, 0.5)),
      Milliseconds(RequestPercentile(result, 0.99)), result.tenants[0].requests.size(),
      beside ? Of(result.tenants[1].gpu, result.window) : 0.0, used,
      Milliseconds(request + LeastWait(cell, used)));
}

void PrintOnline(const Foresight& foresight) {
  printf("{\"seed\":%llu,\"cases\":[\n", static_cast<unsigned long long>(foresight.seed));
  const std::vector<OnlineCell> cells = OnlineCells();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const OnlineCell& cell = cells[i];
    const std::vector<Tenant> both = TenantsOf(cell);
    printf("{\"kernel_us\":%lld,\"kernels\":%d,\"idle_us\":%lld,\"random\":%s,\"offline_us\":%lld",
           static_cast<long long>(cell.kernel / kUs), cell.kernels,
           static_cast<long long>(cell.idle / kUs), cell.random ? "true" : "false",
           static_cast<long long>(cell.other / kUs));
    const CardResult alone = RunCard(CardFor(cell, Limiter::kArbiter, foresight), {both[0]});
    const Ns request = RequestPercentile(alone, 0.99);
    PrintLatency("alone", cell, alone, request);
    PrintLatency("ours", cell, RunCard(CardFor(cell, Limiter::kArbiter, foresight), both), request);
    PrintLatency("none", cell, RunCard(CardFor(cell, Limiter::kNone, foresight), both), request);
    printf("}%s\n", i + 1 < cells.size() ? "," : "");
  }
  printf("]}\n");
}

}  // namespace

int Main(int count, char** words) {
  Foresight foresight;
  const std::string what = count > 1 ? words[1] : "";
  for (int i = 2; i + 1 < count; i += 2) {
    const double value = strtod(words[i + 1], nullptr);
    if (strcmp(words[i], "--seed") == 0) foresight.seed = static_cast<std::uint64_t>(value);
    if (strcmp(words[i], "--noise") == 0) foresight.noise = value / 100;
    if (strcmp(words[i], "--bias") == 0) foresight.bias = value / 100;
  }
  if (what == "matrix") return PrintMatrix(ShareMatrix(), foresight), 0;
  if (what == "alone") return PrintMatrix(AloneCells(), foresight), 0;
  if (what == "late") return PrintLate(foresight), 0;
  if (what == "online") return PrintOnline(foresight), 0;
  fprintf(stderr,
          "usage: share_matrix matrix|alone|late|online [--seed N] [--noise P] [--bias P]\n");
  return 2;
}

}  // namespace brim::vgpu

int main(int count, char** words) { return brim::vgpu::Main(count, words); }
