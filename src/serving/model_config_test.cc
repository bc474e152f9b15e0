// Tests of serving/model_config.h and signature_check.h.
#include "serving/model_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "serving/signature_check.h"

namespace brim::serving {
namespace {

using std::chrono::microseconds;

ModelConfig Triton(std::string_view text) {
  ModelConfig config;
  const Status status = ApplyTritonConfig(text, &config);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return config;
}
Status TritonError(std::string_view text) {
  ModelConfig config;
  return ApplyTritonConfig(text, &config);
}
ModelConfig Brim(std::string_view text) {
  ModelConfig config;
  const Status status = ApplyBrimConfig(text, &config);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return config;
}
std::string BrimError(std::string_view text) {
  ModelConfig config;
  const Status status = ApplyBrimConfig(text, &config);
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
  return status.message();
}

TEST(TritonConfig, ReadsWhatIsHonoured) {
  const ModelConfig config = Triton(R"(
name: "rec"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 format: FORMAT_NONE dims: [ 3, 48, -1 ] } ]
output [ { name: "y" data_type: TYPE_STRING dims: 10 } ]
version_policy: { specific: { versions: [ 3, 1 ] } }
dynamic_batching {
  preferred_batch_size: [ 8, 4, 4 ]
  max_queue_delay_microseconds: 500
  preserve_ordering: true
  default_queue_policy {
    max_queue_size: 7 default_timeout_microseconds: 9 allow_timeout_override: false
  }
}
default_model_filename: "net.onnx"
instance_group [ { count: 2 kind: KIND_CPU } ]
optimization { cuda { graphs: true } }
parameters { key: "owner" value { string_value: "ocr" } }
parameters { key: "precision" value { string_value: "bf16" } }
parameters { key: "option.INFERENCE_HINT" value { string_value: "x" } }
parameters { key: "NUM_STREAMS" value { string_value: "4" } }
)");
  EXPECT_EQ(config.name, "rec");
  EXPECT_EQ(config.max_batch_size, 8);
  ASSERT_EQ(config.inputs.size(), 1u);
  EXPECT_EQ(config.inputs[0].dtype, model::DType::kFp32);
  EXPECT_EQ(config.inputs[0].dims, (model::Shape{3, 48, -1}));
  EXPECT_EQ(config.outputs[0].dtype, model::DType::kBytes);
  EXPECT_EQ(config.versions.rule, VersionRule::kSpecific);
  EXPECT_EQ(config.versions.specific, (std::vector<std::int64_t>{1, 3}));
  EXPECT_TRUE(config.batch.enabled);
  EXPECT_EQ(config.batch.rows_max, 8u);
  EXPECT_EQ(config.batch.preferred_rows, (std::vector<std::uint32_t>{4, 8}));
  EXPECT_EQ(config.batch.delay_max, microseconds(500));
  EXPECT_TRUE(config.batch.preserve_order);
  EXPECT_EQ(config.queue.requests_max, 7u);
  EXPECT_EQ(config.queue.timeout, microseconds(9));
  EXPECT_FALSE(config.queue.timeout_override);
  EXPECT_EQ(config.default_filename, "net.onnx");
  EXPECT_EQ(config.owner, "ocr");
  EXPECT_EQ(config.precision, "bf16");
  EXPECT_EQ(config.runtime, "");
  ASSERT_EQ(config.options.size(), 1u);
  EXPECT_EQ(config.options[0].first, "INFERENCE_HINT");
  EXPECT_TRUE(config.warnings.empty()) << config.warnings[0];
}

TEST(TritonConfig, JsonReadsTheSame) {
  const ModelConfig text = Triton(R"(
name: "a" backend: "openvino" max_batch_size: 4
dynamic_batching { max_queue_delay_microseconds: 100 }
input { name: "x" data_type: TYPE_INT64 dims: 2 } version_policy { latest { num_versions: 2 } }
parameters { key: "owner" value { string_value: "me" } } instance_group { kind: KIND_CPU })");
  ModelConfig json;
  const Status status = ApplyTritonConfigJson(R"({
"name": "a", "backend": "openvino", "max_batch_size": 4,
"dynamic_batching": {"max_queue_delay_microseconds": "100"}, "optimization": null,
"input": [{"name": "x", "data_type": "TYPE_INT64", "dims": ["2"]}],
"version_policy": {"latest": {"num_versions": 2}},
"parameters": {"owner": {"string_value": "me"}}, "instance_group": [{"kind": "KIND_CPU"}]})",
                                              &json);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(json == text);
  for (const char* bad :
       {"", "[]", "{", "{\"max_batch_size\": \"x\"}", "{\"input\": [[1]]}", "{\"input\": 1}",
        "{\"dynamic_batching\": {\"preferred_batch_size\": [1.5]}}"}) {
    EXPECT_EQ(ApplyTritonConfigJson(bad, &json).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(TritonConfig, RefusesWhatWouldChangeAnswers) {
  for (const char* text :
       {"sequence_batching {}", "ensemble_scheduling {}", "platform: \"ensemble\"",
        "model_transaction_policy { decoupled: true }", "backend: \"python\"",
        "platform: \"tensorrt_plan\"", "input { name: \"x\" reshape { shape: [] } }"}) {
    const Status status = TritonError(text);
    EXPECT_EQ(status.code(), Code::kUnimplemented) << text;
    EXPECT_NE(status.message().find("not supported"), std::string::npos) << status.message();
  }
  EXPECT_NE(TritonError("backend: \"python\"").message().find("onnxruntime"), std::string::npos);
  EXPECT_TRUE(TritonError("model_transaction_policy { decoupled: false }").ok());
}

TEST(TritonConfig, RefusesBadValuesWithTheirLine) {
  EXPECT_EQ(TritonError("\nmax_batch_size: -1").message(),
            "line 2: 'max_batch_size' is -1; it must be 0 to 65536");
  EXPECT_EQ(TritonError("input { name: \"x\" data_type: FP32 }").message(),
            "line 1: 'data_type' 'FP32' is not a data type; write e.g. TYPE_FP32");
  for (const char* text :
       {"name: 1", "input: 1", "input {}", "input { name: \"x\" } input { name: \"x\" }",
        "version_policy { newest {} }", "version_policy { specific {} }", "dynamic_batching: 3",
        "max_batch_size: 2 dynamic_batching { preferred_batch_size: 4 }",
        "input { name: \"x\" dims: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] }", "max_batch_size: \"8\"",
        "parameters: 1", "max_batch_size"}) {
    EXPECT_EQ(TritonError(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST(TritonConfig, WarnsOfWhatIsNotHonoured) {
  const ModelConfig config = Triton(R"(
dynamic_batching {}
instance_group { kind: KIND_GPU }
frobnicate: 1
input { name: "x" optional: true })");
  ASSERT_EQ(config.warnings.size(), 4u);
  EXPECT_NE(config.warnings[0].find("KIND_GPU") + config.warnings[0].find("GPU"),
            std::string::npos);
  EXPECT_FALSE(config.batch.enabled);
  EXPECT_EQ(Triton(R"(
max_batch_size: 8
dynamic_batching { priority_levels: 2 default_priority_level: 1 }
response_cache { enable: true }
model_warmup { name: "zeros" }
metric_tags { key: "a" value: "b" }
optimization { graph { level: 1 } })")
                .warnings.size(),
            4u);
}

TEST(TfsBatching, IsRead) {
  ModelConfig config;
  ASSERT_TRUE(ApplyTfsBatching(R"(
max_batch_size { value: 8 }
batch_timeout_micros { value: 250 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 4 }
allowed_batch_sizes: 8 allowed_batch_sizes: 2
pad_variable_length_inputs: true)",
                               &config)
                  .ok());
  EXPECT_TRUE(config.batch.enabled);
  EXPECT_EQ(config.batch.rows_max, 8u);
  EXPECT_EQ(config.batch.delay_max, microseconds(250));
  EXPECT_EQ(config.batch.preferred_rows, (std::vector<std::uint32_t>{2, 8}));
  EXPECT_EQ(config.queue.requests_max, 800u);
  EXPECT_EQ(config.warnings.size(), 1u);
  for (const char* text : {"max_batch_size { value: 0 }", "max_batch_size {}", "x",
                           "max_batch_size { value: 2 } allowed_batch_sizes: 4"}) {
    EXPECT_EQ(ApplyTfsBatching(text, &config).code(), Code::kInvalidArgument) << text;
  }
}

TEST(BrimConfig, ReadsEveryKey) {
  const ModelConfig config = Brim(R"({
"owner": "ads", "runtime": "openvino", "precision": "bf16", "device": "CPU", "width": 2,
"copies_max": 3, "warm_up": false,
"batch": {"enabled": true, "rows_max": 16, "preferred_rows": [16, 8], "delay_us_max": 100,
          "preserve_order": true},
"queue": {"requests_max": 5, "timeout_us": 6, "timeout_override": false},
"versions": {"latest": 2, "labels": {"stable": 1, "canary": 2}},
"options": {"a": "x", "b": 1.5, "c": true, "a": "y"}})");
  EXPECT_EQ(config.owner, "ads");
  EXPECT_EQ(config.runtime, "openvino");
  EXPECT_EQ(config.precision, "bf16");
  EXPECT_EQ(config.device, "CPU");
  EXPECT_EQ(config.width, 2u);
  EXPECT_EQ(config.copies_max, 3u);
  EXPECT_FALSE(config.warm_up);
  EXPECT_TRUE(config.batch.enabled);
  EXPECT_EQ(config.batch.rows_max, 16u);
  EXPECT_EQ(config.batch.preferred_rows, (std::vector<std::uint32_t>{8, 16}));
  EXPECT_EQ(config.batch.delay_max, microseconds(100));
  EXPECT_TRUE(config.batch.preserve_order);
  EXPECT_EQ(config.queue.requests_max, 5u);
  EXPECT_EQ(config.queue.timeout, microseconds(6));
  EXPECT_FALSE(config.queue.timeout_override);
  EXPECT_EQ(config.versions.rule, VersionRule::kLatest);
  EXPECT_EQ(config.versions.latest, 2u);
  EXPECT_EQ(config.versions.labels.at("canary"), 2);
  using Option = std::pair<std::string, std::string>;
  EXPECT_EQ(config.options, (std::vector<Option>{{"a", "y"}, {"b", "1.5"}, {"c", "true"}}));
  EXPECT_EQ(Brim(R"({"versions": {"specific": [7, 3]}})").versions.rule, VersionRule::kSpecific);
  EXPECT_EQ(Brim(R"({"versions": {"policy": "all"}})").versions.rule, VersionRule::kAll);
}

TEST(BrimConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(BrimError(R"({"ownr": "x"})"),
            "unknown key 'ownr'; known: owner, runtime, precision, device, width, copies_max, "
            "warm_up, batch, queue, versions, options");
  EXPECT_EQ(BrimError(R"({"batch": {"size": 1}})"),
            "unknown key 'batch.size'; known: enabled, rows_max, preferred_rows, delay_us_max, "
            "preserve_order");
  EXPECT_EQ(BrimError(R"({"width": 0})"), "key 'width' must be an integer from 1 to 256");
  EXPECT_EQ(BrimError(R"({"batch": {"rows_max": 4, "preferred_rows": [8]}})"),
            "key 'batch.preferred_rows' must be at most batch.rows_max each");
  for (const char* text :
       {"", "{", "[]", "{\"owner\": 1}", "{\"batch\": []}", "{\"warm_up\": 1}",
        "{\"versions\": {\"policy\": \"newest\"}}", "{\"versions\": {\"policy\": \"specific\"}}",
        "{\"versions\": {\"labels\": {\"\": 1}}}", "{\"versions\": {\"labels\": {\"a\": -1}}}",
        "{\"options\": {\"a\": []}}", "{\"options\": {\"a\": null}}",
        "{\"queue\": {\"requests_max\": 0}}", "{\"width\": 1.5}",
        "{\"batch\": {\"preferred_rows\": 1}}"}) {
    EXPECT_NE(BrimError(text), "") << text;
  }
}

class ConfigDirectory : public ::testing::Test {
 protected:
  ConfigDirectory() {
    std::string pattern = ::testing::TempDir() + "brim-config-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ConfigDirectory() override { std::filesystem::remove_all(path_); }
  void Write(const std::string& name, std::string_view text) {
    std::ofstream(path_ + "/" + name, std::ios::binary) << text;
  }
  std::string path_;
};

TEST_F(ConfigDirectory, PrecedenceIsBrimOverTritonOverTfsOverDefaults) {
  ConfigDefaults defaults;
  defaults.owner = "nobody";
  defaults.precision = "f16";
  defaults.queue.requests_max = 3;
  EXPECT_EQ(ReadModelConfig(path_, "m", defaults)->owner, "nobody");
  Write("batching_parameters.pbtxt",
        "max_batch_size { value: 2 } batch_timeout_micros { value: 7 }");
  Write("config.pbtxt",
        "name: \"other\" max_batch_size: 4 dynamic_batching {} "
        "parameters { key: \"owner\" value { string_value: \"triton\" } } "
        "parameters { key: \"device\" value { string_value: \"GPU\" } }");
  Write("brim.json", "{\"owner\": \"brim\", \"batch\": {\"rows_max\": 6}}");
  const auto config = ReadModelConfig(path_, "m", defaults);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->name, "m");
  EXPECT_EQ(config->owner, "brim");
  EXPECT_EQ(config->device, "GPU");
  EXPECT_EQ(config->precision, "f16");
  EXPECT_EQ(config->batch.rows_max, 6u);
  EXPECT_EQ(config->batch.delay_max, microseconds(7));
  EXPECT_EQ(config->queue.requests_max, 3u);
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_NE(config->warnings[0].find("'other'"), std::string::npos);

  // The load API's configuration replaces config.pbtxt and overrides brim.json.
  const auto replaced = ReadModelConfigWith("{\"max_batch_size\": 5, \"dynamic_batching\": {}}",
                                            path_, "m", defaults);
  ASSERT_TRUE(replaced.ok());
  EXPECT_EQ(replaced->device, "");
  EXPECT_EQ(replaced->owner, "brim");
  EXPECT_EQ(replaced->batch.rows_max, 5u);
}

TEST_F(ConfigDirectory, ErrorsNameTheFile) {
  Write("brim.json", "{\"x\": 1}");
  EXPECT_EQ(ReadModelConfig(path_, "m", {})
                .status()
                .message()
                .rfind(path_ + "/brim.json: unknown key", 0),
            0u);
  Write("config.pbtxt", "a");
  EXPECT_EQ(
      ReadModelConfig(path_, "m", {}).status().message().rfind(path_ + "/config.pbtxt: line 1:", 0),
      0u);
  Write("config.pbtxt", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(ReadModelConfig(path_, "m", {}).status().reason(), "config_too_large");
  std::filesystem::remove(path_ + "/config.pbtxt");
  std::filesystem::create_directory(path_ + "/config.pbtxt");
  EXPECT_EQ(ReadModelConfig(path_, "m", {}).status().reason(), "config_unreadable");
}

model::ModelInfo Info(model::Shape input, model::Shape output) {
  model::Signature signature;
  signature.inputs.push_back({"x", model::DType::kFp32, input, true});
  signature.outputs.push_back({"y", model::DType::kInt64, output, true});
  model::ModelInfo info;
  info.signatures.push_back(signature);
  return info;
}
Status Check(std::string_view config, model::ModelInfo info) {
  return CheckSignature(Triton(config), &info);
}

TEST(SignatureCheck, AcceptsAndTightens) {
  model::ModelInfo info = Info({-1, 3, -1, -1}, {-1, 10});
  const ModelConfig config = Triton(
      "max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: [3, 48, -1] } "
      "output { name: \"y\" data_type: TYPE_INT64 dims: [-1] }");
  ASSERT_TRUE(CheckSignature(config, &info).ok());
  EXPECT_EQ(info.signatures[0].inputs[0].shape, (model::Shape{-1, 3, 48, -1}));
  EXPECT_EQ(info.signatures[0].outputs[0].shape, (model::Shape{-1, 10}));
  EXPECT_TRUE(Check("max_batch_size: 8", Info({1, 2}, {1})).ok());  // States no tensors.
  EXPECT_TRUE(
      Check("input { name: \"x\" data_type: TYPE_FP32 dims: [1, 2] }", Info({1, 2}, {1})).ok());
  model::ModelInfo unknown = Info({}, {-1});
  unknown.signatures[0].inputs[0].rank_known = false;
  ASSERT_TRUE(CheckSignature(Triton("input { name: \"x\" dims: [4] }"), &unknown).ok());
  EXPECT_EQ(unknown.signatures[0].inputs[0].shape, (model::Shape{4}));
  EXPECT_TRUE(unknown.signatures[0].inputs[0].rank_known);
}

TEST(SignatureCheck, NamesBothSides) {
  const model::ModelInfo info = Info({-1, 3}, {-1});
  EXPECT_EQ(Check("input { name: \"z\" }", info).message(),
            "the model has the input 'x', which config.pbtxt does not state: state all or none");
  EXPECT_EQ(Check("output { name: \"z\" }", info).message(),
            "config.pbtxt has the output 'z' but the model has 'y'");
  EXPECT_EQ(Check("input { name: \"x\" data_type: TYPE_INT8 dims: [-1, 3] }", info).message(),
            "input 'x' is TYPE_INT8 in config.pbtxt but TYPE_FP32 in the model");
  EXPECT_EQ(Check("input { name: \"x\" dims: [-1, 4] }", info).message(),
            "input 'x' has dims [-1,4] in config.pbtxt but the model declares [-1,3]");
  EXPECT_EQ(Check("max_batch_size: 2 input { name: \"x\" dims: [3] }", Info({1, 3}, {1})).message(),
            "input 'x' has dims [3] (and a batch dimension, as max_batch_size is above 0) in "
            "config.pbtxt but the model declares [1,3]: its batch dimension is fixed; set "
            "max_batch_size to 0 and state all dims");
  EXPECT_EQ(Check("input { name: \"x\" dims: [3] }", info).reason(), "signature_mismatch");
}

}  // namespace
}  // namespace brim::serving
