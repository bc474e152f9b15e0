#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "runtimes/openvino/testing.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

using model::DType;

// The models are attention of 8 heads (tests/models/onnx_models.py); for 8 tokens of a fixed shape
// OpenVINO 2026.4.1's own answer is wrong by 0.7 of the largest value.
class AttentionGuardTest : public OpenVinoTest {
 protected:
  static void ExpectNear(const Tensor& answer, const Tensor& expected, float tolerance) {
    ASSERT_EQ(answer.shape, expected.shape);
    const auto a = answer.As<float>();
    const auto b = expected.As<float>();
    float largest = 0;
    for (const float value : b) largest = std::max(largest, std::fabs(value));
    ASSERT_GT(largest, 0.05F);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance * largest) << i;
  }
  // Values that differ from token to token and from head to head.
  static Tensor Tokens(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(64 * count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = 2 * std::sin(static_cast<float>(i * i % 9973));
    }
    return Floats({1, count, 64}, values);
  }
  // Of the dynamic graph, which agrees with ONNX Runtime's answer to 2e-7.
  static Tensor Right(const Tensor& x) {
    const auto dynamic = Load("onnx/attention.onnx");
    EXPECT_EQ(dynamic->info().note, "");
    return Run(*dynamic, *New(*dynamic), {x})[0];
  }
};

TEST_F(AttentionGuardTest, FixedShapeOfTheModelItself) {
  const Tensor x = Tokens(8);
  const Tensor expected = Right(x);
  const auto model = Load("onnx/attention_fixed.onnx");
  EXPECT_NE(model->info().note.find("fused attention"), std::string::npos);
  const auto first = New(*model);
  const auto second = New(*model);  // Compiled from the files again.
  for (Instance* instance : {first.get(), second.get(), first.get()}) {
    ExpectNear(Run(*model, *instance, {x})[0], expected, 1e-5F);
  }
}

TEST_F(AttentionGuardTest, OnSeveralCores) {
  const Tensor x = Tokens(8);
  LoadOptions options;
  options.width = 2;
  const auto model = Load("onnx/attention_fixed.onnx", options);
  ExpectNear(Run(*model, *New(*model), {x})[0], Right(x), 1e-5F);
}

// The cache is keyed without the property that turns the fused kernels off.
TEST_F(AttentionGuardTest, WithACache) {
  const Tensor x = Tokens(8);
  const Tensor expected = Right(x);
  LoadOptions options;
  options.options = {{"cache_dir", scratch_.path()}};
  for (int load = 0; load < 2; ++load) {
    const auto model = Load("onnx/attention_fixed.onnx", options);
    EXPECT_NE(model->info().note, "") << load;
    const auto first = New(*model);
    const auto second = New(*model);
    ExpectNear(Run(*model, *first, {x})[0], expected, 1e-5F);
    ExpectNear(Run(*model, *second, {x})[0], expected, 1e-5F);
    EXPECT_FALSE(std::filesystem::is_empty(scratch_.path()));
  }
}

TEST_F(AttentionGuardTest, HiddenInABranch) {
  const Tensor x = Tokens(8);
  const auto model = Load("onnx/attention_if.onnx");
  EXPECT_NE(model->info().note, "");
  const auto instance = New(*model);
  const auto run = [&](std::uint8_t first) {
    return Run(*model, *instance, {x, Of<std::uint8_t>(DType::kBool, {1}, {first})})[0];
  };
  ExpectNear(run(1), Right(x), 1e-5F);
  EXPECT_NE(run(0).data, run(1).data);
}

// Each graph of the option fixed_shapes is looked at by itself.
TEST_F(AttentionGuardTest, ShapesOfTheOption) {
  LoadOptions options;
  options.options = {{"fixed_shapes", "1x7x64; 1x16x64"}};
  EXPECT_EQ(Load("onnx/attention.onnx", options)->info().note, "");
  options.options = {{"fixed_shapes", "1x7x64; 1x8x64"}};
  const auto model = Load("onnx/attention.onnx", options);
  EXPECT_NE(model->info().note, "");
  const auto instance = New(*model);
  for (const std::int64_t tokens : {7, 8, 9, 8}) {
    const Tensor x = Tokens(tokens);
    ExpectNear(Run(*model, *instance, {x})[0], Right(x), 1e-5F);
  }
}

TEST_F(AttentionGuardTest, OthersKeepTheirFusedKernels) {
  for (const char* name : {"onnx/mlp.onnx", "onnx/cnn.onnx", "onnx/fixed_batch.onnx",
                           "onnx/spin.onnx", "ocr/cls.onnx", "ocr/rec.onnx", "deepfm"}) {
    EXPECT_EQ(Load(name)->info().note, "") << name;
  }
}

}  // namespace
}  // namespace brim::runtimes
