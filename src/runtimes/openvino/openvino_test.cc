#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "runtimes/host.h"
#include "runtimes/memory.h"
#include "runtimes/openvino/testing.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

using model::DType;

TEST_F(OpenVinoTest, SaysWhatItIs) {
  EXPECT_EQ(runtime().name(), "openvino");
  EXPECT_FALSE(runtime().version().empty());
  const auto devices = runtime().Devices();
  EXPECT_NE(std::find(devices.begin(), devices.end(), "CPU"), devices.end());
}

TEST_F(OpenVinoTest, SignaturesOfEachFormat) {
  struct Case {
    const char* path;
    const char* platform;
    const char* inputs;
    const char* outputs;
  };
  const Case cases[] = {
      {"onnx/mlp.onnx", "onnxruntime_onnx", "input[-1,150]", "output[-1,10]"},
      {"onnx/mlp.xml", "openvino", "input[-1,150]", "output[-1,10]"},
      {"onnx/scalar.onnx", "onnxruntime_onnx", "x[]", "y[]"},
      {"onnx/simple.onnx", "onnxruntime_onnx", "INPUT0[-1,16] INPUT1[-1,16]",
       "OUTPUT0[-1,16] OUTPUT1[-1,16]"},
      {"ocr/det.onnx", "onnxruntime_onnx", "x[-1,3,-1,-1]", "sigmoid_0.tmp_0[-1,1,-1,-1]"},
      {"saved/half_plus_two", "tensorflow_savedmodel", "x[-1]", "y[-1]"},
      {"saved/simple", "tensorflow_savedmodel", "INPUT0[-1,16] INPUT1[-1,16]",
       "OUTPUT0[-1,16] OUTPUT1[-1,16]"},
      {"saved/simple_identity", "tensorflow_savedmodel", "INPUT0[-1,-1]", "OUTPUT0[-1,-1]"},
      {"saved/string_identity", "tensorflow_savedmodel", "text[-1]", "text[-1]"},
      {"saved/dense.pb", "tensorflow_graphdef", "x[-1,8]", "Identity[-1,4]"},
      {"saved/dense.tflite", "tensorflow_lite", "x[-1,8]", "Identity[-1,4]"},
      {"deepfm", "tensorflow_savedmodel",
       "city[-1] device[-1] features[-1,6] hour[-1] item[-1] user[-1]", "output_0[-1,1]"},
  };
  const auto text = [](const std::vector<model::TensorSpec>& specs) {
    std::string joined;
    for (const auto& spec : specs)
      joined += (joined.empty() ? "" : " ") + spec.name + spec.shape.ToString();
    return joined;
  };
  for (const Case& c : cases) {
    const auto model = Load(c.path);
    const model::ModelInfo& info = model->info();
    EXPECT_EQ(info.platform, c.platform) << c.path;
    EXPECT_EQ(info.runtime, "openvino");
    EXPECT_EQ(info.precision, "f32");
    ASSERT_EQ(info.signatures.size(), 1U);
    EXPECT_EQ(info.signatures[0].name, "serving_default");
    EXPECT_EQ(text(info.signatures[0].inputs), c.inputs) << c.path;
    EXPECT_EQ(text(info.signatures[0].outputs), c.outputs) << c.path;
    EXPECT_FALSE(model->instances_are_free());
  }
}

TEST_F(OpenVinoTest, ReadsByContent) {
  EXPECT_EQ(runtime().Reads(ModelPath("onnx/mlp.onnx")), Reading::kAll);
  EXPECT_EQ(runtime().Reads(ModelPath("onnx/mlp.xml")), Reading::kAll);
  EXPECT_EQ(runtime().Reads(ModelPath("saved/dense.pb")), Reading::kAll);
  EXPECT_EQ(runtime().Reads(ModelPath("saved/dense.tflite")), Reading::kAll);
  EXPECT_EQ(runtime().Reads(ModelPath("saved/simple")), Reading::kAll);
  EXPECT_EQ(runtime().Reads(ModelPath("saved/half_plus_two")),
            Reading::kPart);                                                    // Three signatures.
  EXPECT_EQ(runtime().Reads(ModelPath("saved/string_upper")), Reading::kNone);  // Strings.
  EXPECT_EQ(runtime().Reads(ModelPath("saved")), Reading::kNone);
  EXPECT_EQ(runtime().Reads(scratch_.Write("other.xml", "<html></html>")), Reading::kNone);
  EXPECT_EQ(runtime().Reads(scratch_.path() + "/absent"), Reading::kNone);
}

TEST_F(OpenVinoTest, AnswersAreRight) {
  const auto half = Load("saved/half_plus_two");
  const auto instance = New(*half);
  EXPECT_EQ(Run(*half, *instance, {Floats({3}, {1, 2, 5})})[0].As<float>(),
            (std::vector<float>{2.5, 3, 4.5}));

  const auto simple = Load("onnx/simple.onnx");
  const auto simple_instance = New(*simple);
  std::vector<std::int32_t> a(16);
  for (int i = 0; i < 16; ++i) a[static_cast<std::size_t>(i)] = i;
  const std::vector<std::int32_t> b(16, 1);
  const auto outputs = Run(*simple, *simple_instance,
                           {Of(DType::kInt32, {1, 16}, a), Of(DType::kInt32, {1, 16}, b)});
  EXPECT_EQ(outputs[0].As<std::int32_t>()[15], 16);
  EXPECT_EQ(outputs[1].As<std::int32_t>()[15], 14);
  EXPECT_EQ(outputs[0].name, "OUTPUT0");

  const auto mixed = Load("onnx/mixed.onnx");
  const auto mixed_instance = New(*mixed);
  const auto mixed_outputs =
      Run(*mixed, *mixed_instance,
          {Of<std::int64_t>(DType::kInt64, {2}, {7, -9}), Floats({2, 3}, {1, 2, 3, 4, 5, 6}),
           Of<std::uint8_t>(DType::kBool, {2, 1}, {0, 1})});
  EXPECT_EQ(mixed_outputs[0].As<std::int64_t>(), (std::vector<std::int64_t>{8, -8}));
  EXPECT_EQ(mixed_outputs[1].As<float>(), (std::vector<float>{0, 0, 0, 4, 5, 6}));

  const auto scalar = Load("onnx/scalar.onnx");
  const auto scalar_instance = New(*scalar);
  const auto y = Run(*scalar, *scalar_instance, {Floats({}, {41})});
  EXPECT_EQ(y[0].As<float>(), (std::vector<float>{42}));
  EXPECT_EQ(y[0].shape.rank(), 0U);
}

TEST_F(OpenVinoTest, OnnxIrAndRepeatedRunsAgree) {
  const auto onnx = Load("onnx/mlp.onnx");
  const auto ir = Load("onnx/mlp.xml");
  const auto onnx_instance = New(*onnx);
  const auto ir_instance = New(*ir);
  for (const std::int64_t rows : {1, 5, 1, 8}) {
    const Tensor x = Ramp({rows, 150});
    const auto first = Run(*onnx, *onnx_instance, {x})[0].As<float>();
    EXPECT_EQ(first, Run(*onnx, *onnx_instance, {x})[0].As<float>());
    EXPECT_EQ(first, Run(*ir, *ir_instance, {x})[0].As<float>());
    float sum = 0;
    for (int i = 0; i < 10; ++i) sum += first[static_cast<std::size_t>(i)];
    EXPECT_NEAR(sum, 1.0F, 1e-5F);
  }
}

TEST_F(OpenVinoTest, EveryElementTypePassesUnchanged) {
  const std::pair<const char*, DType> types[] = {
      {"bool", DType::kBool},     {"uint8", DType::kUint8},   {"uint16", DType::kUint16},
      {"uint32", DType::kUint32}, {"uint64", DType::kUint64}, {"int8", DType::kInt8},
      {"int16", DType::kInt16},   {"int32", DType::kInt32},   {"int64", DType::kInt64},
      {"fp16", DType::kFp16},     {"fp32", DType::kFp32},     {"fp64", DType::kFp64},
      {"bf16", DType::kBf16}};
  for (const auto& [name, dtype] : types) {
    const auto model = Load(std::string("onnx/identity_") + name + ".onnx");
    ASSERT_EQ(model->info().signatures[0].inputs[0].dtype, dtype) << name;
    const auto instance = New(*model);
    std::vector<std::uint8_t> bytes(6 * model::ElementBytes(dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::uint8_t>(dtype == DType::kBool ? i % 2 : 200 + 13 * i);
    }
    const Tensor x = Of(dtype, {2, 3}, bytes);
    const auto y = Run(*model, *instance, {x});
    EXPECT_EQ(y[0].data, x.data) << name;
    EXPECT_EQ(y[0].dtype, dtype) << name;
    EXPECT_EQ(y[0].shape, x.shape) << name;
  }
}

TEST_F(OpenVinoTest, StringsPassThroughOrAreRefused) {
  const std::vector<std::string> words{"a", "", std::string(100, 'x'), std::string("\0y", 2)};
  for (const std::string name : {"onnx/identity_bytes.onnx", "saved/simple_identity"}) {
    const auto model = Load(name);
    const auto instance = New(*model);
    const auto second = New(*model);
    for (Instance* i : {instance.get(), second.get(), instance.get()}) {
      const auto y = Run(*model, *i, {Strings({2, 2}, words)});
      EXPECT_EQ(y[0].Strings(), words) << name;
      EXPECT_EQ(y[0].shape, (model::Shape{2, 2}));
      EXPECT_EQ(y[0].name, "OUTPUT0");
    }
    EXPECT_TRUE(Run(*model, *instance, {Strings({0, 2}, {})})[0].data.empty());
  }
  for (const std::string name : {"saved/string_upper", "saved/simple_string"}) {
    const Status status = TryLoad(ModelPath(name)).status();
    EXPECT_EQ(status.code(), Code::kUnimplemented) << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

TEST_F(OpenVinoTest, ShapesThatCannotFlowAreRefusedAndLeaveTheModelRight) {
  const auto model = Load("ocr/det.onnx");
  const auto instance = New(*model);
  const auto untouched = New(*model);
  const Tensor good = Ramp({1, 3, 64, 320});
  const auto expected = Run(*model, *untouched, {good});
  EXPECT_EQ(expected[0].shape, (model::Shape{1, 1, 64, 320}));
  for (int round = 0; round < 2; ++round) {
    for (const model::Shape& bad : {model::Shape{1, 3, 48, 320}, model::Shape{1, 3, 16, 16},
                                    model::Shape{1, 3, 0, 320}, model::Shape{1, 3, 64, 0}}) {
      const Status status = Failure(*model, *instance, {Ramp(bad)});
      EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad.ToString();
      EXPECT_NE(status.message().find(bad.ToString()), std::string::npos) << status.message();
    }
    EXPECT_EQ(Run(*model, *instance, {good})[0].data, expected[0].data);
  }
  EXPECT_EQ(Run(*model, *instance, {Ramp({2, 3, 96, 32})})[0].shape, (model::Shape{2, 1, 96, 32}));
}

// Random shapes, good and bad, of models whose inputs must agree: an answer is always the one that
// an instance gives that has seen nothing else.
TEST_F(OpenVinoTest, RandomShapesNeverSpoilAnAnswer) {
  const std::uint32_t seed = 20261123;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (const std::string name :
       {"ocr/cls.onnx", "onnx/concat_rows.onnx", "onnx/dynamic_rank3.onnx", "saved/simple"}) {
    const auto model = Load(name);
    const auto instance = New(*model);
    int good = 0;
    for (int i = 0; i < 40; ++i) {
      std::vector<Tensor> inputs;
      const std::int64_t rows = random() % 3;
      for (const model::TensorSpec& spec : model->info().signatures[0].inputs) {
        model::Shape shape = spec.shape;
        for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
          if (shape[axis] < 0)
            shape.Set(axis, axis == 0 && random() % 4 != 0 ? rows : random() % 70);
        }
        Tensor tensor = Ramp(shape);
        tensor.dtype = spec.dtype;
        inputs.push_back(std::move(tensor));
      }
      Captured captured;
      RunAll(*model, *instance, inputs, &captured);
      if (!captured.status.ok()) {
        EXPECT_EQ(captured.status.code(), Code::kInvalidArgument) << captured.status.ToString();
        continue;
      }
      ++good;
      if (good > 4) continue;
      const auto fresh_model = Load(name);
      const auto fresh = New(*fresh_model);
      const auto expected = Run(*fresh_model, *fresh, inputs);
      for (std::size_t o = 0; o < expected.size(); ++o) {
        EXPECT_EQ(captured.outputs[o].shape, expected[o].shape) << name;
        EXPECT_EQ(captured.outputs[o].data, expected[o].data) << name;
      }
    }
    EXPECT_GT(good, 0) << name;
  }
}

TEST_F(OpenVinoTest, DimensionsOfZero) {
  const auto rank3 = Load("onnx/dynamic_rank3.onnx");
  const auto rank3_instance = New(*rank3);
  const auto sums = Run(*rank3, *rank3_instance, {Floats({2, 3, 0}, {})});
  EXPECT_EQ(sums[0].shape, (model::Shape{2, 3, 0}));
  EXPECT_EQ(sums[1].As<float>(), std::vector<float>(6, 0.0F));
  EXPECT_EQ(Run(*rank3, *rank3_instance, {Floats({0, 3, 4}, {})})[1].shape, (model::Shape{0, 3}));

  const auto concat = Load("onnx/concat_rows.onnx");
  const auto concat_instance = New(*concat);
  EXPECT_EQ(Run(*concat, *concat_instance, {Floats({0, 4}, {}), Floats({1, 4}, {1, 2, 3, 4})})[0]
                .As<float>(),
            (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(Run(*concat, *concat_instance, {Floats({0, 4}, {}), Floats({0, 4}, {})})[0].shape,
            (model::Shape{0, 4}));

  const auto nonzero = Load("onnx/nonzero.onnx");
  const auto nonzero_instance = New(*nonzero);
  EXPECT_EQ(Run(*nonzero, *nonzero_instance, {Floats({3}, {0, 0, 0})})[0].shape,
            (model::Shape{1, 0}));
  EXPECT_EQ(Run(*nonzero, *nonzero_instance, {Floats({3}, {0, 5, 6})})[0].As<std::int64_t>(),
            (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(Run(*nonzero, *nonzero_instance, {Floats({0}, {})})[0].shape, (model::Shape{1, 0}));

  const auto mlp = Load("onnx/mlp.onnx");
  const auto mlp_instance = New(*mlp);
  EXPECT_EQ(Run(*mlp, *mlp_instance, {Floats({0, 150}, {})})[0].shape, (model::Shape{0, 10}));

  const auto deepfm = Load("deepfm");
  const auto deepfm_instance = New(*deepfm);
  const auto none = Of<std::int32_t>(DType::kInt32, {0}, {});
  EXPECT_EQ(
      Run(*deepfm, *deepfm_instance, {none, none, Floats({0, 6}, {}), none, none, none})[0].shape,
      (model::Shape{0, 1}));
}

TEST_F(OpenVinoTest, InputsAtAnyAddress) {
  const auto model = Load("onnx/mlp.onnx");
  const auto instance = New(*model);
  for (const std::int64_t rows : {2, 60}) {  // Copied, and too large for that.
    const Tensor x = Ramp({rows, 150});
    const auto expected = Run(*model, *instance, {x});
    std::vector<std::byte> space(x.data.size() + 16);
    const std::vector<std::uint32_t> wanted{0};
    for (std::size_t offset = 0; offset < 9; ++offset) {
      std::memcpy(space.data() + offset, x.data.data(), x.data.size());
      const std::vector<model::TensorView> views{
          {"", DType::kFp32, x.shape, std::span(space).subspan(offset, x.data.size())}};
      Captured captured;
      instance->Run(0, views, wanted, &captured);
      ASSERT_TRUE(captured.status.ok()) << captured.status.ToString();
      EXPECT_EQ(captured.outputs[0].data, expected[0].data) << offset;
    }
  }
}

TEST_F(OpenVinoTest, WideIntegersAreRefusedNotWrapped) {
  const auto model = Load("onnx/mixed.onnx");
  const auto instance = New(*model);
  const auto with = [&](std::int64_t id) {
    return std::vector<Tensor>{Of<std::int64_t>(DType::kInt64, {1}, {id}), Ramp({1, 3}),
                               Of<std::uint8_t>(DType::kBool, {1, 1}, {1})};
  };
  const Status status = Failure(*model, *instance, with(std::int64_t{1} << 40));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("'ids' holds 1099511627776"), std::string::npos)
      << status.message();
  EXPECT_EQ(Run(*model, *instance, with(-3))[0].As<std::int64_t>()[0], -2);
}

TEST_F(OpenVinoTest, TwoInstancesOnTwoThreads) {
  const auto model = Load("onnx/mlp.onnx");
  const auto first = New(*model);
  const auto second = New(*model);
  const Tensor x = Ramp({4, 150});
  const auto expected = Run(*model, *first, {x})[0].data;
  int wrong[2] = {0, 0};
  {
    const auto serve = [&](Instance& instance, int* count) {
      for (int i = 0; i < 300; ++i) {
        Captured captured;
        RunAll(*model, instance, {x}, &captured);
        if (!captured.status.ok() || captured.outputs[0].data != expected) ++*count;
      }
    };
    std::jthread a([&] { serve(*first, &wrong[0]); });
    std::jthread b([&] { serve(*second, &wrong[1]); });
  }
  EXPECT_EQ(wrong[0] + wrong[1], 0);
}

TEST_F(OpenVinoTest, ThreadsDoNotGrowWithModels) {
  const auto load_and_run = [](const std::string& name, const Tensor& x,
                               std::vector<std::unique_ptr<Model>>* models,
                               std::vector<std::unique_ptr<Instance>>* instances) {
    models->push_back(Load(name));
    instances->push_back(New(*models->back()));
    Run(*models->back(), *instances->back(), {x});
  };
  std::vector<std::unique_ptr<Model>> models;
  std::vector<std::unique_ptr<Instance>> instances;
  load_and_run("ocr/cls.onnx", Ramp({1, 3, 48, 192}), &models, &instances);
  const std::size_t one = ThreadCount();
  for (int i = 0; i < 49; ++i) load_and_run("onnx/mlp.onnx", Ramp({2, 150}), &models, &instances);
  EXPECT_EQ(ThreadCount(), one);
  RecordProperty("threads", static_cast<int>(one));
  instances.clear();
}

TEST_F(OpenVinoTest, MemoryIsMeasuredAndGivenBack) {
  if (kSanitized) GTEST_SKIP() << "memory is not given back under a sanitizer";
  const auto cycle = [] {
    const auto model = Load("ocr/rec.onnx");
    const auto instance = New(*model);
    Run(*model, *instance, {Ramp({1, 3, 48, 320})});
    return model->info().memory_bytes;
  };
  cycle();
  cycle();
  const std::uint64_t before = ResidentBytes();
  std::uint64_t measured = 0;
  for (int i = 0; i < 8; ++i) measured = cycle();
  const std::uint64_t after = ResidentBytes();
  EXPECT_LT(after, before + 8'000'000);
  EXPECT_GT(measured, 10'000'000U);
  EXPECT_LT(measured, 60'000'000U);
}

// What a model of one input shape holds beside its compiled copy (7.4 MB of this one): one copy
// without weights for the check of shapes, 1.6 MB. A second such copy would be as much again.
TEST_F(OpenVinoTest, ModelsOfOneShapeHoldLittleForItsCheck) {
  if (kSanitized) GTEST_SKIP() << "memory is another under a sanitizer";
  std::vector<std::unique_ptr<Model>> models;
  std::vector<std::unique_ptr<Instance>> instances;
  const auto resident_after = [&](int count) {
    for (int i = 0; i < count; ++i) {
      models.push_back(Load("ocr/cls.onnx"));
      instances.push_back(New(*models.back()));
      Run(*models.back(), *instances.back(), {Ramp({1, 3, 48, 192})});
    }
    return static_cast<double>(ResidentBytes());
  };
  const double some = resident_after(8);
  const double mean = (resident_after(24) - some) / 24;
  RecordProperty("bytes", static_cast<int>(mean));
  EXPECT_LT(mean, 10e6);
  instances.clear();
}

TEST_F(OpenVinoTest, BadFilesAreErrors) {
  const std::string onnx = Slurp(ModelPath("onnx/mlp.onnx"));
  const std::string xml = Slurp(ModelPath("onnx/mlp.xml"));
  const std::string bin = Slurp(ModelPath("onnx/mlp.bin"));
  std::vector<std::string> bad{
      scratch_.Write("empty.onnx", ""),
      scratch_.Write("text.onnx", "this is no model\n"),
      scratch_.Write("half.onnx", std::string_view(onnx).substr(0, onnx.size() / 2)),
      scratch_.Write("most.onnx", std::string_view(onnx).substr(0, onnx.size() - 10)),
      scratch_.Write("half.xml", std::string_view(xml).substr(0, xml.size() / 2)),
      scratch_.Write("alone.xml", xml),
      scratch_.Write("short.xml", xml),
      scratch_.Write("empty.tflite", ""),
      scratch_.Write("text.tflite",
                     std::string("\x1c\0\0\0TFL3 garbage that goes on for some bytes....", 48)),
      scratch_.Write("text.pb", "this is no graph"),
      scratch_.Write("text.pdmodel", "this is no model"),
  };
  scratch_.Write("short.bin", std::string_view(bin).substr(0, bin.size() / 2));
  for (const std::string dir : {"no_graph", "text_graph", "no_variables"}) {
    std::filesystem::create_directory(scratch_.path() + "/" + dir);
    bad.push_back(scratch_.path() + "/" + dir);
  }
  scratch_.Write("no_graph/saved_model.pb", "");
  scratch_.Write("text_graph/saved_model.pb", "this is no graph at all");
  scratch_.Write("no_variables/saved_model.pb", Slurp(ModelPath("deepfm/saved_model.pb")));
  const LeaksAllowed vendors;
  for (const std::string& path : bad) {
    const auto model = TryLoad(path);
    ASSERT_FALSE(model.ok()) << path;
    EXPECT_TRUE(model.status().code() == Code::kInvalidArgument ||
                model.status().code() == Code::kUnimplemented)
        << model.status().ToString();
    EXPECT_NE(model.status().message().find(path), std::string::npos) << model.status().message();
    EXPECT_LT(model.status().message().size(), 1000U);
  }
  EXPECT_EQ(TryLoad(scratch_.path() + "/absent.onnx").status().code(), Code::kNotFound);
}

TEST_F(OpenVinoTest, OptionsAreChecked) {
  LoadOptions options;
  options.device = "GPU.7";
  Status status = TryLoad(ModelPath("onnx/mlp.onnx"), options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("CPU"), std::string::npos);
  options = {};
  options.precision = "f8";
  status = TryLoad(ModelPath("onnx/mlp.onnx"), options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("bf16"), std::string::npos);
  options = {};
  options.options = {{"color", "red"}};
  status = TryLoad(ModelPath("onnx/mlp.onnx"), options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("cache_dir"), std::string::npos);
  options.options = {
      {"PERFORMANCE_HINT", "LATENCY"}, {"mmap", "true"}, {"cache_dir", scratch_.path()}};
  EXPECT_TRUE(TryLoad(ModelPath("onnx/mlp.onnx"), options).ok());
  EXPECT_FALSE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(OpenVinoTest, PrecisionIsWhatTheDeviceComputesIn) {
  const Tensor x = Ramp({1, 150});
  const auto exact = Load("onnx/mlp.onnx");
  const auto exact_instance = New(*exact);
  const auto expected = Run(*exact, *exact_instance, {x})[0].As<float>();
  for (const std::string precision : {"f32", "bf16", "f16", "auto"}) {
    LoadOptions options;
    options.precision = precision;
    const auto model = Load("onnx/mlp.onnx", options);
    const std::string& used = model->info().precision;
    EXPECT_TRUE(used == "f32" || used == "bf16" || used == "f16") << used;
    if (precision == "f32") {
      EXPECT_EQ(used, "f32");
    }
    const auto instance = New(*model);
    const auto got = Run(*model, *instance, {x})[0].As<float>();
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got[i], expected[i], 0.02F);
  }
}

TEST_F(OpenVinoTest, WideVariantAnswersAlike) {
  LoadOptions options;
  options.width = 2;
  const auto wide = Load("ocr/cls.onnx", options);
  const auto wide_instance = New(*wide);
  const auto narrow = Load("ocr/cls.onnx");
  const auto narrow_instance = New(*narrow);
  const Tensor x = Ramp({2, 3, 48, 192});
  const auto a = Run(*wide, *wide_instance, {x})[0].As<float>();
  const auto b = Run(*narrow, *narrow_instance, {x})[0].As<float>();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5F);
  EXPECT_EQ(Failure(*wide, *wide_instance, {Ramp({1, 3, 0, 0})}).code(), Code::kInvalidArgument);
}

TEST_F(OpenVinoTest, FilesMayChangeUnderAServingModel) {
  for (const std::string extension : {".xml", ".bin"}) {
    std::filesystem::copy_file(ModelPath("onnx/mlp" + extension),
                               scratch_.path() + "/m" + extension);
  }
  auto loaded = TryLoad(scratch_.path() + "/m.xml");
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  Model& model = **loaded;
  const auto first = New(model);
  const auto second = New(model);  // Read again: nothing has changed yet.
  const auto expected = Run(model, *first, {Ramp({1, 150})})[0].data;
  std::filesystem::resize_file(scratch_.path() + "/m.bin", 0);
  EXPECT_EQ(Run(model, *second, {Ramp({1, 150})})[0].data, expected);
  EXPECT_EQ(Run(model, *first, {Ramp({3, 150})})[0].shape, (model::Shape{3, 10}));
  const Status status = model.NewInstance().status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("have changed"), std::string::npos) << status.message();
}

TEST_F(OpenVinoTest, MissingLibraryIsNamedAndFoundWhereTold) {
  std::filesystem::copy_file(std::string(BRIM_PLUGIN_DIR) + "/libbrim_runtime_openvino.so",
                             scratch_.path() + "/libbrim_runtime_openvino.so");
  const std::string libraries = std::string(BRIM_PLUGIN_DIR) + "/openvino";
  // In processes of their own: this one has the library loaded already, which would satisfy the
  // plugin.
  const auto in_child = [&](const std::string& library_dir) {
    HostOptions options;
    options.plugin_dirs = {scratch_.path()};
    if (!library_dir.empty()) options.library_dirs["openvino"] = library_dir;
    Host host(options);
    const Status status = host.Get("openvino").status();
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    std::_Exit(0);
  };
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(in_child(""), ::testing::ExitedWithCode(0),
              "runtime_library_missing.*libopenvino.so");
  EXPECT_EXIT(in_child(libraries), ::testing::ExitedWithCode(0), "^OK");
}

}  // namespace
}  // namespace brim::runtimes
