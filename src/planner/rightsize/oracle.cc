// For one group of n samples, a limit at its k-th largest sample is exceeded k - 1 times or fewer.
// The least mean limit under a total of exceeded samples is a choice of one point on each group's
// curve (exceeded, limit * n); over the curves' lower convex hulls it is a fractional knapsack:
// take the steepest falls first until the allowed number is spent. The relaxation (a fraction of a
// last step) can only lower the result, so it is a bound. O(n log n).
#include "planner/rightsize/oracle.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace brim::planner {
namespace {

struct Point {
  double over = 0;
  double held = 0;  // Limit times samples.
};

// Lower convex hull from "nothing over" to "all over".
std::vector<Point> HullOf(std::vector<float> samples) {
  std::sort(samples.begin(), samples.end(), std::greater<>());
  const auto n = static_cast<double>(samples.size());
  std::vector<Point> hull;
  const auto push = [&](const Point& next) {
    while (hull.size() >= 2) {
      const Point& a = hull[hull.size() - 2];
      const Point& b = hull.back();
      if ((b.held - a.held) * (next.over - a.over) < (next.held - a.held) * (b.over - a.over))
        break;
      hull.pop_back();
    }
    hull.push_back(next);
  };
  for (std::size_t k = 0; k < samples.size(); ++k) {
    if (k > 0 && samples[k] == samples[k - 1]) continue;  // Equal samples are over together.
    push({static_cast<double>(k), samples[k] * n});
  }
  push({n, 0});
  return hull;
}

double PeakCorrelation(const Usage& usage, Resource resource, const Window& a, const Window& b) {
  double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (const UsagePod& pod : usage.pods) {
    const std::vector<float> first = Samples(pod.of(resource), a);
    const std::vector<float> second = Samples(pod.of(resource), b);
    if (first.empty() || second.empty()) continue;
    const double x = *std::max_element(first.begin(), first.end());
    const double y = *std::max_element(second.begin(), second.end());
    n += 1;
    sx += x;
    sy += y;
    sxx += x * x;
    syy += y * y;
    sxy += x * y;
  }
  const double spread = (n * sxx - sx * sx) * (n * syy - sy * sy);
  return spread > 0 ? (n * sxy - sx * sy) / std::sqrt(spread) : 0;
}

}  // namespace

double LeastMeanLimit(std::vector<std::vector<float>> groups, double allowed) {
  struct Fall {
    double over;
    double held;
  };
  std::vector<Fall> falls;
  double samples = 0, held = 0;
  for (std::vector<float>& group : groups) {
    if (group.empty()) continue;
    samples += static_cast<double>(group.size());
    const std::vector<Point> hull = HullOf(std::move(group));
    held += hull.front().held;
    for (std::size_t i = 1; i < hull.size(); ++i) {
      falls.push_back({hull[i].over - hull[i - 1].over, hull[i - 1].held - hull[i].held});
    }
  }
  if (samples <= 0) return 0;
  std::sort(falls.begin(), falls.end(),
            [](const Fall& a, const Fall& b) { return a.held * b.over > b.held * a.over; });
  double budget = allowed * samples;
  for (const Fall& fall : falls) {
    const double part = std::min(1.0, budget / fall.over);
    held -= part * fall.held;
    budget -= part * fall.over;
    if (budget <= 0) break;
  }
  return std::max(0.0, held / samples);
}

FixedLimitBounds BoundFixedLimits(const Usage& usage, Resource resource, const Window& before,
                                  const Window& window, double allowed) {
  std::vector<std::vector<float>> each;
  std::vector<float> together;
  for (const UsagePod& pod : usage.pods) {
    each.push_back(Samples(pod.of(resource), window));
    together.insert(together.end(), each.back().begin(), each.back().end());
  }
  FixedLimitBounds bounds;
  bounds.all_knowing = LeastMeanLimit(std::move(each), allowed);
  bounds.pod_blind = LeastMeanLimit({std::move(together)}, allowed);
  bounds.peak_correlation = PeakCorrelation(usage, resource, before, window);
  return bounds;
}

}  // namespace brim::planner
