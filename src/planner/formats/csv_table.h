// CsvTable: a whole CSV file as checked, typed columns.
//
//   const CsvColumn kColumns[] = {{"name", CsvKind::kText}, {"cpus", CsvKind::kInteger, 0, 1e9}};
//   Result<CsvTable> table = CsvTable::Parse("pods.csv", text, kColumns);
//   for (std::size_t row = 0; row < table->rows(); ++row) use(table->Integer(row, 1));
//
// RFC 4180 with LF or CRLF and an optional UTF-8 byte order mark; the first line names the columns,
// in any order. Everything wrong is `file:line: what, and what was expected`: an unknown or missing
// or repeated column, a field too many or too few, a value that is no number or out of range.
// Pure: text in, values out. Immutable afterwards; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace brim::planner {

enum class CsvKind : std::uint8_t { kText, kInteger, kReal, kIgnored };

struct CsvColumn {
  std::string_view name;  // Static storage.
  CsvKind kind = CsvKind::kText;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  enum class Need : std::uint8_t {
    kRequired,    // The column must be there and every field filled.
    kMayBeEmpty,  // The column must be there; a field may be empty.
    kOptional,    // The column may be absent, a field empty.
  } need = Need::kRequired;
};

struct CsvLimits {
  std::size_t bytes_max = std::size_t{1} << 30;
  std::size_t rows_max = 10'000'000;
  std::size_t field_bytes_max = 64 << 10;
  bool unknown_columns = false;  // True: columns not named are skipped, not refused.
};

class CsvTable {
 public:
  // `file` is only for messages. CsvKind::kReal takes "nan" in any case for an empty field.
  static Result<CsvTable> Parse(std::string file, std::string_view text,
                                std::span<const CsvColumn> columns, const CsvLimits& limits = {});
  // The same table from JSON: {"<key>": [{"<column>": value, ...}, ...]}, or that array alone. A
  // list of texts, joined by '|', is a text.
  static Result<CsvTable> ParseJson(std::string file, std::string_view text, std::string_view key,
                                    std::span<const CsvColumn> columns,
                                    const CsvLimits& limits = {});
  // JSON if the first character that is no space is { or [, else CSV.
  static Result<CsvTable> ParseAny(std::string file, std::string_view text, std::string_view key,
                                   std::span<const CsvColumn> columns,
                                   const CsvLimits& limits = {});
  // The names in a CSV file's first line, to tell formats apart.
  static Result<std::vector<std::string>> Header(std::string file, std::string_view text);

  CsvTable() = default;  // No rows.

  const std::string& file() const { return file_; }
  std::size_t rows() const { return lines_.size(); }
  // `column` is the index in Parse()'s columns. Has() is false for an empty or absent field; then
  // Integer() and Real() are 0 and Text() is empty.
  bool Has(std::size_t row, std::size_t column) const;
  std::int64_t Integer(std::size_t row, std::size_t column) const;
  double Real(std::size_t row, std::size_t column) const;
  std::string_view Text(std::size_t row, std::size_t column) const;
  bool HasColumn(std::size_t column) const;

  std::size_t line(std::size_t row) const { return lines_[row]; }
  // INVALID_ARGUMENT (bad_row): "pods.csv:12: <what>".
  Status Error(std::size_t row, std::string_view what) const;

 private:
  friend class TableBuilder;

  struct Column {
    CsvKind kind = CsvKind::kIgnored;
    bool present = false;
    std::vector<double> reals;           // kReal; NaN is an empty field.
    std::vector<std::int64_t> integers;  // kInteger; the lowest value is an empty field.
    std::vector<std::uint32_t> ends;     // kText: row i is text[ends[i-1], ends[i]).
    std::string text;
  };

  std::string file_;
  std::vector<Column> columns_;
  std::vector<std::uint32_t> lines_;
};

}  // namespace brim::planner
