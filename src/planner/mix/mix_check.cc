#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_set>

#include "planner/mix/mix_plan.h"

namespace brim::planner {

namespace {

constexpr double kRateMax = 1e7;    // Requests a second.
constexpr double kTimeMaxMs = 1e8;  // About a day.
constexpr double kMemoryMaxMib = 1e9;

Status Bad(const MixModel& model, std::string_view what) {
  return Status(Code::kInvalidArgument, "bad_model",
                fmt::format("model '{}': {}", model.name, what));
}

bool Within(double value, double least, double most) { return value >= least && value <= most; }

Status CheckPoint(const MixModel& model, const ProfilePoint& point, const MixOptions& options) {
  const std::vector<int> sizes = {1, 2, 3, 4, 7};
  const bool mig = options.slices == Slices::kMig;
  if (mig ? std::find(sizes.begin(), sizes.end(), point.share) == sizes.end()
          : point.share < 1 || point.share > kUnitsPerCard) {
    return Bad(model, fmt::format("a profile point has share {}, expected {}", point.share,
                                  mig ? "a MIG size 1, 2, 3, 4 or 7" : "1 to 100 units"));
  }
  if (point.batch < 1 || point.batch > kMixBatchMax) {
    return Bad(model, fmt::format("a profile point has batch {}, expected 1 to {}", point.batch,
                                  kMixBatchMax));
  }
  if (point.processes < 1 || point.processes > kProcessesMax) {
    return Bad(model, fmt::format("a profile point has {} processes, expected 1 to {}",
                                  point.processes, kProcessesMax));
  }
  if (!Within(point.latency_ms, 1e-6, kTimeMaxMs) || !Within(point.busy_ms, 1e-6, kTimeMaxMs)) {
    return Bad(model, "a profile point has no positive latency");
  }
  return OkStatus();
}

Status CheckModel(const MixModel& model, const MixOptions& options) {
  if (!Within(model.rate, 0, kRateMax)) {
    return Bad(model, fmt::format("rate {}, expected 0 to {:.0f} requests a second", model.rate,
                                  kRateMax));
  }
  if (!Within(model.slo_ms, 1e-3, kTimeMaxMs)) {
    return Bad(model, fmt::format("objective {} ms, expected more than 0", model.slo_ms));
  }
  if (!Within(model.weights_mib, 0, kMemoryMaxMib) ||
      !Within(model.workspace_mib, 0, kMemoryMaxMib)) {
    return Bad(model, "weights and workspace are MiB, at least 0");
  }
  if (!Within(model.load_ms, 0, kTimeMaxMs) || !Within(model.cpu_ms, 0, kTimeMaxMs)) {
    return Bad(model, "load time and CPU time are milliseconds, at least 0");
  }
  if (!Within(model.interference, 0, 10)) return Bad(model, "interference is 0 to 10");
  for (const ProfilePoint& point : model.points) {
    BRIM_RETURN_IF_ERROR(CheckPoint(model, point, options));
  }
  return OkStatus();
}

Status CheckOptions(const MixOptions& options) {
  const auto bad = [](std::string_view what) {
    return Status(Code::kInvalidArgument, "bad_options", std::string(what));
  };
  if (!Within(options.card_memory_mib, 1, kMemoryMaxMib))
    return bad("a card's memory is at least 1 MiB");
  if (!Within(options.context_mib, 0, kMemoryMaxMib)) return bad("a context takes at least 0 MiB");
  if (!Within(options.margin, 0.01, 1)) return bad("the margin is 0.01 to 1 of the objective");
  if (!Within(options.busy_max, 0.01, 1)) return bad("the busy limit is 0.01 to 1");
  if (!Within(options.attainment, 0, 1)) return bad("the attainment is 0 to 1");
  if (options.share_step < 1 || kUnitsPerCard % options.share_step != 0) {
    return bad("the share step divides 100");
  }
  if (options.processes_max < 1 || options.processes_max > kProcessesMax)
    return bad("processes are 1 to 8");
  if (!Within(options.card_price_cores, 0, 1e6))
    return bad("a card's price is 0 to 1,000,000 cores");
  if (!Within(options.cpu_busy_max, 0.01, 1)) return bad("the CPU busy limit is 0.01 to 1");
  if (!Within(options.hysteresis, 0, 10)) return bad("the hysteresis is 0 to 10");
  if (options.search_tries < 0 || options.search_tries > 10'000'000)
    return bad("tries are 0 to 10,000,000");
  return OkStatus();
}

}  // namespace

Status CheckMix(std::span<const MixModel> models, const MixOptions& options) {
  BRIM_RETURN_IF_ERROR(CheckOptions(options));
  if (models.size() > kMixModelsMax) {
    return Status(
        Code::kInvalidArgument, "bad_model",
        fmt::format("{} models; at most {} are planned together", models.size(), kMixModelsMax));
  }
  std::unordered_set<std::string_view> names;
  for (const MixModel& model : models) {
    BRIM_RETURN_IF_ERROR(CheckModel(model, options));
    if (!names.insert(model.name).second) return Bad(model, "named twice; names must differ");
  }
  return OkStatus();
}

std::vector<Bound> MixBounds(const MixContext& context, std::span<const std::int32_t> models) {
  const MixOptions& options = context.options();
  std::vector<Bound> bounds;
  double area = 0, weights = 0;
  std::vector<MigDemand> demands;
  for (const std::int32_t m : models) {
    area += context.model(m).rate / 1000 * context.LeastShareMs(m) / options.card_share();
    if (context.model(m).load_ms <= 0) weights += context.model(m).weights_mib;
    demands.push_back(context.Demand(m, 1));
  }
  bounds.push_back(
      {"area", area,
       "every request at the least share x time within half its objective; shares divide at will"});
  if (options.share_processes && weights > 0) {
    bounds.push_back({"memory", weights / options.card_memory_mib,
                      "weights that cannot be swapped must stand somewhere"});
  }
  if (options.slices != Slices::kMig || options.share_processes) return bounds;
  double total = 0;
  for (const MigDemand& demand : demands) {
    const std::optional<MigCounts> cover = MigCover(demand);
    if (cover.has_value()) total += UseOf(*cover)[3];
  }
  bounds.push_back(
      {"whole instances", total / kMigPerCard,
       "each model covers its rate with whole instances of the least total size; any fit a card"});
  const MigOptimum optimum = MigLeastCards(demands);
  if (optimum.proven) {
    bounds.push_back({"optimum", static_cast<double>(optimum.cards),
                      "every choice of instances on MIG's grid was looked at: no fewer cards can "
                      "hold the rates"});
  }
  return bounds;
}

}  // namespace brim::planner
