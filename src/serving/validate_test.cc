#include "serving/validate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

namespace brim::serving {
namespace {

using model::DType;
using model::Shape;
using model::Signature;
using model::TensorView;

struct Case {
  Signature signature;
  std::vector<float> data = std::vector<float>(64);

  Case() {
    signature.inputs.push_back({"a", DType::kFp32, {-1, 3}});
    signature.inputs.push_back({"b", DType::kFp32, {-1}});
    signature.outputs.push_back({"y", DType::kFp32, {-1}});
    signature.outputs.push_back({"z", DType::kFp32, {-1}});
  }
  TensorView View(std::string_view name, const Shape& shape, DType dtype = DType::kFp32) const {
    return {name, dtype, shape,
            std::as_bytes(std::span(data)).first(static_cast<std::size_t>(*shape.Elements()) * 4)};
  }
  Status Check(std::vector<TensorView> inputs, bool batches = true) const {
    return ValidateInputs(signature, batches, &inputs);
  }
};

TEST(ValidateInputs, PutsThemInSignatureOrder) {
  const Case c;
  std::vector<TensorView> inputs = {c.View("b", {2}), c.View("a", {2, 3})};
  ASSERT_TRUE(ValidateInputs(c.signature, true, &inputs).ok());
  EXPECT_EQ(inputs[0].name, "a");
  EXPECT_EQ(inputs[1].name, "b");
}

TEST(ValidateInputs, SaysWhichIsMissingUnknownOrRepeated) {
  const Case c;
  const Status missing = c.Check({c.View("a", {2, 3})});
  EXPECT_EQ(missing.reason(), "input_missing");
  EXPECT_EQ(missing.message(),
            "expected 2 inputs but got 1: input 'b' is missing; the inputs are 'a', 'b'");
  const Status unknown = c.Check({c.View("a", {2, 3}), c.View("c", {2})});
  EXPECT_EQ(unknown.reason(), "input_unknown");
  EXPECT_EQ(unknown.message(), "unexpected inference input 'c'; the inputs are 'a', 'b'");
  EXPECT_EQ(c.Check({c.View("a", {2, 3}), c.View("a", {2, 3})}).reason(), "input_repeated");
  EXPECT_EQ(c.Check({c.View("a", {2, 3}), c.View("b", {2}), c.View("c", {2})}).reason(),
            "input_unknown");
  EXPECT_EQ(c.Check({c.View("a", {2, 3}), c.View("b", {2}), c.View("b", {2})}).reason(),
            "input_repeated");
  EXPECT_EQ(c.Check({}).reason(), "input_missing");
}

TEST(ValidateInputs, ChecksTypeShapeAndBytes) {
  const Case c;
  const Status type = c.Check({c.View("a", {2, 3}, DType::kInt32), c.View("b", {2})});
  EXPECT_EQ(type.message(),
            "inference input 'a' data-type is 'INT32', but the model expects 'FP32'");
  const Status shape = c.Check({c.View("a", {2, 4}), c.View("b", {2})});
  EXPECT_EQ(shape.message(), "unexpected shape for input 'a': expected [-1,3], got [2,4]");
  EXPECT_EQ(c.Check({c.View("a", {6}), c.View("b", {2})}).reason(), "shape_mismatch");
  TensorView negative = c.View("a", {2, 3});
  negative.shape = {-2, 3};
  EXPECT_EQ(c.Check({negative, c.View("b", {2})}).reason(), "shape_invalid");
  TensorView huge = c.View("a", {2, 3});
  huge.shape = {std::int64_t{1} << 61, 3};
  EXPECT_EQ(c.Check({huge, c.View("b", {2})}).reason(), "shape_invalid");
  TensorView shorter = c.View("a", {2, 3});
  shorter.data = shorter.data.first(23);
  EXPECT_EQ(c.Check({shorter, c.View("b", {2})}).code(), Code::kInvalidArgument);
}

TEST(ValidateInputs, BatchDimensionsAreEqualWhereTheModelBatches) {
  const Case c;
  EXPECT_EQ(c.Check({c.View("a", {2, 3}), c.View("b", {1})}).reason(), "batch_mismatch");
  EXPECT_TRUE(c.Check({c.View("a", {2, 3}), c.View("b", {1})}, false).ok());
  EXPECT_TRUE(c.Check({c.View("a", {0, 3}), c.View("b", {0})}).ok());
}

TEST(ValidateInputs, AnyShapeWhereTheRankIsNotKnown) {
  Case c;
  c.signature.inputs[1].rank_known = false;
  EXPECT_TRUE(c.Check({c.View("a", {2, 3}), c.View("b", {})}, false).ok());
  EXPECT_TRUE(c.Check({c.View("a", {2, 3}), c.View("b", {1, 2, 3})}, false).ok());
}

TEST(ValidateInputs, LyingStringsAreRefused) {
  Case c;
  c.signature.inputs = {{"s", DType::kBytes, {-1}}};
  const std::string good("\x02\0\0\0hi\0\0\0\0", 10);
  const std::string lies("\xff\xff\xff\xffhi", 6);
  const auto view = [](const std::string& text) {
    return TensorView{"s", DType::kBytes, {2}, std::as_bytes(std::span(text.data(), text.size()))};
  };
  EXPECT_TRUE(c.Check({view(good)}).ok());
  EXPECT_EQ(c.Check({view(lies)}).code(), Code::kInvalidArgument);
}

TEST(ValidateInputs, HundredsOfInputsInAnyOrder) {
  constexpr unsigned kSeed = 11;
  SCOPED_TRACE(kSeed);
  Case c;
  c.signature.inputs.clear();
  for (int i = 0; i < 500; ++i)
    c.signature.inputs.push_back({"f" + std::to_string(i), DType::kFp32, {-1}});
  std::vector<TensorView> inputs;
  for (const auto& spec : c.signature.inputs) inputs.push_back(c.View(spec.name, {4}));
  std::mt19937 random(kSeed);
  std::shuffle(inputs.begin(), inputs.end(), random);
  ASSERT_TRUE(ValidateInputs(c.signature, true, &inputs).ok());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    ASSERT_EQ(inputs[i].name, c.signature.inputs[i].name);
  std::shuffle(inputs.begin(), inputs.end(), random);
  std::vector<TensorView> repeated = inputs;
  repeated[7].name = repeated[9].name;
  EXPECT_EQ(ValidateInputs(c.signature, true, &repeated).reason(), "input_repeated");
  inputs[7].name = "g";
  EXPECT_EQ(ValidateInputs(c.signature, true, &inputs).reason(), "input_unknown");
}

TEST(ValidateOutputs, FillsInAllAndRefusesWrongOnes) {
  const Case c;
  std::vector<std::uint32_t> outputs;
  ASSERT_TRUE(ValidateOutputs(c.signature, &outputs).ok());
  EXPECT_EQ(outputs, (std::vector<std::uint32_t>{0, 1}));
  outputs = {1, 0};
  EXPECT_TRUE(ValidateOutputs(c.signature, &outputs).ok());
  outputs = {1, 1};
  EXPECT_EQ(ValidateOutputs(c.signature, &outputs).reason(), "output_repeated");
  outputs = {2};
  EXPECT_EQ(ValidateOutputs(c.signature, &outputs).reason(), "output_unknown");
  outputs = {0, 1, 0};
  EXPECT_EQ(ValidateOutputs(c.signature, &outputs).reason(), "output_repeated");
}

}  // namespace
}  // namespace brim::serving
