// Fuzzes the JSON reader with pods, nodes, and a table that has a column of every kind.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "planner/formats/cluster_format.h"
#include "planner/formats/csv_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using brim::planner::CsvColumn;
  using brim::planner::CsvKind;
  using brim::planner::CsvTable;
  static constexpr CsvColumn kColumns[] = {
      {"name", CsvKind::kText},
      {"count", CsvKind::kInteger, 0, 100, CsvColumn::Need::kMayBeEmpty},
      {"share", CsvKind::kReal, 0, 1, CsvColumn::Need::kOptional},
      {"other", CsvKind::kIgnored, 0, 0, CsvColumn::Need::kOptional},
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(brim::planner::ReadPods({"pods.json", text}));
  static_cast<void>(brim::planner::ReadNodes({"nodes.json", text}));
  const auto table = CsvTable::ParseJson("table.json", text, "rows", kColumns);
  if (!table.ok()) return 0;
  for (std::size_t row = 0; row < table->rows(); ++row) {
    for (std::size_t column = 0; column < std::size(kColumns); ++column) {
      static_cast<void>(table->Has(row, column));
      static_cast<void>(table->Text(row, column));
    }
    static_cast<void>(table->Integer(row, 1));
    static_cast<void>(table->Real(row, 2));
  }
  return 0;
}
