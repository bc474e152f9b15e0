// Typed columns from fields of text; numbers by std::from_chars, which knows no locale.
#include "planner/formats/table_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "planner/formats/nearest_name.h"

namespace brim::planner {
namespace {

constexpr std::int64_t kNoInteger = std::numeric_limits<std::int64_t>::min();
constexpr std::size_t kShownMax = 40;  // Bytes of a wrong value that a message repeats.

std::string Shown(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, kShownMax)) {
    const bool plain =
        static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f;
    shown += plain ? c : '?';
  }
  return text.size() > kShownMax ? shown + "..." : shown;
}

std::string Expected(const CsvColumn& column) {
  std::string text = column.kind == CsvKind::kInteger ? "a whole number" : "a number";
  const bool low = std::isfinite(column.min), high = std::isfinite(column.max);
  if (low && high) return text + fmt::format(" from {:.15g} to {:.15g}", column.min, column.max);
  if (low) return text + fmt::format(" of at least {:.15g}", column.min);
  if (high) return text + fmt::format(" of at most {:.15g}", column.max);
  return text;
}

bool IsPlain(std::string_view text) {  // Printable ASCII: nothing more to check.
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

TableBuilder::TableBuilder(std::string file, std::span<const CsvColumn> columns,
                           const CsvLimits& limits)
    : columns_(columns), limits_(limits) {
  table_.file_ = std::move(file);
  table_.columns_.resize(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    table_.columns_[i].kind = columns[i].kind;
    names_.push_back(columns[i].name);
  }
}

Status TableBuilder::Error(std::uint32_t line, const char* reason, std::string_view what) const {
  return Status(Code::kInvalidArgument, reason, fmt::format("{}:{}: {}", table_.file_, line, what));
}

int TableBuilder::IndexOf(std::string_view name) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == name) return static_cast<int>(i);
  }
  return limits_.unknown_columns ? kIgnore : kUnknown;
}

bool TableBuilder::Present(int column) {
  return !std::exchange(table_.columns_[static_cast<std::size_t>(column)].present, true);
}

Status TableBuilder::Unknown(std::uint32_t line, std::string_view name) const {
  const std::string nearest = DidYouMean(name, names_);
  std::string what = fmt::format("unknown column '{}'", Shown(name));
  what += nearest.empty() ? fmt::format(", expected {}", fmt::join(names_, ", ")) : nearest;
  return Error(line, "unknown_column", what);
}

Status TableBuilder::CheckPresent(std::uint32_t line) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (table_.columns_[i].present || columns_[i].need == CsvColumn::Need::kOptional) continue;
    std::vector<std::string_view> must;
    for (const CsvColumn& column : columns_) {
      if (column.need != CsvColumn::Need::kOptional) must.push_back(column.name);
    }
    return Error(line, "missing_column",
                 fmt::format("there is no column '{}', expected at least {}", columns_[i].name,
                             fmt::join(must, ", ")));
  }
  return OkStatus();
}

Status TableBuilder::BeginRow(std::uint32_t line) {
  line_ = line;
  if (table_.lines_.size() >= limits_.rows_max) {
    return Error(line, "too_many_rows",
                 fmt::format("more than {} rows: split the file", limits_.rows_max));
  }
  table_.lines_.push_back(line);
  return OkStatus();
}

bool TableBuilder::Filled(int column) const {
  const CsvTable::Column& store = table_.columns_[static_cast<std::size_t>(column)];
  const std::size_t rows = table_.lines_.size();
  if (store.kind == CsvKind::kReal) return store.reals.size() == rows;
  if (store.kind == CsvKind::kInteger) return store.integers.size() == rows;
  return store.kind == CsvKind::kText && store.ends.size() == rows;
}

Status TableBuilder::Wrong(int column, std::string_view text) const {
  const CsvColumn& wanted = columns_[static_cast<std::size_t>(column)];
  return Error(line_, "bad_value",
               fmt::format("{} is '{}', expected {}", wanted.name, Shown(text), Expected(wanted)));
}

Status TableBuilder::SetEmpty(int column) {
  const CsvColumn& wanted = columns_[static_cast<std::size_t>(column)];
  CsvTable::Column& store = table_.columns_[static_cast<std::size_t>(column)];
  if (wanted.need == CsvColumn::Need::kRequired && wanted.kind != CsvKind::kIgnored) {
    return Error(line_, "empty_value",
                 fmt::format("{} is missing, expected {}", wanted.name,
                             wanted.kind == CsvKind::kText ? "a text" : Expected(wanted)));
  }
  if (wanted.kind == CsvKind::kReal) {
    store.reals.push_back(std::numeric_limits<double>::quiet_NaN());
  } else if (wanted.kind == CsvKind::kInteger) {
    store.integers.push_back(kNoInteger);
  } else if (wanted.kind == CsvKind::kText) {
    store.ends.push_back(static_cast<std::uint32_t>(store.text.size()));
  }
  return OkStatus();
}

Status TableBuilder::SetText(int column, std::string_view text) {
  CsvTable::Column& store = table_.columns_[static_cast<std::size_t>(column)];
  if (!IsPlain(text)) {
    const std::string_view name = columns_[static_cast<std::size_t>(column)].name;
    if (!IsUtf8(text)) {
      return Error(line_, "bad_text", fmt::format("{} is not valid UTF-8, expected UTF-8", name));
    }
    if (HasControl(text)) {
      return Error(line_, "bad_text",
                   fmt::format("{} holds a control character, expected text in one line", name));
    }
  }
  store.text += text;
  store.ends.push_back(static_cast<std::uint32_t>(store.text.size()));
  return OkStatus();
}

Status TableBuilder::SetNumber(int column, std::string_view text) {
  const CsvColumn& wanted = columns_[static_cast<std::size_t>(column)];
  CsvTable::Column& store = table_.columns_[static_cast<std::size_t>(column)];
  const char* const end = text.data() + text.size();
  if (wanted.kind == CsvKind::kInteger) {
    std::int64_t value = 0;
    const auto [at, error] = std::from_chars(text.data(), end, value);
    const auto real = static_cast<double>(value);
    if (error != std::errc() || at != end || real < wanted.min || real > wanted.max ||
        value == kNoInteger) {
      return Wrong(column, text);
    }
    store.integers.push_back(value);
    return OkStatus();
  }
  double value = 0;
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || std::isinf(value)) return Wrong(column, text);
  if (std::isnan(value)) return SetEmpty(column);
  if (value < wanted.min || value > wanted.max) return Wrong(column, text);
  store.reals.push_back(value);
  return OkStatus();
}

Status TableBuilder::Set(int column, std::string_view text) {
  if (column < 0) return OkStatus();
  const CsvColumn& wanted = columns_[static_cast<std::size_t>(column)];
  if (wanted.kind == CsvKind::kIgnored) return OkStatus();
  if (Filled(column)) {
    return Error(line_, "repeated_value", fmt::format("{} is given twice", wanted.name));
  }
  if (text.size() > limits_.field_bytes_max) {
    return Error(
        line_, "long_value",
        fmt::format("{} is longer than {}", wanted.name, HumanBytes(limits_.field_bytes_max)));
  }
  if (text.empty()) return SetEmpty(column);
  return wanted.kind == CsvKind::kText ? SetText(column, text) : SetNumber(column, text);
}

Status TableBuilder::EndRow() {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const int column = static_cast<int>(i);
    if (columns_[i].kind == CsvKind::kIgnored || Filled(column)) continue;
    BRIM_RETURN_IF_ERROR(SetEmpty(column));
  }
  return OkStatus();
}

}  // namespace brim::planner
