#include "planner/replay/service_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace brim::planner {

double ShareProfile::Service(double n) const {
  if (n <= 1) return service_s.front();
  const auto low = static_cast<std::size_t>(n);
  if (low >= service_s.size()) return service_s.back();
  const double part = n - static_cast<double>(low);
  return service_s[low - 1] + part * (service_s[low] - service_s[low - 1]);
}

const ShareProfile* ServiceProfile::At(std::int32_t share_milli) const {
  for (const ShareProfile& share : shares) {
    if (share.share_milli == share_milli) return &share;
  }
  return nullptr;
}

namespace {

// The curve of one share from its measured points; empty when even a batch of one misses the SLO.
std::vector<double> Curve(const MeasuredRow* first, const MeasuredRow* last, double slo_s) {
  std::vector<double> service;
  for (const MeasuredRow* row = first; row != last; ++row) {
    const double before = service.empty() ? 0 : service.back();
    const auto known = static_cast<std::int32_t>(service.size());
    // Noise must not make a larger batch faster than a smaller one.
    const double end = std::max(row->latency_s, before);
    for (std::int32_t n = known + 1; n <= row->batch; ++n) {
      const double part = known == 0 ? 1.0 : double(n - known) / double(row->batch - known);
      const double value = before + part * (end - before);
      if (2 * value > slo_s) return service;
      service.push_back(known == 0 ? end : value);
    }
  }
  return service;
}

}  // namespace

std::string BuildShares(std::vector<MeasuredRow> rows, ServiceProfile* profile) {
  std::sort(rows.begin(), rows.end(), [](const MeasuredRow& a, const MeasuredRow& b) {
    return std::tie(a.share_milli, a.batch) < std::tie(b.share_milli, b.batch);
  });
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (rows[i].share_milli == rows[i - 1].share_milli && rows[i].batch == rows[i - 1].batch) {
      return fmt::format("profile '{}': share {} batch {} is measured twice", profile->name,
                         rows[i].share_milli, rows[i].batch);
    }
  }
  profile->shares.clear();
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t end = i;
    while (end < rows.size() && rows[end].share_milli == rows[i].share_milli) ++end;
    if (rows[i].batch != 1) {
      return fmt::format("profile '{}': share {} has no row for batch 1", profile->name,
                         rows[i].share_milli);
    }
    ShareProfile share;
    share.share_milli = rows[i].share_milli;
    share.service_s = Curve(&rows[i], rows.data() + end, profile->slo_s);
    if (!share.service_s.empty()) profile->shares.push_back(std::move(share));
    i = end;
  }
  if (profile->shares.empty() || profile->shares.back().share_milli != 1000) {
    return fmt::format(
        "profile '{}': a whole card (share 1000) must answer a batch of 1 in half its SLO",
        profile->name);
  }
  return {};
}

}  // namespace brim::planner
