// Tests of TensorFlow Serving's REST and gRPC APIs over a real repository and engine with fake
// models.
#include <gtest/gtest.h>

#include <future>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

#include "api/testing.h"
#include "api/tfs_grpc.h"
#include "api/tfs_rest.h"
#include "api/tfs_servable.h"

namespace brim::api {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

// Doubles x, and z apart; two signatures.
constexpr std::string_view kPair =
    "brim-fake 1\n"
    "signature serving_default tensorflow/serving/predict\n"
    "input x FP32 -1,2\n"
    "input y FP32 -1,2\n"
    "output sum FP32 -1,2 add x y\n"
    "output same FP32 -1,2 identity x\n"
    "signature single\n"
    "input x FP32 -1,2\n"
    "output out FP32 -1,2 identity x\n";
constexpr std::string_view kOne =
    "brim-fake 1\n"
    "signature serving_default tensorflow/serving/predict\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n";
constexpr std::string_view kText =
    "brim-fake 1\n"
    "signature serving_default\n"
    "input s BYTES -1\n"
    "output s_bytes BYTES -1 identity s\n";
constexpr std::string_view kExamples =
    "brim-fake 1\n"
    "signature serving_default tensorflow/serving/classify\n"
    "input inputs BYTES -1\n"
    "output classes BYTES -1,2 fill cat\n"
    "output scores FP32 -1,2 fill 0.5\n"
    "signature regression tensorflow/serving/regress\n"
    "input inputs BYTES -1\n"
    "output outputs FP32 -1 fill 1.5\n";
constexpr std::string_view kFailing =
    "brim-fake 1\n"
    "signature serving_default\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n"
    "run_fail_above 3 13 the device is gone\n";

class TfsApiTest : public ::testing::Test {
 protected:
  TfsApiTest() {
    platform_.Write("pair/3/model.fake", kPair);
    platform_.Write("one/1/model.fake", kOne);
    platform_.Write("one/2/model.fake", kOne);
    platform_.Write(
        "one/brim.json",
        R"({"owner": "search", "versions": {"policy": "all", "labels": {"stable": 1}}})");
    platform_.Write("text/1/model.fake", kText);
    platform_.Write("examples/1/model.fake", kExamples);
    platform_.Write("failing/1/model.fake", kFailing);
    platform_.Start();
    rest_ = std::make_unique<TfsRest>(platform_.services());
    grpc_ = std::make_unique<TfsGrpc>(platform_.services());
  }

  struct Answer {
    int status = 0;
    std::string text;
  };
  Answer Http(std::string method, std::string path, std::string_view body = {}) {
    FakeHttpCall call(std::move(method), std::move(path), body);
    call.received_at = platform_.clock().Now();
    if (!rest_->Handle(call)) return {};
    call.Wait();
    EXPECT_EQ(call.reply().content_type, "application/json");
    return {call.status(), std::string(call.text())};
  }
  Answer Post(std::string path, std::string_view body) {
    return Http("POST", std::move(path), body);
  }
  Answer Get(std::string path) { return Http("GET", std::move(path)); }
  std::string Error(const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.text;
    constexpr std::string_view kHead = "{\"error\":\"";
    EXPECT_EQ(answer.text.rfind(kHead, 0), 0u) << answer.text;
    return answer.text.size() > kHead.size() + 2
               ? answer.text.substr(kHead.size(), answer.text.size() - kHead.size() - 2)
               : "";
  }

  struct GrpcAnswer {
    Status status;
    std::string message;
  };
  GrpcAnswer Call(const std::string& method, const std::string& message) {
    FakeGrpcCall call("/tensorflow.serving." + method, message);
    call.received_at = platform_.clock().Now();
    EXPECT_EQ(grpc_->Lookup(call.method()), io::GrpcHandler::Kind::kUnary);
    grpc_->OnUnary(call);
    call.Wait();
    const std::vector<std::string> written = call.written();
    return {call.status(), written.empty() ? std::string() : written[0]};
  }

  const serving::TfsStats& Stats(const std::string& model) {
    return (*platform_.repository().Find({model, std::nullopt, {}}))->stats().tfs;
  }

  Platform platform_;
  std::unique_ptr<TfsRest> rest_;
  std::unique_ptr<TfsGrpc> grpc_;
};

TEST_F(TfsApiTest, RestPredictsInRowsAndColumns) {
  const Answer rows = Post("/v1/models/one:predict", R"({"instances": [[1, 2], [3.5, 4]]})");
  EXPECT_EQ(rows.status, 200);
  EXPECT_EQ(rows.text, R"({"predictions":[[1.0,2.0],[3.5,4.0]]})");
  const Answer named =
      Post("/v1/models/pair:predict", R"({"instances": [{"x": [1, 2], "y": [10, 20]}]})");
  EXPECT_EQ(named.text, R"({"predictions":[{"sum":[11.0,22.0],"same":[1.0,2.0]}]})");
  const Answer columns =
      Post("/v1/models/pair:predict", R"({"inputs": {"x": [[1, 2]], "y": [[10, 20]]}})");
  EXPECT_EQ(columns.text, R"({"outputs":{"sum":[[11.0,22.0]],"same":[[1.0,2.0]]}})");
  const Answer signature = Post("/v1/models/pair/versions/3:predict",
                                R"({"signature_name": "single", "inputs": [[5, 6]]})");
  EXPECT_EQ(signature.text, R"({"outputs":[[5.0,6.0]]})");
  const Answer text = Post("/v1/models/text:predict", R"({"instances": ["a", {"b64": "aGk="}]})");
  EXPECT_EQ(text.text, R"({"predictions":[{"b64":"YQ=="},{"b64":"aGk="}]})");
}

TEST_F(TfsApiTest, RestFindsVersionsAndLabels) {
  for (const char* path :
       {"/v1/models/one/versions/1:predict", "/v1/models/one/labels/stable:predict",
        "/V1/MODELS/one/VERSIONS/2:PREDICT"}) {
    EXPECT_EQ(Post(path, R"({"instances": [[1, 2]]})").status, 200) << path;
  }
  EXPECT_EQ(Error(Post("/v1/models/none:predict", R"({"instances": [1]})"), 404),
            "Servable not found for request: Latest(none)");
  EXPECT_EQ(Error(Post("/v1/models/one/versions/7:predict", R"({"instances": [1]})"), 404),
            "Servable not found for request: Specific(one, 7)");
  EXPECT_EQ(Error(Post("/v1/models/one/labels/canary:predict", R"({"instances": [1]})"), 400),
            "Unrecognized servable version label: canary");
  EXPECT_EQ(Error(Post("/v1/models/one/versions/99999999999999999999:predict", "{}"), 400),
            "Failed to convert version: 99999999999999999999 to numeric.");
}

TEST_F(TfsApiTest, RestErrors) {
  EXPECT_EQ(Error(Post("/v1/models/one:predict", "{}"), 400),
            "Missing 'inputs' or 'instances' key");
  // A body that is no JSON is told before an unknown model, as there.
  EXPECT_EQ(Error(Post("/v1/models/none:predict", ""), 400),
            "JSON Parse error: The document is empty");
  EXPECT_EQ(
      Error(Post("/v1/models/one:predict", R"({"signature_name": "nope", "instances": [1]})"), 400),
      R"(Serving signature name: \"nope\" not found in signature def)");
  const std::string shape =
      Error(Post("/v1/models/one:predict", R"({"instances": [[1, 2, 3]]})"), 400);
  EXPECT_NE(shape.find("x"), std::string::npos) << shape;
  EXPECT_EQ(
      Error(Post("/v1/models/failing:predict", R"({"inputs": [[1,2],[1,2],[1,2],[1,2]]})"), 500)
              .find("the device is gone") != std::string::npos,
      true);
  for (const char* path :
       {"/v1/models/one:explain", "/v1/models/", "/v1/nothing", "/v1/models/one/versions/x:predict",
        "/v1/models/one/labels/:predict", "/v1/models/one"}) {
    EXPECT_EQ(Error(Post(path, "{}"), 400), std::string("Malformed request: POST ") + path);
  }
  EXPECT_EQ(Error(Get("/v1/models/one:predict"), 400),
            "Malformed request: GET /v1/models/one:predict");
  EXPECT_EQ(Error(Get("/v1/models"), 400), "Missing model name in request.");
}

TEST_F(TfsApiTest, OtherPathsAreNotOurs) {
  for (const char* path : {"/", "/metrics", "/v2/models/one", "/v1", "/v1/brim/status"}) {
    EXPECT_EQ(Get(path).status, 0) << path;
  }
}

TEST_F(TfsApiTest, RestStatus) {
  EXPECT_EQ(
      Get("/v1/models/one").text,
      R"({"model_version_status":[{"version":"2","state":"AVAILABLE","status":{"error_code":"OK",)"
      R"("error_message":""}},{"version":"1","state":"AVAILABLE","status":{"error_code":"OK",)"
      R"("error_message":""}}]})"
      "\n");
  const std::string one =
      R"({"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK",)"
      R"("error_message":""}}]})"
      "\n";
  EXPECT_EQ(Get("/v1/models/one/versions/1").text, one);
  EXPECT_EQ(Get("/v1/models/one/labels/stable").text, one);
  EXPECT_EQ(Error(Get("/v1/models/one/versions/9"), 404), "Could not find version 9 of model one");
  EXPECT_EQ(Error(Get("/v1/models/none"), 404), "Could not find any versions of model none");
}

TEST_F(TfsApiTest, RestMetadata) {
  const Answer answer = Get("/v1/models/one/versions/1/metadata");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.text,
            R"({"model_spec":{"name":"one","signature_name":"","version":"1"},"metadata":{)"
            R"("signature_def":{)"
            R"("@type":"type.googleapis.com/tensorflow.serving.SignatureDefMap",)"
            R"("signature_def":{"serving_default":{)"
            R"("inputs":{"x":{"dtype":"DT_FLOAT","tensor_shape":{)"
            R"("dim":[{"size":"-1","name":""},{"size":"2","name":""}],)"
            R"("unknown_rank":false},"name":"x"}},)"
            R"("outputs":{"y":{"dtype":"DT_FLOAT","tensor_shape":{)"
            R"("dim":[{"size":"-1","name":""},{"size":"2","name":""}],)"
            R"("unknown_rank":false},"name":"y"}},)"
            R"("method_name":"tensorflow/serving/predict","defaults":{}}}}}})"
            "\n");
  EXPECT_EQ(Error(Get("/v1/models/none/metadata"), 404),
            "Servable not found for request: Latest(none)");
}

TEST_F(TfsApiTest, RestClassifiesAndRegresses) {
  const Answer classes =
      Post("/v1/models/examples:classify", R"({"examples": [{"a": 1}, {"a": 2}]})");
  EXPECT_EQ(classes.text, R"({"results":[[["cat",0.5],["cat",0.5]],[["cat",0.5],["cat",0.5]]]})");
  const Answer values = Post("/v1/models/examples:regress",
                             R"({"signature_name": "regression", "examples": [{"a": 1}]})");
  EXPECT_EQ(values.text, R"({"results":[1.5]})");
  EXPECT_EQ(Error(Post("/v1/models/examples:regress", R"({"examples": [{"a": 1}]})"), 400),
            "Expected one output Tensor.");
  EXPECT_EQ(Error(Post("/v1/models/pair:classify", R"({"examples": [{"a": 1}]})"), 400),
            "Expected one input Tensor.");
  EXPECT_EQ(Error(Post("/v1/models/one:classify", R"({"examples": [{"a": 1}]})"), 400)
                .rfind("No classification inputs found in SignatureDef", 0),
            0u);
  EXPECT_EQ(
      Error(Post("/v1/models/examples:classify", R"({"signature_name": "x", "examples": [{}]})"),
            400),
      "No signature was found with the name: x");
}

// ------------------------------------------------------------------------------------- gRPC

std::string Spec(const std::string& name, const std::string& signature = "",
                 std::int64_t version = 0, const std::string& label = "") {
  std::string spec;
  pbf_writer writer(spec);
  writer.add_string(1, name);
  if (version != 0) {
    std::string number;
    pbf_writer(number).add_int64(1, version);
    writer.add_message(2, number);
  }
  if (!label.empty()) writer.add_string(4, label);
  if (!signature.empty()) writer.add_string(3, signature);
  std::string message;
  pbf_writer(message).add_message(1, spec);
  return message;
}

std::string Input(const std::string& name, const std::vector<float>& values, std::int64_t rows) {
  std::string shape, dim;
  pbf_writer(dim).add_int64(1, rows);
  pbf_writer(shape).add_message(2, dim);
  dim.clear();
  pbf_writer(dim).add_int64(1, 2);
  pbf_writer(shape).add_message(2, dim);
  std::string tensor;
  pbf_writer writer(tensor);
  writer.add_enum(1, 1);
  writer.add_message(2, shape);
  writer.add_packed_float(5, values.begin(), values.end());
  std::string entry;
  pbf_writer(entry).add_string(1, name);
  pbf_writer(entry).add_message(2, tensor);
  std::string message;
  pbf_writer(message).add_message(2, entry);
  return message;
}

std::string Filter(const std::string& name) {
  std::string message;
  pbf_writer(message).add_string(3, name);
  return message;
}

// "name=v,v name=v,v | model/version/signature"
std::string ReadPredict(const std::string& message) {
  std::string text, spec_text;
  pbf_reader reader(message);
  while (reader.next()) {
    const bool is_spec = reader.tag() == 2;
    pbf_reader inside = reader.get_message();
    if (is_spec) {
      inside.next(1);
      spec_text = inside.get_string();
      inside.next(2);
      pbf_reader version = inside.get_message();
      version.next(1);
      spec_text += "/" + std::to_string(version.get_int64());
      inside.next(3);
      spec_text += "/" + inside.get_string();
      continue;
    }
    inside.next(1);
    text += inside.get_string() + "=";
    inside.next(2);
    pbf_reader tensor = inside.get_message();
    while (tensor.next()) {
      if (tensor.tag() != 5) {
        tensor.skip();
        continue;
      }
      for (const float value : tensor.get_packed_float())
        text += std::to_string(static_cast<int>(value)) + ",";
    }
    text += " ";
  }
  return text + "| " + spec_text;
}

TEST_F(TfsApiTest, GrpcPredicts) {
  const GrpcAnswer both = Call("PredictionService/Predict",
                               Spec("pair") + Input("y", {10, 20}, 1) + Input("x", {1, 2}, 1));
  ASSERT_TRUE(both.status.ok()) << both.status.ToString();
  EXPECT_EQ(ReadPredict(both.message), "sum=11,22, same=1,2, | pair/3/serving_default");
  const GrpcAnswer filtered = Call("PredictionService/Predict",
                                   Spec("pair") + Input("x", {1, 2}, 1) + Input("y", {10, 20}, 1) +
                                       Filter("same") + Filter("sum"));
  EXPECT_EQ(ReadPredict(filtered.message), "same=1,2, sum=11,22, | pair/3/serving_default");
  const GrpcAnswer single =
      Call("PredictionService/Predict", Spec("pair", "single", 3) + Input("x", {1, 2, 3, 4}, 2));
  EXPECT_EQ(ReadPredict(single.message), "out=1,2,3,4, | pair/3/single");
  const GrpcAnswer label =
      Call("PredictionService/Predict", Spec("one", "", 0, "stable") + Input("x", {1, 2}, 1));
  EXPECT_EQ(ReadPredict(label.message), "y=1,2, | one/1/serving_default");
}

TEST_F(TfsApiTest, GrpcPredictErrors) {
  const auto error = [&](const std::string& message, Code code) {
    const GrpcAnswer answer = Call("PredictionService/Predict", message);
    EXPECT_EQ(answer.status.code(), code) << answer.status.ToString();
    return answer.status.ok() ? std::string() : answer.status.message();
  };
  EXPECT_EQ(error("", Code::kInvalidArgument), "Missing ModelSpec");
  EXPECT_EQ(error(Spec(""), Code::kInvalidArgument), "ModelSpec has no name specified.");
  EXPECT_EQ(error(Spec("none"), Code::kNotFound), "Servable not found for request: Latest(none)");
  EXPECT_EQ(error(Spec("one", "", 7), Code::kNotFound),
            "Servable not found for request: Specific(one, 7)");
  EXPECT_EQ(error(Spec("one", "", 0, "x"), Code::kInvalidArgument),
            "Unrecognized servable version label: x");
  EXPECT_EQ(error(Spec("one", "nope"), Code::kFailedPrecondition),
            "Serving signature key \"nope\" not found.");
  EXPECT_EQ(error(Spec("pair") + Input("x", {1, 2}, 1), Code::kInvalidArgument),
            "input size does not match signature: 1!=2 len({x}) != len({x,y}). Sent extra: {}. "
            "Missing but required: "
            "{y}.");
  EXPECT_EQ(
      error(Spec("one") + Input("x", {1, 2}, 1) + Input("z", {1, 2}, 1), Code::kInvalidArgument),
      "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing "
      "but required: "
      "{}.");
  EXPECT_EQ(error(Spec("one") + Input("z", {1, 2}, 1), Code::kInvalidArgument),
            "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.");
  EXPECT_EQ(error(Spec("one") + Input("x", {1, 2}, 1) + Filter("z"), Code::kInvalidArgument),
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.");
  EXPECT_EQ(error(Spec("one") + Input("x", {1, 2}, 1) + Filter("y") + Filter("y"),
                  Code::kInvalidArgument),
            "duplicate output tensor alias: y");
  EXPECT_EQ(error(Spec("one") + Input("x", {1, 2}, -5), Code::kInvalidArgument),
            "tensor parsing error: x: shape [-5,2] is not one of a value");
  EXPECT_EQ(
      error("\xFF", Code::kInvalidArgument).rfind("the request is not the expected protobuf", 0),
      0u);
  EXPECT_NE(error(Spec("failing") + Input("x", {1}, 4), Code::kInternal).find("the device is gone"),
            std::string::npos);
}

std::string Examples(std::initializer_list<std::string> examples) {
  std::string list, input, message;
  for (const std::string& example : examples) pbf_writer(list).add_message(1, example);
  pbf_writer(input).add_message(1, list);
  pbf_writer(message).add_message(2, input);
  return message;
}

TEST_F(TfsApiTest, GrpcClassifiesAndRegresses) {
  const GrpcAnswer classes =
      Call("PredictionService/Classify", Spec("examples") + Examples({"", ""}));
  ASSERT_TRUE(classes.status.ok()) << classes.status.ToString();
  pbf_reader reader(classes.message);
  ASSERT_TRUE(reader.next(1));
  pbf_reader result = reader.get_message();
  int items = 0, labels = 0;
  while (result.next(1)) {
    ++items;
    pbf_reader classifications = result.get_message();
    while (classifications.next(1)) {
      pbf_reader one = classifications.get_message();
      ASSERT_TRUE(one.next(1));
      EXPECT_EQ(one.get_string(), "cat");
      ASSERT_TRUE(one.next(2));
      EXPECT_EQ(one.get_float(), 0.5F);
      ++labels;
    }
  }
  EXPECT_EQ(items, 2);
  EXPECT_EQ(labels, 4);
  const GrpcAnswer values =
      Call("PredictionService/Regress", Spec("examples", "regression") + Examples({""}));
  ASSERT_TRUE(values.status.ok()) << values.status.ToString();
  EXPECT_EQ(values.message.substr(0, 9), std::string("\x0A\x07\x0A\x05\x0D\x00\x00\xC0\x3F", 9));
  EXPECT_EQ(Call("PredictionService/Classify", Spec("examples")).status.message(),
            "Input is empty.");
  EXPECT_EQ(Call("PredictionService/Regress", Spec("examples") + Examples({""})).status.message(),
            "Expected one output Tensor.");
}

TEST_F(TfsApiTest, GrpcStatusAndMetadata) {
  const GrpcAnswer status = Call("ModelService/GetModelStatus", Spec("one", "", 1));
  ASSERT_TRUE(status.status.ok());
  EXPECT_EQ(status.message, std::string("\x0A\x06\x08\x01\x10\x1E\x1A\x00", 8));
  EXPECT_EQ(Call("ModelService/GetModelStatus", Spec("none")).status.message(),
            "Could not find any versions of model none");
  EXPECT_EQ(Call("ModelService/GetModelStatus", "").status.message(), "Missing ModelSpec");

  std::string field;
  pbf_writer(field).add_string(2, "signature_def");
  const GrpcAnswer metadata = Call("PredictionService/GetModelMetadata", Spec("pair") + field);
  ASSERT_TRUE(metadata.status.ok());
  EXPECT_NE(metadata.message.find("tensorflow.serving.SignatureDefMap"), std::string::npos);
  EXPECT_EQ(Call("PredictionService/GetModelMetadata", Spec("pair")).status.message(),
            "GetModelMetadataRequest must specify at least one metadata_field");
  std::string other;
  pbf_writer(other).add_string(2, "weights");
  EXPECT_EQ(Call("PredictionService/GetModelMetadata", Spec("pair") + other).status.message(),
            "Metadata field weights is not supported");
}

TEST_F(TfsApiTest, GrpcWhatIsNotSupportedSaysWhatToDo) {
  EXPECT_EQ(Call("PredictionService/MultiInference", "").status.code(), Code::kUnimplemented);
  const GrpcAnswer reload = Call("ModelService/HandleReloadConfigRequest", "");
  EXPECT_EQ(reload.status.code(), Code::kUnimplemented);
  EXPECT_NE(reload.status.message().find("RepositoryModelLoad"), std::string::npos);
  EXPECT_EQ(grpc_->Lookup("/tensorflow.serving.PredictionService/Nothing"),
            io::GrpcHandler::Kind::kUnknown);
  EXPECT_EQ(grpc_->Lookup("/inference.GRPCInferenceService/ModelInfer"),
            io::GrpcHandler::Kind::kUnknown);
}

TEST_F(TfsApiTest, CountsByStatusApiAndEntrypoint) {
  Post("/v1/models/one:predict", R"({"instances": [[1, 2]]})");
  Post("/v1/models/one:predict", R"({"instances": [[1, 2, 3]]})");
  Post("/v1/models/one:predict", "{}");
  Call("PredictionService/Predict", Spec("one") + Input("x", {1, 2}, 1));
  Call("PredictionService/Predict", Spec("one", "nope"));
  const serving::TfsStats& stats = Stats("one");
  EXPECT_EQ(stats.status[0].Get(), 2u);
  EXPECT_EQ(stats.status[static_cast<int>(Code::kInvalidArgument)].Get(), 2u);
  EXPECT_EQ(stats.status[static_cast<int>(Code::kFailedPrecondition)].Get(), 1u);
  EXPECT_EQ(stats.latency[serving::TfsStats::kPredict][serving::TfsStats::kRest].Read().count, 1u);
  EXPECT_EQ(stats.latency[serving::TfsStats::kPredict][serving::TfsStats::kGrpc].Read().count, 1u);
}

TEST_F(TfsApiTest, AModelThatIsKnownButDoesNotServeSaysWhy) {
  std::promise<void> unloaded;
  platform_.repository().Unload("one", [&](const Status&) { unloaded.set_value(); });
  unloaded.get_future().wait();
  const std::string error =
      Error(Post("/v1/models/one:predict", R"({"instances": [[1, 2]]})"), 404);
  EXPECT_EQ(error.rfind("Servable not found for request: Latest(one)", 0), 0u) << error;
}

}  // namespace
}  // namespace brim::api
