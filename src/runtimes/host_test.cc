#include "runtimes/host.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "runtimes/memory.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

using model::DType;

class FakeTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Model>> TryLoad(const std::string& text, LoadOptions options = {}) {
    options.path = scratch_.Write("model.fake", "brim-fake 1\n" + text);
    return runtime().Load(options);
  }
  std::unique_ptr<Model> Load(const std::string& text) {
    auto model = TryLoad(text);
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return std::move(model).value();
  }
  static std::unique_ptr<Instance> New(Model& model) {
    auto instance = model.NewInstance();
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return std::move(instance).value();
  }
  Runtime& runtime() {
    auto runtime = host_.Get("fake");
    EXPECT_TRUE(runtime.ok()) << runtime.status().ToString();
    return **runtime;
  }

  Host host_{BuiltPlugins()};
  Scratch scratch_;
};

TEST_F(FakeTest, IsListedAndOpenedOnce) {
  const std::vector<std::string> names = host_.List();
  EXPECT_NE(std::find(names.begin(), names.end(), "fake"), names.end());
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(&runtime(), &runtime());
  EXPECT_EQ(runtime().name(), "fake");
  EXPECT_EQ(runtime().version(), "1");
  EXPECT_EQ(runtime().Devices(), (std::vector<std::string>{"CPU", "FAKE.1"}));
}

TEST_F(FakeTest, UnknownRuntimeNamesTheKnown) {
  for (const std::string name : {"caffe", "../fake", ""}) {
    const auto runtime = host_.Get(name);
    EXPECT_EQ(runtime.status().code(), Code::kNotFound);
    EXPECT_EQ(runtime.status().reason(), "runtime_unknown");
    EXPECT_NE(runtime.status().message().find("fake"), std::string::npos);
  }
}

TEST_F(FakeTest, SignaturesCrossTheBorder) {
  const auto model = Load(
      "platform onnxruntime_onnx\n"
      "signature a some/method  # two of them\n"
      "input x FP32 -1,3\ninput s BYTES ?\noutput y FP32 -1,3 identity x\n"
      "signature b\ninput z INT64 []\noutput z2 INT64 [] add z z\n");
  const model::ModelInfo& info = model->info();
  EXPECT_EQ(info.platform, "onnxruntime_onnx");
  EXPECT_EQ(info.runtime, "fake");
  EXPECT_EQ(info.precision, "f32");
  EXPECT_EQ(info.device, "CPU");
  ASSERT_EQ(info.signatures.size(), 2U);
  EXPECT_EQ(info.signatures[0].name, "a");
  EXPECT_EQ(info.signatures[0].method_name, "some/method");
  ASSERT_EQ(info.signatures[0].inputs.size(), 2U);
  EXPECT_EQ(info.signatures[0].inputs[0].shape.ToString(), "[-1,3]");
  EXPECT_TRUE(info.signatures[0].inputs[0].rank_known);
  EXPECT_EQ(info.signatures[0].inputs[1].dtype, DType::kBytes);
  EXPECT_FALSE(info.signatures[0].inputs[1].rank_known);
  EXPECT_EQ(info.signatures[1].inputs[0].shape.rank(), 0U);
  EXPECT_FALSE(model->instances_are_free());
}

TEST_F(FakeTest, IdentityGivesBackTheInputsOwnMemory) {
  const auto model = Load("input x FP32 -1\noutput y FP32 -1 identity x\n");
  const auto instance = New(*model);
  const Tensor x = Floats({3}, {1, 2, 3});
  const std::vector<model::TensorView> inputs{x.view()};
  const std::vector<std::uint32_t> outputs{0};
  Captured captured;
  instance->Run(0, inputs, outputs, &captured);
  ASSERT_EQ(captured.calls, 1);
  ASSERT_TRUE(captured.status.ok());
  EXPECT_EQ(captured.pointers[0], x.data.data());
  EXPECT_EQ(captured.outputs[0].name, "y");
  EXPECT_EQ(captured.outputs[0].shape, (model::Shape{3}));
}

TEST_F(FakeTest, FunctionsOverTypesAndWantedOrder) {
  const auto model = Load(
      "input a INT32 -1,2\ninput b INT32 -1,2\n"
      "output sum INT32 -1,2 add a b\noutput seven FP64 -1,1 fill 7\noutput word BYTES -1 fill hi\n"
      "output rows INT64 -1 rows\noutput who UINT8 1 instance\n");
  const auto first = New(*model);
  const auto second = New(*model);
  const Tensor a = Of<std::int32_t>(DType::kInt32, {2, 2}, {1, 2, 3, 4});
  Captured all;
  RunAll(*model, *second, {a, a}, &all);
  ASSERT_TRUE(all.status.ok()) << all.status.ToString();
  EXPECT_EQ(all.outputs[0].As<std::int32_t>(), (std::vector<std::int32_t>{2, 4, 6, 8}));
  EXPECT_EQ(all.outputs[1].As<double>(), (std::vector<double>{7, 7}));
  EXPECT_EQ(all.outputs[1].shape, (model::Shape{2, 1}));
  EXPECT_EQ(all.outputs[2].Strings(), (std::vector<std::string>{"hi", "hi"}));
  EXPECT_EQ(all.outputs[3].As<std::int64_t>(), (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(all.outputs[4].As<std::uint8_t>(), (std::vector<std::uint8_t>{1}));

  const std::vector<model::TensorView> inputs{a.view(), a.view()};
  const std::vector<std::uint32_t> wanted{4, 0};
  Captured some;
  first->Run(0, inputs, wanted, &some);
  ASSERT_EQ(some.outputs.size(), 2U);
  EXPECT_EQ(some.outputs[0].name, "who");
  EXPECT_EQ(some.outputs[0].As<std::uint8_t>(), (std::vector<std::uint8_t>{0}));
  EXPECT_EQ(some.outputs[1].name, "sum");
}

TEST_F(FakeTest, MoreTensorsThanFitOnTheStack) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "input x" + std::to_string(i) + " FP32 1\n";
  for (int i = 0; i < 40; ++i) {
    text += "output y" + std::to_string(i) + " FP32 1 identity x" + std::to_string(39 - i) + "\n";
  }
  const auto model = Load(text);
  const auto instance = New(*model);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 40; ++i) inputs.push_back(Floats({1}, {static_cast<float>(i)}));
  Captured captured;
  RunAll(*model, *instance, inputs, &captured);
  ASSERT_EQ(captured.outputs.size(), 40U);
  EXPECT_EQ(captured.outputs[3].As<float>()[0], 36.0F);
}

TEST_F(FakeTest, FailuresKeepCodeAndText) {
  EXPECT_EQ(TryLoad("input x FP32 1\nload_fail 8 no room left\n").status().ToString(),
            "RESOURCE_EXHAUSTED (load_failed): no room left");
  const auto model = Load(
      "input x FP32 -1\noutput y FP32 -1 identity x\n"
      "run_fail_every 3 13 third time\nrun_fail_above 2 3 two rows at most\ninstance_fail 8 one "
      "only\n");
  const auto instance = New(*model);
  EXPECT_EQ(model->NewInstance().status().ToString(),
            "RESOURCE_EXHAUSTED (instance_failed): one only");
  std::vector<std::string> said;
  for (int i = 0; i < 3; ++i) {
    Captured captured;
    RunAll(*model, *instance, {Floats({1}, {1})}, &captured);
    said.push_back(captured.status.ToString());
  }
  EXPECT_EQ(said, (std::vector<std::string>{"OK", "OK", "INTERNAL (run_failed): third time"}));
  Captured captured;
  RunAll(*model, *instance, {Floats({3}, {1, 2, 3})}, &captured);
  EXPECT_EQ(captured.status.ToString(), "INVALID_ARGUMENT (input_refused): two rows at most");
  EXPECT_TRUE(captured.outputs.empty());
}

TEST_F(FakeTest, BadFilesNameTheLine) {
  for (const std::string bad :
       {"inptu x FP32 1", "input x FP31 1", "input x FP32 1,-2", "input x FP32",
        "output y FP32 1 identity z", "run_us many", "run_fail 99 x", "async now"}) {
    const Status status = TryLoad("# comment\n" + bad + "\n").status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_NE(status.message().find(":3: "), std::string::npos) << status.message();
  }
  EXPECT_EQ(TryLoad("").status().code(), Code::kInvalidArgument);
  LoadOptions options;
  options.path = scratch_.path() + "/absent.fake";
  EXPECT_EQ(runtime().Load(options).status().code(), Code::kNotFound);
}

TEST_F(FakeTest, UnknownDeviceListsThoseThatExist) {
  LoadOptions options;
  options.device = "GPU";
  const Status status = TryLoad("input x FP32 1\n", options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.reason(), "device_unknown");
  EXPECT_NE(status.message().find("CPU, FAKE.1"), std::string::npos) << status.message();
  options.device = "FAKE.1";
  EXPECT_EQ(TryLoad("input x FP32 1\n", options).value()->info().device, "FAKE.1");
}

TEST_F(FakeTest, RanksAboveTheBoundAreRefused) {
  const Status status = TryLoad("input x FP32 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n").status();
  EXPECT_EQ(status.code(), Code::kUnimplemented) << status.ToString();
}

TEST_F(FakeTest, AsyncAnswersFromAnotherThread) {
  const auto model = Load("async\ninput x FP32 -1\noutput y FP32 -1 identity x\n");
  const auto instance = New(*model);
  const std::size_t before = ThreadCount();
  for (int i = 0; i < 100; ++i) {
    Captured captured;
    RunAll(*model, *instance, {Floats({1}, {static_cast<float>(i)})}, &captured);
    ASSERT_EQ(captured.outputs.at(0).As<float>()[0], static_cast<float>(i));
  }
  EXPECT_EQ(ThreadCount(), before + 1);
}

TEST_F(FakeTest, GateHoldsARunUntilTold) {
  const std::string gate = scratch_.path() + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  const auto model = Load("run_gate " + gate + "\ninput x FP32 -1\noutput y FP32 -1 identity x\n");
  const auto instance = New(*model);
  Captured captured;
  std::jthread runner([&] { RunAll(*model, *instance, {Floats({1}, {1})}, &captured); });
  std::ofstream(gate) << 'x';
  runner.join();
  EXPECT_TRUE(captured.status.ok());
}

TEST_F(FakeTest, MemoryIsMeasuredAndGivenBack) {
  if (kSanitized) GTEST_SKIP() << "memory is not given back under a sanitizer";
  const std::uint64_t before = ResidentBytes();
  ASSERT_GT(before, 0U);
  {
    const auto model = Load("memory_bytes 50000000\ninput x FP32 1\n");
    EXPECT_NEAR(static_cast<double>(model->info().memory_bytes), 5e7, 5e6);
  }
  EXPECT_LT(ResidentBytes(), before + 10'000'000);
}

TEST_F(FakeTest, ChooseAsksTheContentNotTheName) {
  const std::string path = scratch_.Write("model.onnx", "brim-fake 1\ninput x FP32 1\n");
  HostOptions options = BuiltPlugins();
  // A directory with only this plugin, so that what else is built does not matter.
  options.plugin_dirs = {scratch_.path()};
  std::filesystem::create_symlink(std::string(BRIM_PLUGIN_DIR) + "/libbrim_runtime_fake.so",
                                  scratch_.path() + "/libbrim_runtime_fake.so");
  Host host(options);
  const auto chosen = host.Choose(path, "auto");
  ASSERT_TRUE(chosen.ok()) << chosen.status().ToString();
  EXPECT_EQ((*chosen)->name(), "fake");
  const Status status = host.Choose(scratch_.Write("other.onnx", "?"), "").status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.reason(), "model_format_unknown");
  EXPECT_EQ(host.Choose(path, "nope").status().code(), Code::kNotFound);
}

TEST_F(FakeTest, LoadChoosesAndKeepsFailures) {
  HostOptions options;
  options.plugin_dirs = {scratch_.path()};
  std::filesystem::create_symlink(std::string(BRIM_PLUGIN_DIR) + "/libbrim_runtime_fake.so",
                                  scratch_.path() + "/libbrim_runtime_fake.so");
  Host host(options);
  LoadOptions load;
  load.path = scratch_.Write("good.fake", "brim-fake 1\ninput x FP32 1\n");
  EXPECT_TRUE(host.Load(load, "auto").ok());
  EXPECT_TRUE(host.Load(load, "fake").ok());
  EXPECT_EQ(host.Load(load, "nope").status().code(), Code::kNotFound);
  load.path =
      scratch_.Write("lacks.fake", "brim-fake 1\ninput x FP32 1\nload_fail 12 no such operation\n");
  scratch_.Write("libbrim_runtime_text.so", "not a library");
  const Status status = host.Load(load, "").status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_NE(status.message().find("no such operation; runtime 'text' cannot be loaded"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(host.Load(load, "fake").status().message(), "no such operation");
}

TEST_F(FakeTest, FilesThatAreNoPluginsAreRefused) {
  scratch_.Write("libbrim_runtime_text.so", "not a library");
  std::filesystem::create_symlink(std::string(BRIM_PLUGIN_DIR) + "/libbrim_runtime_fake.so",
                                  scratch_.path() + "/libbrim_runtime_other.so");
  HostOptions options;
  options.plugin_dirs = {scratch_.path() + "/absent", scratch_.path()};
  Host host(options);
  EXPECT_EQ(host.List(), (std::vector<std::string>{"other", "text"}));
  EXPECT_EQ(host.Get("text").status().reason(), "runtime_unusable");
  EXPECT_EQ(host.Get("other").status().reason(), "runtime_abi");
  EXPECT_EQ(host.Choose(scratch_.Write("m.fake", "brim-fake 1\n"), "").status().code(),
            Code::kFailedPrecondition);
}

}  // namespace
}  // namespace brim::runtimes
