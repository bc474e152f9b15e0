// Tests of metrics: the exposition's text, what it refuses, the reference page. (Histogram:
// histogram_test.cc.)
#include <gtest/gtest.h>

#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string>

#include "metrics/exposition.h"
#include "metrics/rows.h"

namespace brim::metrics {
namespace {

constexpr Row kCounterRow{"a_total", RowType::kCounter, "model,version", "things", "Things."};
constexpr Row kPlainRow{"plain", RowType::kGauge, "", "things", "Plain things."};
constexpr Row kHistogramRow{"h", RowType::kHistogram, "model", "rows", "Rows."};
constexpr Row kSecondsRow{"s", RowType::kHistogram, "", "seconds", "Seconds."};
constexpr Row kMicrosRow{"u", RowType::kHistogram, "", "microseconds", "Microseconds."};

TEST(ExpositionTest, WritesFamiliesAndSamples) {
  std::string out;
  Exposition page(&out);
  page.Family(kCounterRow);
  page.Sample({{"model", "m"}, {"version", "1"}}, std::uint64_t{18446744073709551615u});
  page.Sample({{"model", "n"}, {"version", "2"}}, 0.5);
  page.Family(kPlainRow);
  page.Sample({}, std::uint64_t{3});
  EXPECT_EQ(out,
            "# HELP a_total Things.\n"
            "# TYPE a_total counter\n"
            "a_total{model=\"m\",version=\"1\"} 18446744073709551615\n"
            "a_total{model=\"n\",version=\"2\"} 0.5\n"
            "# HELP plain Plain things.\n"
            "# TYPE plain gauge\n"
            "plain 3\n");
}

TEST(ExpositionTest, EscapesLabelValues) {
  std::string out;
  Exposition page(&out);
  page.Family(kCounterRow);
  out.clear();
  page.Sample({{"model", "a\\b\"c\nd\xE6\xA8\xA1"}, {"version", ""}}, std::uint64_t{1});
  EXPECT_EQ(out, "a_total{model=\"a\\\\b\\\"c\\nd\xE6\xA8\xA1\",version=\"\"} 1\n");
}

TEST(ExpositionTest, WritesNonFiniteNumbersInTheFormatsWords) {
  std::string out;
  Exposition page(&out);
  page.Family(kPlainRow);
  out.clear();
  page.Sample({}, std::nan(""));
  page.Sample({}, std::numeric_limits<double>::infinity());
  page.Sample({}, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(out, "plain NaN\nplain +Inf\nplain -Inf\n");
}

TEST(ExpositionTest, BucketsAreCumulative) {
  std::string out;
  Exposition page(&out);
  page.Family(kHistogramRow);
  out.clear();
  const double bounds[] = {1, 2.5};
  const std::uint64_t counts[] = {3, 0, 4};
  page.Sample({{"model", "m"}}, Buckets{bounds, counts, 12.5});
  EXPECT_EQ(out,
            "h_bucket{model=\"m\",le=\"1\"} 3\n"
            "h_bucket{model=\"m\",le=\"2.5\"} 3\n"
            "h_bucket{model=\"m\",le=\"+Inf\"} 7\n"
            "h_sum{model=\"m\"} 12.5\n"
            "h_count{model=\"m\"} 7\n");
}

TEST(ExpositionTest, OwnHistogramInSecondsAndMicroseconds) {
  Histogram histogram;
  histogram.Observe(std::chrono::microseconds(15));
  histogram.Observe(std::chrono::milliseconds(20));
  std::string out;
  Exposition page(&out);
  page.Family(kSecondsRow);
  page.Sample({}, histogram.Read());
  page.Family(kMicrosRow);
  page.Sample({}, histogram.Read());
  EXPECT_NE(out.find("s_bucket{le=\"1e-05\"} 0\n"), std::string::npos) << out;
  EXPECT_NE(out.find("s_bucket{le=\"1.8e-05\"} 1\n"), std::string::npos) << out;
  EXPECT_NE(out.find("s_sum 0.020015\n"), std::string::npos) << out;
  EXPECT_NE(out.find("s_count 2\n"), std::string::npos) << out;
  EXPECT_NE(out.find("u_bucket{le=\"10\"} 0\n"), std::string::npos) << out;
  EXPECT_NE(out.find("u_bucket{le=\"18\"} 1\n"), std::string::npos) << out;
  EXPECT_NE(out.find("u_sum 20015"), std::string::npos) << out;
}

TEST(ExpositionDeathTest, RefusesWhatNoRowDeclares) {
  std::string out;
  EXPECT_DEATH(
      {
        Exposition page(&out);
        page.Family(kPlainRow);
        page.Family(kPlainRow);
      },
      "exposition.cc");
  EXPECT_DEATH(
      {
        Exposition page(&out);
        page.Family(kCounterRow);
        page.Sample({{"model", "m"}}, 1.0);
      },
      "exposition.cc");
  EXPECT_DEATH(
      {
        Exposition page(&out);
        page.Family(kCounterRow);
        page.Sample({{"model", "m"}, {"version", "1"}, {"owner", "o"}}, 1.0);
      },
      "exposition.cc");
  EXPECT_DEATH(
      {
        Exposition page(&out);
        page.Family(kCounterRow);
        page.Sample({{"version", "1"}, {"model", "m"}}, 1.0);
      },
      "exposition.cc");
  EXPECT_DEATH(
      {
        Exposition page(&out);
        page.Family(kHistogramRow);
        page.Sample({{"model", "m"}}, 1.0);
      },
      "exposition.cc");
}

bool IsMetricName(std::string_view name) {
  for (const char c : name) {
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':')) return false;
  }
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name.front()));
}

TEST(RowsTest, NamesAreValidAndUniqueAndEverythingIsExplained) {
  std::set<std::string_view> names;
  for (const Row& row : AllRows()) {
    EXPECT_TRUE(IsMetricName(row.name)) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.unit.empty()) << row.name;
    ASSERT_FALSE(row.help.empty()) << row.name;
    EXPECT_EQ(row.help.back(), '.') << row.name;
    EXPECT_EQ(row.help.find('|'), std::string_view::npos) << row.name;
    EXPECT_EQ(row.help.find('\n'), std::string_view::npos) << row.name;
    if (row.name.substr(0, 5) == "brim_" && row.type == RowType::kCounter) {
      EXPECT_EQ(row.name.substr(row.name.size() - 6), "_total") << row.name;
    }
  }
  EXPECT_GT(names.size(), 30u);
}

TEST(RowsTest, ReferencePageIsUpToDate) {
  const std::string page = ReferencePage();
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::ofstream(BRIM_METRICS_PAGE, std::ios::binary) << page;
    return;
  }
  std::ifstream file(BRIM_METRICS_PAGE, std::ios::binary);
  const std::string stored((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
  EXPECT_EQ(stored, page) << "run metrics_test with UPDATE_GOLDEN=1 to rewrite "
                          << BRIM_METRICS_PAGE;
}

}  // namespace
}  // namespace brim::metrics
