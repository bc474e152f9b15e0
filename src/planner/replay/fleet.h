// Fleet: a made fleet of models on cards, drawn from parameters that are fixed in a file before the
// run: how many models, how popular, when, how heavy, and what their owners declared.
//
// Values and pure functions; any thread. The same spec and seed give the same fleet everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "planner/replay/service_profile.h"

namespace brim::planner {

inline constexpr int kHours = 24;
using HourRates = std::array<double, kHours>;  // Requests per second in each hour of the day.

struct FleetSpec {
  std::int32_t models = 0;       // 1 to 5,000.
  double zipf = 1;               // Share of rank r (from 1) is proportional to
  double zipf_shift = 0;         // 1 / (r + zipf_shift)^zipf (Zipf and Mandelbrot).
  double requests_per_s = 0;     // Of the whole fleet, mean over the day.
  HourRates hours{};             // Shape of the day; only ratios matter.
  double phase_sd_h = 0;         // Each model's day is shifted by a normal number of hours.
  double burst_cv = 0;           // Deviation over mean of the rate from second to second.
  double drift = 0;              // Forecast error: log-deviation from the learned to the test day.
  double seconds_per_hour = 10;  // Simulated for each hour of the day.

  double card_memory_gib = 80;
  double context_gib = 0.5;          // Of a process on a card, whatever it serves.
  std::vector<double> resident_gib;  // A model draws one place in both lists: weights and what
  std::vector<double> peak_gib;      // else stays, and the most it ever held.

  double declared_headroom = 2;               // Owners ask for this many times their peak.
  std::vector<std::int32_t> declared_shares;  // When slices are offered, an owner asks for one of.

  std::int32_t cpu_cores = 0;  // Free on the fleet's hosts.
  double cores_per_card = 64;  // A card costs as much as this many cores.

  double margin = 1.3;          // Right-sized rate over the learned one.
  double memory_margin = 1.15;  // Reserved memory over the most ever held.
  double safety_z = 3;          // Deviations of work that a server must still hold.
  double interference = 0;      // Service grows by this part for each other process on the card.
  double adoption = 1;          // Share of models whose owners let any lever touch them.

  std::vector<ServiceProfile> profiles;
};

struct FleetModel {
  std::string name;
  std::int32_t profile = 0;  // Index into FleetSpec::profiles.
  double resident_gib = 0;
  double peak_gib = 0;
  std::int32_t declared_share = 1000;
  bool adopts = true;
  HourRates learned{};  // What the plan may know.
  HourRates test{};     // What then happens.

  double learned_peak() const;
};

struct Fleet {
  std::vector<FleetModel> models;  // By popularity, the first the most.
};

Fleet DrawFleet(const FleetSpec& spec, std::uint64_t seed);

// Arrival times in seconds, one ascending list a model, over a day of kHours * seconds_per_hour.
using Streams = std::vector<std::vector<double>>;
enum class Day : std::uint8_t { kLearned, kTest };
Streams DrawStreams(const FleetSpec& spec, const Fleet& fleet, Day day, std::uint64_t seed);

}  // namespace brim::planner
