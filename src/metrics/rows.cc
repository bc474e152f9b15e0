// The rows of rows.inc as an array, and the reference page made from them.
#include "metrics/rows.h"

#include <fmt/format.h>

#include <iterator>

namespace brim::metrics {
namespace {

constexpr Row kAll[] = {
#define BRIM_METRIC(id, name, type, labels, unit, help) rows::id,
#include "metrics/rows.inc"
#undef BRIM_METRIC
};

}  // namespace

std::span<const Row> AllRows() { return kAll; }

std::string_view TypeName(RowType type) {
  switch (type) {
    case RowType::kCounter:
      return "counter";
    case RowType::kGauge:
      return "gauge";
    case RowType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

std::string ReferencePage() {
  std::string page =
      "# Metrics\n\n"
      "Served at `/metrics` and, for TensorFlow Serving's scrapers, at "
      "`/monitoring/prometheus/metrics`: the same\n"
      "page, Prometheus text format 0.0.4. Generated from `src/metrics/rows.inc`; "
      "`UPDATE_GOLDEN=1` on `metrics_test`\n"
      "rewrites it.\n\n"
      "| name | type | labels | unit | meaning |\n"
      "|---|---|---|---|---|\n";
  for (const Row& row : AllRows()) {
    fmt::format_to(std::back_inserter(page), "| `{}` | {} | {} | {} | {} |\n", row.name,
                   TypeName(row.type), row.labels, row.unit, row.help);
  }
  return page;
}

}  // namespace brim::metrics
