#include "serving/lane.h"

#include <algorithm>

#include "serving/engine.h"

namespace brim::serving {
namespace {

constexpr std::int64_t kQuickNs = 50'000;  // Below, the CPU of single runs is sampled.
constexpr std::uint32_t kSettlingRuns =
    8;  // So many first measurements count by their least: caches are cold.
constexpr std::uint64_t kSampleEvery = 32;
constexpr int kArrivalWeight = 8;
constexpr double kCostWeight = 8;
// A request that states no priority comes after those that state one (1 is the highest).
constexpr std::uint32_t kUnstatedPriority = 1u << 20;
constexpr std::int64_t kChangeStepNs = 200;
constexpr std::int64_t kMedianStep = 16;  // The estimate moves by a sixteenth towards each sample.

bool SameButRows(const model::Shape& a, const model::Shape& b) {
  if (a.rank() != b.rank() || a.rank() == 0) return a.rank() == b.rank();
  const auto x = a.dims();
  const auto y = b.dims();
  return std::equal(x.begin() + 1, x.end(), y.begin() + 1);
}

}  // namespace

void Learnt::CountBurst(std::int64_t received_ns) {
  for (Burst& burst : bursts_) {
    if (burst.received_ns.load(std::memory_order_relaxed) == received_ns) {
      burst.requests.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
  // A new round: the older of the two has ended.
  Burst& ended = bursts_[bursts_[0].received_ns.load(std::memory_order_relaxed) <=
                                 bursts_[1].received_ns.load(std::memory_order_relaxed)
                             ? 0
                             : 1];
  const double size = ended.requests.exchange(1, std::memory_order_relaxed);
  ended.received_ns.store(received_ns, std::memory_order_relaxed);
  if (size == 0) return;
  const double mean = burst_.load(std::memory_order_relaxed);
  burst_.store(mean == 0 ? size : mean + (size - mean) / kArrivalWeight, std::memory_order_relaxed);
}

void Learnt::ObserveArrival(Time now, Time received, Duration cap) {
  CountBurst(received.time_since_epoch().count());
  const std::int64_t now_ns = now.time_since_epoch().count();
  const std::int64_t last = last_arrival_ns_.exchange(now_ns, std::memory_order_relaxed);
  if (last == 0) return;
  const std::int64_t sample =
      std::clamp<std::int64_t>(now_ns - last, 1, std::max<std::int64_t>(cap.count(), 1));
  const std::int64_t mean = interval_ns_.load(std::memory_order_relaxed);
  const std::int64_t next = mean == 0 ? sample : mean + (sample - mean) / kArrivalWeight;
  interval_ns_.store(next, std::memory_order_relaxed);
}

bool Learnt::WantsCpu() const {
  const std::uint64_t runs = this->runs();
  if (runs < kSettlingRuns || runs % kSampleEvery == 0) return true;
  return row_ns_[0].load(std::memory_order_relaxed) >= kQuickNs ||
         seen_[0].load(std::memory_order_relaxed) < kSettlingRuns;
}

void Learnt::CountRun(std::uint64_t bytes, Duration wall) {
  const std::uint64_t runs = runs_.load(std::memory_order_relaxed);
  const std::uint64_t mean = bytes_.load(std::memory_order_relaxed);
  if (runs == 0) {
    bytes_.store(bytes, std::memory_order_relaxed);
  } else if (mean != bytes) {
    bytes_.store((mean * 7 + bytes) / 8, std::memory_order_relaxed);
  }
  const std::int64_t sample = std::max<std::int64_t>(wall.count(), 1);
  std::int64_t usual = wall_ns_.load(std::memory_order_relaxed);
  if (runs == 0 || (runs < kSettlingRuns && sample < usual)) {
    usual = sample;
  } else if (runs >= kSettlingRuns) {
    const std::int64_t step = usual / kMedianStep + 1;
    usual = sample > usual ? usual + step : std::max<std::int64_t>(usual - step, 1);
  }
  wall_ns_.store(usual, std::memory_order_relaxed);
  runs_.store(runs + 1, std::memory_order_relaxed);
}

void Learnt::ObserveChange(std::int64_t added_ns) {
  const std::int64_t sample = std::max<std::int64_t>(added_ns, 1);
  std::int64_t usual = change_ns_.load(std::memory_order_relaxed);
  if (usual == 0) {
    usual = sample;
  } else {
    const std::int64_t step = std::max(usual / kMedianStep, kChangeStepNs);
    usual = sample > usual ? usual + step : std::max<std::int64_t>(usual - step, 1);
  }
  change_ns_.store(usual, std::memory_order_relaxed);
}

void Learnt::ObserveCost(std::uint32_t rows, Duration cost, bool changed) {
  const std::size_t bucket = RowCosts::BucketOf(rows);
  if (changed) {
    const double row_ns = row_ns_[bucket].load(std::memory_order_relaxed);
    if (row_ns > 0) ObserveChange(cost.count() - static_cast<std::int64_t>(row_ns * rows));
    return;
  }
  const double sample =
      static_cast<double>(std::max<std::int64_t>(cost.count(), 1)) / std::max(rows, 1u);
  const std::uint32_t seen = seen_[bucket].load(std::memory_order_relaxed);
  double mean = row_ns_[bucket].load(std::memory_order_relaxed);
  if (seen == 0) {
    mean = sample;
  } else if (seen < kSettlingRuns) {
    mean = std::min(mean, sample);
  } else {
    mean += (sample - mean) / kCostWeight;
  }
  row_ns_[bucket].store(mean, std::memory_order_relaxed);
  if (seen < kSettlingRuns) seen_[bucket].store(seen + 1, std::memory_order_relaxed);
  gain_.store(Judge(), std::memory_order_relaxed);
}

BatchGain Learnt::Judge() const {
  RowCosts settled = costs();
  const BatchGain first = JudgeBatchGain(settled);
  if (first != BatchGain::kDoesNotPay || settled.ns[0] >= kQuickNs) return first;
  // The first runs of a size may compile for it or fault pages in, for many times what a quick
  // model's run takes: they are no ground to stop joining.
  for (std::size_t i = 1; i < RowCosts::kBuckets; ++i) {
    if (seen_[i].load(std::memory_order_relaxed) < kSettlingRuns) settled.ns[i] = 0;
  }
  return JudgeBatchGain(settled);
}

RowCosts Learnt::costs() const {
  RowCosts costs;
  for (std::size_t i = 0; i < RowCosts::kBuckets; ++i) {
    costs.ns[i] = row_ns_[i].load(std::memory_order_relaxed);
  }
  return costs;
}

Duration Learnt::ExpectedRun(std::uint32_t rows) const {
  return serving::ExpectedRun(costs(), rows);
}

Duration Learnt::UsualCost(std::uint32_t rows) const {
  if (gain() != BatchGain::kPays || joining_forbidden()) return ExpectedRun(rows);
  const RowCosts costs = this->costs();
  double least = costs.ns[0];
  for (const double ns : costs.ns) {
    if (ns > 0) least = std::min(least, ns);
  }
  return Duration(static_cast<std::int64_t>(least * std::max(rows, 1u)));
}

std::uint32_t JoinGroups::GroupOf(const InferRequest& request) {
  bool same = group_ != 0 && signature_ == request.signature && outputs_ == request.outputs &&
              shapes_.size() == request.inputs.size();
  for (std::size_t i = 0; same && i < shapes_.size(); ++i) {
    same = SameButRows(shapes_[i], request.inputs[i].shape);
  }
  if (same) return group_;
  if (++group_ == 0) ++group_;
  signature_ = request.signature;
  outputs_ = request.outputs;
  shapes_.clear();
  for (const model::TensorView& input : request.inputs) shapes_.push_back(input.shape);
  return group_;
}

std::uint32_t RowsMax(const ModelConfig& config) {
  if (config.max_batch_size <= 0) return config.batch.rows_max;
  return std::min(config.batch.rows_max, static_cast<std::uint32_t>(config.max_batch_size));
}

BatchLimits LimitsFor(const Version& version, const Waiting& front) {
  BatchLimits limits;
  limits.join = false;
  if (front.group == 0) return limits;
  const ModelConfig& config = version.config();
  const Lane& lane = version.lane();
  limits.rows_max = RowsMax(config);
  limits.preferred_rows = config.batch.preferred_rows;
  limits.delay_max = config.batch.delay_max;
  limits.arrival_interval = lane.learnt.arrival_interval();
  limits.usual_run = lane.learnt.ExpectedRun(limits.rows_max);
  limits.join = JoinThisTime(lane.learnt.gain(), lane.learnt.costs(),
                             lane.choices.load(std::memory_order_relaxed)) &&
                !lane.learnt.joining_forbidden();
  return limits;
}

Waiting WaitingFor(const InferRequest& request, std::uint32_t rows, Time now) {
  const ModelConfig& config = request.version->config();
  Waiting waiting;
  waiting.enqueued = now;
  waiting.expires = request.deadline;
  if (config.queue.timeout.count() > 0) {
    waiting.expires = std::min(waiting.expires, now + config.queue.timeout);
  }
  waiting.rows = rows;
  waiting.priority =
      request.priority == 0 || config.batch.preserve_order ? kUnstatedPriority : request.priority;
  return waiting;
}

}  // namespace brim::serving
