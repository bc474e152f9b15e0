#include "planner/formats/nearest_name.h"

#include <gtest/gtest.h>

#include <string>

namespace brim::planner {
namespace {

constexpr std::string_view kKnown[] = {"cpu_milli", "memory_mib", "cards", "--policy", "pack"};

TEST(NearestName, FindsWhatIsAFewEditsAway) {
  EXPECT_EQ(NearestName("cpu_mili", kKnown), "cpu_milli");
  EXPECT_EQ(NearestName("CARDS", kKnown), "cards");
  EXPECT_EQ(NearestName("pakc", kKnown), "pack");
  EXPECT_EQ(NearestName("--polciy", kKnown), "--policy");
  EXPECT_EQ(NearestName("memory-mib", kKnown), "memory_mib");
}

TEST(NearestName, SaysNothingAboutWhatIsFar) {
  EXPECT_EQ(NearestName("", kKnown), "");
  EXPECT_EQ(NearestName("owner", kKnown), "");
  EXPECT_EQ(NearestName("x", kKnown), "");
  EXPECT_EQ(NearestName(std::string(1000, 'c'), kKnown), "");
  EXPECT_EQ(DidYouMean("owner", kKnown), "");
  EXPECT_EQ(DidYouMean("card", kKnown), ": did you mean 'cards'?");
}

}  // namespace
}  // namespace brim::planner
