#include "planner/mix/mix_context.h"

#include <fmt/core.h>

#include <algorithm>

namespace brim::planner {

namespace {

// A zero rate still needs a place: one request in a million seconds.
constexpr double kRateMin = 1e-6;

}  // namespace

MixContext::MixContext(std::span<const MixModel> models, const MixOptions& options)
    : models_(models), options_(options), shares_(ShareGrid(options)) {
  derived_.reserve(models.size());
  for (std::size_t m = 0; m < models.size(); ++m)
    derived_.push_back(Derive(static_cast<std::int32_t>(m)));
}

MixContext::Derived MixContext::Derive(std::int32_t m) const {
  Derived derived{LatencyTable(model(m).points, options_), {}, kNeverMs, {}};
  const double half = limit_ms(m) / 2;
  derived.least_ms.assign(static_cast<std::size_t>(options_.card_share()) + 1, kNeverMs);
  for (const int share : shares_) {
    double& least = derived.least_ms[static_cast<std::size_t>(share)];
    const std::vector<double>& row = derived.table.Row(share);
    for (std::size_t n = 1; n < row.size() && row[n] <= half; ++n) {
      least = std::min(least, row[n] / static_cast<double>(n));
    }
    derived.least_share_ms = std::min(derived.least_share_ms, share * least);
  }
  if (options_.slices != Slices::kMig) return derived;
  derived.best_points.assign(kMigSizes.size(), nullptr);
  for (const ProfilePoint& point : model(m).points) {
    if (point.processes > options_.processes_max || !(point.latency_ms < half)) continue;
    derived.least_share_ms = std::min(derived.least_share_ms, point.share * 1000.0 / RateOf(point));
    const ProfilePoint*& best = derived.best_points[MigSizeIndex(point.share)];
    if (best == nullptr || RateOf(point) > RateOf(*best)) best = &point;
  }
  return derived;
}

double MixContext::LeastMs(std::int32_t m, int share) const {
  return derived_[static_cast<std::size_t>(m)].least_ms[static_cast<std::size_t>(share)];
}

const ProfilePoint* MixContext::BestPoint(std::int32_t m, int size) const {
  const std::vector<const ProfilePoint*>& points =
      derived_[static_cast<std::size_t>(m)].best_points;
  return points.empty() ? nullptr : points[MigSizeIndex(size)];
}

MigDemand MixContext::Demand(std::int32_t m, double headroom) const {
  MigDemand demand;
  demand.rate = std::max(model(m).rate * headroom, kRateMin);
  for (std::size_t size = 0; size < kMigSizes.size(); ++size) {
    const ProfilePoint* point = BestPoint(m, kMigSizes[size]);
    if (point != nullptr) demand.capacity[size] = RateOf(*point);
  }
  return demand;
}

double MixContext::RoomMib(int share) const {
  const double part = options_.slices == Slices::kMig ? MigMemoryPart(share) : 1;
  return part * options_.card_memory_mib;
}

std::optional<std::string> MixContext::WhyNever(std::int32_t m) const {
  const MixModel& which = model(m);
  if (which.points.empty()) return "it has no profile";
  const double need = options_.context_mib + which.weights_mib + which.workspace_mib;
  if (need > options_.card_memory_mib) {
    return fmt::format("it wants {:.0f} MiB and a card has {:.0f}", need, options_.card_memory_mib);
  }
  if (LeastShareMs(m) < kNeverMs) return std::nullopt;
  double best = kNeverMs;
  for (const ProfilePoint& point : which.points) best = std::min(best, point.latency_ms);
  return fmt::format(
      "half of {:.0f} % of its objective is {:.4g} ms, and its fastest batch takes {:.4g} ms",
      options_.margin * 100, limit_ms(m) / 2, best);
}

}  // namespace brim::planner
