// Report: what a planner command found, printed once for people and once for machines.
//
//   Report report("brim plan pack");
//   report.Number("cards", 1965, "cards", "cards with anything on them");
//   ReportTable& table = report.Table("policies", {{"policy"}, {"allocation", "%"}});
//   table.Row({"fgd", 95.3});
//   std::fputs(json ? report.ToJson().c_str() : report.ToText().c_str(), stdout);
//
// The JSON has the same names: numbers and texts as members, tables as arrays of objects keyed by
// column name, units in a member "units". A value named like a table, which counts it, is
// "<name>_count" there. Pure; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace brim::planner {

// Nothing prints as "-" and null. Reals print with three digits that matter, JSON has them all.
using ReportCell = std::variant<std::monostate, std::string, std::int64_t, double, bool>;

struct ReportColumn {
  std::string name;       // The JSON key; the table's head.
  std::string unit = {};  // Printed under or beside the head; empty: none.
};

class ReportTable {
 public:
  ReportTable(std::string name, std::vector<ReportColumn> columns, std::string caption);
  // REQUIRES: as many cells as columns.
  ReportTable& Row(std::vector<ReportCell> cells);

  const std::string& name() const { return name_; }
  const std::string& caption() const { return caption_; }
  const std::vector<ReportColumn>& columns() const { return columns_; }
  const std::vector<std::vector<ReportCell>>& rows() const { return rows_; }

 private:
  std::string name_, caption_;
  std::vector<ReportColumn> columns_;
  std::vector<std::vector<ReportCell>> rows_;
};

class Report {
 public:
  explicit Report(std::string command);

  // In order of appearance. `name` is a JSON key: lower case with underscores, unit last if it
  // needs one. `says` explains the value to a person; may be empty.
  Report& Number(std::string name, double value, std::string unit, std::string says = {});
  Report& Count(std::string name, std::int64_t value, std::string unit, std::string says = {});
  Report& Text(std::string name, std::string value, std::string says = {});
  // A paragraph for people, an element of "notes" for machines.
  Report& Note(std::string text);
  // Stays valid: add rows later.
  ReportTable& Table(std::string name, std::vector<ReportColumn> columns, std::string caption = {});

  // `rows_max`: a longer table prints its first rows and says how many are left out (0: all).
  // Without `timings`, values and columns named "seconds" or "*_seconds" are left out: they say how
  // long this machine took, and all else is the same on every machine.
  std::string ToText(std::size_t rows_max = 0, bool timings = true) const;
  std::string ToJson(bool timings = true) const;  // One object, a newline at the end.

 private:
  struct Value {
    std::string name;
    ReportCell cell;
    std::string unit, says;
  };
  using Item = std::variant<Value, std::string, const ReportTable*>;

  std::string command_;
  std::deque<ReportTable> tables_;  // Stable addresses.
  std::vector<Item> items_;
};

}  // namespace brim::planner
