#include "serving/padding_policy.h"

#include <algorithm>
#include <bit>

namespace brim::serving {
namespace {

// A change that adds less than this part of a run is not worth a padded row.
constexpr double kChangeMin = 0.25;

// What a run of so many rows costs; for want of a measurement the least that it may.
double RunNs(const RowCosts& costs, std::uint32_t rows) {
  const std::size_t want = RowCosts::BucketOf(rows);
  if (costs.ns[want] > 0) return costs.ns[want] * rows;
  for (std::size_t i = want; i-- > 0;) {
    if (costs.ns[i] > 0) return costs.ns[i] * static_cast<double>(1u << i);
  }
  for (std::size_t i = want + 1; i < RowCosts::kBuckets; ++i) {
    if (costs.ns[i] > 0) return costs.ns[i] * rows;
  }
  return 0;
}

void Change(std::uint32_t rows, RowsRun* last) {
  last->rows = rows;
  last->saved_ns.fill(0);
}

}  // namespace

std::uint32_t ChooseRows(const PaddingState& state, RowsRun* last) {
  const double change = static_cast<double>(state.change.count());
  if (state.rows > state.rows_max || change <= RunNs(state.costs, state.rows) * kChangeMin) {
    if (state.rows != last->rows) Change(state.rows, last);
    return state.rows;
  }
  if (last->rows < state.rows || last->rows > state.rows_max) {
    Change(std::min(std::bit_ceil(state.rows), state.rows_max), last);
    return last->rows;
  }
  const double now = RunNs(state.costs, last->rows);
  std::size_t best = RowCosts::kBuckets;
  for (std::size_t i = 0; i < RowCosts::kBuckets && (1u << i) < last->rows; ++i) {
    double& saved = last->saved_ns[i];
    if ((1u << i) < state.rows) {
      saved = std::max(saved - change, 0.0);  // It would have had to change for this one.
      continue;
    }
    saved = std::max(saved + now - RunNs(state.costs, 1u << i), 0.0);
    if (saved > change && (best == RowCosts::kBuckets || saved > last->saved_ns[best])) best = i;
  }
  if (best != RowCosts::kBuckets) Change(1u << best, last);
  return last->rows;
}

}  // namespace brim::serving
