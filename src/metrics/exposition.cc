// See exposition.h.
#include "metrics/exposition.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>

#include "base/check.h"

namespace brim::metrics {
namespace {

// The format's three escapes for label values; everything else passes as UTF-8.
void AppendEscaped(std::string* out, std::string_view value) {
  for (const char c : value) {
    switch (c) {
      case '\\':
        out->append("\\\\");
        break;
      case '"':
        out->append("\\\"");
        break;
      case '\n':
        out->append("\\n");
        break;
      default:
        out->push_back(c);
    }
  }
}

// Shortest text that reads back equal; the format's own words for what is not finite.
std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

void Exposition::Family(const Row& row) {
  if (seen_.empty()) seen_.push_back('\n');
  const std::string key = fmt::format("{}\n", row.name);
  BRIM_CHECK(seen_.find("\n" + key) == std::string::npos);
  seen_ += key;
  row_ = &row;
  fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", row.name, row.help,
                 row.name, TypeName(row.type));
}

void Exposition::CheckLabels(std::initializer_list<Label> labels) const {
  BRIM_CHECK(row_ != nullptr);
  std::string_view rest = row_->labels;
  for (const Label& label : labels) {
    BRIM_CHECK(rest.substr(0, label.name.size()) == label.name);
    rest.remove_prefix(label.name.size());
    BRIM_CHECK(rest.empty() || rest.front() == ',');
    if (!rest.empty()) rest.remove_prefix(1);
  }
  BRIM_CHECK(rest.empty());
}

void Exposition::Begin(std::string_view suffix, std::initializer_list<Label> labels,
                       std::string_view le) {
  out_.append(row_->name).append(suffix);
  char separator = '{';
  for (const Label& label : labels) {
    out_.push_back(separator);
    out_.append(label.name).append("=\"");
    AppendEscaped(&out_, label.value);
    out_.push_back('"');
    separator = ',';
  }
  if (!le.empty()) {
    out_.push_back(separator);
    out_.append("le=\"").append(le).push_back('"');
    separator = ',';
  }
  if (separator == ',') out_.push_back('}');
  out_.push_back(' ');
}

void Exposition::End(double value) { out_.append(Number(value)).push_back('\n'); }

void Exposition::End(std::uint64_t value) {
  const fmt::format_int text(value);
  out_.append(text.data(), text.size()).push_back('\n');
}

void Exposition::Sample(std::initializer_list<Label> labels, double value) {
  CheckLabels(labels);
  BRIM_CHECK(row_->type != RowType::kHistogram);
  Begin("", labels, "");
  End(value);
}

void Exposition::Sample(std::initializer_list<Label> labels, std::uint64_t value) {
  CheckLabels(labels);
  BRIM_CHECK(row_->type != RowType::kHistogram);
  Begin("", labels, "");
  End(value);
}

void Exposition::Sample(std::initializer_list<Label> labels, const Buckets& value) {
  CheckLabels(labels);
  BRIM_CHECK(row_->type == RowType::kHistogram);
  BRIM_CHECK(value.counts.size() == value.bounds.size() + 1);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    cumulative += value.counts[i];
    Begin("_bucket", labels,
          i < value.bounds.size() ? Number(value.bounds[i]) : std::string("+Inf"));
    End(cumulative);
  }
  Begin("_sum", labels, "");
  End(value.sum);
  Begin("_count", labels, "");
  End(cumulative);
}

void Exposition::Sample(std::initializer_list<Label> labels, const Histogram::Snapshot& value) {
  BRIM_CHECK(row_ != nullptr);
  const bool micros = row_->unit == "microseconds";
  std::array<double, Histogram::kBuckets - 1> bounds{};
  const std::span<const double> seconds = Histogram::Bounds();
  BRIM_CHECK(seconds.size() == bounds.size());
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    // Rounded, so that 10e-6 seconds print as 10 microseconds.
    bounds[i] = micros ? std::round(seconds[i] * 1e6) : seconds[i];
  }
  Sample(labels,
         Buckets{bounds, value.counts, micros ? value.sum_seconds * 1e6 : value.sum_seconds});
}

}  // namespace brim::metrics
