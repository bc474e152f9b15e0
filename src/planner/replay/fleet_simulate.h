// Plays a day of requests against a fleet plan, in virtual time.
//
// Each server runs one batch at a time (a CPU pool one request per core), picks the model whose
// oldest request has the earliest deadline, and drops a request that can no longer be in time: the
// same rule for every plan, the base too. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/replay/fleet_plan.h"

namespace brim::planner {

struct ModelOutcome {
  std::int64_t requests = 0;
  std::int64_t in_time = 0;
  std::int64_t late = 0;     // Answered after the objective.
  std::int64_t dropped = 0;  // Never answered.
  double work_s = 0;         // Card time attributed to it.

  double attainment() const {
    return requests == 0 ? 1 : static_cast<double>(in_time) / static_cast<double>(requests);
  }
};

struct CardOutcome {
  double busy_s = 0;    // Some kernel ran.
  double active_s = 0;  // The same weighted by the share that ran.
};

struct FleetOutcome {
  double window_s = 0;
  std::vector<ModelOutcome> models;
  std::vector<CardOutcome> cards;  // Every card of the plan, idle ones too.
  double cpu_busy_s = 0;           // Core-seconds.
  double p99_s = 0;                // Of answered requests.

  std::int64_t requests() const;
  std::int64_t violations() const;  // Late or dropped.
  double goodput_per_s() const;     // Answered in time.
  double attainment() const;        // In time over all.
  double model_attainment() const;  // Mean over models that had requests.
  double mean_busy() const;         // Mean over all cards of busy time over the window.
  double mean_active() const;
  double work_s() const;  // Sum over the models.
  // The model with the lowest attainment among those with at least `requests_min`; -1: none.
  std::int32_t worst_model(std::int64_t requests_min) const;
};

FleetOutcome SimulateFleet(const FleetSpec& spec, const Fleet& fleet, const FleetPlan& plan,
                           const Streams& streams);

// U_after / U_before = (work_after / work_before) / (cards_after / cards_before), where the three
// are counted apart: U per card, work per model, cards from the plan. A card left out of the mean,
// or work that no card did, breaks it.
struct Identity {
  double u_ratio = 0;
  double work_ratio = 0;
  double cards_ratio = 0;
  double error = 0;  // Relative.
  bool holds() const { return error <= 1e-9; }
};
Identity CheckIdentity(const FleetOutcome& before, std::int32_t cards_before,
                       const FleetOutcome& after, std::int32_t cards_after);

}  // namespace brim::planner
