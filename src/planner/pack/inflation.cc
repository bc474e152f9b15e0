// Inflation and compaction: the two ways to compare policies. One thread.
//
// Inflation follows the published experiment: all pods of the trace shuffled, then pods drawn from
// it with replacement until the next draw would take the card demand over the target; a trace that
// asks for more than the target loses random pods first. The draw that ends it is judged by its
// share of one card, as published.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/check.h"
#include "planner/pack/packing.h"

namespace brim::planner {

std::vector<Pod> InflationArrivals(const std::vector<Pod>& pods, std::int64_t cluster_cards,
                                   double demand, std::uint64_t seed) {
  Random random(seed);
  const double target = demand * static_cast<double>(cluster_cards) * kCardMilli;
  std::int64_t milli = 0;
  for (const Pod& pod : pods) milli += pod.demand_milli();
  BRIM_CHECK(milli > 0);
  std::vector<Pod> arrivals = pods;
  random.Shuffle(&arrivals);
  while (static_cast<double>(milli) > target && !arrivals.empty()) {
    const std::uint64_t index = random.Below(arrivals.size());
    milli -= arrivals[index].demand_milli();
    arrivals.erase(arrivals.begin() + static_cast<std::ptrdiff_t>(index));
  }
  for (std::int64_t repeat = 1; static_cast<double>(milli) < target; ++repeat) {
    Pod pod = pods[random.Below(pods.size())];
    if (static_cast<double>(milli + pod.card_milli) > target) break;
    milli += pod.demand_milli();
    pod.name += "+" + std::to_string(repeat);
    arrivals.push_back(std::move(pod));
  }
  return arrivals;
}

namespace {

// Means of the values seen in each whole percent.
class Curve {
 public:
  explicit Curve(double demand)
      : sums_(static_cast<std::size_t>(std::floor(demand * 100 + 1e-9)) + 1, 0),
        counts_(sums_.size(), 0) {}

  void Add(double percent, double value) {
    const auto bin = static_cast<std::size_t>(std::lround(percent));
    if (bin >= sums_.size()) return;
    sums_[bin] += value;
    ++counts_[bin];
  }
  std::vector<double> Means() const {
    std::vector<double> means(sums_.size(), 0);
    for (std::size_t i = 0; i < means.size(); ++i) {
      if (counts_[i] > 0) {
        means[i] = sums_[i] / static_cast<double>(counts_[i]);
      } else if (i > 0) {
        means[i] = means[i - 1];
      }
    }
    return means;
  }

 private:
  std::vector<double> sums_;
  std::vector<std::int64_t> counts_;
};

}  // namespace

Inflation Inflate(const Cluster& cluster, const std::vector<Pod>& arrivals, double demand,
                  const PackOptions& options, const Progress& progress) {
  Packer packer(cluster, options);
  const double capacity = static_cast<double>(cluster.cards()) * kCardMilli;
  Inflation result;
  result.arrivals = static_cast<std::int64_t>(arrivals.size());
  Curve curve(demand);
  std::int64_t arrived = 0;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (progress && i % 256 == 0) {
      progress("pods arrived", static_cast<std::int64_t>(i), result.arrivals);
    }
    const Choice choice = packer.Add(arrivals[i]);
    arrived += arrivals[i].demand_milli();
    const double allocation = static_cast<double>(packer.declared_milli()) / capacity;
    if (!choice.spot.placed()) {
      if (result.first_refused < 0) {
        result.first_refused = static_cast<std::int64_t>(i);
        result.first_refusal = allocation;
      }
      ++result.refused;
      result.refused_milli += arrivals[i].demand_milli();
      ++result.refused_by[static_cast<std::size_t>(choice.nearest())];
    }
    curve.Add(100 * static_cast<double>(arrived) / capacity, 100 * allocation);
  }
  result.curve = curve.Means();
  result.allocation = static_cast<double>(packer.declared_milli()) / capacity;
  if (result.first_refused < 0) result.first_refusal = result.allocation;
  result.tied = packer.tied();
  result.used_cards = packer.occupancy().used_cards();
  return result;
}

namespace {

bool Holds(const Cluster& cluster, const std::vector<Pod>& pods, const PackOptions& options) {
  Packer packer(cluster, options);
  return std::all_of(pods.begin(), pods.end(),
                     [&packer](const Pod& pod) { return packer.Add(pod).spot.placed(); });
}

Cluster Prefix(const Cluster& cluster, const std::vector<std::int32_t>& order, std::int64_t nodes) {
  Cluster prefix;
  prefix.card_models = cluster.card_models;
  for (std::int64_t i = 0; i < nodes; ++i) prefix.nodes.push_back(cluster.nodes[order[i]]);
  return prefix;
}

// Several cards first (they need whole nodes), then the larger share, then the more CPU.
bool Larger(const Pod& a, const Pod& b) {
  if (a.demand_milli() != b.demand_milli()) return a.demand_milli() > b.demand_milli();
  if (a.cpu_milli != b.cpu_milli) return a.cpu_milli > b.cpu_milli;
  return a.memory_mib > b.memory_mib;
}

}  // namespace

Compaction Compact(const Cluster& cluster, const std::vector<Pod>& pods,
                   const CompactOptions& compact, const PackOptions& options,
                   const Progress& progress) {
  Random random(compact.seed);
  Compaction result;
  result.drawn = pods;
  random.Shuffle(&result.drawn);
  result.drawn.resize(static_cast<std::size_t>(
      std::floor(static_cast<double>(pods.size()) * compact.share + 1e-9)));
  for (const Pod& pod : result.drawn) result.pod_milli += pod.demand_milli();
  result.pods = static_cast<std::int64_t>(result.drawn.size());
  if (compact.order == CompactOrder::kDecreasing) {
    std::stable_sort(result.drawn.begin(), result.drawn.end(), Larger);
  }
  std::vector<std::int32_t> order(cluster.nodes.size());
  std::iota(order.begin(), order.end(), 0);
  random.Shuffle(&order);
  std::int64_t fails = 0;  // A prefix that does not hold; the least that does is above it.
  auto holds = static_cast<std::int64_t>(order.size());
  result.held = Holds(Prefix(cluster, order, holds), result.drawn, options);
  std::int64_t tried = 1;
  while (result.held && holds - fails > 1) {
    if (progress) progress("prefixes tried", tried, tried + 1);
    const std::int64_t middle = fails + (holds - fails) / 2;
    (Holds(Prefix(cluster, order, middle), result.drawn, options) ? holds : fails) = middle;
    ++tried;
  }
  result.cluster = Prefix(cluster, order, holds);
  result.nodes = holds;
  result.cards = result.cluster.cards();
  return result;
}

}  // namespace brim::planner
