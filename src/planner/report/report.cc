// Report's two printers: aligned text with units, and JSON.
#include "planner/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "planner/report/report_text.h"

namespace brim::planner {
namespace {

constexpr std::size_t kColumns = 100;       // Of a terminal: where the words that explain wrap.
constexpr std::size_t kLastColumnMin = 30;  // So wide at least stays a table's last column.

std::string CellText(const ReportCell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<std::int64_t>(&cell)) return CountText(*count);
  if (const auto* number = std::get_if<double>(&cell)) return NumberText(*number);
  if (const auto* yes = std::get_if<bool>(&cell)) return *yes ? "yes" : "no";
  return "-";
}

void CellJson(const ReportCell& cell, JsonWriter* json) {
  if (const auto* text = std::get_if<std::string>(&cell)) {
    json->String(*text);
  } else if (const auto* count = std::get_if<std::int64_t>(&cell)) {
    json->Int(*count);
  } else if (const auto* number = std::get_if<double>(&cell); number && std::isfinite(*number)) {
    json->Double(*number);
  } else if (const auto* yes = std::get_if<bool>(&cell)) {
    json->Bool(*yes);
  } else {
    json->Null();
  }
}

bool IsTiming(std::string_view name) { return name == "seconds" || name.ends_with("_seconds"); }

ReportTable WithoutTimings(const ReportTable& table) {
  std::vector<std::size_t> kept;
  std::vector<ReportColumn> columns;
  for (std::size_t i = 0; i < table.columns().size(); ++i) {
    if (IsTiming(table.columns()[i].name)) continue;
    kept.push_back(i);
    columns.push_back(table.columns()[i]);
  }
  ReportTable without(table.name(), std::move(columns), table.caption());
  for (const std::vector<ReportCell>& row : table.rows()) {
    std::vector<ReportCell> cells;
    for (const std::size_t i : kept) cells.push_back(row[i]);
    without.Row(std::move(cells));
  }
  return without;
}

std::string Words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

void AppendPadded(std::string* out, std::string_view text, std::size_t width, bool left) {
  const std::size_t pad = width - std::min(width, TextWidth(text));
  if (!left) out->append(pad, ' ');
  out->append(text);
  if (left) out->append(pad, ' ');
}

// Pieces of at most `width` terminal columns, one at least.
std::vector<std::string> Wrapped(const std::string& text, std::size_t width) {
  if (TextWidth(text) <= width) return {text};
  std::vector<std::string> pieces;
  const std::string lines = WrapText(text, 0, width);
  for (const std::string_view piece : Split(lines, '\n')) {
    if (!piece.empty()) pieces.emplace_back(piece);
  }
  if (pieces.empty()) pieces.emplace_back();
  return pieces;
}

void TrimEnd(std::string* line) { line->erase(line->find_last_not_of(' ') + 1); }

// A table's cells as text, with its heads, and what that says about each column.
struct TextTable {
  std::vector<std::vector<std::string>> lines;  // Head, units (perhaps), rows.
  std::size_t heads = 1;                        // Lines before the rule.
  std::vector<std::size_t> widths;
  std::vector<bool> left;  // Columns of text stand to the left, numbers to the right.
};

TextTable Layout(const ReportTable& table, std::size_t rows) {
  TextTable text;
  const std::vector<ReportColumn>& columns = table.columns();
  std::vector<std::string> head, units;
  bool any_unit = false;
  for (const ReportColumn& column : columns) {
    head.push_back(Words(column.name));
    units.push_back(column.unit);
    any_unit = any_unit || !column.unit.empty();
  }
  text.lines.push_back(std::move(head));
  if (any_unit) text.lines.push_back(std::move(units));
  text.heads = text.lines.size();
  text.left.assign(columns.size(), false);
  for (std::size_t row = 0; row < rows; ++row) {
    std::vector<std::string> line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const ReportCell& cell = table.rows()[row][i];
      if (std::holds_alternative<std::string>(cell)) text.left[i] = true;
      line.push_back(CellText(cell));
    }
    text.lines.push_back(std::move(line));
  }
  text.widths.assign(columns.size(), 0);
  for (const std::vector<std::string>& line : text.lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      text.widths[i] = std::max(text.widths[i], TextWidth(line[i]));
    }
  }
  // Where the table is wider than the terminal, a last column of words gives way by wrapping.
  std::size_t others = 2;
  for (std::size_t i = 0; i + 1 < columns.size(); ++i) others += text.widths[i] + 2;
  if (!columns.empty() && text.left.back() && others + text.widths.back() > kColumns) {
    const std::size_t room = kColumns > others ? kColumns - others : 0;
    text.widths.back() = std::min(text.widths.back(), std::max(room, kLastColumnMin));
  }
  return text;
}

void AppendLine(const TextTable& text, const std::vector<std::string>& cells, std::string* out) {
  std::string line = "  ";
  const std::size_t columns = text.widths.size();
  for (std::size_t i = 0; i + 1 < columns; ++i) {
    AppendPadded(&line, cells[i], text.widths[i], text.left[i]);
    line += "  ";
  }
  if (columns > 0) {
    const std::size_t indent = TextWidth(line);
    const std::vector<std::string> pieces = Wrapped(cells.back(), text.widths.back());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (i > 0) line += '\n' + std::string(indent, ' ');
      AppendPadded(&line, pieces[i], i > 0 ? 0 : text.widths.back(), text.left.back());
      TrimEnd(&line);
    }
  }
  TrimEnd(&line);
  *out += line + '\n';
}

void AppendTable(const ReportTable& table, std::size_t rows_max, std::string* out) {
  const std::size_t all = table.rows().size();
  const std::size_t shown = rows_max == 0 ? all : std::min(all, rows_max);
  const TextTable text = Layout(table, shown);
  if (!table.caption().empty()) *out += WrapText(table.caption(), 2, kColumns);
  std::size_t rule = text.widths.empty() ? 0 : 2 * (text.widths.size() - 1);
  for (const std::size_t width : text.widths) rule += width;
  for (std::size_t at = 0; at < text.lines.size(); ++at) {
    AppendLine(text, text.lines[at], out);
    if (at + 1 == text.heads) *out += "  " + std::string(rule, '-') + '\n';
  }
  if (all == 0) *out += "  (none)\n";
  if (shown < all) {
    *out += fmt::format("  ... and {} more rows of {} (--rows 0 prints all)\n",
                        CountText(static_cast<std::int64_t>(all - shown)), Words(table.name()));
  }
}

std::string WithUnit(const ReportCell& cell, const std::string& unit) {
  return CellText(cell) + (unit.empty() || unit == "%" ? "" : " ") + unit;
}

// What explains a value begins at column `indent` and wraps under itself.
void AppendSays(std::string_view says, std::size_t indent, std::string* line) {
  std::string text = WrapText(says, indent, std::max(kColumns, indent + kLastColumnMin));
  if (!text.empty()) {
    text.pop_back();
    if (TextWidth(*line) > indent) *line += "  ";
    *line += text.substr(indent);
  }
  TrimEnd(line);
}

void TableJson(const ReportTable& table, std::vector<std::pair<std::string, std::string>>* units,
               JsonWriter* json) {
  json->Key(table.name()).BeginArray();
  for (const std::vector<ReportCell>& row : table.rows()) {
    json->BeginObject();
    for (std::size_t i = 0; i < row.size(); ++i) {
      json->Key(table.columns()[i].name);
      CellJson(row[i], json);
    }
    json->EndObject();
  }
  json->EndArray();
  for (const ReportColumn& column : table.columns()) {
    if (!column.unit.empty()) units->emplace_back(table.name() + "." + column.name, column.unit);
  }
}

}  // namespace

ReportTable::ReportTable(std::string name, std::vector<ReportColumn> columns, std::string caption)
    : name_(std::move(name)), caption_(std::move(caption)), columns_(std::move(columns)) {}

ReportTable& ReportTable::Row(std::vector<ReportCell> cells) {
  BRIM_CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
  return *this;
}

Report::Report(std::string command) : command_(std::move(command)) {}

Report& Report::Number(std::string name, double value, std::string unit, std::string says) {
  items_.emplace_back(Value{std::move(name), value, std::move(unit), std::move(says)});
  return *this;
}

Report& Report::Count(std::string name, std::int64_t value, std::string unit, std::string says) {
  items_.emplace_back(Value{std::move(name), value, std::move(unit), std::move(says)});
  return *this;
}

Report& Report::Text(std::string name, std::string value, std::string says) {
  items_.emplace_back(Value{std::move(name), std::move(value), {}, std::move(says)});
  return *this;
}

Report& Report::Note(std::string text) {
  items_.emplace_back(std::move(text));
  return *this;
}

ReportTable& Report::Table(std::string name, std::vector<ReportColumn> columns,
                           std::string caption) {
  ReportTable& table =
      tables_.emplace_back(std::move(name), std::move(columns), std::move(caption));
  items_.emplace_back(&table);
  return table;
}

std::string Report::ToText(std::size_t rows_max, bool timings) const {
  constexpr std::size_t kValueWidthMax = 24;  // A longer value pushes only its own explanation.
  std::size_t name_width = 0, value_width = 0;
  for (const Item& item : items_) {
    if (const auto* value = std::get_if<Value>(&item)) {
      name_width = std::max(name_width, TextWidth(value->name));
      const std::size_t width =
          value->says.empty() ? 0 : TextWidth(WithUnit(value->cell, value->unit));
      value_width = std::max(value_width, std::min(width, kValueWidthMax));
    }
  }
  std::string out = command_ + "\n";
  bool in_values = false;
  for (const Item& item : items_) {
    const auto* value = std::get_if<Value>(&item);
    if (value != nullptr && !timings && IsTiming(value->name)) continue;
    if (value == nullptr || !in_values) out += '\n';
    in_values = value != nullptr;
    if (value != nullptr) {
      std::string line = "  ";
      AppendPadded(&line, Words(value->name), name_width + 2, true);
      AppendPadded(&line, WithUnit(value->cell, value->unit), value_width + 2, true);
      AppendSays(value->says, name_width + value_width + 6, &line);
      out += line + '\n';
    } else if (const auto* note = std::get_if<std::string>(&item)) {
      out += WrapText(*note, 2, kColumns);
    } else {
      const ReportTable& table = **std::get_if<const ReportTable*>(&item);
      AppendTable(timings ? table : WithoutTimings(table), rows_max, &out);
    }
  }
  return out;
}

std::string Report::ToJson(bool timings) const {
  std::string out;
  JsonWriter json(&out);
  std::vector<std::pair<std::string, std::string>> units;
  std::vector<std::string> notes;
  const auto key = [this](const std::string& name) {
    const bool table = std::any_of(tables_.begin(), tables_.end(),
                                   [&](const ReportTable& t) { return t.name() == name; });
    return table ? name + "_count" : name;
  };
  json.BeginObject().Key("command").String(command_);
  for (const Item& item : items_) {
    if (const auto* value = std::get_if<Value>(&item)) {
      if (!timings && IsTiming(value->name)) continue;
      const std::string name = key(value->name);
      json.Key(name);
      CellJson(value->cell, &json);
      if (!value->unit.empty()) units.emplace_back(name, value->unit);
    } else if (const auto* note = std::get_if<std::string>(&item)) {
      notes.push_back(*note);
    } else {
      const ReportTable& table = **std::get_if<const ReportTable*>(&item);
      TableJson(timings ? table : WithoutTimings(table), &units, &json);
    }
  }
  if (!notes.empty()) {
    json.Key("notes").BeginArray();
    for (const std::string& note : notes) json.String(note);
    json.EndArray();
  }
  json.Key("units").BeginObject();
  for (const auto& [name, unit] : units) json.Key(name).String(unit);
  json.EndObject().EndObject();
  out += '\n';
  return out;
}

}  // namespace brim::planner
