// Tests of dtype, shape, tensor and signature.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/dtype.h"
#include "model/shape.h"
#include "model/signature.h"
#include "model/tensor.h"

namespace brim::model {
namespace {

TEST(DTypeTest, NamesRoundTripInEveryDialect) {
  for (int i = 1; i <= 14; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(FromKServeName(KServeName(dtype)), dtype);
    EXPECT_EQ(FromTensorFlowNumber(TensorFlowNumber(dtype)), dtype);
    EXPECT_EQ(FromTritonConfigName(TritonConfigName(dtype)), dtype);
  }
  EXPECT_FALSE(FromKServeName("FP8").has_value());
  EXPECT_FALSE(FromKServeName("INVALID").has_value());
  EXPECT_FALSE(FromTensorFlowNumber(0).has_value());
}

TEST(ShapeTest, ElementsRefusesNegativeAndOverflow) {
  EXPECT_EQ(Shape().Elements(), 1u);
  EXPECT_EQ((Shape{2, 3}).Elements(), 6u);
  EXPECT_EQ((Shape{2, 0, 3}).Elements(), 0u);
  EXPECT_FALSE((Shape{2, -1}).Elements().has_value());
  const std::int64_t big = std::int64_t{1} << 40;
  EXPECT_FALSE((Shape{big, big}).Elements().has_value());
  EXPECT_FALSE((Shape{0, -1}).Elements().has_value());
}

TEST(ShapeTest, AdmitsTreatsDynamicAsAny) {
  const Shape spec{kDynamic, 3};
  EXPECT_TRUE(spec.Admits(Shape{7, 3}));
  EXPECT_TRUE(spec.Admits(Shape{0, 3}));
  EXPECT_FALSE(spec.Admits(Shape{7, 4}));
  EXPECT_FALSE(spec.Admits(Shape{7}));
}

TEST(ShapeTest, EditsKeepTheBound) {
  Shape shape;
  for (std::size_t i = 0; i < kRankMax; ++i) EXPECT_TRUE(shape.Append(1));
  EXPECT_FALSE(shape.Append(1));
  EXPECT_FALSE(shape.Prepend(1));
  shape.RemoveFirst();
  EXPECT_TRUE(shape.Prepend(9));
  EXPECT_EQ(shape[0], 9);
  EXPECT_EQ((Shape{1, -1}).ToString(), "[1,-1]");
  EXPECT_FALSE(Shape::Of(std::vector<std::int64_t>(kRankMax + 1, 1)).has_value());
}

TensorView View(DType dtype, Shape shape, std::string_view data) {
  return {"x", dtype, shape, std::as_bytes(std::span(data.data(), data.size()))};
}

TEST(TensorTest, CheckDataCountsBytes) {
  EXPECT_TRUE(CheckData(View(DType::kFp32, {2}, "12345678")).ok());
  const Status wrong = CheckData(View(DType::kFp32, {2}, "1234567"));
  EXPECT_EQ(wrong.reason(), "byte_count_mismatch");
  EXPECT_NE(wrong.message().find("'x'"), std::string::npos);
  EXPECT_EQ(CheckData(View(DType::kFp32, {-2}, "")).reason(), "shape_invalid");
}

TEST(TensorTest, CheckDataWalksStrings) {
  const std::string good("\x01\0\0\0a\0\0\0\0", 9);
  EXPECT_TRUE(CheckData(View(DType::kBytes, {2}, good)).ok());
  EXPECT_EQ(CheckData(View(DType::kBytes, {3}, good)).reason(), "string_truncated");
  EXPECT_EQ(CheckData(View(DType::kBytes, {1}, good)).reason(), "byte_count_mismatch");
  const std::string lying(
      "\xff\xff\xff\xff"
      "a",
      5);
  EXPECT_EQ(CheckData(View(DType::kBytes, {1}, lying)).reason(), "string_truncated");

  StringElements elements(std::as_bytes(std::span(good.data(), good.size())));
  std::string_view element;
  ASSERT_TRUE(elements.Next(&element));
  EXPECT_EQ(element, "a");
  ASSERT_TRUE(elements.Next(&element));
  EXPECT_EQ(element, "");
  EXPECT_FALSE(elements.Next(&element));
}

TEST(SignatureTest, BatchableNeedsADynamicFirstDimensionEverywhere) {
  Signature signature;
  signature.inputs = {{"a", DType::kFp32, {kDynamic, 3}}};
  signature.outputs = {{"b", DType::kFp32, {kDynamic}}};
  EXPECT_TRUE(signature.Batchable());
  signature.outputs[0].shape = {1};
  EXPECT_FALSE(signature.Batchable());
  signature.outputs[0].rank_known = false;
  EXPECT_FALSE(signature.Batchable());
}

TEST(SignatureTest, DefaultPrefersServingDefault) {
  ModelInfo info;
  info.signatures.resize(2);
  info.signatures[0].name = "other";
  EXPECT_EQ(info.Default().name, "serving_default");
  info.signatures.pop_back();
  EXPECT_EQ(info.Default().name, "other");
  EXPECT_EQ(info.Find("missing"), nullptr);
}

}  // namespace
}  // namespace brim::model
