// TableBuilder: fills a CsvTable row by row and says what is wrong; the CSV and the JSON reader
// share it, so both give the same messages. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "planner/formats/csv_table.h"

namespace brim::planner {

class TableBuilder {
 public:
  static constexpr int kIgnore = -1;   // A column that is not wanted and may be there.
  static constexpr int kUnknown = -2;  // One that may not.

  // `columns` must outlive it.
  TableBuilder(std::string file, std::span<const CsvColumn> columns, const CsvLimits& limits);

  int IndexOf(std::string_view name) const;
  // The column is there; false: it was said before.
  bool Present(int column);
  // After the last Present(): every column that must be there is.
  Status CheckPresent(std::uint32_t line) const;

  Status BeginRow(std::uint32_t line);
  Status Set(int column, std::string_view text);
  Status EndRow();

  Status Unknown(std::uint32_t line, std::string_view name) const;
  // INVALID_ARGUMENT (`reason`): "file:line: what".
  Status Error(std::uint32_t line, const char* reason, std::string_view what) const;
  std::uint32_t line() const { return line_; }
  const CsvLimits& limits() const { return limits_; }
  CsvTable Take() { return std::move(table_); }

 private:
  Status SetText(int column, std::string_view text);
  Status SetNumber(int column, std::string_view text);
  Status SetEmpty(int column);
  Status Wrong(int column, std::string_view text) const;
  bool Filled(int column) const;

  std::span<const CsvColumn> columns_;
  CsvLimits limits_;
  CsvTable table_;
  std::vector<std::string_view> names_;
  std::uint32_t line_ = 0;
};

}  // namespace brim::planner
