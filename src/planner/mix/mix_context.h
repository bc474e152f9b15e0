// MixContext: the models of one planning run with what is derived from them once. Immutable; any
// thread. Keeps references: models and options must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "planner/mix/latency_table.h"
#include "planner/mix/mig_optimum.h"
#include "planner/mix/model.h"

namespace brim::planner {

class MixContext {
 public:
  MixContext(std::span<const MixModel> models, const MixOptions& options);

  std::span<const MixModel> models() const { return models_; }
  const MixModel& model(std::int32_t m) const { return models_[static_cast<std::size_t>(m)]; }
  const MixOptions& options() const { return options_; }
  const std::vector<int>& shares() const { return shares_; }
  const LatencyTable& table(std::int32_t m) const {
    return derived_[static_cast<std::size_t>(m)].table;
  }

  double limit_ms(std::int32_t m) const { return model(m).slo_ms * options_.margin; }
  // Milliseconds of this share per request, with the best batch within half the limit: no plan
  // under the same rule spends less. Infinity: the share cannot keep the objective.
  double LeastMs(std::int32_t m, int share) const;
  // The least of share * milliseconds per request over all shares and process counts.
  double LeastShareMs(std::int32_t m) const {
    return derived_[static_cast<std::size_t>(m)].least_share_ms;
  }

  // MIG: the measured point with the highest throughput on this size within half the limit.
  const ProfilePoint* BestPoint(std::int32_t m, int size) const;
  MigDemand Demand(std::int32_t m, double headroom) const;

  // A share's part of a card's memory: MIG's own, or the whole card's in units (not partitioned).
  double RoomMib(int share) const;
  // Whether any share keeps the objective, or why none does.
  std::optional<std::string> WhyNever(std::int32_t m) const;

 private:
  struct Derived {
    LatencyTable table;
    std::vector<double> least_ms;  // By share.
    double least_share_ms = kNeverMs;
    std::vector<const ProfilePoint*> best_points;  // By kMigSizes; null: none.
  };

  Derived Derive(std::int32_t m) const;

  std::span<const MixModel> models_;
  const MixOptions& options_;
  std::vector<int> shares_;
  std::vector<Derived> derived_;
};

// Requests a second of a segment at this point: all its processes.
inline double RateOf(const ProfilePoint& point) {
  return 1000.0 * point.batch * point.processes / point.busy_ms;
}

}  // namespace brim::planner
