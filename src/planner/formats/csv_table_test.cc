// CsvTable::Parse: what it reads, and the message of everything it refuses.
#include "planner/formats/csv_table.h"

#include <gtest/gtest.h>

#include <string>

namespace brim::planner {
namespace {

using Need = CsvColumn::Need;

constexpr CsvColumn kColumns[] = {
    {"name", CsvKind::kText},
    {"count", CsvKind::kInteger, 0, 100},
    {"share", CsvKind::kReal, 0, 1, Need::kMayBeEmpty},
    {"owner", CsvKind::kText, 0, 0, Need::kOptional},
};

Result<CsvTable> Parse(std::string_view text, const CsvLimits& limits = {}) {
  return CsvTable::Parse("a.csv", text, kColumns, limits);
}

void ExpectError(std::string_view text, std::string_view reason, const std::string& message,
                 const CsvLimits& limits = {}) {
  const Status status = Parse(text, limits).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
  EXPECT_EQ(status.reason(), reason) << text;
  EXPECT_EQ(status.message(), message) << text;
}

TEST(CsvTable, ColumnsInAnyOrderWithEmptyAndAbsentFields) {
  const Result<CsvTable> table = Parse("count,share,name\n3,0.25,a\n0,,b\n");
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  ASSERT_EQ(table->rows(), 2u);
  EXPECT_EQ(table->Text(0, 0), "a");
  EXPECT_EQ(table->Integer(0, 1), 3);
  EXPECT_EQ(table->Real(0, 2), 0.25);
  EXPECT_TRUE(table->Has(1, 1));
  EXPECT_FALSE(table->Has(1, 2));
  EXPECT_EQ(table->Real(1, 2), 0);
  EXPECT_TRUE(table->HasColumn(2));
  EXPECT_FALSE(table->HasColumn(3));
  EXPECT_FALSE(table->Has(1, 3));
  EXPECT_EQ(table->Text(1, 3), "");
  EXPECT_EQ(table->line(1), 3u);
  EXPECT_EQ(table->Error(1, "no").message(), "a.csv:3: no");
}

TEST(CsvTable, LineEndsMarkQuotesAndEmptyLines) {
  const std::string mark = "\xEF\xBB\xBF";
  const Result<CsvTable> table =
      Parse(mark + "name,count,share\r\n\"a,\"\"b\"\"\",1,\r\n\r\n  c  ,2,nan\r\nd,3,");
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  ASSERT_EQ(table->rows(), 3u);
  EXPECT_EQ(table->Text(0, 0), "a,\"b\"");
  EXPECT_EQ(table->Text(1, 0), "c");
  EXPECT_FALSE(table->Has(1, 2));
  EXPECT_EQ(table->line(0), 2u);
  EXPECT_EQ(table->line(1), 4u);
  EXPECT_EQ(table->line(2), 5u);
}

TEST(CsvTable, HeaderErrors) {
  ExpectError("", "bad_csv",
              "a.csv:1: the file is empty, expected a first line that names the columns");
  ExpectError("\n \r\n", "bad_csv",
              "a.csv:1: the file is empty, expected a first line that names the columns");
  ExpectError("name,cuont,share\n", "unknown_column",
              "a.csv:1: unknown column 'cuont': did you mean 'count'?");
  ExpectError("name,pressure\n", "unknown_column",
              "a.csv:1: unknown column 'pressure', expected name, count, share, owner");
  ExpectError("name,share\na,1\n", "missing_column",
              "a.csv:1: there is no column 'count', expected at least name, count, share");
  ExpectError("name,count,share,name\n", "repeated_column",
              "a.csv:1: the column 'name' is named twice");
  ExpectError("\xFF\xFEn\0a\0", "bad_csv",
              "a.csv:1: the text is UTF-16, expected UTF-8: save it as UTF-8");
}

TEST(CsvTable, ValueErrorsNameTheLineAndWhatWasExpected) {
  const std::string head = "name,count,share\n";
  ExpectError(head + "a,1,\nb,x,\n", "bad_value",
              "a.csv:3: count is 'x', expected a whole number from 0 to 100");
  ExpectError(head + "a,-1,\n", "bad_value",
              "a.csv:2: count is '-1', expected a whole number from 0 to 100");
  ExpectError(head + "a,1.5,\n", "bad_value",
              "a.csv:2: count is '1.5', expected a whole number from 0 to 100");
  ExpectError(head + "a,101,\n", "bad_value",
              "a.csv:2: count is '101', expected a whole number from 0 to 100");
  ExpectError(head + "a,99999999999999999999,\n", "bad_value",
              "a.csv:2: count is '99999999999999999999', expected a whole number from 0 to 100");
  ExpectError(head + "a,1,1.5\n", "bad_value",
              "a.csv:2: share is '1.5', expected a number from 0 to 1");
  ExpectError(head + "a,1,inf\n", "bad_value",
              "a.csv:2: share is 'inf', expected a number from 0 to 1");
  ExpectError(head + "a,,\n", "empty_value",
              "a.csv:2: count is missing, expected a whole number from 0 to 100");
  ExpectError(head + ",1,\n", "empty_value", "a.csv:2: name is missing, expected a text");
  ExpectError(head + "a,1\n", "too_few_fields",
              "a.csv:2: 2 fields, expected 3: one for each name of the first line");
  ExpectError(head + "a,1,1,1\n", "too_many_fields",
              "a.csv:2: more than 3 fields, expected as many as the first line has names");
  ExpectError(head + "\xFF,1,\n", "bad_text", "a.csv:2: name is not valid UTF-8, expected UTF-8");
  ExpectError(head + "\"a\nb\",1,\n", "bad_text",
              "a.csv:2: name holds a control character, expected text in one line");
}

TEST(CsvTable, LinesAreCountedThroughQuotedLineEnds) {
  constexpr CsvColumn kIgnoring[] = {{"a", CsvKind::kIgnored}, {"count", CsvKind::kInteger, 0, 9}};
  const Status status =
      CsvTable::Parse("a.csv", "a,count\r\n\"x\r\ny\",1\r\nz,no\r\n", kIgnoring).status();
  EXPECT_EQ(status.message(), "a.csv:4: count is 'no', expected a whole number from 0 to 9");
}

TEST(CsvTable, QuotesAreStrict) {
  const std::string head = "name,count,share\n";
  ExpectError(head + "a,1,\nb\"c,2,\n", "bad_csv",
              "a.csv:3: a quote inside a field, expected the whole field in quotes and \"\" for a "
              "quote in it");
  ExpectError(head + "a,1,\n\"b,2,\nc,3,\n", "bad_csv",
              "a.csv:3: a quote is not closed before the end of the file");
}

TEST(CsvTable, LimitsHold) {
  const std::string head = "name,count,share\n";
  CsvLimits limits;
  limits.rows_max = 1;
  ExpectError(head + "a,1,\nb,1,\n", "too_many_rows", "a.csv:3: more than 1 rows: split the file",
              limits);
  limits = {};
  limits.bytes_max = 10;
  ExpectError(head, "bad_csv", "a.csv:1: more than 10 B: split the file", limits);
  limits = {};
  limits.field_bytes_max = 100;
  ExpectError(head + std::string(101, 'x') + ",1,\n", "long_value",
              "a.csv:2: name is longer than 100 B", limits);
  ExpectError(head + "a,1,\n\"" + std::string(200 << 10, '\n'), "bad_csv",
              "a.csv:3: a field that begins here is longer than 100 B: is a quote not closed?",
              limits);
  limits = {};
  limits.unknown_columns = true;
  EXPECT_TRUE(Parse("name,other,count,share\na,?,1,\n", limits).ok());
}

TEST(CsvTable, HeaderAlone) {
  const auto names = CsvTable::Header("a.csv", "\xEF\xBB\xBF\"a b\",c\r\n\"never closed");
  ASSERT_TRUE(names.ok()) << names.status().ToString();
  EXPECT_EQ(*names, (std::vector<std::string>{"a b", "c"}));
  EXPECT_EQ(*CsvTable::Header("a.csv", "one"), std::vector<std::string>{"one"});
}

TEST(CsvTable, RowsAcrossPiecesAreWhole) {
  // 64 KiB pieces cut fields, quotes and CRLF at every place in turn.
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::string text = "name,count,share\r\n";
    text += std::string(shift, 'x') + ",1,\r\n";
    if (shift == 0) text = "name,count,share\r\n";
    std::size_t rows = shift == 0 ? 0 : 1;
    while (text.size() < 140'000) {
      text += "\"a\"\"b\",7,0.5\r\n";
      ++rows;
    }
    const Result<CsvTable> table = Parse(text);
    ASSERT_TRUE(table.ok()) << shift << table.status().ToString();
    ASSERT_EQ(table->rows(), rows);
    for (std::size_t row = shift == 0 ? 0 : 1; row < rows; ++row) {
      ASSERT_EQ(table->Text(row, 0), "a\"b");
      ASSERT_EQ(table->Integer(row, 1), 7);
      ASSERT_EQ(table->line(row), row + 2);
    }
  }
}

}  // namespace
}  // namespace brim::planner
