// Tells formats apart by how many of a format's columns the header names.
#include "planner/formats/cluster_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "planner/formats/cluster_builder.h"

namespace brim::planner {
namespace {

bool IsJson(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::size_t at = text.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && (text[at] == '{' || text[at] == '[');
}

bool Names(const ClusterFormat& format, std::string_view column) {
  return std::any_of(format.columns.begin(), format.columns.end(),
                     [column](const CsvColumn& known) { return known.name == column; });
}

// How many of the header's names the format knows.
std::ptrdiff_t Named(const ClusterFormat& format, const std::vector<std::string>& header) {
  return std::count_if(header.begin(), header.end(),
                       [&](const std::string& column) { return Names(format, column); });
}

const ClusterFormat* Best(std::span<const ClusterFormat> formats,
                          const std::vector<std::string>& header) {
  const ClusterFormat* best = &formats.front();
  for (const ClusterFormat& format : formats) {
    if (Named(format, header) > Named(*best, header)) best = &format;
  }
  return best;
}

Status UnknownFormat(const InputText& input, std::span<const ClusterFormat> formats) {
  std::string known;
  for (const ClusterFormat& format : formats) {
    std::vector<std::string_view> names;
    for (const CsvColumn& column : format.columns) {
      if (column.need != CsvColumn::Need::kOptional) names.push_back(column.name);
    }
    known += fmt::format("\n  {}: {}", format.name, fmt::join(names, ", "));
  }
  return Status(Code::kInvalidArgument, "unknown_format",
                fmt::format("{}:1: the first line names the columns of no known format, expected "
                            "those of one of these:{}",
                            input.file, known));
}

Result<const ClusterFormat*> Detect(const InputText& input,
                                    std::span<const ClusterFormat> formats) {
  if (IsJson(input.text)) return &formats.front();
  BRIM_ASSIGN_OR_RETURN(const std::vector<std::string> header,
                        CsvTable::Header(input.file, input.text));
  const ClusterFormat* best = Best(formats, header);
  if (Named(*best, header) == 0) return UnknownFormat(input, formats);
  const bool nodes = formats.data() == NodeFormats().data();
  const ClusterFormat* other = Best(nodes ? PodFormats() : NodeFormats(), header);
  if (Named(*other, header) > Named(*best, header)) {
    return Status(
        Code::kInvalidArgument, "files_swapped",
        fmt::format("{}:1: these are the columns of {}, expected those of {}: are the two "
                    "files swapped?",
                    input.file, other->name, best->name));
  }
  return best;
}

Result<std::string> Read(const InputText& input, std::string_view key,
                         std::span<const ClusterFormat> formats, ClusterBuilder* builder) {
  BRIM_ASSIGN_OR_RETURN(const ClusterFormat* format, Detect(input, formats));
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::ParseAny(input.file, input.text, key, format->columns));
  if (table.rows() == 0) {
    return Status(Code::kInvalidArgument, "no_rows",
                  fmt::format("{}:2: there are no {}, expected at least one row", input.file, key));
  }
  builder->input().pods.reserve(key == "pods" ? table.rows() : 0);
  BRIM_RETURN_IF_ERROR(format->read(table, builder));
  return fmt::format("{}, {}", format->name, IsJson(input.text) ? "JSON" : "CSV");
}

}  // namespace

Result<std::int32_t> ClusterBuilder::CardModel(const CsvTable& table, std::size_t row,
                                               std::string_view model) {
  const auto found = models_.find(std::string(model));
  if (found != models_.end()) return found->second;
  std::vector<std::string>& names = input_.cluster.card_models;
  if (names.size() >= static_cast<std::size_t>(kCardModelsMax)) {
    return table.Error(row, fmt::format("'{}' is one card model more than {}: give fewer models",
                                        model, kCardModelsMax));
  }
  names.emplace_back(model);
  const auto index = static_cast<std::int32_t>(names.size() - 1);
  models_.emplace(model, index);
  return index;
}

Result<std::uint64_t> ClusterBuilder::CardModels(const CsvTable& table, std::size_t row,
                                                 std::string_view models) {
  std::uint64_t mask = 0;
  if (models.empty() || EqualsIgnoreCase(models, "nan")) return mask;
  for (const std::string_view piece : Split(models, '|')) {
    const std::string_view model = Trim(piece);
    if (model.empty()) {
      return table.Error(row,
                         fmt::format("'{}' has an empty card model, expected names joined by '|'",
                                     models.substr(0, 40)));
    }
    BRIM_ASSIGN_OR_RETURN(const std::int32_t index, CardModel(table, row, model));
    mask |= std::uint64_t{1} << index;
  }
  return mask;
}

Status ClusterBuilder::CheckUnique(const CsvTable& table, std::size_t name, std::string_view what) {
  std::unordered_map<std::string_view, std::size_t> rows;
  rows.reserve(table.rows());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto [at, fresh] = rows.emplace(table.Text(row, name), row);
    if (fresh) continue;
    return table.Error(
        row, fmt::format("the {} '{}' is in line {} already, expected every name once", what,
                         at->first.substr(0, 80), table.line(at->second)));
  }
  return OkStatus();
}

Result<PlanInput> ReadCluster(const InputText& nodes, const InputText& pods) {
  ClusterBuilder builder;
  BRIM_ASSIGN_OR_RETURN(builder.input().node_format, Read(nodes, "nodes", NodeFormats(), &builder));
  const std::size_t models = builder.input().cluster.card_models.size();
  BRIM_ASSIGN_OR_RETURN(builder.input().pod_format, Read(pods, "pods", PodFormats(), &builder));
  const std::vector<std::string>& names = builder.input().cluster.card_models;
  for (std::size_t i = models; i < names.size(); ++i) {
    builder.input().notes.push_back(
        fmt::format("Pods name the card model {}, which no node has.", names[i]));
  }
  return std::move(builder.input());
}

Result<PlanInput> ReadNodes(const InputText& nodes) {
  ClusterBuilder builder;
  BRIM_ASSIGN_OR_RETURN(builder.input().node_format, Read(nodes, "nodes", NodeFormats(), &builder));
  return std::move(builder.input());
}

Result<PlanInput> ReadPods(const InputText& pods) {
  ClusterBuilder builder;
  BRIM_ASSIGN_OR_RETURN(builder.input().pod_format, Read(pods, "pods", PodFormats(), &builder));
  return std::move(builder.input());
}

}  // namespace brim::planner
