// ClusterBuilder: what the node and pod formats fill; it keeps names unique and card models one
// index. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "planner/formats/cluster_format.h"
#include "planner/formats/csv_table.h"

namespace brim::planner {

// Memory of a node whose file says none: more than any pod asks for, so it never refuses one.
inline constexpr std::int64_t kMemoryUnknownMib = std::int64_t{1} << 40;

class ClusterBuilder {
 public:
  // The model's index; an error of `table` at `row` when there are too many.
  Result<std::int32_t> CardModel(const CsvTable& table, std::size_t row, std::string_view model);
  // The mask of "T4|A10"; empty, or "nan" of a data frame, is any: 0.
  Result<std::uint64_t> CardModels(const CsvTable& table, std::size_t row, std::string_view models);
  // Column `name` of every row is unlike all others.
  static Status CheckUnique(const CsvTable& table, std::size_t name, std::string_view what);

  PlanInput& input() { return input_; }

 private:
  PlanInput input_;
  std::unordered_map<std::string, std::int32_t> models_;
};

struct ClusterFormat {
  const char* name;
  std::span<const CsvColumn> columns;
  Status (*read)(const CsvTable& table, ClusterBuilder* builder);
};
// Ours first: it wins where a header fits two equally.
std::span<const ClusterFormat> NodeFormats();
std::span<const ClusterFormat> PodFormats();

}  // namespace brim::planner
