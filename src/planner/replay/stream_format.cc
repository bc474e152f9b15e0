#include "planner/replay/stream_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "planner/formats/csv_table.h"

namespace brim::planner {
namespace {

constexpr double kSecondsMax = 1e10;
constexpr double kServiceMax = 1e6;

const CsvColumn kOwn[] = {{"t_s", CsvKind::kReal, 0, kSecondsMax},
                          {"model", CsvKind::kText},
                          {"service_s", CsvKind::kReal, 0, kServiceMax}};
const CsvColumn kTrace[] = {
    {"gmt_create", CsvKind::kText},
    {"predict_status", CsvKind::kText},
    {"exec_time_seconds", CsvKind::kReal, 0, kServiceMax},
    {"checkpoint_model_version_id", CsvKind::kText, 0, 0, CsvColumn::Need::kMayBeEmpty}};
const CsvColumn kOwnLoads[] = {{"load_s", CsvKind::kReal, 0, kServiceMax}};
const CsvColumn kTraceLoads[] = {{"value", CsvKind::kReal, 0, kServiceMax * 1000}};

bool FirstLineHas(std::string_view text, std::string_view word) {
  return text.substr(0, text.find('\n')).find(word) != std::string_view::npos;
}

// Digits at [at, at + n) as a number; -1: not digits.
int Digits(std::string_view text, std::size_t at, std::size_t n) {
  int value = 0;
  for (std::size_t i = at; i < at + n; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
std::int64_t DaysOf(int year, int month, int day) {
  const int y = year - (month <= 2 ? 1 : 0);
  const int era = y / 400;
  const int of_era = y - era * 400;
  const int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return std::int64_t{era} * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

class StreamBuilder {
 public:
  void Add(double t_s, std::string_view model, double service_s) {
    const auto [it, fresh] =
        ids_.emplace(std::string(model), static_cast<std::int32_t>(ids_.size()));
    if (fresh) input.stream.models.emplace_back(model);
    input.stream.requests.push_back({t_s, service_s, it->second});
  }
  // Sorts; times count from the first request.
  void Finish() {
    auto& requests = input.stream.requests;
    std::stable_sort(requests.begin(), requests.end(),
                     [](const ModelRequest& a, const ModelRequest& b) { return a.t_s < b.t_s; });
    const double first = requests.front().t_s;
    for (ModelRequest& request : requests) request.t_s -= first;
  }
  StreamInput input;

 private:
  std::unordered_map<std::string, std::int32_t> ids_;
};

Status Empty(const std::string& file) {
  return Status(Code::kInvalidArgument, "empty_stream",
                fmt::format("{}: no request is left to replay", file));
}

Result<StreamInput> ReadTrace(const std::string& file, std::string_view text) {
  CsvLimits limits;
  limits.unknown_columns = true;
  BRIM_ASSIGN_OR_RETURN(const CsvTable table, CsvTable::Parse(file, text, kTrace, limits));
  StreamBuilder builder;
  builder.input.format = "lora_request_trace (GenTD26)";
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double t = SecondsOf(table.Text(row, 0));
    if (t < 0) return table.Error(row, "gmt_create: expected a time such as 2024-11-15 16:57:50");
    if (table.Text(row, 1) != "SUCCEED") {
      ++builder.input.not_ended;
    } else if (!table.Has(row, 3)) {
      ++builder.input.without_model;
    } else {
      builder.Add(t, table.Text(row, 3), table.Real(row, 2));
    }
  }
  if (builder.input.stream.requests.empty()) return Empty(file);
  builder.Finish();
  return std::move(builder.input);
}

}  // namespace

double SecondsOf(std::string_view text) {
  if (text.size() != 19 || text[4] != '-' || text[7] != '-' || text[10] != ' ' || text[13] != ':' ||
      text[16] != ':') {
    return -1;
  }
  const int year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2);
  const int hour = Digits(text, 11, 2), minute = Digits(text, 14, 2), second = Digits(text, 17, 2);
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60) {
    return -1;
  }
  return static_cast<double>(DaysOf(year, month, day)) * 86400 + hour * 3600 + minute * 60 + second;
}

Result<StreamInput> ReadRequests(const std::string& file, std::string_view text) {
  if (FirstLineHas(text, "gmt_create")) return ReadTrace(file, text);
  BRIM_ASSIGN_OR_RETURN(const CsvTable table, CsvTable::Parse(file, text, kOwn));
  StreamBuilder builder;
  builder.input.format = "requests";
  for (std::size_t row = 0; row < table.rows(); ++row) {
    builder.Add(table.Real(row, 0), table.Text(row, 1), table.Real(row, 2));
  }
  if (builder.input.stream.requests.empty()) return Empty(file);
  builder.Finish();
  return std::move(builder.input);
}

Result<std::vector<double>> ReadLoadTimes(const std::string& file, std::string_view text) {
  const bool trace = !FirstLineHas(text, "load_s");
  CsvLimits limits;
  limits.unknown_columns = trace;
  Result<CsvTable> table = trace ? CsvTable::Parse(file, text, kTraceLoads, limits)
                                 : CsvTable::Parse(file, text, kOwnLoads, limits);
  if (!table.ok()) return table.status();
  std::vector<double> loads;
  for (std::size_t row = 0; row < table->rows(); ++row) {
    loads.push_back(table->Real(row, 0) / (trace ? 1000 : 1));
  }
  if (loads.empty()) {
    return Status(Code::kInvalidArgument, "empty_loads", file + ": no load time in it");
  }
  return loads;
}

}  // namespace brim::planner
