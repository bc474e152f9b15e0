#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <thread>

#include "runtimes/host.h"
#include "runtimes/memory.h"
#include "runtimes/plugin/saved_model_text.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

using model::DType;

std::string ModelPath(const std::string& name) {
  const std::string path = std::string(BRIM_MODEL_DIR) + "/" + name;
  EXPECT_TRUE(std::filesystem::exists(path)) << "run `deps/fetch clients` and `tests/models/make`";
  return path;
}

class TensorFlowTest : public ::testing::Test {
 protected:
  // One runtime for all tests, as in a server. Never closed: a leak checker can then say whose a
  // leak is.
  static void SetUpTestSuite() { host_ = new Host(BuiltPlugins()); }
  void SetUp() override {
    if (!std::filesystem::exists(std::string(BRIM_PLUGIN_DIR) +
                                 "/tensorflow/libtensorflow_cc.so.2")) {
      GTEST_SKIP() << "no TensorFlow: run `deps/fetch tensorflow`";
    }
  }

  static Runtime& runtime() {
    auto runtime = host_->Get("tensorflow");
    EXPECT_TRUE(runtime.ok()) << runtime.status().ToString();
    return **runtime;
  }
  static Result<std::unique_ptr<Model>> TryLoad(const std::string& path, LoadOptions options = {}) {
    options.path = path;
    return runtime().Load(options);
  }
  static std::unique_ptr<Model> Load(const std::string& name) {
    auto model = TryLoad(ModelPath(name));
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return std::move(model).value();
  }
  static std::unique_ptr<Instance> New(Model& model) {
    auto instance = model.NewInstance();
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return std::move(instance).value();
  }
  static std::uint32_t IndexOf(const Model& model, const std::string& signature) {
    const auto& signatures = model.info().signatures;
    for (std::uint32_t i = 0; i < signatures.size(); ++i) {
      if (signatures[i].name == signature) return i;
    }
    ADD_FAILURE() << "no signature " << signature;
    return 0;
  }
  static std::vector<Tensor> Run(const Model& model, Instance& instance,
                                 const std::vector<Tensor>& inputs,
                                 const std::string& signature = "serving_default") {
    const std::uint32_t index = IndexOf(model, signature);
    Captured captured;
    RunAll(model, instance, inputs, &captured, index);
    EXPECT_TRUE(captured.status.ok()) << captured.status.ToString();
    EXPECT_EQ(captured.calls, 1);
    captured.outputs.resize(model.info().signatures[index].outputs.size());
    return captured.outputs;
  }

  static Host* host_;
  Scratch scratch_;
};
Host* TensorFlowTest::host_ = nullptr;

// An encoded tf.Example with the float feature x (tensorflow/core/example/example.proto).
std::string Example(float x) {
  std::string value(4, '\0');
  std::memcpy(value.data(), &x, 4);
  const auto field = [](char tag, const std::string& bytes) {
    return std::string{static_cast<char>((tag << 3) | 2), static_cast<char>(bytes.size())} + bytes;
  };
  const std::string feature = field(2, field(1, value));
  return field(1, field(1, field(1, "x") + field(2, feature)));
}

TEST_F(TensorFlowTest, EverySignatureIsThereAndRight) {
  const auto model = Load("saved/half_plus_two");
  const model::ModelInfo& info = model->info();
  EXPECT_EQ(info.platform, "tensorflow_savedmodel");
  EXPECT_EQ(info.runtime, "tensorflow");
  EXPECT_TRUE(model->instances_are_free());
  ASSERT_EQ(info.signatures.size(), 3U);
  const model::Signature& predict = *info.Find("serving_default");
  EXPECT_EQ(predict.method_name, "tensorflow/serving/predict");
  EXPECT_EQ(predict.inputs[0].name, "x");
  EXPECT_EQ(predict.inputs[0].dtype, DType::kFp32);
  EXPECT_EQ(predict.inputs[0].shape.ToString(), "[-1]");
  EXPECT_EQ(info.Find("regress_x_to_y")->method_name, "tensorflow/serving/regress");
  EXPECT_EQ(info.Find("regress_x_to_y")->inputs[0].dtype, DType::kBytes);

  const auto instance = New(*model);
  EXPECT_EQ(Run(*model, *instance, {Floats({3}, {1, 2, 5})})[0].As<float>(),
            (std::vector<float>{2.5, 3, 4.5}));
  EXPECT_EQ(Run(*model, *instance, {Strings({2}, {Example(4), Example(-4)})}, "regress_x_to_y")[0]
                .As<float>(),
            (std::vector<float>{4, 0}));
  EXPECT_EQ(Run(*model, *instance, {Strings({1}, {Example(1)})}, "classify_x_to_y")[0].As<float>(),
            (std::vector<float>{2.5}));
  Captured captured;
  RunAll(*model, *instance, {Strings({1}, {"no example"})}, &captured,
         IndexOf(*model, "regress_x_to_y"));
  EXPECT_EQ(captured.status.code(), Code::kInvalidArgument) << captured.status.ToString();
  EXPECT_EQ(captured.status.message().find('\n'), std::string::npos);
}

TEST_F(TensorFlowTest, StringsBothWays) {
  const std::string nul("\0y", 2);
  const std::vector<std::string> words{"gr\xc3\xbcn", "", std::string(1000, 'x'), nul};
  const auto upper = Load("saved/string_upper");
  const auto upper_instance = New(*upper);
  const auto outputs = Run(*upper, *upper_instance, {Strings({4}, words)});
  EXPECT_EQ(outputs[0].name, "length");
  EXPECT_EQ(outputs[0].As<std::int32_t>(), (std::vector<std::int32_t>{5, 0, 1000, 2}));
  EXPECT_EQ(outputs[1].Strings()[2], std::string(1000, 'X'));
  const auto none = Run(*upper, *upper_instance, {Strings({0}, {})});
  EXPECT_EQ(none[1].shape, (model::Shape{0}));

  const auto identity = Load("saved/simple_identity");
  const auto identity_instance = New(*identity);
  const auto same = Run(*identity, *identity_instance, {Strings({2, 2}, words)});
  EXPECT_EQ(same[0].Strings(), words);
  EXPECT_EQ(same[0].shape, (model::Shape{2, 2}));

  const auto sums = Load("saved/simple_string");
  const auto sums_instance = New(*sums);
  const auto sum = Run(*sums, *sums_instance,
                       {Strings({1, 16}, std::vector<std::string>(16, "40")),
                        Strings({1, 16}, std::vector<std::string>(16, "2"))});
  EXPECT_EQ(sum[0].Strings()[15], "42");
  EXPECT_EQ(sum[1].Strings()[0], "38");
  Captured captured;
  RunAll(*sums, *sums_instance,
         {Strings({1, 16}, std::vector<std::string>(16, "forty")),
          Strings({1, 16}, std::vector<std::string>(16, "2"))},
         &captured);
  EXPECT_EQ(captured.status.code(), Code::kInvalidArgument);
  EXPECT_NE(captured.status.message().find("forty"), std::string::npos)
      << captured.status.message();
}

TEST_F(TensorFlowTest, AgreesWithOpenVino) {
  if (!host_->Get("openvino").ok()) GTEST_SKIP() << "the openvino runtime is not built";
  const auto tensorflow = Load("deepfm");
  const auto tensorflow_instance = New(*tensorflow);
  LoadOptions options;
  options.path = ModelPath("deepfm");
  const auto openvino = (*host_->Get("openvino"))->Load(options);
  ASSERT_TRUE(openvino.ok()) << openvino.status().ToString();
  const auto openvino_instance = New(**openvino);
  const auto& inputs = tensorflow->info().Default().inputs;
  ASSERT_EQ(inputs.size(), (*openvino)->info().Default().inputs.size());
  std::vector<Tensor> batch;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(inputs[i].name, (*openvino)->info().Default().inputs[i].name);
    batch.push_back(inputs[i].dtype == DType::kFp32
                        ? Ramp({3, 6})
                        : Of<std::int32_t>(DType::kInt32, {3}, {0, 1, 2}));
  }
  const auto a = Run(*tensorflow, *tensorflow_instance, batch)[0].As<float>();
  const auto b = Run(**openvino, *openvino_instance, batch)[0].As<float>();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(a[i], b[i], 1e-5F);
  EXPECT_NE(a[0], a[1]);
}

TEST_F(TensorFlowTest, DimensionsOfZeroAndWrongShapes) {
  const auto rank3 = Load("saved/dynamic_rank3");
  const auto instance = New(*rank3);
  const auto outputs = Run(*rank3, *instance, {Floats({2, 3, 0}, {})});
  EXPECT_EQ(outputs[0].shape, (model::Shape{2, 3, 0}));
  EXPECT_EQ(outputs[1].As<float>(), std::vector<float>(6, 0.0F));
  EXPECT_EQ(Run(*rank3, *instance, {Floats({0, 3, 4}, {})})[1].shape, (model::Shape{0, 3}));

  const auto simple = Load("saved/simple");
  const auto simple_instance = New(*simple);
  const auto rows = [](std::int64_t n) {
    return Of<std::int32_t>(DType::kInt32, {n, 16},
                            std::vector<std::int32_t>(static_cast<std::size_t>(n) * 16, 3));
  };
  Captured captured;
  RunAll(*simple, *simple_instance, {rows(2), rows(3)}, &captured);
  EXPECT_EQ(captured.status.code(), Code::kInvalidArgument) << captured.status.ToString();
  EXPECT_EQ(Run(*simple, *simple_instance, {rows(2), rows(2)})[0].As<std::int32_t>()[31], 6);
}

TEST_F(TensorFlowTest, InputsAtAnyAddress) {
  const auto model = Load("saved/half_plus_two");
  const auto instance = New(*model);
  std::vector<std::byte> space(64);
  const float x = 6;
  const std::vector<std::uint32_t> wanted{0};
  for (std::size_t offset = 0; offset < 9; ++offset) {
    std::memcpy(space.data() + offset, &x, sizeof x);
    const std::vector<model::TensorView> views{
        {"", DType::kFp32, {1}, std::span(space).subspan(offset, 4)}};
    Captured captured;
    instance->Run(IndexOf(*model, "serving_default"), views, wanted, &captured);
    ASSERT_TRUE(captured.status.ok());
    EXPECT_EQ(captured.outputs[0].As<float>()[0], 5.0F);
  }
}

TEST_F(TensorFlowTest, TwoInstancesOnTwoThreads) {
  const auto model = Load("saved/dynamic_rank3");
  const auto first = New(*model);
  const auto second = New(*model);
  const Tensor x = Ramp({3, 4, 5});
  const auto expected = Run(*model, *first, {x})[1].data;
  int wrong[2] = {0, 0};
  {
    const auto serve = [&](Instance& instance, int* count) {
      for (int i = 0; i < 300; ++i) {
        Captured captured;
        RunAll(*model, instance, {x}, &captured);
        if (!captured.status.ok() || captured.outputs[1].data != expected) ++*count;
      }
    };
    std::jthread a([&] { serve(*first, &wrong[0]); });
    std::jthread b([&] { serve(*second, &wrong[1]); });
  }
  EXPECT_EQ(wrong[0] + wrong[1], 0);
}

TEST_F(TensorFlowTest, ThreadsDoNotGrowWithModels) {
  std::vector<std::unique_ptr<Model>> models;
  std::vector<std::unique_ptr<Instance>> instances;
  std::size_t one = 0;
  for (int i = 0; i < 20; ++i) {
    models.push_back(Load(i % 2 == 0 ? "saved/half_plus_two" : "saved/dynamic_rank3"));
    instances.push_back(New(*models.back()));
    Run(*models.back(), *instances.back(), {i % 2 == 0 ? Ramp({4}) : Ramp({2, 2, 2})});
    if (i == 0) one = ThreadCount();
  }
  EXPECT_EQ(ThreadCount(), one);
  RecordProperty("threads", static_cast<int>(one));
  instances.clear();
}

TEST_F(TensorFlowTest, MemoryIsGivenBack) {
  if (kSanitized) GTEST_SKIP() << "memory is not given back under a sanitizer";
  const auto cycle = [] {
    const auto model = Load("deepfm");
    const auto instance = New(*model);
    std::vector<Tensor> batch;
    for (const auto& input : model->info().Default().inputs) {
      batch.push_back(input.dtype == DType::kFp32 ? Ramp({2, 6})
                                                  : Of<std::int32_t>(DType::kInt32, {2}, {0, 1}));
    }
    Run(*model, *instance, batch);
  };
  for (int i = 0; i < 3; ++i) cycle();
  const std::uint64_t before = ResidentBytes();
  for (int i = 0; i < 10; ++i) cycle();
  EXPECT_LT(ResidentBytes(), before + 8'000'000);
}

TEST_F(TensorFlowTest, BadModelsAreErrors) {
  const std::string graph = Slurp(ModelPath("deepfm/saved_model.pb"));
  for (const std::string dir : {"empty", "text", "half", "no_variables"}) {
    std::filesystem::create_directory(scratch_.path() + "/" + dir);
  }
  scratch_.Write("empty/saved_model.pb", "");
  scratch_.Write("text/saved_model.pb", "this is no graph at all");
  scratch_.Write("half/saved_model.pb", std::string_view(graph).substr(0, graph.size() / 2));
  scratch_.Write("no_variables/saved_model.pb", graph);
  for (const std::string dir : {"empty", "text", "half", "no_variables"}) {
    const Status status = TryLoad(scratch_.path() + "/" + dir).status();
    EXPECT_FALSE(status.ok()) << dir;
    EXPECT_NE(status.message().find(dir), std::string::npos) << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
  EXPECT_EQ(TryLoad(scratch_.path() + "/absent").status().code(), Code::kNotFound);
  EXPECT_EQ(runtime().Reads(scratch_.path() + "/absent"), Reading::kNone);
  EXPECT_EQ(runtime().Reads(ModelPath("deepfm")), Reading::kAll);
}

TEST_F(TensorFlowTest, OptionsAreChecked) {
  LoadOptions options;
  options.device = "GPU";
  EXPECT_NE(TryLoad(ModelPath("saved/simple"), options).status().message().find("CPU"),
            std::string::npos);
  options = {};
  options.precision = "bf16";
  EXPECT_EQ(TryLoad(ModelPath("saved/simple"), options).status().code(), Code::kInvalidArgument);
  options = {};
  options.width = 2;
  EXPECT_EQ(TryLoad(ModelPath("saved/simple"), options).status().code(), Code::kInvalidArgument);
  options = {};
  options.options = {{"color", "red"}};
  EXPECT_EQ(TryLoad(ModelPath("saved/simple"), options).status().code(), Code::kInvalidArgument);
}

// A graph of x, y = lgamma(x) and z = x itself; OpenVINO has no conversion for lgamma.
TEST_F(TensorFlowTest, TakesOverWhatOpenVinoCannotConvert) {
  if (!host_->Get("openvino").ok()) GTEST_SKIP() << "the openvino runtime is not built";
  std::filesystem::create_directory(scratch_.path() + "/lgamma");
  SavedModelText saved;
  saved.Node("x", "Placeholder", {}, "dtype");
  saved.Node("y", "Lgamma", {"x"}, "T");
  saved.Signature("serving_default", {{"x", "x:0"}}, {{"y", "y:0"}, {"z", "x:0"}});
  scratch_.Write("lgamma/saved_model.pb", saved.Bytes());
  LoadOptions options;
  options.path = scratch_.path() + "/lgamma";
  EXPECT_EQ((*host_->Choose(options.path, ""))->name(), "openvino");
  EXPECT_EQ(host_->Load(options, "openvino").status().code(), Code::kUnimplemented);
  const auto model = host_->Load(options, "auto");
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ((*model)->info().runtime, "tensorflow");
  const auto instance = New(**model);
  const auto outputs = Run(**model, *instance, {Floats({2}, {3, 5})});
  EXPECT_NEAR(outputs[0].As<float>()[1], 3.1780539F, 1e-5F);
  EXPECT_EQ(outputs[1].As<float>(), (std::vector<float>{3, 5}));
}

// The runtime that serves all of a model goes first; strings and several signatures are
// TensorFlow's.
TEST_F(TensorFlowTest, ChosenWhereOpenVinoCannotServeAll) {
  if (!host_->Get("openvino").ok()) GTEST_SKIP() << "the openvino runtime is not built";
  const auto chosen = [](const std::string& name) {
    const auto runtime = host_->Choose(ModelPath(name), "auto");
    return runtime.ok() ? std::string((*runtime)->name()) : runtime.status().ToString();
  };
  EXPECT_EQ(chosen("saved/half_plus_two"), "tensorflow");
  EXPECT_EQ(chosen("saved/string_upper"), "tensorflow");
  EXPECT_EQ(chosen("saved/simple"), "openvino");
  EXPECT_EQ(chosen("onnx/mlp.onnx"), "openvino");
}

TEST(TensorFlowMissing, SaysWhatToFetch) {
  HostOptions options = BuiltPlugins();
  options.library_dirs["tensorflow"] = "/nowhere";
  Host host(options);
  const Status status = host.Get("tensorflow").status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("deps/fetch tensorflow"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace brim::runtimes
