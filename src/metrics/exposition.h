// Prometheus text exposition (format 0.0.4) of rows that are declared in rows.h.
//
//   Exposition page(&out);
//   page.Family(rows::kNvInferenceCount);
//   page.Sample({{"model", "a"}, {"version", "1"}}, std::uint64_t{42});
//
// A family is written once: Family() of one that is already there fails a CHECK. Labels are those
// that its row declares, in that order; a missing or extra one fails a CHECK. Label values are
// escaped. Not for several threads; whoever owns the counters passes snapshots. Source:
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "metrics/histogram.h"
#include "metrics/rows.h"

namespace brim::metrics {

inline constexpr std::string_view kExpositionContentType =
    "text/plain; version=0.0.4; charset=utf-8";

struct Label {
  std::string_view name;
  std::string_view value;
};

// Any histogram: counts[i] observations were at most bounds[i]; the last count has no bound. Not
// cumulative.
struct Buckets {
  std::span<const double> bounds;         // Ascending, in the row's unit.
  std::span<const std::uint64_t> counts;  // One more than bounds.
  double sum = 0;                         // In the row's unit.
};

class Exposition {
 public:
  explicit Exposition(std::string* out) : out_(*out) {}

  void Family(const Row& row);
  void Sample(std::initializer_list<Label> labels, double value);
  void Sample(std::initializer_list<Label> labels, std::uint64_t value);
  // A histogram family's _bucket, _sum and _count.
  void Sample(std::initializer_list<Label> labels, const Buckets& value);
  // The same of our own histogram, in seconds or, for a row whose unit is "microseconds", in those.
  void Sample(std::initializer_list<Label> labels, const Histogram::Snapshot& value);

 private:
  void CheckLabels(std::initializer_list<Label> labels) const;
  // Writes name, suffix and labels up to the blank before the value.
  void Begin(std::string_view suffix, std::initializer_list<Label> labels, std::string_view le);
  void End(double value);
  void End(std::uint64_t value);

  std::string& out_;
  const Row* row_ = nullptr;
  std::string seen_;  // Names of families already written, each between '\n'.
};

}  // namespace brim::metrics
