// Tests of the pages for people and for Prometheus, over a real repository and engine with fake
// models.
#include "api/admin.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>
#include <string>

#include "api/access_log.h"
#include "api/metrics_page.h"
#include "api/status_page.h"
#include "api/testing.h"
#include "api/tfs_rest.h"
#include "metrics/rows.h"

namespace brim::api {
namespace {

constexpr std::string_view kOne =
    "brim-fake 1\n"
    "signature serving_default\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n";

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    platform_.Write("one/1/model.fake", kOne);
    platform_.Write("one/brim.json", R"({"owner": "search <b>"})");
    platform_.Start();
    admin_ = std::make_unique<Admin>(platform_.services());
  }

  std::unique_ptr<FakeHttpCall> Get(const std::string& path, const std::string& query = "",
                                    const std::string& method = "GET") {
    auto call = std::make_unique<FakeHttpCall>(method, path);
    call->query_text = query;
    call->headers["host"] = "models.example:8000";
    if (!admin_->Handle(*call)) return nullptr;
    call->Wait();
    return call;
  }

  void Predict(int times) {
    TfsRest rest(platform_.services());
    for (int i = 0; i < times; ++i) {
      FakeHttpCall call("POST", "/v1/models/one:predict", R"({"instances": [[1, 2]]})");
      call.received_at = platform_.clock().Now();
      ASSERT_TRUE(rest.Handle(call));
      call.Wait();
      ASSERT_EQ(call.status(), 200) << call.text();
    }
  }

  Status LoadModel(const std::string& name) {
    std::promise<Status> loaded;
    platform_.repository().Load(name, {}, [&](const Status& status) { loaded.set_value(status); });
    return loaded.get_future().get();
  }

  // The engine finishes its counts after an answer has gone out. Nothing can be predicted after it.
  void FinishCounts() { ASSERT_TRUE(platform_.services().engine.Drain(Time::max())); }

  Platform platform_;
  std::unique_ptr<Admin> admin_;
};

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

TEST_F(AdminTest, MetricsShowEveryRowOnce) {
  Predict(3);
  FinishCounts();
  for (const char* path : {"/metrics", "/monitoring/prometheus/metrics"}) {
    const auto call = Get(path);
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->status(), 200);
    EXPECT_EQ(call->reply().content_type, "text/plain; version=0.0.4; charset=utf-8");
    for (const metrics::Row& row : metrics::AllRows()) {
      // Those of cards are on the page of `brim node`, and there alone.
      const bool of_cards =
          row.name.starts_with("brim_slice_") || row.name.starts_with("brim_card_");
      EXPECT_EQ(Has(call->text(), "# TYPE " + std::string(row.name) + " "), !of_cards) << row.name;
    }
    EXPECT_TRUE(Has(call->text(), "nv_inference_request_success{model=\"one\",version=\"1\"} 3\n"))
        << call->text();
    EXPECT_TRUE(
        Has(call->text(),
            "nv_inference_request_failure{model=\"one\",reason=\"REJECTED\",version=\"1\"} 0\n"));
    EXPECT_TRUE(Has(call->text(),
                    ":tensorflow:serving:request_count{model_name=\"one\",status=\"OK\"} 3\n"));
    EXPECT_TRUE(Has(call->text(),
                    ":tensorflow:serving:request_latency_count{model_name=\"one\",API=\"predict\","
                    "entrypoint=\"REST\"} 3\n"));
    EXPECT_TRUE(Has(call->text(),
                    "brim_model_ready{model=\"one\",version=\"1\",owner=\"search <b>\"} 1\n"));
    EXPECT_TRUE(Has(call->text(),
                    "brim_model_batch_rows_bucket{model=\"one\",version=\"1\",owner=\"search <b>\","
                    "le=\"1\"} 3\n"));
    EXPECT_TRUE(Has(call->text(), "brim_model_loads_total{model=\"one\",result=\"ok\"} 1\n"));
    EXPECT_TRUE(Has(call->text(), "\nprocess_threads "));
    EXPECT_FALSE(Has(call->text(), "process_resident_memory_bytes 0\n"));
  }
}

TEST_F(AdminTest, StatusPageEscapesAndHardens) {
  Predict(2);
  FinishCounts();
  const auto call = Get("/");
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call->reply().content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(Has(call->header("content-security-policy"), "default-src 'none'"));
  EXPECT_TRUE(Has(call->text(), "search &lt;b&gt;"));
  EXPECT_FALSE(Has(call->text(), "search <b>"));
  EXPECT_TRUE(Has(call->text(), "AVAILABLE"));
  EXPECT_TRUE(Has(call->text(), "http-equiv=\"refresh\""));
  EXPECT_FALSE(Has(call->text(), "<script"));
  EXPECT_TRUE(Has(call->text(),
                  "curl -d &#39;{&quot;inputs&quot;:{&quot;x&quot;:[[0.0,0.0]]}}&#39; "
                  "&#39;http://models.example:8000/v1/models/one:predict&#39;"))
      << call->text();
  EXPECT_FALSE(Has(Get("/", "a=1&refresh=0")->text(), "http-equiv=\"refresh\""));
}

TEST_F(AdminTest, AHostThatIsNoneIsNotRepeated) {
  FakeHttpCall call("GET", "/");
  call.headers["host"] = "x'; rm -rf /; '";
  ASSERT_TRUE(admin_->Handle(call));
  call.Wait();
  EXPECT_FALSE(Has(call.text(), "rm -rf"));
  EXPECT_TRUE(Has(call.text(), "localhost:8000"));
}

TEST_F(AdminTest, StatusAsJson) {
  Predict(2);
  FinishCounts();
  const auto call = Get("/v1/brim/status");
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call->reply().content_type, "application/json");
  EXPECT_TRUE(
      Has(call->text(),
          R"("model":"one","version":"1","state":"AVAILABLE","reason":"","owner":"search <b>")"))
      << call->text();
  EXPECT_TRUE(Has(call->text(), R"("requests":2,"failures":0)"));
}

TEST_F(AdminTest, OtherPathsAndVerbs) {
  EXPECT_EQ(Get("/nothing"), nullptr);
  EXPECT_EQ(Get("/v1/models/one"), nullptr);
  EXPECT_EQ(Get("/metrics", "", "POST")->status(), 405);
  EXPECT_EQ(Get("/favicon.ico")->reply().content_type, "image/svg+xml");
}

// A clock that moves when told to; the engine is not used with it.
TEST_F(AdminTest, RatesAreOfTheTimeBetweenReadings) {
  FakeClock clock;
  const Services& real = platform_.services();
  Services services{real.engine, real.repository, clock, real.logger, real.access_log, "brim", "0"};
  StatusBoard board(services);
  const auto row = [](const StatusView& view) {
    EXPECT_EQ(view.rows.size(), 1u);
    return view.rows.at(0);
  };
  clock.Advance(std::chrono::seconds(10));
  Predict(5);
  StatusRow first = row(board.Read());
  EXPECT_TRUE(first.since_start);
  EXPECT_DOUBLE_EQ(first.rate, 0.5);
  Predict(20);
  clock.Advance(std::chrono::seconds(5));
  StatusRow second = row(board.Read());
  EXPECT_FALSE(second.since_start);
  EXPECT_DOUBLE_EQ(second.window_seconds, 5);
  EXPECT_DOUBLE_EQ(second.rate, 4);
  EXPECT_GT(second.p99_seconds, 0);
  EXPECT_EQ(second.requests, 25u);
  // The base moves on once it is half a minute old, and one that is long gone is not used.
  clock.Advance(std::chrono::seconds(30));
  EXPECT_DOUBLE_EQ(row(board.Read()).window_seconds, 35);
  clock.Advance(std::chrono::seconds(10));
  EXPECT_DOUBLE_EQ(row(board.Read()).window_seconds, 45);
  clock.Advance(std::chrono::hours(1));
  EXPECT_TRUE(row(board.Read()).since_start);
}

TEST_F(AdminTest, TwoLooksAtOnceDoNotMakeAWindow) {
  FakeClock clock;
  const Services& real = platform_.services();
  Services services{real.engine, real.repository, clock, real.logger, real.access_log, "brim", "0"};
  StatusBoard board(services);
  clock.Advance(std::chrono::seconds(10));
  Predict(5);
  EXPECT_TRUE(board.Read().rows.at(0).since_start);
  clock.Advance(std::chrono::milliseconds(1));
  const StatusRow second = board.Read().rows.at(0);
  EXPECT_TRUE(second.since_start);
  EXPECT_GT(second.p50_seconds, 0);
}

TEST_F(AdminTest, TheExampleIsOneThatTheModelTakes) {
  platform_.Write("a picture/1/model.fake",
                  "brim-fake 1\nsignature serving_default\ninput x FP32 -1,3,-1,-1\n"
                  "output y FP32 -1,3,-1,-1 identity x\n");
  ASSERT_TRUE(LoadModel("a picture").ok());
  EXPECT_TRUE(Has(Get("/")->text(), "/v1/models/one:predict")) << Get("/")->text();
  std::promise<Status> unloaded;
  platform_.repository().Unload("one", [&](const Status& status) { unloaded.set_value(status); });
  ASSERT_TRUE(unloaded.get_future().get().ok());
  EXPECT_TRUE(Has(Get("/")->text(), "/v1/models/a%20picture/metadata")) << Get("/")->text();
  EXPECT_FALSE(Has(Get("/")->text(), ":predict"));
}

TEST_F(AdminTest, ARefusedConfigurationShowsItsReasonWhileTheModelServes) {
  platform_.Write("one/brim.json", "{");
  for (int i = 0; i < 2; ++i) {  // What changed is read once it has stopped changing.
    std::promise<Status> scanned;
    platform_.repository().Rescan([&](const Status& status) { scanned.set_value(status); });
    ASSERT_TRUE(scanned.get_future().get().ok());
  }
  const auto call = Get("/v1/brim/status");
  EXPECT_TRUE(Has(call->text(), R"("state":"AVAILABLE","reason":")")) << call->text();
  EXPECT_TRUE(Has(call->text(), "brim.json: not JSON")) << call->text();
}

TEST_F(AdminTest, LinesOfOneRoundHaveIdsOfTheirOwn) {
  FakeClock clock;
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const Logger access_log(fileno(file), LogLevel::kInfo, LogFormat::kText, clock);
  const Services& real = platform_.services();
  Services services{real.engine, real.repository, clock, real.logger, access_log, "brim", "0"};
  AccessRecord record;
  record.peer = "127.0.0.1:1";
  record.received = clock.Now();
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    clock.Advance(std::chrono::microseconds(2));
    LogAccess(services, record, OkStatus());
  }
  std::rewind(file);
  char line[1024];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    const std::string text = line;
    const std::size_t id = text.find(" id=");
    ASSERT_NE(id, std::string::npos) << text;
    ids.insert(text.substr(id, text.find(' ', id + 1) - id));
  }
  std::fclose(file);
  EXPECT_EQ(ids.size(), 3u);
}

TEST_F(AdminTest, AFailedModelShowsItsReason) {
  platform_.Write("bad/1/model.fake",
                  "brim-fake 1\nsignature serving_default\ninput x FP32 -1\noutput y FP32 -1 "
                  "identity x\nload_fail 13 no <memory> left\n");
  EXPECT_FALSE(LoadModel("bad").ok());
  const auto call = Get("/");
  EXPECT_TRUE(Has(call->text(), "FAILED")) << call->text();
  EXPECT_TRUE(Has(call->text(), "no &lt;memory&gt; left"));
  EXPECT_TRUE(Has(Get("/metrics")->text(),
                  "brim_model_ready{model=\"bad\",version=\"1\",owner=\"unowned\"} 0\n"));
}

}  // namespace
}  // namespace brim::api
