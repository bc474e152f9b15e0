// CSV by libcsv in strict mode. libcsv says which bytes are a field and where a row ends; this file
// counts lines (CSV_REPALL_NL reports every line end outside quotes) and holds the limits: text is
// given in pieces of 64 KiB, so that an open quote is found before all behind it is buffered.
#include "planner/formats/csv_table.h"

#include <csv.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "planner/formats/table_builder.h"

namespace brim::planner {
namespace {

constexpr std::size_t kPiece = 64 << 10;
constexpr std::size_t kColumnsMax = 4096;

// Owns a libcsv parser.
class Parser {
 public:
  Parser() {
    ready_ = csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) == 0;
    if (ready_) csv_set_blk_size(&parser_, 4096);
  }
  ~Parser() {
    if (ready_) csv_free(&parser_);
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  bool ready() const { return ready_; }
  csv_parser* get() { return &parser_; }

 private:
  csv_parser parser_{};
  bool ready_ = false;
};

// Gets libcsv's fields and line ends; Field() and Row() of the derived class do the rest.
class RowSink {
 public:
  virtual ~RowSink() = default;

  bool done() const { return done_; }
  const Status& status() const { return status_; }
  std::uint32_t line() const { return line_; }

  static void OnField(void* data, std::size_t bytes, void* self) {
    static_cast<RowSink*>(self)->TakeField({static_cast<const char*>(data), bytes});
  }
  static void OnRow(int end, void* self) { static_cast<RowSink*>(self)->TakeRow(end); }

 protected:
  virtual Status Field(std::string_view text) = 0;
  virtual Status Row() = 0;
  void Stop() { done_ = true; }

 private:
  void TakeField(std::string_view text) {
    if (done_) return;
    fields_ = true;
    Finish(Field(text));
    line_ += static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
  }
  // `end` is the character that ended the row, or -1 at the end of the file. CRLF comes as two.
  void TakeRow(int end) {
    if (done_) return;
    if (std::exchange(fields_, false)) Finish(Row());
    const bool second_half = end == '\n' && carriage_return_;
    carriage_return_ = end == '\r';
    if (!second_half) ++line_;
  }
  void Finish(Status status) {
    if (status.ok()) return;
    status_ = std::move(status);
    done_ = true;
  }

  std::uint32_t line_ = 1;
  bool fields_ = false;  // The row has any: an empty line has none.
  bool carriage_return_ = false;
  bool done_ = false;
  Status status_;
};

Status Malformed(const std::string& file, std::size_t line, std::string_view what) {
  return Status(Code::kInvalidArgument, "bad_csv", fmt::format("{}:{}: {}", file, line, what));
}

std::string_view WithoutMark(std::string_view text) {
  return text.substr(text.starts_with("\xEF\xBB\xBF") ? 3 : 0);
}

Status CheckStart(const std::string& file, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return Malformed(file, 1, fmt::format("more than {}: split the file", HumanBytes(bytes_max)));
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return Malformed(file, 1, "the text is UTF-16, expected UTF-8: save it as UTF-8");
  }
  if (Trim(WithoutMark(text)).empty()) {
    return Malformed(file, 1, "the file is empty, expected a first line that names the columns");
  }
  return OkStatus();
}

// Feeds the text to `sink` until it is done.
Status Feed(const std::string& file, std::string_view text, std::size_t field_bytes_max,
            RowSink* sink) {
  constexpr const char* kQuotes =
      "a quote inside a field, expected the whole field in quotes and \"\" for a quote in it";
  Parser parser;
  if (!parser.ready())
    return Status(Code::kResourceExhausted, "csv_memory", "no memory for libcsv");
  for (std::size_t at = 0; at < text.size() && !sink->done(); at += kPiece) {
    const std::size_t bytes = std::min(kPiece, text.size() - at);
    const std::size_t taken =
        csv_parse(parser.get(), text.data() + at, bytes, RowSink::OnField, RowSink::OnRow, sink);
    if (sink->done()) break;
    if (taken != bytes) {
      const std::string_view before = text.substr(0, at + taken);
      return Malformed(file,
                       1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')),
                       kQuotes);
    }
    if (parser.get()->entry_pos > field_bytes_max) {
      return Malformed(
          file, sink->line(),
          fmt::format("a field that begins here is longer than {}: is a quote not closed?",
                      HumanBytes(field_bytes_max)));
    }
  }
  if (!sink->done() && csv_fini(parser.get(), RowSink::OnField, RowSink::OnRow, sink) != 0) {
    return Malformed(file, sink->line(), "a quote is not closed before the end of the file");
  }
  return sink->status();
}

// Collects the first row only.
class HeaderSink : public RowSink {
 public:
  std::vector<std::string> names;

 private:
  Status Field(std::string_view text) override {
    if (names.size() < kColumnsMax) names.emplace_back(text);
    return OkStatus();
  }
  Status Row() override {
    Stop();
    return OkStatus();
  }
};

// The first row says the columns, all others go to the builder.
class TableSink : public RowSink {
 public:
  explicit TableSink(TableBuilder* builder) : builder_(*builder) {}

 private:
  Status Field(std::string_view text) override {
    if (!has_header_) return Name(text);
    if (at_ == 0) BRIM_RETURN_IF_ERROR(builder_.BeginRow(line()));
    if (at_ >= map_.size()) {
      return builder_.Error(builder_.line(), "too_many_fields",
                            fmt::format("more than {} fields, expected as many as the first line "
                                        "has names",
                                        map_.size()));
    }
    return builder_.Set(map_[at_++], text);
  }

  Status Row() override {
    if (!has_header_) {
      has_header_ = true;
      return builder_.CheckPresent(line());
    }
    if (at_ < map_.size()) {
      return builder_.Error(builder_.line(), "too_few_fields",
                            fmt::format("{} field{}, expected {}: one for each name of the first "
                                        "line",
                                        at_, at_ == 1 ? "" : "s", map_.size()));
    }
    at_ = 0;
    return builder_.EndRow();
  }

  Status Name(std::string_view text) {
    const int column = builder_.IndexOf(text);
    if (column == TableBuilder::kUnknown) return builder_.Unknown(line(), text);
    if (column >= 0 && !builder_.Present(column)) {
      return builder_.Error(line(), "repeated_column",
                            fmt::format("the column '{}' is named twice", text));
    }
    if (map_.size() >= kColumnsMax) {
      return builder_.Error(line(), "too_many_columns",
                            fmt::format("more than {} columns", kColumnsMax));
    }
    map_.push_back(column);
    return OkStatus();
  }

  TableBuilder& builder_;
  std::vector<int> map_;  // Field to column.
  std::size_t at_ = 0;
  bool has_header_ = false;
};

}  // namespace

Result<CsvTable> CsvTable::Parse(std::string file, std::string_view text,
                                 std::span<const CsvColumn> columns, const CsvLimits& limits) {
  BRIM_RETURN_IF_ERROR(CheckStart(file, text, limits.bytes_max));
  TableBuilder builder(file, columns, limits);
  TableSink sink(&builder);
  BRIM_RETURN_IF_ERROR(Feed(file, WithoutMark(text), limits.field_bytes_max, &sink));
  return builder.Take();
}

Result<CsvTable> CsvTable::ParseAny(std::string file, std::string_view text, std::string_view key,
                                    std::span<const CsvColumn> columns, const CsvLimits& limits) {
  const std::string_view start = Trim(WithoutMark(text).substr(0, 4096));
  const bool json = start.starts_with('{') || start.starts_with('[');
  return json ? ParseJson(std::move(file), text, key, columns, limits)
              : Parse(std::move(file), text, columns, limits);
}

Result<std::vector<std::string>> CsvTable::Header(std::string file, std::string_view text) {
  const CsvLimits limits;
  BRIM_RETURN_IF_ERROR(CheckStart(file, text, limits.bytes_max));
  HeaderSink sink;
  BRIM_RETURN_IF_ERROR(Feed(file, WithoutMark(text), limits.field_bytes_max, &sink));
  return std::move(sink.names);
}

bool CsvTable::HasColumn(std::size_t column) const { return columns_[column].present; }

bool CsvTable::Has(std::size_t row, std::size_t column) const {
  const Column& store = columns_[column];
  if (store.kind == CsvKind::kReal) return !std::isnan(store.reals[row]);
  if (store.kind == CsvKind::kInteger) {
    return store.integers[row] != std::numeric_limits<std::int64_t>::min();
  }
  return !Text(row, column).empty();
}

std::int64_t CsvTable::Integer(std::size_t row, std::size_t column) const {
  return Has(row, column) ? columns_[column].integers[row] : 0;
}

double CsvTable::Real(std::size_t row, std::size_t column) const {
  return Has(row, column) ? columns_[column].reals[row] : 0;
}

std::string_view CsvTable::Text(std::size_t row, std::size_t column) const {
  const Column& store = columns_[column];
  if (store.kind != CsvKind::kText) return {};
  const std::size_t begin = row == 0 ? 0 : store.ends[row - 1];
  return std::string_view(store.text).substr(begin, store.ends[row] - begin);
}

Status CsvTable::Error(std::size_t row, std::string_view what) const {
  return Status(Code::kInvalidArgument, "bad_row",
                fmt::format("{}:{}: {}", file_, line(row), what));
}

}  // namespace brim::planner
