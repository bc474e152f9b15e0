// Tests of KServe v2 over HTTP on a real repository and engine with fake models.
#include "api/kserve_rest.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "api/testing.h"

namespace brim::api {
namespace {

// sum = x + z, same = x; batches, at most 4 rows.
constexpr std::string_view kAdd =
    "brim-fake 1\n"
    "platform onnxruntime_onnx\n"
    "input x FP32 -1,2\n"
    "input z FP32 -1,2\n"
    "output sum FP32 -1,2 add x z\n"
    "output same FP32 -1,2 identity x\n";
constexpr std::string_view kAddConfig =
    "max_batch_size: 4\n"
    "dynamic_batching { preferred_batch_size: [2, 4] preserve_ordering: true }\n";
constexpr std::string_view kOne =
    "brim-fake 1\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n";
constexpr std::string_view kText =
    "brim-fake 1\n"
    "input s BYTES 1\n"
    "output t BYTES 1 identity s\n";
constexpr std::string_view kHalf =
    "brim-fake 1\n"
    "input h FP16 -1\n"
    "output g FP16 -1 identity h\n";
constexpr std::string_view kFailing =
    "brim-fake 1\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n"
    "run_fail_above 3 13 the device is gone\n";

class KserveRestTest : public ::testing::Test {
 protected:
  KserveRestTest() {
    platform_.Write("add/1/model.fake", kAdd);
    platform_.Write("add/config.pbtxt", kAddConfig);
    platform_.Write("one/1/model.fake", kOne);
    platform_.Write("one/3/model.fake", kOne);
    platform_.Write("one/brim.json", R"({"owner": "search", "versions": {"policy": "all"}})");
    platform_.Write("text/1/model.fake", kText);
    platform_.Write("half/1/model.fake", kHalf);
    platform_.Write("failing/1/model.fake", kFailing);
  }
  void SetUp() override { Start(); }
  void Start(bool explicit_control = false) {
    platform_.Start(explicit_control);
    rest_ = std::make_unique<KserveRest>(platform_.services());
  }

  using Call = std::unique_ptr<FakeHttpCall>;
  Call Do(std::string method, std::string path, std::string_view body = {},
          std::map<std::string, std::string, std::less<>> headers = {}) {
    auto call = std::make_unique<FakeHttpCall>(std::move(method), std::move(path), body);
    call->headers = std::move(headers);
    if (!rest_->Handle(*call)) return nullptr;
    call->Wait();
    return call;
  }
  std::string Get(const std::string& path, int status = 200) {
    const Call call = Do("GET", path);
    if (call == nullptr) return "not handled";
    EXPECT_EQ(call->status(), status) << call->text();
    return std::string(call->text());
  }
  void ExpectError(const Call& call, int status, std::string_view text) {
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->status(), status) << call->text();
    EXPECT_EQ(call->text().substr(0, 10), "{\"error\":\"") << call->text();
    EXPECT_NE(call->text().find(text), std::string_view::npos) << call->text();
  }
  Call Infer(const std::string& model, std::string_view body,
             std::map<std::string, std::string, std::less<>> headers = {}) {
    return Do("POST", "/v2/models/" + model + "/infer", body, std::move(headers));
  }

  Platform platform_;
  std::unique_ptr<KserveRest> rest_;
};

constexpr std::string_view kOneRow =
    R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2.5]]}]})";

TEST_F(KserveRestTest, AnswersHealth) {
  EXPECT_EQ(Get("/v2/health/live"), "{\"live\":true}");
  EXPECT_EQ(Get("/v2/health/ready"), "{\"ready\":true}");
  EXPECT_EQ(Get("/v2/models/one/ready"), "{\"name\":\"one\",\"ready\":true}");
  EXPECT_EQ(Get("/v2/models/one/versions/3/ready"), "{\"name\":\"one\",\"ready\":true}");
  Get("/v2/models/one/versions/2/ready", 404);
  Get("/v2/models/nobody/ready", 404);
}

TEST_F(KserveRestTest, DescribesServerAndModels) {
  const std::string server = Get("/v2");
  EXPECT_EQ(server.substr(0, 55),
            "{\"name\":\"brim\",\"version\":\"0.1.0\",\"extensions\":[\"classif");
  EXPECT_EQ(Get("/v2/"), server);
  EXPECT_EQ(Get("/v2/models/add"),
            "{\"name\":\"add\",\"versions\":[\"1\"],\"platform\":\"onnxruntime_onnx\",\"inputs\":["
            "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2]},"
            "{\"name\":\"z\",\"datatype\":\"FP32\",\"shape\":[-1,2]}],\"outputs\":["
            "{\"name\":\"sum\",\"datatype\":\"FP32\",\"shape\":[-1,2]},"
            "{\"name\":\"same\",\"datatype\":\"FP32\",\"shape\":[-1,2]}]}");
  EXPECT_NE(Get("/v2/models/one").find("\"versions\":[\"1\",\"3\"]"), std::string::npos);
  EXPECT_NE(Get("/v2/models/one/versions/1").find("\"versions\":[\"1\"]"), std::string::npos);
  EXPECT_EQ(Get("/v2/models"), "{\"models\":[\"add\",\"failing\",\"half\",\"one\",\"text\"]}");
  EXPECT_NE(Get("/v2/models/nobody", 404).find("Request for unknown model: 'nobody' is not found"),
            std::string::npos);
  EXPECT_NE(Get("/v2/models/one/versions/x", 400).find("version should be an integral value"),
            std::string::npos);
}

TEST_F(KserveRestTest, ShowsTheConfiguration) {
  const std::string config = Get("/v2/models/add/config");
  for (const char* part :
       {"{\"name\":\"add\",\"platform\":\"onnxruntime_onnx\",\"backend\":\"fake\"",
        "\"max_batch_size\":4",
        "{\"name\":\"x\",\"data_type\":\"TYPE_FP32\",\"format\":\"FORMAT_NONE\",\"dims\":[2]",
        "\"dynamic_batching\":{\"preferred_batch_size\":[2,4],\"max_queue_delay_microseconds\":0,"
        "\"preserve_ordering\":true",
        "\"kind\":\"KIND_CPU\",\"count\":1",
        "\"version_policy\":{\"latest\":{\"num_versions\":1}}"}) {
    EXPECT_NE(config.find(part), std::string::npos) << part << "\n" << config;
  }
  const std::string one = Get("/v2/models/one/versions/1/config");
  EXPECT_NE(one.find("\"max_batch_size\":0"), std::string::npos);
  EXPECT_NE(one.find("\"dims\":[-1,2]"), std::string::npos);
  EXPECT_NE(one.find("\"version_policy\":{\"all\":{}}"), std::string::npos);
  EXPECT_EQ(one.find("dynamic_batching"), std::string::npos);
}

TEST_F(KserveRestTest, InfersInJson) {
  const Call call = Infer("one/versions/1", R"({"id":"7","parameters":{"mine":"v"},"inputs":[
    {"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2.5,3,4]}]})");
  EXPECT_EQ(call->status(), 200);
  EXPECT_EQ(call->reply().content_type, "application/json");
  EXPECT_EQ(call->text(),
            "{\"id\":\"7\",\"model_name\":\"one\",\"model_version\":\"1\",\"parameters\":{\"mine\":"
            "\"v\"},"
            "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1.0,2.5,"
            "3.0,4.0]}]}");
  EXPECT_NE(Infer("one", kOneRow)->text().find("\"model_version\":\"3\""), std::string_view::npos);
}

TEST_F(KserveRestTest, InfersInBinaryAndMixed) {
  const float x[] = {1, 2};
  const std::string json =
      R"({"inputs":[
      {"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},
      {"name":"z","shape":[1,2],"datatype":"FP32","data":[10,20]}],
      "parameters":{"binary_data_output":true},
      "outputs":[{"name":"same","parameters":{"binary_data":false}},{"name":"sum"}]})";
  const std::string body = json + std::string(reinterpret_cast<const char*>(x), sizeof x);
  const Call call =
      Infer("add", body, {{"inference-header-content-length", std::to_string(json.size())}});
  ASSERT_EQ(call->status(), 200) << call->text();
  EXPECT_EQ(call->reply().content_type, "application/octet-stream");
  const std::size_t header = std::stoul(call->header("inference-header-content-length"));
  ASSERT_EQ(call->text().size(), header + 8);
  EXPECT_EQ(call->text().substr(0, header),
            "{\"model_name\":\"add\",\"model_version\":\"1\",\"outputs\":["
            "{\"name\":\"same\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1.0,2.0]},"
            "{\"name\":\"sum\",\"datatype\":\"FP32\",\"shape\":[1,2],\"parameters\":{\"binary_data_"
            "size\":8}}]}");
  float sum[2];
  std::memcpy(sum, call->text().data() + header, sizeof sum);
  EXPECT_EQ(sum[0], 11);
  EXPECT_EQ(sum[1], 22);
}

TEST_F(KserveRestTest, InfersRawBodies) {
  const std::map<std::string, std::string, std::less<>> raw = {
      {"inference-header-content-length", "0"}};
  const float x[] = {1, 2, 3, 4};
  Call call = Infer("one", {reinterpret_cast<const char*>(x), sizeof x}, raw);
  ASSERT_EQ(call->status(), 200) << call->text();
  EXPECT_NE(call->text().find("\"shape\":[2,2],\"parameters\":{\"binary_data_size\":16}"),
            std::string_view::npos);
  call = Infer("text", "hello", raw);
  ASSERT_EQ(call->status(), 200) << call->text();
  EXPECT_EQ(call->text().substr(call->text().size() - 9), std::string_view("\5\0\0\0hello", 9));
  ExpectError(Infer("one", "abc", raw), 400, "x");
  ExpectError(Infer("add", "abcdefgh", raw), 400, "Raw request must only have 1 input");
}

TEST_F(KserveRestTest, ClassifiesOutputs) {
  const Call call = Infer("add", R"({"inputs":[
    {"name":"x","shape":[2,2],"datatype":"FP32","data":[0.25,2,7,-1]},
    {"name":"z","shape":[2,2],"datatype":"FP32","data":[0,0,0,0]}],
    "outputs":[{"name":"sum","parameters":{"classification":1}},
               {"name":"same","parameters":{"classification":5}}]})");
  ASSERT_EQ(call->status(), 200) << call->text();
  EXPECT_NE(call->text().find("{\"name\":\"sum\",\"datatype\":\"BYTES\",\"shape\":[2,1],"
                              "\"data\":[\"2.000000:1\",\"7.000000:0\"]}"),
            std::string_view::npos)
      << call->text();
  EXPECT_NE(
      call->text().find("\"shape\":[2,2],\"data\":[\"2.000000:1\",\"0.250000:0\",\"7.000000:0\","
                        "\"-1.000000:1\"]}"),
      std::string_view::npos)
      << call->text();
}

TEST_F(KserveRestTest, RefusesBadRequests) {
  ExpectError(Infer("nobody", kOneRow), 404, "Request for unknown model: 'nobody' is not found");
  ExpectError(Infer("one/versions/9", kOneRow), 404, "Request for unknown model: 'one' version 9");
  ExpectError(Infer("one", ""), 400, "Unable to parse");
  ExpectError(Infer("one", "{"), 400, "Unable to parse");
  ExpectError(Infer("one", R"({"inputs":[]})"), 400, "x");
  ExpectError(
      Infer("one", R"({"inputs":[{"name":"q","shape":[1,2],"datatype":"FP32","data":[1,2]}]})"),
      400, "q");
  ExpectError(
      Infer("one", R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"INT32","data":[1,2]}]})"),
      400, "INT32");
  ExpectError(
      Infer("one", R"({"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]})"),
      400, "[1,3]");
  ExpectError(Infer("one", std::string(kOneRow.substr(0, kOneRow.size() - 1)) +
                               R"(,"outputs":[{"name":"nothing"}]})"),
              400, "unexpected inference output 'nothing' for model 'one'");
  ExpectError(
      Infer("half", R"({"inputs":[{"name":"h","shape":[1],"datatype":"FP16","data":[1]}]})"), 400,
      "receiving FP16 data via JSON");
  ExpectError(Infer("failing", R"({"inputs":[{"name":"x","shape":[4,2],"datatype":"FP32",
                                   "data":[1,2,3,4,5,6,7,8]}]})"),
              500, "the device is gone");
}

TEST_F(KserveRestTest, RefusesTooManyRows) {
  const auto body = [](int x, int z) {
    const auto data = [](int rows) {
      std::string text = "[0";
      for (int i = 1; i < 2 * rows; ++i) text += ",0";
      return text + "]";
    };
    return "{\"inputs\":[{\"name\":\"x\",\"shape\":[" + std::to_string(x) +
           ",2],\"datatype\":\"FP32\",\"data\":" + data(x) + "},{\"name\":\"z\",\"shape\":[" +
           std::to_string(z) + ",2],\"datatype\":\"FP32\",\"data\":" + data(z) + "}]}";
  };
  EXPECT_EQ(Infer("add", body(4, 4))->status(), 200);
  ExpectError(Infer("add", body(5, 5)), 400, "inference request batch-size must be <= 4 for 'add'");
  ExpectError(Infer("add", body(2, 1)), 400,
              "input 'z' batch size does not match other inputs for 'add'");
}

TEST_F(KserveRestTest, RefusesALyingHeaderLength) {
  for (const char* length : {"9999", "-1", "x", "1e3", "18446744073709551616", " 5"}) {
    ExpectError(Infer("one", kOneRow, {{"inference-header-content-length", length}}), 400,
                "Inference-Header-Content-Length must be a number");
  }
  ExpectError(Infer("one", kOneRow, {{"inference-header-content-length", "10"}}), 400,
              "Unable to parse");
}

TEST_F(KserveRestTest, HalfFloatsComeBackInBinaryOnly) {
  const std::string json =
      R"({"inputs":[
      {"name":"h","shape":[2],"datatype":"FP16","parameters":{"binary_data_size":4}}]})";
  const std::map<std::string, std::string, std::less<>> headers = {
      {"inference-header-content-length", std::to_string(json.size())}};
  ExpectError(Infer("half", json + "abcd", headers), 400, "sending FP16 data via JSON");
}

TEST_F(KserveRestTest, APassedTimeoutIsUnavailable) {
  FakeHttpCall call("POST", "/v2/models/one/infer",
                    R"({"parameters":{"timeout":1000},"inputs":[
                       {"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]})");
  call.received_at = platform_.clock().Now() - std::chrono::seconds(1);
  ASSERT_TRUE(rest_->Handle(call));
  call.Wait();
  EXPECT_EQ(call.status(), 503);
  EXPECT_EQ(call.text(), "{\"error\":\"Request timeout expired\"}");
}

TEST_F(KserveRestTest, ReportsStatistics) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Infer("one/versions/1", kOneRow)->status(), 200);
  Infer("one/versions/1", R"({"inputs":[]})");
  // Some figures are counted after the answer: when the engine is empty, all are.
  ASSERT_TRUE(platform_.services().engine.Drain(Time::max()));
  const std::string stats = Get("/v2/models/one/versions/1/stats");
  for (const char* part :
       {"{\"model_stats\":[{\"name\":\"one\",\"version\":\"1\"", "\"inference_count\":3",
        "\"inference_stats\":{\"success\":{\"count\":3,", "\"fail\":{\"count\":1,",
        "\"compute_infer\":{\"count\":3,", "\"cache_miss\":{\"count\":0,\"ns\":0}",
        "\"batch_stats\":[{\"batch_size\":1,"}) {
    EXPECT_NE(stats.find(part), std::string::npos) << part << "\n" << stats;
  }
  EXPECT_NE(Get("/v2/models/one/stats").find("\"version\":\"3\""), std::string::npos);
  EXPECT_NE(Get("/v2/models/stats").find("\"name\":\"add\""), std::string::npos);
  Get("/v2/models/nobody/stats", 404);
  Get("/v2/models/one/versions/7/stats", 404);
}

TEST_F(KserveRestTest, ListsTheRepository) {
  const Call call = Do("POST", "/v2/repository/index");
  EXPECT_EQ(call->status(), 200);
  EXPECT_NE(call->text().find("{\"name\":\"one\",\"version\":\"1\",\"state\":\"READY\"},"
                              "{\"name\":\"one\",\"version\":\"3\",\"state\":\"READY\"}"),
            std::string_view::npos)
      << call->text();
  EXPECT_EQ(Do("POST", "/v2/repository/index", R"({"ready":true})")->text(), call->text());
  ExpectError(Do("POST", "/v2/repository/index", R"({"ready":3})"), 400, "'ready'");
  ExpectError(Do("POST", "/v2/repository/mine/index"), 501, "repository_name");
}

TEST_F(KserveRestTest, RefusesWrongVerbsAndUnknownPaths) {
  for (const char* path : {"/v2", "/v2/health/live", "/v2/models/one", "/v2/models/one/config",
                           "/v2/models/stats", "/v2/models/one/ready", "/v2/models"}) {
    const Call call = Do("POST", path);
    ExpectError(call, 405, "Method Not Allowed");
    EXPECT_EQ(call->header("allow"), "GET, HEAD");
    EXPECT_EQ(Do("HEAD", path)->status(), 200);
  }
  for (const char* path :
       {"/v2/models/one/infer", "/v2/repository/index", "/v2/repository/models/one/load"}) {
    ExpectError(Do("GET", path), 405, "Method Not Allowed");
  }
  for (const char* path :
       {"/", "/v1/models/one", "/v2x", "/v2/health", "/v2/health/up", "/v2/nothing",
        "/v2/models/one/generate", "/v2/models/one/versions/1/x/y", "/v2/repository",
        "/v2/models/a/b/c/d/e/f/g/h/i", "/v2/repository/models/one/reload"}) {
    EXPECT_EQ(Do("GET", path), nullptr) << path;
  }
}

TEST_F(KserveRestTest, ShowsSettingsAndRefusesToChangeThem) {
  EXPECT_NE(Get("/v2/logging").find("\"log_info\":false"), std::string::npos);
  EXPECT_EQ(Get("/v2/trace/setting"), "{\"trace_level\":[\"OFF\"]}");
  EXPECT_EQ(Get("/v2/models/one/trace/setting"), "{\"trace_level\":[\"OFF\"]}");
  ExpectError(Do("POST", "/v2/logging", "{}"), 501, "settings can be read but not changed");
  EXPECT_EQ(Get("/v2/systemsharedmemory/status"), "[]");
  EXPECT_EQ(Get("/v2/cudasharedmemory/region/r/status"), "[]");
  EXPECT_EQ(Do("POST", "/v2/systemsharedmemory/unregister")->status(), 200);
  ExpectError(Do("POST", "/v2/systemsharedmemory/region/r/register", "{}"), 501, "shared memory");
}

TEST_F(KserveRestTest, EchoesTheRequestId) {
  const Call call = Infer("one", kOneRow, {{"x-request-id", "abc"}});
  EXPECT_EQ(call->header("x-request-id"), "abc");
  EXPECT_EQ(Infer("nobody", kOneRow, {{"x-request-id", "abc"}})->header("x-request-id"), "abc");
}

class KserveControlTest : public KserveRestTest {
 protected:
  void SetUp() override { Start(true); }
};

TEST_F(KserveControlTest, LoadsAndUnloads) {
  EXPECT_NE(Do("GET", "/v2/models/one/ready")->status(), 200);
  const Call index = Do("POST", "/v2/repository/index");
  EXPECT_NE(index->text().find("{\"name\":\"one\""), std::string_view::npos) << index->text();
  Call call = Do("POST", "/v2/repository/models/one/load", "{\"parameters\":{}}");
  EXPECT_EQ(call->status(), 200) << call->text();
  EXPECT_EQ(Do("GET", "/v2/models/one/ready")->status(), 200);
  EXPECT_EQ(Infer("one", kOneRow)->status(), 200);
  call = Do("POST", "/v2/repository/models/one/load",
            R"({"parameters":{"config":"{\"max_batch_size\":2}"}})");
  EXPECT_EQ(call->status(), 200) << call->text();
  EXPECT_NE(Get("/v2/models/one/config").find("\"max_batch_size\":2"), std::string::npos);
  call = Do("POST", "/v2/repository/models/one/unload",
            R"({"parameters":{"unload_dependents":true}})");
  EXPECT_EQ(call->status(), 200) << call->text();
  EXPECT_NE(Do("GET", "/v2/models/one/ready")->status(), 200);
  EXPECT_NE(Infer("one", kOneRow)->status(), 200);
}

TEST_F(KserveControlTest, RefusesBadLoads) {
  const Call unknown = Do("POST", "/v2/repository/models/nobody/load");
  EXPECT_NE(unknown->text().find("failed to load 'nobody', "), std::string_view::npos)
      << unknown->text();
  EXPECT_GE(unknown->status(), 400);
  for (const char* body :
       {R"({"parameters":{"config":"\"x\": {{"}})", R"({"parameters":{"config":7}})",
        R"({"parameters":{"file:1/a":"!"}})", "[", R"({"parameters":{"other":"x"}})"}) {
    const Call call = Do("POST", "/v2/repository/models/one/load", body);
    EXPECT_GE(call->status(), 400) << body;
    EXPECT_NE(call->text().find("failed to load 'one', "), std::string_view::npos) << call->text();
  }
}

TEST(KserveAccessLogTest, WritesOneLinePerRequest) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const StillClock clock;
  const Logger log(pipe_ends[1], LogLevel::kInfo, LogFormat::kJson, clock);
  {
    Platform platform;
    platform.Write("one/1/model.fake", kOne);
    platform.Write("one/brim.json", R"({"owner": "search"})");
    platform.SetAccessLog(&log);
    platform.Start();
    KserveRest rest(platform.services());
    FakeHttpCall call("POST", "/v2/models/one/infer", kOneRow);
    ASSERT_TRUE(rest.Handle(call));
    call.Wait();
    FakeHttpCall bad("POST", "/v2/models/nobody/infer", kOneRow);
    bad.headers["x-request-id"] = "r1";
    ASSERT_TRUE(rest.Handle(bad));
    bad.Wait();
  }
  close(pipe_ends[1]);
  char buffer[4096];
  const ssize_t n = read(pipe_ends[0], buffer, sizeof buffer);
  close(pipe_ends[0]);
  ASSERT_GT(n, 0);
  const std::string_view text(buffer, static_cast<std::size_t>(n));
  for (const char* part :
       {"\"event\":\"request\"", "\"protocol\":\"kserve_rest\"", "\"model\":\"one\"",
        "\"version\":\"1\"", "\"owner\":\"search\"", "\"code\":\"OK\"", "\"batch_rows\":\"1\"",
        "\"id\":\"r1\"", "\"code\":\"NOT_FOUND\",\"reason\":\"model_unknown\"",
        "\"bytes_in\":\"74\""}) {
    EXPECT_NE(text.find(part), std::string_view::npos) << part << "\n" << text;
  }
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

}  // namespace
}  // namespace brim::api
