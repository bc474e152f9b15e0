// See usage_format.h.
#include "planner/rightsize/usage_format.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "planner/formats/csv_table.h"

namespace brim::planner {
namespace {

constexpr double kTimeMax = 1e12;  // Seconds.
constexpr double kValueMax = 1e15;
constexpr double kComputeMax = 6400;  // 64 cards.
constexpr double kBytesPerMib = 1 << 20;

constexpr CsvColumn::Need kOptional = CsvColumn::Need::kOptional;

// Index of each in kOwn.
enum OwnColumn : std::size_t {
  kTime,
  kPod,
  kOwner,
  kService,
  kCards,
  kCompute,
  kMemory,
  kCpu,
  kRate,
  kTimeToo,
  kComputeToo,
  kMemoryToo,
  kOwnColumns
};
constexpr std::array<CsvColumn, kOwnColumns> kOwn = {{
    {"time_s", CsvKind::kReal, -kTimeMax, kTimeMax, kOptional},
    {"pod", CsvKind::kText},
    {"owner", CsvKind::kText, 0, 0, kOptional},
    {"service", CsvKind::kText, 0, 0, kOptional},
    {"cards", CsvKind::kReal, 0, 64, kOptional},
    {"compute_percent", CsvKind::kReal, 0, kComputeMax, kOptional},
    {"memory_mib", CsvKind::kReal, 0, kValueMax, kOptional},
    {"cpu_milli", CsvKind::kReal, 0, kValueMax, kOptional},
    {"requests_per_s", CsvKind::kReal, 0, kValueMax, kOptional},
    {"timestamp_s", CsvKind::kReal, -kTimeMax, kTimeMax, kOptional},
    {"gpu_percent", CsvKind::kReal, 0, kComputeMax, kOptional},
    {"gpu_memory_mib", CsvKind::kReal, 0, kValueMax, kOptional},
}};

constexpr std::array<CsvColumn, 3> kGenTd = {{
    {"timestamp_anon", CsvKind::kReal, 0, kTimeMax},
    {"value", CsvKind::kReal, 0, kValueMax, CsvColumn::Need::kMayBeEmpty},
    {"container_ip", CsvKind::kText},
}};

Status Wrong(std::string message) {
  return Status(Code::kInvalidArgument, "usage_columns", std::move(message));
}

// The column of the two spellings that the file has.
Result<std::size_t> OneOf(const std::string& file, const CsvTable& table, std::size_t name,
                          std::size_t other) {
  if (table.HasColumn(name) && table.HasColumn(other)) {
    return Wrong(fmt::format("{}:1: has both '{}' and '{}', which mean the same; drop one", file,
                             kOwn[name].name, kOwn[other].name));
  }
  return table.HasColumn(other) ? other : name;
}

Status ReadOwn(const std::string& file, std::string_view text, UsageBuilder* builder) {
  BRIM_ASSIGN_OR_RETURN(const CsvTable table, CsvTable::Parse(file, text, kOwn));
  BRIM_ASSIGN_OR_RETURN(const std::size_t time, OneOf(file, table, kTime, kTimeToo));
  BRIM_ASSIGN_OR_RETURN(const std::size_t compute, OneOf(file, table, kCompute, kComputeToo));
  BRIM_ASSIGN_OR_RETURN(const std::size_t memory, OneOf(file, table, kMemory, kMemoryToo));
  if (!table.HasColumn(time)) return Wrong(fmt::format("{}:1: needs a column 'time_s'", file));
  const std::array<std::size_t, kResources> columns = {compute, memory, kCpu, kRate};
  bool any = false;
  for (const std::size_t column : columns) any = any || table.HasColumn(column);
  if (!any) {
    return Wrong(
        fmt::format("{}:1: needs at least one of compute_percent, memory_mib, cpu_milli "
                    "and requests_per_s",
                    file));
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (!table.Has(row, time)) return table.Error(row, "time_s is empty; expected seconds");
    UsageIdentity who;
    who.pod = table.Text(row, kPod);
    if (table.HasColumn(kOwner)) who.owner = table.Text(row, kOwner);
    if (table.HasColumn(kService)) who.service = table.Text(row, kService);
    if (table.HasColumn(kCards) && table.Has(row, kCards)) who.cards = table.Real(row, kCards);
    const std::size_t pod = builder->AddPod(who);
    for (std::size_t r = 0; r < kResources; ++r) {
      if (!table.HasColumn(columns[r]) || !table.Has(row, columns[r])) continue;
      builder->Add(pod, kAllResources[r], table.Real(row, time), table.Real(row, columns[r]));
    }
  }
  return OkStatus();
}

Status ReadGenTd(const std::string& file, std::string_view text, UsageBuilder* builder) {
  const std::string_view name = std::string_view(file).substr(file.find_last_of('/') + 1);
  const bool compute = name.find("duty_cycle") != std::string_view::npos;
  if (!compute && name.find("memory_used") == std::string_view::npos) {
    return Wrong(
        fmt::format("{}: GenTD26 columns, but the name says neither 'duty_cycle' nor "
                    "'memory_used', so what the values are is unknown; keep the "
                    "publisher's file name",
                    file));
  }
  BRIM_ASSIGN_OR_RETURN(const CsvTable table, CsvTable::Parse(file, text, kGenTd));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double value = table.Real(row, 1);
    if (!table.Has(row, 1)) continue;
    if (compute && value > 100) return table.Error(row, "a duty above 100; expected percent");
    UsageIdentity who;
    who.pod = table.Text(row, 2);
    who.service = "gentd26";
    builder->Add(who, compute ? Resource::kCompute : Resource::kMemory, table.Real(row, 0),
                 compute ? value : value / kBytesPerMib);
  }
  return OkStatus();
}

}  // namespace

Status ReadUsage(const std::string& file, std::string_view text, UsageBuilder* builder) {
  const std::string_view head = text.substr(0, text.find('\n'));
  const bool gentd = head.find("timestamp_anon") != std::string_view::npos;
  return gentd ? ReadGenTd(file, text, builder) : ReadOwn(file, text, builder);
}

}  // namespace brim::planner
