// How many replicas the next cycle needs, and which reservations stand idle. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "planner/rightsize/proposal.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

struct ReplicaGoals {
  double safe_rate = 0;       // Requests per second one replica answers within its objective.
  double growth_max = 1.5;    // The growth from cycle to cycle is taken as 1 to this.
  double floor_share = 0.25;  // An hour is never forecast below this of the highest peak seen.
  std::size_t replicas_min = 1;
};

struct ReplicaForecast {
  bool forecast = false;
  std::string why;       // Without a forecast: what is missing. Else how it was made.
  double peak_rate = 0;  // Of the 24 hours.
  double growth = 1;
  std::size_t replicas = 0;          // For the peak hour.
  std::vector<double> rate_by_hour;  // 24 hours of the cycle's day.
  std::vector<std::size_t> replicas_by_hour;
};

// Forecast of an hour: its largest rate in earlier cycles, times the growth (last cycle's sum over
// the one before), times the widening's root while less than a cycle was seen; an hour never seen
// takes the largest of all. REQUIRES: goals.safe_rate > 0.
ReplicaForecast ForecastReplicas(const Usage& usage, const std::vector<float>& rate,
                                 const Window& learn, const RightsizeGoals& goals,
                                 const ReplicaGoals& replicas);

struct IdleGoals {
  double use_percent = 5;  // Use below it is idle.
  double share = 0.9;      // Idle in more than this share of the samples.
};

struct IdleReservation {
  std::size_t pod = 0;  // Index in usage.pods.
  double cards = 0;
  double hours = 0;       // Seen, gaps left out.
  double card_hours = 0;  // Their product: what it cost.
  double idle_share = 0;
  double mean_percent = 0;
};

// Reservations whose compute is hardly used, the most card-hours first. The last full cycle of the
// window counts, or all of it where it is shorter.
std::vector<IdleReservation> IdleReservations(const Usage& usage, const Window& window,
                                              const RightsizeGoals& goals, const IdleGoals& idle);

}  // namespace brim::planner
