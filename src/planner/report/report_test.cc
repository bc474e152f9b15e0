// Report: one content, two printers.
#include "planner/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "planner/report/report_text.h"

namespace brim::planner {
namespace {

Report Sample() {
  Report report("brim plan pack");
  report.Count("cards", 1965, "cards", "cards with anything on them")
      .Number("allocation", 95.312, "%")
      .Text("policy", "fgd");
  ReportTable& table =
      report.Table("per_owner", {{"owner", ""}, {"pods", ""}, {"card_hours", "h"}}, "By owner.");
  report.Note("Two pods were refused.");
  table.Row({"ads", std::int64_t{12}, 3.14159}).Row({"ocr", std::int64_t{1234}, {}});
  return report;
}

TEST(Report, TextIsAlignedAndSaysUnits) {
  EXPECT_EQ(Sample().ToText(),
            "brim plan pack\n"
            "\n"
            "  cards       1,965 cards  cards with anything on them\n"
            "  allocation  95.3%\n"
            "  policy      fgd\n"
            "\n"
            "  By owner.\n"
            "  owner   pods  card hours\n"
            "                         h\n"
            "  ------------------------\n"
            "  ads       12        3.14\n"
            "  ocr    1,234           -\n"
            "\n"
            "  Two pods were refused.\n");
}

TEST(Report, LongTablesSayWhatIsLeftOut) {
  const std::string text = Sample().ToText(1);
  EXPECT_NE(text.find("... and 1 more rows of per owner (--rows 0 prints all)"), std::string::npos);
  EXPECT_EQ(text.find("1,234"), std::string::npos);
}

TEST(Report, JsonHasEveryDigitAndTheUnits) {
  EXPECT_EQ(Sample().ToJson(),
            R"({"command":"brim plan pack","cards":1965,"allocation":95.312,"policy":"fgd",)"
            R"("per_owner":[{"owner":"ads","pods":12,"card_hours":3.14159},)"
            R"({"owner":"ocr","pods":1234,"card_hours":null}],"notes":["Two pods were refused."],)"
            R"("units":{"cards":"cards","allocation":"%","per_owner.card_hours":"h"}})"
            "\n");
}

TEST(Report, TimingsCanBeLeftOut) {
  Report report("x");
  report.Count("cards", 3, "").Number("solve_seconds", 0.5, "s");
  report.Table("bounds", {{"bound", ""}, {"seconds", "s"}, {"horizon_s", "s"}})
      .Row({"area", 0.1, std::int64_t{60}});
  EXPECT_EQ(report.ToJson(false),
            "{\"command\":\"x\",\"cards\":3,\"bounds\":[{\"bound\":\"area\",\"horizon_s\":60}],"
            "\"units\":{\"bounds.horizon_s\":\"s\"}}\n");
  EXPECT_EQ(report.ToText(0, false).find("seconds"), std::string::npos);
  EXPECT_NE(report.ToText().find("solve seconds"), std::string::npos);
  EXPECT_NE(report.ToJson().find("\"seconds\":0.1"), std::string::npos);
}

TEST(Report, AValueNamedLikeATableIsItsCount) {
  Report report("x");
  report.Count("moves", 1, "moves");
  report.Table("moves", {{"pod", ""}}).Row({"a"});
  EXPECT_EQ(report.ToJson(),
            "{\"command\":\"x\",\"moves_count\":1,\"moves\":[{\"pod\":\"a\"}],"
            "\"units\":{\"moves_count\":\"moves\"}}\n");
}

TEST(Report, ALongValueKeepsItsExplanation) {
  Report report("x");
  report.Text("policy", "a policy whose name is rather long", "why").Count("n", 1, "", "one");
  EXPECT_EQ(report.ToText(),
            "x\n\n  policy  a policy whose name is rather long  why\n"
            "  n       1                         one\n");
}

TEST(Report, JsonHasNoNumbersThatJsonLacks) {
  Report report("x");
  report.Number("a", std::numeric_limits<double>::infinity(), "").Number("b", std::nan(""), "");
  EXPECT_EQ(report.ToJson(), "{\"command\":\"x\",\"a\":null,\"b\":null,\"units\":{}}\n");
}

TEST(Report, EmptyTable) {
  Report report("x");
  report.Table("refused", {{"pod", ""}, {"why", ""}});
  EXPECT_EQ(report.ToText(), "x\n\n  pod  why\n  --------\n  (none)\n");
}

TEST(Report, TheLastColumnWrapsInAWideTable) {
  Report report("x");
  ReportTable& table = report.Table("bounds", {{"bound", ""}, {"cards", ""}, {"means", ""}});
  table.Row({"area", std::int64_t{7}, std::string(40, 'a') + ' ' + std::string(40, 'b') + " end"});
  table.Row({"L2", std::int64_t{8}, "short"});
  EXPECT_EQ(report.ToText(), "x\n\n  bound  cards  means\n  " + std::string(98, '-') +
                                 "\n  area       7  " + std::string(40, 'a') + ' ' +
                                 std::string(40, 'b') + "\n                end\n" +
                                 "  L2         8  short\n");
}

TEST(ReportText, ThreeDigitsThatMatter) {
  EXPECT_EQ(NumberText(0), "0");
  EXPECT_EQ(NumberText(3), "3");
  EXPECT_EQ(NumberText(1234567.4), "1,234,567");
  EXPECT_EQ(NumberText(-1234.5), "-1,235");
  EXPECT_EQ(NumberText(95.34), "95.3");
  EXPECT_EQ(NumberText(99.97), "100");
  EXPECT_EQ(NumberText(9.996), "10.0");
  EXPECT_EQ(NumberText(1.005), "1.00");
  EXPECT_EQ(NumberText(0.12345), "0.123");
  EXPECT_EQ(NumberText(0.0123), "0.0123");
  EXPECT_EQ(NumberText(0.00012), "0.000120");
  EXPECT_EQ(NumberText(0.000001), "1.00e-06");
  EXPECT_EQ(NumberText(-2.5e-14), "0");
  EXPECT_EQ(NumberText(1e300), "1e+300");
  EXPECT_EQ(NumberText(std::nan("")), "-");
  EXPECT_EQ(CountText(-1234567), "-1,234,567");
  EXPECT_EQ(CountText(-123), "-123");
  EXPECT_EQ(CountText(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(ReportText, WrapKeepsWordsAndIndent) {
  EXPECT_EQ(WrapText("one two  three", 2, 9), "  one two\n  three\n");
  EXPECT_EQ(WrapText("unbreakableword x", 2, 6), "  unbreakableword\n  x\n");
  EXPECT_EQ(WrapText("", 2), "");
  EXPECT_EQ(TextWidth("n\xC3\xA4he"), 4u);
}

}  // namespace
}  // namespace brim::planner
