// Tests of http_router.h, grpc_router.h, status_map.h.
#include <gtest/gtest.h>

#include <string>

#include "api/grpc_router.h"
#include "api/http_router.h"
#include "api/proto_writer.h"
#include "api/status_map.h"
#include "api/testing.h"

namespace brim::api {
namespace {

class OnePath final : public HttpProtocol {
 public:
  explicit OnePath(std::string path) : path_(std::move(path)) {}
  bool Handle(io::HttpCall& call) override {
    if (call.path() != path_) return false;
    call.Reply(ErrorReply(200, path_));
    return true;
  }

 private:
  const std::string path_;
};

class OneMethod final : public GrpcProtocol {
 public:
  io::GrpcHandler::Kind Lookup(std::string_view method) const override {
    return method == "/a.B/C"   ? io::GrpcHandler::Kind::kUnary
           : method == "/a.B/S" ? io::GrpcHandler::Kind::kStream
                                : io::GrpcHandler::Kind::kUnknown;
  }
  void OnUnary(io::GrpcCall& call) override { call.Reply(ByteBuffer("unary")); }
  void OnStreamStart(io::GrpcCall&) override { log += "start "; }
  void OnStreamMessage(io::GrpcCall&) override { log += "message "; }
  void OnStreamHalfClose(io::GrpcCall&) override { log += "close "; }
  void OnStreamCancel(io::GrpcCall&) override { log += "cancel "; }
  std::string log;
};

TEST(HttpRouterTest, AsksProtocolsInOrder) {
  OnePath first("/a");
  OnePath second("/b");
  HttpRouter router({&first, &second});
  FakeHttpCall b("GET", "/b");
  router.OnRequest(b);
  EXPECT_EQ(b.status(), 200);
  EXPECT_NE(b.text().find("/b"), std::string_view::npos);
  FakeHttpCall c("GET", "/c\"");
  router.OnRequest(c);
  EXPECT_EQ(c.status(), 404);
  EXPECT_EQ(c.text(), "{\"error\":\"Not Found: no API at '/c\\\"'\"}");
}

class GrpcRouterTest : public ::testing::Test {
 protected:
  GrpcRouterTest() {
    platform_.Write("one/1/model.fake",
                    "brim-fake 1\ninput x FP32 -1\noutput y FP32 -1 identity x\n");
    platform_.Start();
    router_ =
        std::make_unique<GrpcRouter>(platform_.services(), std::vector<GrpcProtocol*>{&method_},
                                     std::vector<std::string>{"a.B"});
  }
  static std::string Service(std::string_view name) {
    ByteBuffer out;
    ProtoWriter(&out).Text(1, name);
    return std::string(out.view());
  }
  std::unique_ptr<FakeGrpcCall> Unary(std::string method, std::string_view message) {
    auto call = std::make_unique<FakeGrpcCall>(std::move(method), message);
    router_->OnUnary(*call);
    call->Wait();
    return call;
  }

  Platform platform_;
  OneMethod method_;
  std::unique_ptr<GrpcRouter> router_;
};

TEST_F(GrpcRouterTest, RoutesCalls) {
  using Kind = io::GrpcHandler::Kind;
  EXPECT_EQ(router_->Lookup("/a.B/C"), Kind::kUnary);
  EXPECT_EQ(router_->Lookup("/grpc.health.v1.Health/Check"), Kind::kUnary);
  EXPECT_EQ(router_->Lookup("/grpc.health.v1.Health/Watch"), Kind::kStream);
  EXPECT_EQ(router_->Lookup("/grpc.health.v1.Health/Other"), Kind::kUnknown);
  EXPECT_EQ(Unary("/a.B/C", "")->written().at(0), "unary");
  FakeGrpcCall stream("/a.B/S");
  router_->OnStreamStart(stream);
  router_->OnStreamMessage(stream);
  router_->OnStreamHalfClose(stream);
  router_->OnStreamCancel(stream);
  EXPECT_EQ(method_.log, "start message close cancel ");
}

TEST_F(GrpcRouterTest, ChecksHealth) {
  const std::string check = "/grpc.health.v1.Health/Check";
  EXPECT_EQ(Unary(check, "")->written().at(0), "\x08\x01");
  EXPECT_EQ(Unary(check, Service("a.B"))->written().at(0), "\x08\x01");
  EXPECT_EQ(Unary(check, Service("x"))->status().code(), Code::kNotFound);
  EXPECT_EQ(Unary(check, "\xFF")->status().code(), Code::kInvalidArgument);
}

TEST_F(GrpcRouterTest, WatchAnswersOnce) {
  for (const auto& [service, answer] :
       {std::pair(std::string(), "\x08\x01"), std::pair(Service("x"), "\x08\x03")}) {
    FakeGrpcCall call("/grpc.health.v1.Health/Watch");
    router_->OnStreamStart(call);
    call.SetMessage(service);
    router_->OnStreamMessage(call);
    router_->OnStreamMessage(call);
    router_->OnStreamHalfClose(call);
    ASSERT_TRUE(call.answered());
    EXPECT_TRUE(call.status().ok());
    EXPECT_EQ(call.written(), std::vector<std::string>{answer});
  }
  FakeGrpcCall silent("/grpc.health.v1.Health/Watch");
  router_->OnStreamStart(silent);
  router_->OnStreamHalfClose(silent);
  EXPECT_EQ(silent.status().code(), Code::kInvalidArgument);
}

TEST(StatusMapTest, MapsCodesAndRetries) {
  EXPECT_EQ(HttpStatusOf(Code::kInvalidArgument), 400);
  EXPECT_EQ(HttpStatusOf(Code::kNotFound), 404);
  EXPECT_EQ(HttpStatusOf(Code::kResourceExhausted), 429);
  EXPECT_EQ(HttpStatusOf(Code::kUnavailable), 503);
  EXPECT_EQ(HttpStatusOf(Code::kInternal), 500);
  EXPECT_EQ(HttpStatusOf(Code::kUnimplemented), 501);
  EXPECT_EQ(RetryAfterSeconds(std::chrono::milliseconds(1)), "1");
  EXPECT_EQ(RetryAfterSeconds(std::chrono::milliseconds(1001)), "2");
  const io::HttpReply reply =
      ErrorReply(Status(Code::kUnavailable, "full", "wait"), std::chrono::seconds(3));
  EXPECT_EQ(reply.status, 503);
  ASSERT_EQ(reply.headers.size(), 1u);
  EXPECT_EQ(reply.headers[0].first, "retry-after");
  EXPECT_EQ(reply.headers[0].second, "3");
  EXPECT_EQ(reply.body.view(), "{\"error\":\"wait\"}");
}

}  // namespace
}  // namespace brim::api
