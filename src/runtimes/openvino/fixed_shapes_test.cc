#include <gtest/gtest.h>

#include "runtimes/openvino/testing.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

class FixedShapesTest : public OpenVinoTest {};

// A graph for one shape answers as the graph for all does, which still serves the other shapes.
TEST_F(FixedShapesTest, AnswerAlike) {
  const auto plain = Load("ocr/rec.onnx");
  const auto usual = New(*plain);
  LoadOptions options;
  options.options = {{"fixed_shapes", "x:1x3x48x320; 1x3x48x80;x:1x3x48x320"}};
  const auto model = Load("ocr/rec.onnx", options);
  const auto first = New(*model);
  const auto second = New(*model);  // Compiled from the files again.
  for (int round = 0; round < 2; ++round) {
    for (const model::Shape& shape : {model::Shape{1, 3, 48, 320}, model::Shape{1, 3, 48, 100},
                                      model::Shape{1, 3, 48, 80}, model::Shape{2, 3, 48, 64}}) {
      const Tensor input = Ramp(shape);
      const Tensor expected = Run(*plain, *usual, {input})[0];
      for (Instance* instance : {first.get(), second.get()}) {
        const Tensor answer = Run(*model, *instance, {input})[0];
        ASSERT_EQ(answer.shape, expected.shape);
        const auto a = answer.As<float>();
        const auto b = expected.As<float>();
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4) << i;
      }
    }
    EXPECT_EQ(Failure(*model, *first, {Ramp({1, 3, 48, 0})}).code(), Code::kInvalidArgument);
  }
}

TEST_F(FixedShapesTest, OfSeveralInputs) {
  LoadOptions options;
  const auto plain = Load("saved/simple");
  std::string shapes;
  std::vector<Tensor> inputs;
  for (const model::TensorSpec& spec : plain->info().signatures[0].inputs) {
    model::Shape shape = spec.shape;
    shapes += (shapes.empty() ? "" : ", ") + spec.name + ":";
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 0) shape.Set(axis, 3);
      shapes += (axis == 0 ? "" : "x") + std::to_string(shape[axis]);
    }
    Tensor tensor = Ramp(shape);
    tensor.dtype = spec.dtype;
    inputs.push_back(std::move(tensor));
  }
  ASSERT_GT(inputs.size(), 1u);
  options.options = {{"fixed_shapes", shapes}};
  const auto model = Load("saved/simple", options);
  const auto expected = Run(*plain, *New(*plain), inputs);
  const auto answers = Run(*model, *New(*model), inputs);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(answers[i].shape, expected[i].shape);
    EXPECT_EQ(answers[i].data, expected[i].data);
  }
}

// At widths of 61 to 68 the recogniser has as many tokens as heads (attention_guard.h).
TEST_F(FixedShapesTest, WithoutFusedAttentionWhereThatIsWrong) {
  const auto plain = Load("ocr/rec.onnx");
  LoadOptions options;
  options.options = {{"fixed_shapes", "1x3x48x64"}};
  const auto model = Load("ocr/rec.onnx", options);
  EXPECT_NE(model->info().note.find("fused attention"), std::string::npos);
  const Tensor input = Ramp({1, 3, 48, 64});
  const auto a = Run(*model, *New(*model), {input})[0].As<float>();
  const auto b = Run(*plain, *New(*plain), {input})[0].As<float>();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4) << i;
}

TEST_F(FixedShapesTest, AreChecked) {
  const std::pair<std::string, std::string> cases[] = {
      {"y:1x3x48x320", "inputs: x"},
      {"x:1x3x48x-1", "all dimensions above 0"},
      {"x:1x3x48", "the model declares others"},
      {"x:1x4x48x320", "cannot take x:1x4x48x320"},
      {"x:", "is not one shape"},
      {";", "leaves out input 'x'"},
      {"x:1x3x48x320,x:1x3x48x320", "is not one shape"},
      {"1x3x48x8;1x3x48x16;1x3x48x24;1x3x48x32;1x3x48x40;1x3x48x48;1x3x48x56;1x3x48x64;1x3x48x72",
       "at most 8"},
  };
  LoadOptions options;
  for (const auto& [value, why] : cases) {
    options.options = {{"fixed_shapes", value}};
    const Status status = TryLoad(ModelPath("ocr/cls.onnx"), options).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << value;
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
  }
  options.options = {{"fixed_shapes", "1x2"}};
  const Status status = TryLoad(ModelPath("onnx/fixed_batch.onnx"), options).status();
  EXPECT_NE(status.message().find("fixed already"), std::string::npos) << status.ToString();
}

}  // namespace
}  // namespace brim::runtimes
