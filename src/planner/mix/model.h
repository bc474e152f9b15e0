// What `plan mix` works on: models with what was measured of them, and the plan that it makes.
// Values only.
//
// A share is what a process may use of a card: 1 to 100 units (Slices::kUnits), or the size of a
// MIG instance, 1, 2, 3, 4 or 7 (Slices::kMig). Rates are requests a second, times are
// milliseconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/cluster/gap.h"

namespace brim::planner {

inline constexpr int kUnitsPerCard = 100;
inline constexpr int kMigPerCard = 7;
inline constexpr int kMixBatchMax = 1024;
inline constexpr int kProcessesMax = 8;  // Of one segment.
inline constexpr std::size_t kMixModelsMax = 20'000;

enum class Slices : std::uint8_t { kUnits, kMig };

// One measurement: `processes` equal processes on one share, all busy, each with batches of
// `batch`.
struct ProfilePoint {
  int share = 0;
  int batch = 0;
  int processes = 1;
  double latency_ms = 0;  // Of a batch, as written: compared with the objective.
  double busy_ms = 0;     // Of a batch, from the throughput, which is finer: work and simulation.
};

enum class Home : std::uint8_t { kAny, kCard, kCpu };  // Where a model runs now; kAny: nowhere yet.

struct MixModel {
  std::string name;
  std::string owner;
  double rate = 0;
  double slo_ms = 0;
  double weights_mib = 0;
  double workspace_mib = 0;  // While a batch runs; processes that take turns share one.
  double load_ms = 0;        // Weights from host to card. 0: never swapped.
  double interference = 0;   // Slow-down it causes to others on its card when always busy. 0: none.
  double cpu_ms = 0;         // One request on one CPU core. 0: no CPU profile.
  Home now = Home::kAny;
  std::vector<ProfilePoint> points;
};

struct MixOptions {
  Slices slices = Slices::kUnits;
  bool share_processes = true;  // False: every segment has one model.
  double card_memory_mib = 80 * 1024;
  double context_mib = 0;       // Of each process: CUDA context and libraries.
  double margin = 0.9;          // Plans must keep this part of the objective; half is waiting.
  double busy_max = 0.9;        // Of a shared process's time, planned.
  double attainment = 0.99;     // Of the simulation, per model.
  int share_step = 5;           // kUnits: shares are multiples of it.
  int processes_max = 5;        // kMig: points with more are not used.
  double card_price_cores = 0;  // What a card costs, in CPU cores. 0: CPUs are not considered.
  double cpu_busy_max = 0.6;
  double hysteresis = 0.1;  // A model that runs somewhere moves only for a tenth less.
  std::int64_t search_tries = 2000;
  std::int64_t repairs_max = 40;           // Rounds of simulation and repair.
  std::int64_t requests_min = 1000;        // Simulated per model, if the next lines allow.
  double seconds_min = 600;                // Simulated at least, likewise,
  double seconds_max = 3600;               // and at most.
  std::int64_t requests_max = 25'000'000;  // Simulated in all; a tenth while a plan is repaired.
  std::int64_t fresh_judgements = 0;       // More simulations of the final plan, by other arrivals.
  std::uint64_t seed = 1;

  int card_share() const { return slices == Slices::kMig ? kMigPerCard : kUnitsPerCard; }
};

// A model in a segment.
struct Tenant {
  std::int32_t model = 0;
  double rate = 0;       // Of the model's, planned here.
  int batch = 0;         // Planned; also the largest that the simulation runs.
  double busy = 0;       // Part of the segment's time.
  bool resident = true;  // False: its weights are loaded before each turn.
};

// A slice of a card and the processes in it.
struct Segment {
  std::int32_t card = -1;
  int start = 0;  // First unit, or MIG placement.
  int share = 0;
  int processes = 1;   // More than one only with one tenant.
  double duty_ms = 0;  // Every tenant gets one turn in so much time. 0 with one tenant alone.
  double memory_mib = 0;
  double slowdown = 1;  // By its neighbours on the card.
  std::vector<Tenant> tenants;
};

// What the simulation saw of one model.
struct Outcome {
  std::int64_t requests = 0;
  std::int64_t in_slo = 0;
  std::int64_t shed = 0;    // Not answered: the objective had passed before their turn.
  double wait_mean_ms = 0;  // Until their batch began; of the answered ones.
  double mean_ms = 0;
  double p99_ms = 0;  // Of all; one that was shed counts as its age when shed.
  double batch_mean = 0;
  double attainment() const {
    return requests == 0 ? 1 : static_cast<double>(in_slo) / static_cast<double>(requests);
  }
};

struct MixRefusal {
  std::int32_t model = 0;
  std::string why;
};

// The price at which a model's home was decided, in cores.
struct HomePrice {
  double card = 0;        // Its part of the cards' price: share and memory at the marginal prices.
  double card_share = 0;  // Of which for share.
  double cpu = 0;         // Cores that it wants; 0: it cannot run there, `cpu_why` says why.
  std::string cpu_why;
  bool on_cpu = false;
};

struct MixPlan {
  std::vector<Segment> segments;
  std::int32_t cards = 0;
  std::vector<std::int32_t> on_cpu;  // Models.
  double cpu_cores = 0;              // Whole cores of the pool that they share.
  std::vector<MixRefusal> refused;
  std::vector<Outcome> outcomes;  // One per model, also of those on CPU.
  std::vector<HomePrice> prices;  // One per model; empty without a card price.
  double share_weight = 1;        // Of a card's price that share bears; memory bears the rest.
  double cost_cores = 0;          // Cards and cores when homes were chosen, with hysteresis.
  std::vector<Bound> bounds;      // For the models on cards.
  Gap gap;
  double seconds = 0;            // Simulated.
  std::int64_t repairs = 0;      // Rounds until the simulation passed.
  std::int32_t first_cards = 0;  // Before the first repair.
  double fresh_worst = 1;        // The least attainment of any model in the fresh judgements.
  bool accepted = false;         // Every model placed, and none below the target.
};

}  // namespace brim::planner
