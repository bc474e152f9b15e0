// A CsvTable from JSON, by simdjson's on-demand parser: one pass, values go to the builder as the
// text they have in the file, so numbers are checked by the same code as in CSV.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "planner/formats/csv_table.h"
#include "planner/formats/table_builder.h"

namespace brim::planner {
namespace {

namespace od = simdjson::ondemand;

class JsonTableReader {
 public:
  JsonTableReader(std::string_view text, std::string_view key, TableBuilder* builder)
      : text_(text), key_(key), padded_(text), builder_(*builder) {}

  Status Read() {
    const Status status = ReadTop();
    if (!status.ok() || document_.at_end()) return status;
    return Wrong("more after the end of the JSON value, expected nothing");
  }

 private:
  Status ReadTop() {
    if (parser_.iterate(padded_).get(document_) != simdjson::SUCCESS) return Broken();
    open_ = true;
    od::json_type type{};
    if (document_.type().get(type) != simdjson::SUCCESS) return Broken();
    if (type == od::json_type::array) {
      od::array rows;
      if (document_.get_array().get(rows) != simdjson::SUCCESS) return Broken();
      return ReadRows(rows);
    }
    od::object top;
    if (const auto error = document_.get_object().get(top)) return Because(error, WhatTop());
    bool found = false;
    for (auto entry : top) {
      od::field field;
      std::string_view name;
      if (std::move(entry).get(field) != simdjson::SUCCESS ||
          field.unescaped_key().get(name) != simdjson::SUCCESS) {
        return Broken();
      }
      if (name != key_) {
        return Wrong(fmt::format("unknown key '{}', expected \"{}\"", name.substr(0, 40), key_));
      }
      if (found) return Wrong(fmt::format("\"{}\" is given twice", key_));
      found = true;
      od::array rows;
      if (const auto error = field.value().get_array().get(rows)) return Because(error, WhatTop());
      BRIM_RETURN_IF_ERROR(ReadRows(rows));
    }
    return found ? OkStatus() : Wrong(WhatTop());
  }

  Status ReadRows(od::array rows) {
    for (auto entry : rows) {
      od::object row;
      if (const auto error = std::move(entry).get_object().get(row)) {
        return Because(error, fmt::format("expected an object in the list of {}", key_));
      }
      BRIM_RETURN_IF_ERROR(builder_.BeginRow(Line()));
      BRIM_RETURN_IF_ERROR(ReadRow(row));
      BRIM_RETURN_IF_ERROR(builder_.EndRow());
    }
    return OkStatus();
  }

  Status ReadRow(od::object row) {
    for (auto entry : row) {
      od::field field;
      std::string_view name;
      if (std::move(entry).get(field) != simdjson::SUCCESS ||
          field.unescaped_key().get(name) != simdjson::SUCCESS) {
        return Broken();
      }
      const int column = builder_.IndexOf(name);
      if (column == TableBuilder::kUnknown) return builder_.Unknown(Line(), name);
      if (column < 0) continue;
      builder_.Present(column);
      BRIM_RETURN_IF_ERROR(ReadValue(column, name, field.value()));
    }
    return OkStatus();
  }

  Status ReadValue(int column, std::string_view name, od::value value) {
    od::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return Broken();
    std::string_view text;
    switch (type) {
      case od::json_type::string:
        if (value.get_string().get(text) != simdjson::SUCCESS) return Broken();
        return builder_.Set(column, text);
      case od::json_type::number: {
        // Checked by simdjson as JSON, read by the builder as what the column wants.
        text = Trim(value.raw_json_token());
        od::number number;
        if (value.get_number().get(number) != simdjson::SUCCESS) return Broken();
        return builder_.Set(column, text);
      }
      case od::json_type::null:
        if (value.is_null().error() != simdjson::SUCCESS) return Broken();
        return builder_.Set(column, {});
      case od::json_type::array:
        return ReadList(column, name, value);
      default:
        return Wrong(fmt::format("{} is an object, true or false, expected a number or a text",
                                 name.substr(0, 40)));
    }
  }

  Status ReadList(int column, std::string_view name, od::value value) {
    od::array list;
    if (value.get_array().get(list) != simdjson::SUCCESS) return Broken();
    std::string joined;
    for (auto entry : list) {
      std::string_view text;
      if (const auto error = std::move(entry).get_string().get(text)) {
        return Because(error,
                       fmt::format("{} is a list, expected texts in it", name.substr(0, 40)));
      }
      if (text.empty() || text.find('|') != std::string_view::npos) {
        return Wrong(
            fmt::format("{} is a list, expected texts without '|' in it", name.substr(0, 40)));
      }
      if (!joined.empty()) joined += '|';
      joined += text;
      if (joined.size() > builder_.limits().field_bytes_max) break;  // Set() refuses it.
    }
    return builder_.Set(column, joined);
  }

  // The line where the parser stands. Lines are counted on from the last question, so that a
  // million rows are one pass.
  std::uint32_t Line() {
    const char* at = nullptr;
    if (open_ && document_.current_location().get(at) == simdjson::SUCCESS) {
      const auto offset = std::min(static_cast<std::size_t>(at - padded_.data()), text_.size());
      if (offset > counted_) {
        const auto from = text_.begin() + static_cast<std::ptrdiff_t>(counted_);
        line_ += static_cast<std::uint32_t>(
            std::count(from, text_.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
        counted_ = offset;
      }
    }
    return line_;
  }

  Status Wrong(std::string_view what) { return builder_.Error(Line(), "bad_json", what); }
  std::string WhatTop() const {
    return fmt::format("expected {{\"{}\": [...]}} or a list of objects", key_);
  }
  // `what` holds where the JSON is sound and only its type is another.
  Status Because(simdjson::error_code error, std::string_view what) {
    return error == simdjson::INCORRECT_TYPE ? Wrong(what) : Broken();
  }
  Status Broken() { return Wrong("this is no valid JSON"); }

  std::string_view text_, key_;
  simdjson::padded_string padded_;
  TableBuilder& builder_;
  od::parser parser_;
  od::document document_;
  bool open_ = false;  // A document that was never opened has no location to ask for.
  std::size_t counted_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace

Result<CsvTable> CsvTable::ParseJson(std::string file, std::string_view text, std::string_view key,
                                     std::span<const CsvColumn> columns, const CsvLimits& limits) {
  TableBuilder builder(std::move(file), columns, limits);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > limits.bytes_max) {
    return builder.Error(1, "bad_json",
                         fmt::format("more than {}: split the file", HumanBytes(limits.bytes_max)));
  }
  if (Trim(text).empty()) {
    return builder.Error(1, "bad_json",
                         fmt::format("the file is empty, expected {{\"{}\": [...]}}", key));
  }
  JsonTableReader reader(text, key, &builder);
  BRIM_RETURN_IF_ERROR(reader.Read());
  return builder.Take();
}

}  // namespace brim::planner
