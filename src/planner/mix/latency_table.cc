#include "planner/mix/latency_table.h"

#include <algorithm>
#include <map>

namespace brim::planner {

namespace {

constexpr int kStride = kUnitsPerCard + 1;

// Batch -> milliseconds of the points that `use` accepts, made monotone from the right.
using Curve = std::map<int, double>;

void Lower(Curve* curve) {
  double least = kNeverMs;
  for (auto it = curve->rbegin(); it != curve->rend(); ++it)
    it->second = least = std::min(least, it->second);
}

// REQUIRES: curve is monotone and not empty.
double At(const Curve& curve, double batch, bool between) {
  auto above = curve.lower_bound(static_cast<int>(batch));
  if (above == curve.end()) return kNeverMs;
  if (!between || above == curve.begin() || above->first == static_cast<int>(batch))
    return above->second;
  const auto below = std::prev(above);
  const double part = (batch - below->first) / (above->first - below->first);
  return below->second + part * (above->second - below->second);
}

std::vector<double> RowOf(const Curve& curve, bool between) {
  std::vector<double> row;
  if (curve.empty()) return row;
  const int most = std::min(curve.rbegin()->first, kMixBatchMax);
  row.resize(static_cast<std::size_t>(most) + 1);
  for (int n = 1; n <= most; ++n) row[static_cast<std::size_t>(n)] = At(curve, n, between);
  return row;
}

}  // namespace

LatencyTable::LatencyTable(std::span<const ProfilePoint> points, const MixOptions& options) {
  if (options.slices == Slices::kMig) {
    Measured(points, std::min(options.processes_max, kProcessesMax));
  } else {
    Interpolated(points, options.share_step);
  }
}

void LatencyTable::Measured(std::span<const ProfilePoint> points, int processes_max) {
  std::map<std::pair<int, int>, Curve> curves;
  for (const ProfilePoint& point : points) {
    if (point.processes > processes_max) continue;
    const auto [it, fresh] =
        curves[{point.processes, point.share}].try_emplace(point.batch, point.busy_ms);
    if (!fresh) it->second = std::min(it->second, point.busy_ms);
  }
  rows_.resize(static_cast<std::size_t>(kStride) * static_cast<std::size_t>(processes_max));
  for (auto& [key, curve] : curves) {
    Lower(&curve);
    rows_[static_cast<std::size_t>((key.first - 1) * kStride + key.second)] = RowOf(curve, false);
  }
}

void LatencyTable::Interpolated(std::span<const ProfilePoint> points, int step) {
  rows_.resize(kStride);
  std::map<int, Curve> curves;  // By share.
  for (const ProfilePoint& point : points) {
    if (point.processes != 1) continue;
    const auto [it, fresh] = curves[point.share].try_emplace(point.batch, point.busy_ms);
    if (!fresh) it->second = std::min(it->second, point.busy_ms);
  }
  if (curves.empty()) return;
  std::map<int, std::vector<double>> measured;
  const std::vector<double>* less = nullptr;
  for (auto& [share, curve] : curves) {  // More share is never slower.
    Lower(&curve);
    std::vector<double>& row = measured[share] = RowOf(curve, true);
    if (less != nullptr && less->size() > row.size()) row.resize(less->size(), kNeverMs);
    for (std::size_t n = 1; less != nullptr && n < less->size(); ++n)
      row[n] = std::min(row[n], (*less)[n]);
    less = &row;
  }
  for (int share = step; share <= kUnitsPerCard; share += step) {
    const auto above = measured.lower_bound(share);
    std::vector<double>& row = rows_[static_cast<std::size_t>(share)];
    if (above == measured.end()) {
      row = measured.rbegin()->second;
    } else if (above->first == share) {
      row = above->second;
    } else if (above == measured.begin()) {
      row = above->second;
      for (double& ms : row) ms *= static_cast<double>(above->first) / share;
    } else {
      const auto below = std::prev(above);
      const double low = 1.0 / below->first, high = 1.0 / above->first;
      const double part = (low - 1.0 / share) / (low - high);
      row = below->second;  // A batch that does not fit the smaller share is not known between.
      for (std::size_t n = 1; n < row.size(); ++n) row[n] += part * (above->second[n] - row[n]);
    }
  }
}

const std::vector<double>& LatencyTable::Row(int share, int processes) const {
  const std::size_t at = static_cast<std::size_t>((processes - 1) * kStride + share);
  return at < rows_.size() ? rows_[at] : none_;
}

double LatencyTable::Ms(int share, int batch, int processes) const {
  const std::vector<double>& row = Row(share, processes);
  const std::size_t n = static_cast<std::size_t>(batch);
  return n < row.size() ? row[n] : kNeverMs;
}

int LatencyTable::batch_max(int share, int processes) const {
  const std::vector<double>& row = Row(share, processes);
  return row.empty() ? 0 : static_cast<int>(row.size()) - 1;
}

std::vector<int> ShareGrid(const MixOptions& options) {
  if (options.slices == Slices::kMig) return {1, 2, 3, 4, 7};
  std::vector<int> shares;
  for (int share = options.share_step; share <= kUnitsPerCard; share += options.share_step) {
    shares.push_back(share);
  }
  return shares;
}

}  // namespace brim::planner
