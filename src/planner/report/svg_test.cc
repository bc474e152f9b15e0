// The pictures: what is drawn, escaped and bounded. tests/e2e parses one as XML.
#include "planner/report/svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace brim::planner {
namespace {

std::size_t Occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

TEST(Svg, BarsShowEachPart) {
  const std::string svg = BarsSvg("cards <of> a & b", "units",
                                  {{"n0/0", 100, {{46, "pod \"a\"", 0}, {50, "pod b", 1}}},
                                   {"n0/1", 100, {{0, "nothing", 2}}}});
  EXPECT_EQ(Occurrences(svg, "<rect class=\"b "), 2u);
  EXPECT_EQ(Occurrences(svg, "<rect class=\"e\""), 2u);
  EXPECT_NE(svg.find("<title>cards &lt;of&gt; a &amp; b</title>"), std::string::npos);
  EXPECT_NE(svg.find("pod &quot;a&quot;: 46 units"), std::string::npos);
  EXPECT_NE(svg.find("n0/0: 96 of 100 units"), std::string::npos);
  EXPECT_EQ(svg.find("not drawn"), std::string::npos);
}

TEST(Svg, LongLabelsShowTheirEnd) {
  const std::string svg = BarsSvg("t", "u", {{"a-node-with-a-long-name-0042/3", 1, {}}});
  EXPECT_NE(svg.find(">\xE2\x80\xA6long-name-0042/3</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find("<title>a-node-with-a-long-name-0042/3: "), std::string::npos);
}

TEST(Svg, BarsAreBoundedAndSayWhatIsMissing) {
  const std::vector<Bar> bars(1000, Bar{"x", 1, {{1, "y", 0}}});
  const std::string svg = BarsSvg("t", "cards", bars, 10);
  EXPECT_EQ(Occurrences(svg, "<rect class=\"e\""), 10u);
  EXPECT_NE(svg.find("990 more of 1,000 bars are not drawn"), std::string::npos);
}

TEST(Svg, LinesAreThinnedAndKeepTheirEnd) {
  Line line{"allocation", {}, false, false};
  for (int i = 0; i <= 100000; ++i) line.points.emplace_back(i, i % 7);
  const std::string svg = LinesSvg("t", "demand, %", "allocation, %", {line});
  const std::size_t from = svg.find("points=\"");
  const std::string points = svg.substr(from, svg.find("\">", from) - from);
  EXPECT_LE(Occurrences(points, ","), 2001u);
  EXPECT_NE(points.find("880.0,"), std::string::npos);  // The last x is the plot's right edge.
}

TEST(Svg, StepsHoldTheirValue) {
  const std::string svg = LinesSvg("t", "s", "cards", {{"cards", {{0, 0}, {1, 1}}, true, true}});
  EXPECT_EQ(Occurrences(svg, "<polyline class=\"l c0 d\""), 1u);
  const std::size_t from = svg.find("points=\"") + 8;
  EXPECT_EQ(Occurrences(svg.substr(from, svg.find('"', from) - from), ","), 3u);
}

TEST(Svg, OddValuesStillDraw) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const std::vector<Line>& lines : {std::vector<Line>{},
                                         {{"a", {}}},
                                         {{"a", {{5, 5}}}},
                                         {{"a", {{nan, 1}, {1, infinity}}}},
                                         {{"a", {{1e18, -3}, {1e18 + 1000, -3}}}}}) {
    const std::string svg = LinesSvg("t", "x", "y", lines);
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
  }
  EXPECT_TRUE(BarsSvg("t", "u", {}).ends_with("</svg>\n"));
  EXPECT_NE(BarsSvg("t\x01\xFF", "u", {}).find("<title>t \xEF\xBF\xBD</title>"), std::string::npos);
}

}  // namespace
}  // namespace brim::planner
