// Sizes, names, room: what is refused, and whether the message says what to do.
#include "vgpu/agent/slice_spec.h"

#include <gtest/gtest.h>

#include "vgpu/abi/card_segment.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

SliceSpec Spec(const char* name, std::uint32_t cores, std::uint64_t soft, std::uint64_t hard) {
  SliceSpec spec;
  spec.name = name;
  spec.cores = cores;
  spec.memory_soft = soft;
  spec.memory_hard = hard;
  return spec;
}

const std::vector<CardInfo> kCards = {{0, "GPU-0", "A card", 16 * kGiB, 0, 0},
                                      {1, "GPU-1", "A card", 16 * kGiB, 0, 0}};

TEST(ParseBytes, TakesTheUsualUnits) {
  EXPECT_EQ(*ParseBytes("8GiB"), 8 * kGiB);
  EXPECT_EQ(*ParseBytes("1.5gib"), kGiB + kGiB / 2);
  EXPECT_EQ(*ParseBytes("512MB"), 512'000'000u);
  EXPECT_EQ(*ParseBytes("1048576"), 1048576u);
}

TEST(ParseBytes, RefusesTheRest) {
  for (const char* text :
       {"", "GiB", "8 GiB", "8XiB", "-1GiB", "nan", "inf", "1e300", "9999TiB", "8GiBs"}) {
    const Result<std::uint64_t> bytes = ParseBytes(text);
    ASSERT_FALSE(bytes.ok()) << text;
    EXPECT_NE(bytes.status().message().find("for example 8GiB"), std::string::npos);
  }
}

TEST(CheckSpec, UnitsNamesAndSizes) {
  EXPECT_TRUE(CheckSpec(Spec("a-1.b_C", 1, kGiB, kGiB)).ok());
  EXPECT_TRUE(CheckSpec(Spec("a", 100, 0, kGiB)).ok());
  EXPECT_EQ(CheckSpec(Spec("a", 0, kGiB, kGiB)).reason(), "bad_cores");
  EXPECT_EQ(CheckSpec(Spec("a", 101, kGiB, kGiB)).reason(), "bad_cores");
  for (const char* name : {"", ".a", "a/b", "../x", "a b", "-a", "\xc3\xa4"}) {
    EXPECT_EQ(CheckSpec(Spec(name, 1, kGiB, kGiB)).reason(), "bad_name") << name;
  }
  EXPECT_EQ(CheckSpec(Spec(std::string(64, 'a').c_str(), 1, kGiB, kGiB)).reason(), "bad_name");
  SliceSpec owned = Spec("a", 1, kGiB, kGiB);
  for (const char* owner : {"", "team a", "x=y name=z", "\xc3\xa4rzte"}) {
    owned.owner = owner;
    EXPECT_TRUE(CheckSpec(owned).ok()) << owner;
  }
  for (const char* owner : {"two\nlines", "tab\t", "\x1b[31m", "delete\x7f", "\xff"}) {
    owned.owner = owner;
    EXPECT_EQ(CheckSpec(owned).reason(), "bad_owner") << owner;
  }
  EXPECT_EQ(CheckSpec(Spec("a", 1, 0, 0)).reason(), "bad_memory");
  EXPECT_EQ(CheckSpec(Spec("a", 1, 2 * kGiB, kGiB)).reason(), "bad_memory");
}

TEST(CheckRoom, CoresAndMemoryOfTheCard) {
  const std::vector<SliceSpec> others = {Spec("a", 60, 10 * kGiB, 10 * kGiB)};
  EXPECT_TRUE(CheckRoom(Spec("b", 40, 6 * kGiB, 16 * kGiB), others, kCards, false).ok());
  const Status cores = CheckRoom(Spec("b", 41, kGiB, kGiB), others, kCards, false);
  EXPECT_EQ(cores.reason(), "no_cores");
  EXPECT_NE(cores.message().find("40 of 100 units left"), std::string::npos) << cores.message();
  EXPECT_NE(cores.message().find("a (60 units"), std::string::npos) << cores.message();
  EXPECT_EQ(CheckRoom(Spec("b", 1, 7 * kGiB, 7 * kGiB), others, kCards, false).reason(),
            "no_memory");
  EXPECT_EQ(CheckRoom(Spec("b", 1, kGiB, 17 * kGiB), others, kCards, false).reason(), "no_memory");
  SliceSpec far = Spec("b", 1, kGiB, kGiB);
  far.card = 2;
  EXPECT_EQ(CheckRoom(far, others, kCards, false).code(), Code::kNotFound);
  far.card = 1;
  far.cores = 100;
  EXPECT_TRUE(CheckRoom(far, others, kCards, false).ok());
}

TEST(CheckRoom, ASliceIsNotInItsOwnWay) {
  const std::vector<SliceSpec> others = {Spec("a", 60, 10 * kGiB, 10 * kGiB)};
  EXPECT_EQ(CheckRoom(Spec("a", 10, kGiB, kGiB), others, kCards, false).code(),
            Code::kAlreadyExists);
  EXPECT_TRUE(CheckRoom(Spec("a", 100, 16 * kGiB, 16 * kGiB), others, kCards, true).ok());
}

TEST(FreeRow, TheLowestThatNobodyHas) {
  std::vector<SliceSpec> others;
  EXPECT_EQ(FreeRow(0, others), 0u);
  for (std::uint32_t row = 0; row < kSlicesPerCard; ++row) {
    others.push_back(Spec("a", 1, 0, kGiB));
    others.back().row = row;
  }
  EXPECT_EQ(FreeRow(0, others), kSlicesPerCard);
  EXPECT_EQ(FreeRow(1, others), 0u);
  others[5].row = 6;
  EXPECT_EQ(FreeRow(0, others), 5u);
}

}  // namespace
}  // namespace brim::vgpu
