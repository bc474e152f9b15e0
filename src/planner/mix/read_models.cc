#include "planner/mix/read_models.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "planner/formats/csv_table.h"
#include "planner/formats/nearest_name.h"
#include "planner/mix/mig_grid.h"

namespace brim::planner {

namespace {

constexpr double kBig = 1e9;
constexpr CsvColumn kModelColumns[] = {
    {"name", CsvKind::kText},
    {"rate", CsvKind::kReal, 0, 1e7},
    {"slo_ms", CsvKind::kReal, 1e-3, 1e8},
    {"owner", CsvKind::kText, 0, 0, CsvColumn::Need::kOptional},
    {"weights_mib", CsvKind::kReal, 0, kBig, CsvColumn::Need::kOptional},
    {"workspace_mib", CsvKind::kReal, 0, kBig, CsvColumn::Need::kOptional},
    {"load_ms", CsvKind::kReal, 0, 1e8, CsvColumn::Need::kOptional},
    {"interference", CsvKind::kReal, 0, 10, CsvColumn::Need::kOptional},
    {"cpu_ms", CsvKind::kReal, 0, 1e8, CsvColumn::Need::kOptional},
    {"now", CsvKind::kText, 0, 0, CsvColumn::Need::kOptional},
};
enum ModelColumn {
  kName,
  kRate,
  kSlo,
  kOwner,
  kWeights,
  kWorkspace,
  kLoad,
  kInterference,
  kCpu,
  kNow
};

constexpr CsvColumn kProfileColumns[] = {
    {"model", CsvKind::kText},
    {"share", CsvKind::kInteger, 1, kUnitsPerCard},
    {"batch", CsvKind::kInteger, 1, kMixBatchMax},
    {"latency_ms", CsvKind::kReal, 1e-6, 1e8},
    {"processes", CsvKind::kInteger, 1, kProcessesMax, CsvColumn::Need::kOptional},
    {"throughput", CsvKind::kReal, 1e-6, 1e9, CsvColumn::Need::kOptional},
};
enum ProfileColumn { kOf, kShare, kBatch, kLatency, kProcesses, kThroughput };

constexpr CsvColumn kParvaColumns[] = {
    {"Mig instance", CsvKind::kInteger, 1, kMigPerCard},
    {"Batch size", CsvKind::kInteger, 1, kMixBatchMax},
    {"Workload Number", CsvKind::kInteger, 1, kProcessesMax},
    {"Throughput", CsvKind::kReal, 0, kBig},
    {"Latency", CsvKind::kReal, 0, kBig},
};

using Index = std::unordered_map<std::string_view, std::size_t>;

Index IndexOf(std::span<const MixModel> models) {
  Index index;
  for (std::size_t m = 0; m < models.size(); ++m) index.emplace(models[m].name, m);
  return index;
}

Result<std::size_t> Find(const Index& index, const CsvTable& table, std::size_t row,
                         std::string_view name) {
  const auto found = index.find(name);
  if (found != index.end()) return found->second;
  std::vector<std::string_view> known;
  for (const auto& [each, at] : index) known.push_back(each);
  std::sort(known.begin(), known.end());
  return table.Error(
      row, fmt::format("model '{}' is not among the models{}", name, DidYouMean(name, known)));
}

Result<Home> ReadHome(const CsvTable& table, std::size_t row) {
  const std::string_view now = table.Text(row, kNow);
  if (now.empty()) return Home::kAny;
  if (now == "card") return Home::kCard;
  if (now == "cpu") return Home::kCpu;
  return table.Error(row, fmt::format("now '{}', expected card, cpu or nothing", now));
}

Result<std::vector<ProfilePoint>> ReadParvaProfile(const MixText& profile, Slices slices) {
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::Parse(profile.file, profile.text, kParvaColumns));
  std::vector<ProfilePoint> points;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const int size = static_cast<int>(table.Integer(row, 0));
    if (std::find(kMigSizes.begin(), kMigSizes.end(), size) == kMigSizes.end()) {
      return table.Error(row, fmt::format("MIG instance {}, expected 1, 2, 3, 4 or 7", size));
    }
    if (table.Real(row, 3) <= 0 || table.Real(row, 4) <= 0) continue;  // Did not fit the slice.
    ProfilePoint point;
    point.share =
        slices == Slices::kMig ? size : (size * kUnitsPerCard + kMigPerCard - 1) / kMigPerCard;
    point.batch = static_cast<int>(table.Integer(row, 1));
    point.processes = static_cast<int>(table.Integer(row, 2));
    point.latency_ms = table.Real(row, 4) * 1000;
    point.busy_ms = 1000.0 * point.batch / table.Real(row, 3);
    points.push_back(point);
  }
  return points;
}

// The field of a scenario's line; "N/A" gives -1.
Result<std::vector<double>> ReadScenario(const MixText& text, int scenario, std::size_t models) {
  std::string_view rest = text.text;
  std::string_view line;
  for (int i = 0; i < scenario; ++i) {
    if (Trim(rest).empty()) {
      return Status(Code::kInvalidArgument, "bad_scenario",
                    fmt::format("{}: {} scenarios, expected at least {}", text.file, i, scenario));
    }
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto error = [&](std::string_view what) {
    return Status(Code::kInvalidArgument, "bad_row",
                  fmt::format("{}:{}: {}", text.file, scenario, what));
  };
  std::vector<double> values;
  for (const std::string_view piece : Split(line, ',')) {
    const std::string_view field = Trim(piece);
    const std::optional<std::int64_t> value = ParseInt64(field.substr(0, field.find('.')));
    if (field != "N/A" && (!value.has_value() || *value <= 0)) {
      return error(fmt::format("'{}', expected a positive number or N/A", field));
    }
    values.push_back(field == "N/A" ? -1 : static_cast<double>(*value));
  }
  if (values.size() != models)
    return error(fmt::format("{} fields, expected one per profile: {}", values.size(), models));
  return values;
}

std::string ModelOf(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  const std::string name = file.substr(slash == std::string::npos ? 0 : slash + 1);
  return name.ends_with(".csv") ? name.substr(0, name.size() - 4) : name;
}

double ProvenMemory(std::span<const ProfilePoint> points, Slices slices, double card_memory_mib) {
  double least = card_memory_mib;
  for (const ProfilePoint& point : points) {
    const int size =
        slices == Slices::kMig ? point.share : point.share * kMigPerCard / kUnitsPerCard;
    least = std::min(least, MigMemoryPart(size) * card_memory_mib / point.processes);
  }
  return least;
}

}  // namespace

Result<std::vector<MixModel>> ReadMixModels(const MixText& models, const MixText& profiles) {
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::Parse(models.file, models.text, kModelColumns));
  std::vector<MixModel> read;
  read.reserve(table.rows());  // The index keeps views of names.
  Index index;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    MixModel& model = read.emplace_back();
    model.name = table.Text(row, kName);
    model.owner = table.Text(row, kOwner);
    model.rate = table.Real(row, kRate);
    model.slo_ms = table.Real(row, kSlo);
    model.weights_mib = table.Real(row, kWeights);
    model.workspace_mib = table.Real(row, kWorkspace);
    model.load_ms = table.Real(row, kLoad);
    model.interference = table.Real(row, kInterference);
    model.cpu_ms = table.Real(row, kCpu);
    BRIM_ASSIGN_OR_RETURN(model.now, ReadHome(table, row));
    const auto [first, fresh] = index.emplace(model.name, row);
    if (!fresh) {
      return table.Error(
          row, fmt::format("model '{}' is named on line {} already; names must differ", model.name,
                           table.line(first->second)));
    }
  }
  BRIM_ASSIGN_OR_RETURN(const CsvTable points,
                        CsvTable::Parse(profiles.file, profiles.text, kProfileColumns));
  for (std::size_t row = 0; row < points.rows(); ++row) {
    BRIM_ASSIGN_OR_RETURN(const std::size_t m, Find(index, points, row, points.Text(row, kOf)));
    ProfilePoint point;
    point.share = static_cast<int>(points.Integer(row, kShare));
    point.batch = static_cast<int>(points.Integer(row, kBatch));
    point.processes =
        points.Has(row, kProcesses) ? static_cast<int>(points.Integer(row, kProcesses)) : 1;
    point.latency_ms = points.Real(row, kLatency);
    const double throughput = points.Real(row, kThroughput);
    point.busy_ms = throughput > 0 ? 1000.0 * point.batch / throughput : point.latency_ms;
    read[m].points.push_back(point);
  }
  return read;
}

Result<Arrivals> ReadMixArrivals(const MixText& arrivals, std::span<const MixModel> models) {
  constexpr CsvColumn kColumns[] = {{"time_s", CsvKind::kReal, 0, kBig}, {"model", CsvKind::kText}};
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::Parse(arrivals.file, arrivals.text, kColumns));
  const Index index = IndexOf(models);
  Arrivals read;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    BRIM_ASSIGN_OR_RETURN(const std::size_t m, Find(index, table, row, table.Text(row, 1)));
    read[static_cast<std::int32_t>(m)].push_back(table.Real(row, 0));
  }
  for (auto& [model, times] : read) std::sort(times.begin(), times.end());
  return read;
}

Result<std::vector<MixModel>> ReadParva(const ParvaText& text, const ParvaChoice& choice) {
  std::vector<MixText> profiles = text.profiles;
  std::sort(profiles.begin(), profiles.end(),
            [](const MixText& a, const MixText& b) { return ModelOf(a.file) < ModelOf(b.file); });
  BRIM_ASSIGN_OR_RETURN(const std::vector<double> rates,
                        ReadScenario(text.rates, choice.scenario, profiles.size()));
  BRIM_ASSIGN_OR_RETURN(const std::vector<double> latencies,
                        ReadScenario(text.latencies, choice.scenario, profiles.size()));
  std::vector<MixModel> once;
  for (std::size_t m = 0; m < profiles.size(); ++m) {
    MixModel model;
    model.name = ModelOf(profiles[m].file);
    model.rate = rates[m] * choice.rate_scale;
    model.slo_ms = latencies[m];
    BRIM_ASSIGN_OR_RETURN(model.points, ReadParvaProfile(profiles[m], choice.slices));
    if (rates[m] < 0 || latencies[m] < 0) continue;
    model.weights_mib = ProvenMemory(model.points, choice.slices, choice.card_memory_mib);
    once.push_back(std::move(model));
  }
  std::vector<MixModel> models;
  for (int set = 1; set <= choice.sets; ++set) {
    for (const MixModel& model : once) {
      models.push_back(model);
      if (set > 1) models.back().name += fmt::format("#{}", set);
    }
  }
  return models;
}

Result<std::vector<Segment>> ReadParvaPlacement(const MixText& placement,
                                                std::span<const MixModel> models) {
  constexpr CsvColumn kColumns[] = {{"Num instance", CsvKind::kInteger, 0, 1e6},
                                    {"Num GPU", CsvKind::kInteger, 0, 1e6},
                                    {"Model", CsvKind::kText},
                                    {"Placement", CsvKind::kInteger, 0, 6},
                                    {"Instance size", CsvKind::kInteger, 1, kMigPerCard},
                                    {"Batch size", CsvKind::kInteger, 1, kMixBatchMax},
                                    {"Num proc", CsvKind::kInteger, 1, kProcessesMax}};
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::Parse(placement.file, placement.text, kColumns));
  const Index index = IndexOf(models);
  std::vector<std::pair<std::int64_t, std::int64_t>> cards;
  std::vector<Segment> segments;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::pair card(table.Integer(row, 0), table.Integer(row, 1));
    if (cards.empty() || cards.back() != card) cards.push_back(card);
    BRIM_ASSIGN_OR_RETURN(const std::size_t m, Find(index, table, row, table.Text(row, 2)));
    Segment segment;
    segment.card = static_cast<std::int32_t>(cards.size()) - 1;
    segment.start = static_cast<int>(table.Integer(row, 3));
    segment.share = static_cast<int>(table.Integer(row, 4));
    segment.processes = static_cast<int>(table.Integer(row, 6));
    segment.tenants.push_back(
        {static_cast<std::int32_t>(m), 0, static_cast<int>(table.Integer(row, 5)), 0, true});
    segments.push_back(std::move(segment));
  }
  return segments;
}

Status ReadMixMemory(const MixText& memory, std::vector<MixModel>* models) {
  constexpr CsvColumn kColumns[] = {
      {"model", CsvKind::kText},
      {"weights_mib", CsvKind::kReal, 0, kBig},
      {"workspace_mib", CsvKind::kReal, 0, kBig, CsvColumn::Need::kOptional},
      {"load_ms", CsvKind::kReal, 0, 1e8, CsvColumn::Need::kOptional},
      {"cpu_ms", CsvKind::kReal, 0, 1e8, CsvColumn::Need::kOptional}};
  BRIM_ASSIGN_OR_RETURN(const CsvTable table, CsvTable::Parse(memory.file, memory.text, kColumns));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (MixModel& model : *models) {
      if (std::string_view(model.name).substr(0, model.name.find('#')) != table.Text(row, 0))
        continue;
      model.weights_mib = table.Real(row, 1);
      if (table.Has(row, 2)) model.workspace_mib = table.Real(row, 2);
      if (table.Has(row, 3)) model.load_ms = table.Real(row, 3);
      if (table.Has(row, 4)) model.cpu_ms = table.Real(row, 4);
    }
  }
  return OkStatus();
}

}  // namespace brim::planner
