// CsvTable::ParseJson: the same table, the same messages.
#include <gtest/gtest.h>

#include <string>

#include "planner/formats/csv_table.h"

namespace brim::planner {
namespace {

constexpr CsvColumn kColumns[] = {
    {"name", CsvKind::kText},
    {"count", CsvKind::kInteger, 0, 100},
    {"share", CsvKind::kReal, 0, 1, CsvColumn::Need::kOptional},
    {"models", CsvKind::kText, 0, 0, CsvColumn::Need::kOptional},
};

Result<CsvTable> Parse(std::string_view text) {
  return CsvTable::ParseAny("a.json", text, "things", kColumns);
}

TEST(JsonTable, ObjectOrListOfRows) {
  for (const std::string text :
       {R"({"things": [{"name": "a", "count": 3, "share": 0.5}, {"count": 0, "name": "b\"c"}]})",
        R"( [{"name":"a","count":3,"share":5e-1},{"count":0,"name":"b\"c","share":null}])"}) {
    const Result<CsvTable> table = Parse(text);
    ASSERT_TRUE(table.ok()) << table.status().ToString();
    ASSERT_EQ(table->rows(), 2u);
    EXPECT_EQ(table->Text(0, 0), "a");
    EXPECT_EQ(table->Integer(0, 1), 3);
    EXPECT_EQ(table->Real(0, 2), 0.5);
    EXPECT_EQ(table->Text(1, 0), "b\"c");
    EXPECT_FALSE(table->Has(1, 2));
  }
}

TEST(JsonTable, ListsOfTextsAreJoined) {
  const Result<CsvTable> table =
      Parse(R"([{"name":"a","count":1,"models":["T4","A10"]},{"name":"b","count":1,"models":[]}])");
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  EXPECT_EQ(table->Text(0, 3), "T4|A10");
  EXPECT_FALSE(table->Has(1, 3));
}

TEST(JsonTable, ErrorsNameTheLine) {
  const auto message = [](std::string_view text) { return Parse(text).status().message(); };
  EXPECT_EQ(
      message(
          "{\"things\": [\n{\"name\": \"a\", \"count\": 1},\n{\"name\": \"b\",\n \"count\": -4}]}"),
      "a.json:3: count is '-4', expected a whole number from 0 to 100");
  EXPECT_EQ(message(R"([{"name": "a", "count": 1.0}])"),
            "a.json:1: count is '1.0', expected a whole number from 0 to 100");
  EXPECT_EQ(message(R"([{"name": "a"}])"),
            "a.json:1: count is missing, expected a whole number from 0 to 100");
  EXPECT_EQ(message(R"([{"name": "a", "cont": 1}])"),
            "a.json:1: unknown column 'cont': did you mean 'count'?");
  EXPECT_EQ(message(R"([{"name": "a", "name": "b", "count": 1}])"),
            "a.json:1: name is given twice");
  EXPECT_EQ(message(R"({"thing": []})"), "a.json:1: unknown key 'thing', expected \"things\"");
  EXPECT_EQ(message("{}"), "a.json:1: expected {\"things\": [...]} or a list of objects");
  EXPECT_EQ(message(R"({"things": 3})"),
            "a.json:1: expected {\"things\": [...]} or a list of objects");
  EXPECT_EQ(message("[1]"), "a.json:1: expected an object in the list of things");
  EXPECT_EQ(message(R"([{"name": {}, "count": 1}])"),
            "a.json:1: name is an object, true or false, expected a number or a text");
  EXPECT_EQ(message(R"([{"name": ["a|b"], "count": 1}])"),
            "a.json:1: name is a list, expected texts without '|' in it");
}

TEST(JsonTable, BrokenTextIsNotTakenForAnotherType) {
  EXPECT_EQ(Parse("{\"things\": [\n{\"name\": ").status().message(),
            "a.json:1: this is no valid JSON");
}

TEST(JsonTable, BrokenTextIsRefused) {
  const std::string good = R"({"things": [{"name": "a", "count": 3, "models": ["x"]}]})";
  ASSERT_TRUE(Parse(good).ok());
  for (std::size_t bytes = 1; bytes < good.size(); ++bytes) {
    EXPECT_FALSE(Parse(good.substr(0, bytes)).ok()) << bytes;
  }
  EXPECT_FALSE(Parse(good + "1").ok());
  EXPECT_FALSE(Parse("[{\"name\": \"\xFF\", \"count\": 3}]").ok());
  EXPECT_EQ(CsvTable::ParseJson("a.json", " ", "things", kColumns).status().message(),
            "a.json:1: the file is empty, expected {\"things\": [...]}");
  EXPECT_FALSE(Parse(std::string(5000, '[')).ok());
}

}  // namespace
}  // namespace brim::planner
