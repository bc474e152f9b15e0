// Every metric that Brim exports: name, type, labels, unit, one sentence. A metric without a row
// does not exist.
//
// Triton's names and labels: triton-inference-server/server docs/user_guide/metrics.md. TensorFlow
// Serving's: tensorflow_serving/servables/tensorflow/util.cc and model_servers/server_core. Brim's
// own start with brim_.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace brim::metrics {

enum class RowType : std::uint8_t { kCounter, kGauge, kHistogram };

struct Row {
  std::string_view name;
  RowType type;
  std::string_view labels;  // Comma-separated, in order; may be empty.
  std::string_view unit;
  std::string_view help;  // One sentence.
};

namespace rows {
#define BRIM_METRIC(id, name, type, labels, unit, help) \
  inline constexpr Row id{name, RowType::type, labels, unit, help};
#include "metrics/rows.inc"
#undef BRIM_METRIC
}  // namespace rows

// All rows, in the order of rows.inc: for the reference page and its golden test.
std::span<const Row> AllRows();

// "counter", "gauge", "histogram": the words of a # TYPE line.
std::string_view TypeName(RowType type);

// docs/reference/metrics.md, whole.
std::string ReferencePage();

}  // namespace brim::metrics
