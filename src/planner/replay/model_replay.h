// ModelReplay: recorded requests for many models on few cards, in virtual time. A card holds some
// models and serves one request at a time; a model that is not there must be loaded first, for as
// long as loads were measured to take, and another may have to go.
//
// Pure; one thread. Same stream, options and seed: same result.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/cluster/progress.h"

namespace brim::planner {

struct ModelRequest {
  double t_s = 0;        // Ascending.
  double service_s = 0;  // On a card that holds the model.
  std::int32_t model = 0;
};

struct RequestStream {
  std::vector<std::string> models;
  std::vector<ModelRequest> requests;
};

enum class Eviction : std::uint8_t {
  kLru,   // The model that was idle longest goes.
  kCost,  // The model whose absence costs least: forecast requests per hour times load time.
};

struct ModelReplayOptions {
  std::int32_t cards = 4;
  std::int32_t resident_max = 3;  // Models that one card's memory holds.
  // The base: each model has cards of its own, loaded once, for `headroom` times the work of its
  // busiest recorded hour, at least one. `cards` does not count.
  bool own_cards = false;
  Eviction eviction = Eviction::kLru;
  std::vector<double> load_s = {22.7};  // Measured; each load draws one.
  double slo_wait_s = 30;               // In time: answered within service + this.
  double refuse_wait_s = 600;           // Not admitted when the expected wait is longer.
  double forecast_error = 0;            // Log-deviation of the forecast rates.
  double resize_every_s = 0;            // Cards in use follow the forecast; 0: all, always.
  double headroom = 2;  // Cards for so many times the work: forecast, or the base's.
  std::uint64_t seed = 1;
};

struct ModelService {
  std::int64_t requests = 0, in_time = 0, late = 0, refused = 0, in_flight = 0;
  std::int64_t cold_starts = 0;
  double attainment() const {
    const std::int64_t ended = requests - in_flight;
    return ended == 0 ? 1 : static_cast<double>(in_time) / static_cast<double>(ended);
  }
};

struct ModelReplay {
  double begin_s = 0, end_s = 0;  // First and last arrival.
  std::int32_t cards = 0;         // Owned: the most that were ever in use.
  double card_h = 0;              // In use, over time.
  double busy_h = 0, load_h = 0;  // Serving, loading; card-hours within the window.
  std::vector<ModelService> models;
  std::int64_t migrations = 0;            // Loads onto cards that stay because one was given back.
  double wait_p50_s = 0, wait_p99_s = 0;  // Queue and load, of answered requests.
  std::vector<std::pair<double, std::int32_t>> cards_over_time;

  ModelService all() const;                                   // Sums.
  double goodput_per_h() const;                               // Answered in time.
  std::int32_t worst_model(std::int64_t requests_min) const;  // -1: none.
};

ModelReplay ReplayModels(const RequestStream& stream, const ModelReplayOptions& options,
                         const Progress& progress = {});

}  // namespace brim::planner
