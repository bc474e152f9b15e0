// Every wish against every offer.
#include "vgpu/agent/backend_policy.h"

#include <gtest/gtest.h>

namespace brim::vgpu {
namespace {

CardOffers Offers(bool native, bool mps) {
  return {3,
          {{true, "works", "shim"},
           {native, native ? "works" : "driver 580 has none", "native"},
           {mps, mps ? "works" : "no daemon", "mps"}}};
}

BackendWish Wish(std::string_view memory, std::string_view cores) {
  const Result<BackendWish> wish = ParseWish(memory, cores);
  EXPECT_TRUE(wish.ok()) << wish.status().message();
  return *wish;
}

TEST(BackendPolicy, AutomaticTakesTheNativeMemoryLimitWhereItWorksAndNeverMps) {
  for (const bool native : {false, true}) {
    for (const bool mps : {false, true}) {
      const Result<BackendChoice> choice = ChooseBackends(Wish("", "auto"), Offers(native, mps));
      ASSERT_TRUE(choice.ok());
      EXPECT_EQ(choice->memory, native ? MemoryBackend::kNative : MemoryBackend::kShim);
      EXPECT_EQ(choice->cores, CoresBackend::kShim);
    }
  }
}

TEST(BackendPolicy, TheShimIsNeverRefused) {
  for (const bool there : {false, true}) {
    const Result<BackendChoice> choice = ChooseBackends(Wish("shim", "shim"), Offers(there, there));
    ASSERT_TRUE(choice.ok());
    EXPECT_EQ(*choice, BackendChoice());
  }
}

TEST(BackendPolicy, WhatTheCardLacksIsRefusedWithTheReasonAndWhatToType) {
  const Status native = ChooseBackends(Wish("native", ""), Offers(false, true)).status();
  EXPECT_EQ(native.code(), Code::kFailedPrecondition);
  EXPECT_EQ(native.reason(), "backend_missing");
  for (const char* part : {"--memory-backend native", "card 3", "driver 580 has none",
                           "--memory-backend shim", "brim node doctor"}) {
    EXPECT_NE(native.message().find(part), std::string::npos) << part << native.message();
  }
  const Status mps = ChooseBackends(Wish("", "mps"), Offers(true, false)).status();
  EXPECT_EQ(mps.reason(), "backend_missing");
  for (const char* part : {"--cores-backend mps", "no daemon", "--cores-backend shim"}) {
    EXPECT_NE(mps.message().find(part), std::string::npos) << part << mps.message();
  }
}

TEST(BackendPolicy, WhatIsThereIsGiven) {
  const Result<BackendChoice> choice = ChooseBackends(Wish("native", "mps"), Offers(true, true));
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(NameOf(choice->memory), "native");
  EXPECT_EQ(NameOf(choice->cores), "mps");
}

TEST(BackendPolicy, WhatNobodyLookedForIsNotThere) {
  EXPECT_EQ(ChooseBackends(Wish("native", ""), {}).status().reason(), "backend_missing");
  EXPECT_EQ(*ChooseBackends(Wish("", ""), {}), BackendChoice());
}

TEST(BackendPolicy, OnlyWhatMattersIsLookedFor) {
  EXPECT_TRUE(DependsOn(Wish("", ""), "native"));
  EXPECT_TRUE(DependsOn(Wish("native", ""), "native"));
  EXPECT_FALSE(DependsOn(Wish("shim", ""), "native"));
  EXPECT_FALSE(DependsOn(Wish("", ""), "mps"));
  EXPECT_FALSE(DependsOn(Wish("", "shim"), "mps"));
  EXPECT_TRUE(DependsOn(Wish("", "mps"), "mps"));
  EXPECT_FALSE(DependsOn(Wish("native", "mps"), "shim"));
}

TEST(BackendPolicy, OtherWordsAreNamed) {
  EXPECT_EQ(ParseWish("mps", "").status().reason(), "bad_backend");
  EXPECT_NE(ParseWish("mps", "").status().message().find("'mps'"), std::string::npos);
  EXPECT_EQ(ParseWish("", "native").status().reason(), "bad_backend");
  EXPECT_EQ(ParseWish("Native", "").status().reason(), "bad_backend");
}

}  // namespace
}  // namespace brim::vgpu
