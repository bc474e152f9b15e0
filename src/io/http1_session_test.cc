// An HTTP/1.1 session driven by byte strings.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>

#include "io/content_encoding.h"
#include "io/http1_test_client.h"

namespace brim::io {
namespace {

HttpReply Text(std::string_view body) {
  HttpReply reply;
  reply.content_type = "text/plain";
  reply.body = ByteBuffer(body);
  return reply;
}

std::string_view BodyOf(HttpCall& call) {
  return {reinterpret_cast<const char*>(call.body().data()), call.body().size()};
}

// "METHOD path?query [body]"
HttpReply Describe(HttpCall& call) {
  std::string text(call.method());
  text.append(" ").append(call.path());
  if (!call.query().empty()) text.append("?").append(call.query());
  text.append(" [").append(BodyOf(call)).append("]");
  return Text(text);
}

std::string Ok(std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

class Http1SessionTest : public testing::Test {
 protected:
  Http1SessionTest() { handler.answer = Describe; }

  std::unique_ptr<FakeHttp1Host> Host() {
    return std::make_unique<FakeHttp1Host>(options, handler);
  }
  // What a fresh session answers to these bytes.
  std::string Answer(std::string_view bytes) {
    auto host = Host();
    host->Receive(bytes);
    return host->TakeSent();
  }
  // The status of the answer; the session must have finished.
  int Refusal(std::string_view bytes) {
    const int before = handler.requests;
    auto host = Host();
    host->Receive(bytes);
    EXPECT_EQ(handler.requests, before);
    EXPECT_TRUE(host->session->Finished());
    const std::string sent = host->TakeSent();
    EXPECT_NE(sent.find("connection: close\r\n"), std::string::npos) << sent;
    EXPECT_NE(sent.find("{\"error\":\""), std::string::npos) << sent;
    EXPECT_EQ(host->state.body_bytes_now.load(), 0);
    EXPECT_EQ(host->state.protocol_errors.load(), 1u);
    return sent.size() > 12 ? std::stoi(sent.substr(9, 3)) : 0;
  }

  ServerOptions options;
  FakeHttp1Handler handler;
};

TEST_F(Http1SessionTest, Get) {
  EXPECT_EQ(Answer("GET /v2/models/a?x=1&y HTTP/1.1\r\nHost: h\r\n\r\n"),
            Ok("GET /v2/models/a?x=1&y []"));
}

TEST_F(Http1SessionTest, EverySplitGivesTheSameAnswers) {
  const std::string bytes =
      "POST /a%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Name:  v \r\n\r\nhello"
      "POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\ntrailer: t\r\n\r\n"
      "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  const std::string expected = Ok("POST /a b [hello]") + Ok("POST /c [abcdefg]") +
                               Ok("GET /last []", "connection: close\r\n");
  EXPECT_EQ(Answer(bytes), expected);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    auto host = Host();
    host->Receive(bytes.substr(0, cut));
    host->Receive(bytes.substr(cut));
    ASSERT_EQ(host->TakeSent(), expected) << "cut at " << cut;
    ASSERT_TRUE(host->session->Finished());
  }
  auto host = Host();
  for (const char c : bytes) host->Receive({&c, 1});
  EXPECT_EQ(host->TakeSent(), expected);
}

TEST_F(Http1SessionTest, HeadersAreFoundByLowerCaseName) {
  handler.answer = [](HttpCall& call) {
    EXPECT_EQ(call.Header("inference-header-content-length"), "12");
    EXPECT_EQ(call.Header("x-empty"), "");
    EXPECT_EQ(call.Header("absent"), "");
    EXPECT_EQ(call.peer(), "127.0.0.1:1");
    return Text("");
  };
  EXPECT_EQ(Answer("GET / HTTP/1.1\r\nHost: h\r\nInference-Header-Content-Length: 12 \r\n"
                   "X-Empty:\r\n\r\n"),
            Ok(""));
}

TEST_F(Http1SessionTest, LateRepliesAreSentInOrderOfArrival) {
  handler.answer = nullptr;
  auto host = Host();
  host->Receive(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_EQ(handler.waiting.size(), 3u);
  EXPECT_EQ(host->state.calls_now.load(), 3);
  handler.waiting[2]->Reply(Text("three"));
  handler.waiting[1]->Reply(Text("two"));
  host->Pump();
  EXPECT_EQ(host->TakeSent(), "");
  handler.waiting[0]->Reply(Text("one"));
  host->Pump();
  EXPECT_EQ(host->TakeSent(), Ok("one") + Ok("two") + Ok("three"));
  EXPECT_EQ(host->state.calls_now.load(), 0);
  EXPECT_TRUE(host->session->Idle());
}

TEST_F(Http1SessionTest, PipelineIsBoundedAndGoesOn) {
  handler.answer = nullptr;
  auto host = Host();
  std::string bytes;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    bytes += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    expected += Ok(std::to_string(i));
  }
  std::size_t taken = host->Receive(bytes);
  EXPECT_FALSE(host->session->WantRead());
  EXPECT_LE(handler.waiting.size(), 16u);
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    ASSERT_LT(static_cast<std::size_t>(i), handler.waiting.size());
    handler.waiting[i]->Reply(Text(std::to_string(i)));
    host->Pump();
    ASSERT_LE(handler.waiting.size(), static_cast<std::size_t>(i) + 17);
    taken += host->Receive(std::string_view(bytes).substr(taken));
    sent += host->TakeSent();
  }
  EXPECT_EQ(sent, expected);
  EXPECT_TRUE(host->session->Idle());
}

TEST_F(Http1SessionTest, RepliesFromAnotherThread) {
  handler.answer = nullptr;
  auto host = Host();
  host->Receive("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_EQ(handler.waiting.size(), 1u);
  std::thread([&] { handler.waiting[0]->Reply(Text("one")); }).join();
  EXPECT_EQ(host->TakeSent(), "");
  host->Pump();
  EXPECT_EQ(host->TakeSent(), Ok("one"));
}

TEST_F(Http1SessionTest, CallsOutliveTheirSession) {
  struct State final : CallState {
    explicit State(bool* g) : gone(g) {}
    ~State() override { *gone = true; }
    bool* gone;
  };
  handler.answer = nullptr;
  auto host = Host();
  host->Receive(
      "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_EQ(handler.waiting.size(), 2u);
  bool gone = false;
  handler.waiting[0]->Attach(std::make_unique<State>(&gone));
  EXPECT_FALSE(handler.waiting[0]->cancelled().load());
  host->session.reset();
  EXPECT_TRUE(handler.waiting[0]->cancelled().load());
  EXPECT_EQ(handler.waiting[0]->path(), "/1");
  EXPECT_EQ(BodyOf(*handler.waiting[0]), "abc");
  EXPECT_EQ(handler.waiting[0]->peer(), "127.0.0.1:1");
  EXPECT_EQ(host->state.calls_now.load(), 2);
  EXPECT_EQ(host->state.body_bytes_now.load(), 3);
  handler.waiting[0]->Reply(Text("late"));
  EXPECT_TRUE(gone);
  std::thread([&] { handler.waiting[1]->Reply(Text("later")); }).join();
  host->loop().RunReady();
  EXPECT_EQ(host->state.calls_now.load(), 0);
  EXPECT_EQ(host->state.body_bytes_now.load(), 0);
}

TEST_F(Http1SessionTest, LargeBodyArrivesInPlace) {
  const std::string body(600000, 'b');
  handler.answer = [&](HttpCall& call) {
    EXPECT_TRUE(BodyOf(call) == body);
    EXPECT_EQ(call.body().data()[call.body().size() + ByteBuffer::kPadding - 1], std::byte{0});
    return Text("ok");
  };
  auto host = Host();
  host->receive_max = 100000;
  host->Receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 600000\r\n\r\n" + body +
                "GET / HTTP/1.1\r\nHost: h\r\n");
  EXPECT_EQ(host->TakeSent(), Ok("ok"));
  EXPECT_GT(host->in_place, 480000u);
  EXPECT_TRUE(host->session->MidRequest());
  EXPECT_EQ(host->state.body_bytes_now.load(), 0);
}

TEST_F(Http1SessionTest, LargeChunksArriveInPlace) {
  const std::string body(300000, 'c');
  handler.answer = [&](HttpCall& call) {
    EXPECT_TRUE(BodyOf(call) == body + "tail" + body);
    return Text("ok");
  };
  auto host = Host();
  host->receive_max = 50000;
  host->Receive("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + body +
                "\r\n4\r\ntail\r\n493e0\r\n" + body + "\r\n0\r\n\r\n");
  EXPECT_EQ(host->TakeSent(), Ok("ok"));
  EXPECT_GT(host->in_place, 400000u);
}

TEST_F(Http1SessionTest, DeclaredLengthIsNotBelievedAheadOfItsBytes) {
  auto host = Host();
  host->Receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000000\r\n\r\n");
  EXPECT_LE(host->state.body_bytes_now.load(), 1 << 20);
  host->Receive(std::string(3 << 20, 'x'));
  EXPECT_LE(host->state.body_bytes_now.load(), 8 << 20);
  host->session.reset();
  EXPECT_EQ(host->state.body_bytes_now.load(), 0);
}

TEST_F(Http1SessionTest, BodiesTogetherAreBounded) {
  options.in_flight_bytes_max = 1000;
  handler.answer = nullptr;
  auto host = Host();
  host->Receive("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" +
                std::string(900, 'x') +
                "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n");
  ASSERT_EQ(handler.waiting.size(), 1u);
  EXPECT_EQ(host->TakeSent(), "");  // The first request is answered first.
  handler.waiting[0]->Reply(Text("one"));
  host->Pump();
  const std::string sent = host->TakeSent();
  EXPECT_TRUE(sent.starts_with(Ok("one") + "HTTP/1.1 503 ")) << sent;
  EXPECT_NE(sent.find("retry-after: 1\r\n"), std::string::npos);
  EXPECT_TRUE(host->session->Finished());
  EXPECT_EQ(host->state.body_bytes_now.load(), 0);
}

TEST_F(Http1SessionTest, Http10) {
  EXPECT_EQ(Answer("GET /a HTTP/1.0\r\n\r\n"), Ok("GET /a []", "connection: close\r\n"));
  EXPECT_EQ(Answer("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            Ok("GET /a []", "connection: keep-alive\r\n"));
}

TEST_F(Http1SessionTest, HeadHasLengthButNoBody) {
  EXPECT_EQ(Answer("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\n");
}

TEST_F(Http1SessionTest, NoContentHasNoLength) {
  handler.answer = [](HttpCall&) {
    HttpReply reply;
    reply.status = 204;
    return reply;
  };
  EXPECT_EQ(Answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(Http1SessionTest, ReplyHeadersPassThroughButCannotBreakLines) {
  handler.answer = [](HttpCall&) {
    HttpReply reply = Text("");
    reply.headers = {{"retry-after", "3"}, {"x-bad", "a\r\nset-cookie: b"}, {"x-good", "c"}};
    return reply;
  };
  EXPECT_EQ(Answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok("", "retry-after: 3\r\nx-good: c\r\n"));
}

TEST_F(Http1SessionTest, ExpectContinue) {
  auto host = Host();
  host->Receive("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(host->TakeSent(), "HTTP/1.1 100 Continue\r\n\r\n");
  host->Receive("hi");
  EXPECT_EQ(host->TakeSent(), Ok("POST /a [hi]"));
  // With the body at hand there is nothing to ask for.
  host->Receive(
      "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(host->TakeSent(), Ok("POST /a [hi]"));
  EXPECT_EQ(Refusal("POST /a HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n"),
            417);
}

TEST_F(Http1SessionTest, ContinueWaitsForEarlierAnswers) {
  handler.answer = nullptr;
  auto host = Host();
  host->Receive(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(host->TakeSent(), "");
  handler.waiting[0]->Reply(Text("one"));
  host->Pump();
  EXPECT_EQ(host->TakeSent(), Ok("one") + "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_F(Http1SessionTest, Targets) {
  EXPECT_EQ(Answer("GET http://h:80/a/b?q HTTP/1.1\r\nHost: h\r\n\r\n"), Ok("GET /a/b?q []"));
  EXPECT_EQ(Answer("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"), Ok("GET / []"));
  EXPECT_EQ(Answer("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), Ok("OPTIONS * []"));
  EXPECT_EQ(Answer("GET /v1/models/m%2F1%3Apredict?a=%41 HTTP/1.1\r\nHost: h\r\n\r\n"),
            Ok("GET /v1/models/m/1:predict?a=%41 []"));
  EXPECT_EQ(Refusal("GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /" + std::string(20000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414);
}

TEST_F(Http1SessionTest, HeadLimits) {
  options.header_bytes_max = 4096;
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(5000, 'a') + "\r\n\r\n"), 431);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(9000, ' ')), 431);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(5000, 'a')), 431);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                    std::string(5000, 'x')),
            431);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: " +
                    std::string(5000, 'x')),
            431);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 300; ++i) many += "a:b\r\n";
  EXPECT_EQ(Refusal(many + "\r\n"), 431);
}

TEST_F(Http1SessionTest, BodyLimits) {
  options.body_bytes_max = 1000;
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n"),
            413);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n"),
            400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"),
            413);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" +
                    std::string(1000, 'x') + "\r\n1\r\n"),
            413);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "ffffffffffffffff\r\n"),
            413);
}

TEST_F(Http1SessionTest, FramingBeyondDoubt) {
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Length: 5\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
            400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n"),
            400);
  EXPECT_EQ(Refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\nHost: a\n\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"), 400);
}

TEST_F(Http1SessionTest, OtherRefusals) {
  EXPECT_EQ(Refusal("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
  EXPECT_EQ(Refusal("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
  EXPECT_EQ(Refusal("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("GET / HTTP/7.7\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400);
  EXPECT_EQ(Refusal(std::string("\x16\x03\x01\x02\x00\x01", 6)), 400);
  EXPECT_EQ(
      Refusal("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n"),
      415);
}

TEST_F(Http1SessionTest, RefusalComesAfterEarlierAnswers) {
  const std::string sent = Answer(
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(sent.starts_with(Ok("GET /a []") + "HTTP/1.1 ")) << sent;
  EXPECT_EQ(sent.find("/b"), std::string::npos);
}

TEST_F(Http1SessionTest, OfferToUpgradeIsPassedOver) {
  EXPECT_EQ(Answer("GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                   "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
                   "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
            Ok("GET /a []") + Ok("GET /b []"));
}

TEST_F(Http1SessionTest, CompressedRequests) {
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    const std::string body(50000, 'q');
    auto packed = Deflate(std::as_bytes(std::span(body.data(), body.size())), encoding);
    ASSERT_TRUE(packed.ok());
    const std::string request =
        "POST /z HTTP/1.1\r\nHost: h\r\nContent-Encoding: " + std::string(EncodingName(encoding)) +
        "\r\nContent-Length: " + std::to_string(packed->size()) + "\r\n\r\n" +
        std::string(packed->view());
    EXPECT_EQ(Answer(request), Ok("POST /z [" + body + "]"));
    options.body_bytes_max = 49999;
    EXPECT_TRUE(Answer(request).starts_with("HTTP/1.1 413 "));
    options.body_bytes_max = 1 << 20;
    std::string damaged = request;
    damaged[damaged.size() - 1] ^= 1;
    // The framing was sound, so the connection lives on.
    const std::string sent = Answer(damaged + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(sent.starts_with("HTTP/1.1 400 ")) << sent;
    EXPECT_TRUE(sent.ends_with(Ok("GET /next []"))) << sent;
  }
}

TEST_F(Http1SessionTest, CompressedReplies) {
  const std::string body(20000, 'r');
  handler.answer = [&](HttpCall&) { return Text(body); };
  const std::string sent = Answer("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br\r\n\r\n");
  EXPECT_LT(sent.size(), 1000u);
  EXPECT_NE(sent.find("content-encoding: gzip\r\nvary: accept-encoding\r\n"), std::string::npos);
  const std::string_view packed = std::string_view(sent).substr(sent.find("\r\n\r\n") + 4);
  auto unpacked =
      Inflate(std::as_bytes(std::span(packed.data(), packed.size())), Encoding::kGzip, body.size());
  ASSERT_TRUE(unpacked.ok()) << unpacked.status().ToString();
  EXPECT_EQ(unpacked->view(), body);
  EXPECT_EQ(Answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok(body));
}

TEST_F(Http1SessionTest, DrainClosesAnIdleSession) {
  auto host = Host();
  host->Receive("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_FALSE(host->session->Finished());
  host->session->StartDrain();
  host->Pump();
  EXPECT_TRUE(host->session->Finished());
}

TEST_F(Http1SessionTest, DrainAnswersWhatIsInFlight) {
  handler.answer = nullptr;
  auto host = Host();
  host->Receive("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  host->session->StartDrain();
  host->Pump();
  EXPECT_FALSE(host->session->Finished());
  handler.waiting[0]->Reply(Text("one"));
  handler.waiting[1]->Reply(Text("two"));
  host->Pump();
  EXPECT_EQ(host->TakeSent(), Ok("one") + Ok("two", "connection: close\r\n"));
  EXPECT_TRUE(host->session->Finished());
}

TEST_F(Http1SessionTest, DrainLetsABegunRequestEnd) {
  auto host = Host();
  host->Receive("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh");
  host->session->StartDrain();
  host->Pump();
  EXPECT_FALSE(host->session->Finished());
  host->Receive("i");
  EXPECT_EQ(host->TakeSent(), Ok("POST /a [hi]", "connection: close\r\n"));
  EXPECT_TRUE(host->session->Finished());
}

TEST_F(Http1SessionTest, LargeRepliesStopAtHighWater) {
  handler.answer = [](HttpCall&) { return Text(std::string(Output::kHighWater, 'x')); };
  auto host = Host();
  std::string bytes;
  for (int i = 0; i < 3; ++i) bytes += "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
  host->session->OnReceive(std::as_bytes(std::span(bytes.data(), bytes.size())));
  Output out;
  host->session->Collect(&out);
  EXPECT_LT(out.size(), 2 * Output::kHighWater);
  out.Consume(out.size());
  host->session->Collect(&out);
  EXPECT_LT(out.size(), 2 * Output::kHighWater);
  out.Consume(out.size());
  host->session->Collect(&out);
  EXPECT_GT(out.size(), Output::kHighWater);
  EXPECT_TRUE(host->session->Idle());
}

TEST_F(Http1SessionTest, RandomPipelinesInRandomPieces) {
  const unsigned seed = 11;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    std::string expected;
    for (unsigned i = 0; i < 40; ++i) {
      const std::string path = "/p" + std::to_string(i);
      const std::string body(random() % 4 == 0 ? random() % 40000 : random() % 20,
                             static_cast<char>('a' + i % 26));
      if (random() % 2 == 0) {
        bytes += "POST " + path +
                 " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + body;
      } else {
        bytes += "POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < body.size();) {
          const std::size_t n = std::min<std::size_t>(body.size() - at, 1 + random() % 30000);
          char size[20];
          snprintf(size, sizeof size, "%zx\r\n", n);
          bytes += size + body.substr(at, n) + "\r\n";
          at += n;
        }
        bytes += "0\r\n\r\n";
      }
      expected += Ok("POST " + path + " [" + body + "]");
    }
    auto host = Host();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t n = std::min<std::size_t>(bytes.size() - at, 1 + random() % 70000);
      ASSERT_EQ(host->Receive(std::string_view(bytes).substr(at, n)), n);
      at += n;
    }
    ASSERT_TRUE(host->TakeSent() == expected) << "round " << round;
    ASSERT_EQ(host->state.body_bytes_now.load(), 0);
  }
}

}  // namespace
}  // namespace brim::io
