// Tests of serving/version_policy.h.
#include "serving/version_policy.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>

namespace brim::serving {
namespace {

VersionView Disk(std::int64_t number) { return {number, true, true, false, false}; }
VersionView Serving(std::int64_t number) { return {number, true, true, true, true}; }
VersionView Failed(std::int64_t number) { return {number, true, true, false, true}; }
VersionView Copying(std::int64_t number) { return {number, true, false, false, false}; }
VersionView Gone(std::int64_t number) { return {number, false, false, true, true}; }

VersionConfig Latest(std::uint32_t count) {
  VersionConfig rule;
  rule.latest = count;
  return rule;
}
VersionConfig Specific(std::vector<std::int64_t> numbers) {
  VersionConfig rule;
  rule.rule = VersionRule::kSpecific;
  rule.specific = std::move(numbers);
  return rule;
}

std::string Next(const VersionConfig& rule, std::vector<VersionView> versions) {
  const VersionAction action = NextVersionAction(rule, versions);
  switch (action.step) {
    case VersionStep::kLoad:
      return "load " + std::to_string(action.number);
    case VersionStep::kUnload:
      return "unload " + std::to_string(action.number);
    case VersionStep::kNothing:
      break;
  }
  return "nothing";
}

TEST(VersionPolicy, LoadsTheLatest) {
  EXPECT_EQ(Next(Latest(1), {}), "nothing");
  EXPECT_EQ(Next(Latest(1), {Disk(1), Disk(10), Disk(9)}), "load 10");
  EXPECT_EQ(Next(Latest(2), {Disk(1), Serving(10), Disk(9)}), "load 9");
  EXPECT_EQ(Next(Latest(2), {Disk(1), Serving(10), Serving(9)}), "nothing");
  EXPECT_EQ(Next(Latest(1), {Disk(0)}), "load 0");
}

TEST(VersionPolicy, KeepsTheOldUntilTheNewServes) {
  EXPECT_EQ(Next(Latest(1), {Serving(1), Disk(2)}), "load 2");
  EXPECT_EQ(Next(Latest(1), {Serving(1), Serving(2)}), "unload 1");
  EXPECT_EQ(Next(Latest(1), {Serving(1), Failed(2)}), "nothing");
  EXPECT_EQ(Next(Latest(1), {Serving(1), Copying(2)}), "nothing");
  EXPECT_EQ(Next(Latest(2), {Serving(1), Serving(2), Copying(3)}), "nothing");
  EXPECT_EQ(Next(Latest(2), {Serving(1), Serving(2), Failed(3)}), "unload 1");
  EXPECT_EQ(Next(Latest(1), {Serving(1), Serving(2), Serving(3)}), "unload 1");
}

TEST(VersionPolicy, RetriesOnlyWhatChanged) {
  EXPECT_EQ(Next(Latest(1), {Failed(1)}), "nothing");
  EXPECT_EQ(Next(Latest(1), {{1, true, true, true, false}}), "load 1");    // Replaced in place.
  EXPECT_EQ(Next(Latest(1), {{1, true, false, true, false}}), "nothing");  // Being replaced.
}

TEST(VersionPolicy, UnloadsWhatLeftTheDisk) {
  EXPECT_EQ(Next(Latest(1), {Gone(1)}), "unload 1");
  EXPECT_EQ(Next(Latest(1), {Disk(1), Gone(2)}), "load 1");
  EXPECT_EQ(Next(Latest(1), {Serving(1), Gone(2)}), "unload 2");
  EXPECT_EQ(Next(Latest(1), {Failed(1), Gone(2)}), "nothing");
}

TEST(VersionPolicy, FollowsAllAndSpecific) {
  VersionConfig all;
  all.rule = VersionRule::kAll;
  EXPECT_EQ(Next(all, {Serving(3), Disk(1), Disk(2)}), "load 2");
  EXPECT_EQ(Next(Specific({1, 7}), {Disk(1), Serving(2), Disk(3)}), "load 1");
  EXPECT_EQ(Next(Specific({1, 7}), {Serving(1), Serving(2), Disk(3)}), "unload 2");
  EXPECT_EQ(Next(Specific({7}), {Serving(1)}), "unload 1");  // Asked for none that exists.
}

// Whatever the disk does, the policy comes to rest, and while any wanted version can load, one
// serves.
TEST(VersionPolicy, NeverLeavesAModelWithoutAVersion) {
  const unsigned seed = 20240611;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const VersionConfig rule = Latest(static_cast<std::uint32_t>(1 + random() % 3));
    std::map<std::int64_t, VersionView> versions;
    bool served = false;
    for (int change = 0; change < 12; ++change) {
      VersionView& touched = versions[static_cast<std::int64_t>(random() % 5)];
      touched.number = -1;
      for (auto& [number, view] : versions) view.number = number;
      touched.on_disk = random() % 3 != 0;
      touched.settled = touched.on_disk && random() % 2 == 0;
      touched.tried = touched.tried && random() % 2 == 0;
      for (int step = 0;; ++step) {
        ASSERT_LT(step, 32);
        std::vector<VersionView> list;
        for (const auto& [number, view] : versions) list.push_back(view);
        const VersionAction action = NextVersionAction(rule, list);
        if (action.step == VersionStep::kNothing) break;
        VersionView& view = versions[action.number];
        if (action.step == VersionStep::kLoad) {
          ASSERT_TRUE(view.on_disk && view.settled && !view.tried);
          view.tried = true;
          view.serving |= random() % 4 != 0;
        } else {
          ASSERT_TRUE(view.serving);
          view.serving = false;
        }
        served = false;
        for (const auto& [number, other] : versions) served |= other.serving;
        const bool none_wanted = WantedVersions(rule, list).empty();
        ASSERT_TRUE(action.step == VersionStep::kLoad || none_wanted || served);
      }
    }
  }
}

}  // namespace
}  // namespace brim::serving
