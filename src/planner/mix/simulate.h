// Simulation of a plan: requests arrive, processes take batches, the clock jumps from event to
// event.
//
// What is simulated is what the server does: one queue per model; a free process takes, of the
// models it serves, the one whose oldest request has the earliest deadline, and of its queue the
// batch that answers most requests per millisecond among those it may run; nothing waits for
// company; a request whose deadline has passed is shed. A batch takes exactly its profiled time
// (padded to the next measured batch), times the segment's slow-down, plus the load time of a model
// whose weights are not in the process: the last one swapped in stays until another one is.
// Arrivals are Poisson, from a stream per model that depends on the seed and the model alone (so
// two plans are judged by the same requests), or recorded ones. Virtual time; same seed, same
// answer. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/cluster/progress.h"
#include "planner/mix/model.h"

namespace brim::planner {

struct SimulatedModel {
  double rate = 0;                                // Requests a second.
  double slo_ms = 0;                              // Infinity: nothing is shed.
  const std::vector<double>* arrivals = nullptr;  // Seconds, ascending; null: Poisson.
};

struct SimulatedTenant {
  std::int32_t model = 0;
  const std::vector<double>* batch_ms = nullptr;  // By batch, [0] unused.
  int batch_max = 1;
  double load_ms = 0;  // 0: resident.
};

struct SimulatedProcess {
  std::vector<SimulatedTenant> tenants;
  double slowdown = 1;
};

struct SimulatedTime {
  double seconds = 0;
  double warm_s = 0;  // Requests in the first part run but are not counted.
};

std::vector<Outcome> Simulate(std::span<const SimulatedModel> models,
                              std::span<const SimulatedProcess> processes, SimulatedTime time,
                              std::uint64_t seed, const Progress& progress = {});

// At least options.seconds_min, and long enough for options.requests_min of each model, if
// options.seconds_max and requests_max allow. A queue at 99.8 % of its capacity takes minutes to
// show what it does.
double SimulatedSeconds(std::span<const SimulatedModel> models, const MixOptions& options);

}  // namespace brim::planner
