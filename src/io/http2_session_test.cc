// Http2Session against a client in memory: calls, refusals, floods, orphans, drain.
#include "io/http2_session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "io/content_encoding.h"
#include "io/grpc_framing.h"
#include "io/http2_test_client.h"

namespace brim::io {
namespace {

using namespace std::chrono_literals;

std::string Pack(std::string_view text, Encoding encoding) {
  auto packed = Deflate(std::as_bytes(std::span(text.data(), text.size())), encoding);
  EXPECT_TRUE(packed.ok());
  return std::string(packed->view());
}

class Http2SessionTest : public ::testing::Test {
 protected:
  TestClient::Exchange& Run(std::int32_t id) {
    world_.Exchange();
    return world_.client->at(id);
  }
  TestClient& client() { return *world_.client; }
  TestHandlers& handlers() { return world_.handlers; }

  TestWorld world_;
};

TEST_F(Http2SessionTest, UnaryEcho) {
  auto& got = Run(client().Grpc("/t.S/Echo", GrpcFrame("hello")));
  EXPECT_EQ(got.head[":status"], "200");
  EXPECT_EQ(got.head["content-type"], "application/grpc");
  EXPECT_EQ(got.head["grpc-accept-encoding"], "identity,deflate,gzip");
  EXPECT_EQ(got.body, GrpcFrame("hello"));
  EXPECT_EQ(got.trailers["grpc-status"], "0");
  EXPECT_EQ(got.trailers.count("grpc-message"), 0u);
  EXPECT_TRUE(got.closed);
  EXPECT_EQ(got.error_code, 0u);
  EXPECT_TRUE(world_.connection->session->Idle());
  EXPECT_EQ(world_.shared.requests.load(), 1u);
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, EmptyMessageHasPadding) {
  auto& got = Run(client().Grpc("/t.S/Echo", GrpcFrame("")));
  EXPECT_EQ(got.body, GrpcFrame(""));
  EXPECT_EQ(got.GrpcStatus(), "0");
}

TEST_F(Http2SessionTest, ManyCallsReuseMemory) {
  for (int i = 0; i < 300; ++i) {
    std::vector<std::int32_t> ids;
    for (int k = 0; k < 20; ++k)
      ids.push_back(client().Grpc("/t.S/Echo", GrpcFrame(std::to_string(i * 100 + k))));
    world_.Exchange();
    for (int k = 0; k < 20; ++k)
      ASSERT_EQ(client().at(ids[k]).body, GrpcFrame(std::to_string(i * 100 + k)));
    client().exchanges.clear();
  }
}

TEST_F(Http2SessionTest, EverySplitOfOneCall) {
  client().Grpc("/t.S/Echo", GrpcFrame("a message that is split"),
                {{"x-more", "metadata"}, {"grpc-timeout", "10S"}});
  const std::string bytes = client().TakeBytes();
  world_.connection->Receive(bytes);
  const std::string expected = world_.connection->Collect();
  ASSERT_NE(expected.find("a message that is split"), std::string::npos);
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    TestConnection connection(world_.loop, world_.shared);
    connection.Receive(std::string_view(bytes).substr(0, split));
    std::string got = connection.Collect();
    connection.Receive(std::string_view(bytes).substr(split));
    got += connection.Collect();
    // Its SETTINGS acknowledgement may come sooner; all else is alike.
    ASSERT_EQ(got.size(), expected.size()) << split;
    ASSERT_NE(got.find("a message that is split"), std::string::npos) << split;
  }
  TestConnection connection(world_.loop, world_.shared);
  std::string got;
  for (const char c : bytes) {
    connection.Receive(std::string_view(&c, 1));
    got += connection.Collect();
  }
  EXPECT_EQ(got.size(), expected.size());
}

TEST_F(Http2SessionTest, LargeEchoThroughSmallWindows) {
  std::string message(900'000, 'x');
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<char>(i * 31 >> 8);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(client().Grpc("/t.S/Echo", GrpcFrame(message)));
  world_.Exchange();
  for (const auto id : ids) {
    EXPECT_EQ(client().at(id).body, GrpcFrame(message));
    EXPECT_EQ(client().at(id).GrpcStatus(), "0");
  }
}

TEST_F(Http2SessionTest, LargeEchoThroughLargeWindowAndSlowSocket) {
  world_.options.body_bytes_max = 8u << 20;
  world_.options.in_flight_bytes_max = 64u << 20;
  world_.Connect(1 << 24);
  nghttp2_session_set_local_window_size(client().ng(), NGHTTP2_FLAG_NONE, 0, 1 << 26);
  const std::string message(6u << 20, 'm');
  const auto id = client().Grpc("/t.S/Echo", GrpcFrame(message));
  const auto other = client().Grpc("/t.S/Echo", GrpcFrame("small"));
  for (;;) {
    const std::string up = client().TakeBytes();
    if (!up.empty()) world_.connection->Receive(up);
    const std::string down = world_.connection->Collect(10'000);
    EXPECT_LE(world_.connection->output.size(), Output::kHighWater + (128u << 10));
    if (!down.empty()) client().Receive(down);
    if (up.empty() && down.empty()) break;
  }
  EXPECT_TRUE(client().at(id).body == GrpcFrame(message));
  EXPECT_EQ(client().at(id).GrpcStatus(), "0");
  EXPECT_EQ(client().at(other).GrpcStatus(), "0");
}

TEST_F(Http2SessionTest, ErrorIsTrailersOnlyAndEncoded) {
  handlers().retry = 1500ms;
  auto& got = Run(client().Grpc("/t.S/Fail", GrpcFrame("x")));
  EXPECT_EQ(got.head["grpc-status"], "5");
  EXPECT_EQ(got.head["grpc-message"], "no 100%25 match");
  EXPECT_EQ(got.head["grpc-retry-pushback-ms"], "1500");
  EXPECT_TRUE(got.trailers.empty());
  EXPECT_TRUE(got.body.empty());
  EXPECT_TRUE(got.closed);
}

TEST_F(Http2SessionTest, LongErrorTextIsCut) {
  handlers().fail_status = Status(Code::kInternal, "test", std::string(100'000, '\x01'));
  auto& got = Run(client().Grpc("/t.S/Fail", GrpcFrame("x")));
  EXPECT_EQ(got.GrpcStatus(), "13");
  EXPECT_EQ(got.GrpcText().size(), 3 * kGrpcMessageBytesMax);
}

TEST_F(Http2SessionTest, RefusedHeads) {
  EXPECT_EQ(Run(client().Grpc("/t.S/Nothing", GrpcFrame("x"))).GrpcStatus(), "12");
  auto& coding = Run(client().Grpc("/t.S/Echo", GrpcFrame("x"), {{"grpc-encoding", "zstd"}}));
  EXPECT_EQ(coding.GrpcStatus(), "12");
  EXPECT_EQ(coding.head["grpc-accept-encoding"], "identity,deflate,gzip");
  EXPECT_EQ(
      Run(client().Grpc("/t.S/Echo", GrpcFrame("x"), {{"grpc-timeout", "soon"}})).GrpcStatus(),
      "3");
  Fields web = TestClient::GrpcFields("/t.S/Echo");
  web.back().second = "application/grpc-web";
  EXPECT_EQ(Run(client().Open(web, GrpcFrame("x"))).head[":status"], "415");
  Fields get = TestClient::GrpcFields("/t.S/Echo");
  get[0].second = "GET";
  EXPECT_EQ(Run(client().Open(get, "")).head[":status"], "405");
  Fields proto = TestClient::GrpcFields("/t.S/Echo");
  proto.back().second = "application/grpc+proto";
  auto& echoed = Run(client().Open(proto, GrpcFrame("x")));
  EXPECT_EQ(echoed.head["content-type"], "application/grpc+proto");
  EXPECT_EQ(echoed.GrpcStatus(), "0");
}

TEST_F(Http2SessionTest, EarlyAnswerStopsTheUpload) {
  const auto id = client().Grpc("/t.S/Nothing", std::string(100, 'x'), {}, false);
  auto& got = Run(id);
  EXPECT_EQ(got.GrpcStatus(), "12");
  EXPECT_TRUE(got.closed);  // RST_STREAM(NO_ERROR) followed.
  EXPECT_EQ(got.error_code, 0u);
}

TEST_F(Http2SessionTest, LyingMessages) {
  struct Case {
    std::string body;
    const char* status;
  };
  std::string too_long = GrpcFrame("abc");
  too_long[4] = 9;  // Says 9 bytes, brings 3.
  std::string huge = GrpcFrame("abc");
  huge[1] = '\x7f';
  const Case cases[] = {
      {too_long, "13"},
      {huge, "8"},
      {std::string("\0\0\0", 3), "13"},         // Half a prefix.
      {"", "12"},                               // No message.
      {GrpcFrame("a") + GrpcFrame("b"), "12"},  // Two messages.
      {GrpcFrame("a") + "x", "12"},             // Bytes behind the message.
      {GrpcFrame("a", 2), "13"},                // No such flag.
      {GrpcFrame("a", 1), "13"},                // Compressed, but with what?
      {GrpcFrame(std::string((1u << 20) + 1, 'x')), "8"},
  };
  for (const Case& one : cases) {
    auto& got = Run(client().Grpc("/t.S/Echo", one.body));
    EXPECT_EQ(got.GrpcStatus(), one.status) << one.body.substr(0, 20) << ": " << got.GrpcText();
    EXPECT_TRUE(got.closed);
  }
  EXPECT_EQ(handlers().unary, 0);
  EXPECT_EQ(Run(client().Grpc("/t.S/Echo", GrpcFrame("still alive"))).GrpcStatus(), "0");
}

TEST_F(Http2SessionTest, CompressedBothWays) {
  const std::string text(5000, 'z');
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    const std::string name(EncodingName(encoding));
    auto& got = Run(client().Grpc(
        "/t.S/Echo", GrpcFrame(Pack(text, encoding), 1),
        {{"grpc-encoding", name}, {"grpc-accept-encoding", "identity, gzip,deflate"}}));
    EXPECT_EQ(handlers().last_message, text);
    EXPECT_EQ(got.head["grpc-encoding"], name);
    ASSERT_GT(got.body.size(), 5u);
    EXPECT_EQ(got.body[0], 1);
    auto plain = Inflate(std::as_bytes(std::span(got.body).subspan(5)), encoding, 1u << 20);
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(plain->view(), text);
    // A client that does not say it can read compressed answers gets none.
    auto& bare = Run(
        client().Grpc("/t.S/Echo", GrpcFrame(Pack(text, encoding), 1), {{"grpc-encoding", name}}));
    EXPECT_EQ(bare.body, GrpcFrame(text));
    EXPECT_EQ(bare.head.count("grpc-encoding"), 0u);
  }
  // Uncompressed messages may come on a compressed call.
  EXPECT_EQ(
      Run(client().Grpc("/t.S/Echo", GrpcFrame("x"), {{"grpc-encoding", "gzip"}})).GrpcStatus(),
      "0");
}

TEST_F(Http2SessionTest, BadCompression) {
  EXPECT_EQ(Run(client().Grpc("/t.S/Echo", GrpcFrame("junk", 1), {{"grpc-encoding", "gzip"}}))
                .GrpcStatus(),
            "13");
  const std::string bomb = Pack(std::string(4u << 20, '\0'), Encoding::kGzip);
  EXPECT_EQ(
      Run(client().Grpc("/t.S/Echo", GrpcFrame(bomb, 1), {{"grpc-encoding", "gzip"}})).GrpcStatus(),
      "8");
  EXPECT_EQ(handlers().unary, 0);
}

TEST_F(Http2SessionTest, DeadlineAnswersHeldCall) {
  const auto id = client().Grpc("/t.S/Hold", GrpcFrame("x"), {{"grpc-timeout", "50m"}});
  world_.Exchange();
  ASSERT_EQ(handlers().held.size(), 1u);
  GrpcCall& call = *handlers().held[0];
  EXPECT_EQ(call.deadline() - call.received(), 50ms);
  EXPECT_FALSE(call.cancelled());
  world_.clock.Advance(49ms);
  world_.Exchange();
  EXPECT_FALSE(client().at(id).closed);
  world_.clock.Advance(1ms);
  world_.Exchange();
  EXPECT_EQ(client().at(id).GrpcStatus(), "4");
  EXPECT_TRUE(call.cancelled());
  EXPECT_EQ(world_.shared.calls_now.load(), 1);  // Still in the handler's hands.
  call.Reply(ByteBuffer("late"));
  world_.Exchange();
  EXPECT_EQ(client().at(id).GrpcStatus(), "4");
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, DeadlineWhileUploading) {
  const auto id =
      client().Grpc("/t.S/Echo", GrpcFrame("abc").substr(0, 6), {{"grpc-timeout", "1S"}}, false);
  world_.Exchange();
  EXPECT_TRUE(world_.connection->session->MidRequest());
  world_.clock.Advance(2s);
  world_.Exchange();
  EXPECT_EQ(client().at(id).GrpcStatus(), "4");
  EXPECT_TRUE(client().at(id).closed);
  EXPECT_EQ(Run(client().Grpc("/t.S/Echo", GrpcFrame("x"), {{"grpc-timeout", "0n"}})).GrpcStatus(),
            "4");
  EXPECT_EQ(handlers().unary, 0);
}

TEST_F(Http2SessionTest, FinishedCallHasNoTimer) {
  EXPECT_EQ(Run(client().Grpc("/t.S/Echo", GrpcFrame("x"), {{"grpc-timeout", "1S"}})).GrpcStatus(),
            "0");
  world_.clock.Advance(2s);
  world_.Exchange();
}

TEST_F(Http2SessionTest, ClientCancelsUnary) {
  const auto id = client().Grpc("/t.S/Hold", GrpcFrame("x"));
  world_.Exchange();
  GrpcCall& call = *handlers().held.at(0);
  client().Reset(id);
  world_.Exchange();
  EXPECT_TRUE(call.cancelled());
  EXPECT_EQ(call.message().size(), 1u);
  EXPECT_TRUE(world_.connection->session->Idle());
  EXPECT_EQ(world_.shared.calls_now.load(), 1);
  call.Finish(OkStatus(), Duration::zero());
  world_.loop.RunReady();
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, ConnectionLostUnderCalls) {
  client().Grpc("/t.S/Hold", GrpcFrame("x"));
  client().Grpc("/t.S/HoldStream", GrpcFrame("y"), {{"grpc-timeout", "1S"}}, false);
  client().Open({{":method", "GET"}, {":scheme", "http"}, {":path", "/hold"}, {":authority", "a"}},
                "");
  world_.Exchange();
  ASSERT_EQ(handlers().held.size(), 2u);
  ASSERT_EQ(handlers().held_http.size(), 1u);
  world_.connection.reset();
  EXPECT_EQ(handlers().cancels, 1);
  for (GrpcCall* call : handlers().held) {
    EXPECT_TRUE(call->cancelled());
    EXPECT_EQ(call->peer(), "127.0.0.1:1");
  }
  EXPECT_TRUE(handlers().held_http[0]->cancelled());
  EXPECT_EQ(handlers().held_http[0]->path(), "/hold");
  world_.clock.Advance(2s);
  world_.loop.RunReady();
  handlers().held[0]->Reply(ByteBuffer("late"));
  handlers().held[1]->Write(ByteBuffer("late"));
  handlers().held[1]->Finish(OkStatus(), Duration::zero());
  handlers().held_http[0]->Reply(HttpReply());
  EXPECT_EQ(world_.shared.calls_now.load(), 3);
  world_.loop.RunReady();
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, GoawayWithErrorCancels) {
  client().Grpc("/t.S/Hold", GrpcFrame("x"));
  world_.Exchange();
  nghttp2_submit_goaway(client().ng(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  world_.Exchange();
  EXPECT_FALSE(handlers().held[0]->cancelled());
  nghttp2_submit_goaway(client().ng(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_INTERNAL_ERROR, nullptr, 0);
  world_.Exchange();
  EXPECT_TRUE(handlers().held[0]->cancelled());
  handlers().held[0]->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, StreamingEcho) {
  const auto id = client().Grpc("/t.S/EchoStream", "", {}, false);
  auto& got = Run(id);
  EXPECT_EQ(handlers().starts, 1);
  EXPECT_FALSE(world_.connection->session->MidRequest());
  EXPECT_FALSE(world_.connection->session->Idle());
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const std::string frame = GrpcFrame(std::string(i * i, static_cast<char>('a' + i % 26)));
    client().Send(id, frame.substr(0, frame.size() / 2));
    world_.Exchange();
    EXPECT_EQ(world_.connection->session->MidRequest(), frame.size() / 2 > 0);
    client().Send(id, frame.substr(frame.size() / 2));
    world_.Exchange();
    expected += frame;
    ASSERT_EQ(got.body, expected);
  }
  client().Send(id, GrpcFrame("l") + GrpcFrame("") + GrpcFrame("ast"), true);
  world_.Exchange();
  EXPECT_EQ(got.body, expected + GrpcFrame("l") + GrpcFrame("") + GrpcFrame("ast"));
  EXPECT_EQ(got.trailers["grpc-status"], "0");
  EXPECT_EQ(handlers().half_closes, 1);
  EXPECT_EQ(handlers().cancels, 0);
  EXPECT_TRUE(got.closed);
}

TEST_F(Http2SessionTest, StreamingCompressed) {
  const std::string text(3000, 'q');
  const auto id = client().Grpc("/t.S/EchoStream",
                                GrpcFrame(Pack(text, Encoding::kGzip), 1) + GrpcFrame("plain"),
                                {{"grpc-encoding", "gzip"}, {"grpc-accept-encoding", "gzip"}});
  auto& got = Run(id);
  EXPECT_EQ(handlers().messages, 2);
  EXPECT_EQ(got.body.substr(got.body.size() - 10), GrpcFrame("plain"));
  EXPECT_EQ(got.body[0], 1);
  EXPECT_EQ(got.GrpcStatus(), "0");
}

TEST_F(Http2SessionTest, StreamErrors) {
  // A message that is too large ends the call and tells the handler.
  const auto id =
      client().Grpc("/t.S/HoldStream", GrpcFrame("a") + std::string("\0\x7f\0\0\0", 5), {}, false);
  auto& got = Run(id);
  EXPECT_EQ(got.GrpcStatus(), "8");
  EXPECT_EQ(handlers().cancels, 1);
  EXPECT_TRUE(handlers().held[0]->cancelled());
  handlers().held[0]->Finish(OkStatus(), Duration::zero());
  world_.Exchange();
  // Cut within a message.
  auto& cut = Run(client().Grpc("/t.S/HoldStream", GrpcFrame("abc").substr(0, 6)));
  EXPECT_EQ(cut.GrpcStatus(), "13");
  EXPECT_EQ(handlers().half_closes, 0);
  handlers().held[1]->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, StreamCancelAndDeadline) {
  const auto echo = client().Grpc("/t.S/EchoStream", GrpcFrame("a"), {}, false);
  world_.Exchange();
  client().Reset(echo);
  world_.Exchange();
  EXPECT_EQ(handlers().cancels, 1);  // It finished the call from within.
  world_.loop.RunReady();
  EXPECT_EQ(world_.shared.calls_now.load(), 0);

  const auto held =
      client().Grpc("/t.S/HoldStream", GrpcFrame("a"), {{"grpc-timeout", "1S"}}, false);
  world_.Exchange();
  handlers().held[0]->Write(ByteBuffer("partial"));
  world_.Exchange();
  world_.clock.Advance(1s);
  world_.Exchange();
  EXPECT_EQ(client().at(held).body, GrpcFrame("partial"));
  EXPECT_EQ(client().at(held).trailers["grpc-status"], "4");
  EXPECT_EQ(handlers().cancels, 2);
  handlers().held[0]->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, DeadlineWithinAMessageResets) {
  const auto held = client().Grpc("/t.S/HoldStream", "", {{"grpc-timeout", "1S"}}, false);
  // The client keeps its window of 64 KiB shut after the first part.
  const std::string up = client().TakeBytes();
  world_.connection->Receive(up);
  client().Receive(world_.connection->Collect());
  world_.connection->Receive(client().TakeBytes());
  handlers().held[0]->Write(ByteBuffer(std::string(200'000, 'x')));
  EXPECT_EQ(handlers().held[0]->UnsentBytes(), 200'005u);
  const std::string part = world_.connection->Collect();
  EXPECT_GT(part.size(), 60'000u);
  EXPECT_LT(handlers().held[0]->UnsentBytes(), 150'000u);
  EXPECT_TRUE(
      world_.connection->session->MidRequest());  // A client that reads nothing may be cut off.
  world_.clock.Advance(1s);
  world_.loop.RunReady();
  client().Receive(part);
  client().Receive(world_.connection->Collect());
  EXPECT_TRUE(client().at(held).closed);
  EXPECT_EQ(client().at(held).error_code, static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  EXPECT_EQ(handlers().held[0]->UnsentBytes(), 0u);
  handlers().held[0]->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, ServerEndsStreamEarly) {
  const auto id = client().Grpc("/t.S/HoldStream", GrpcFrame("a"), {}, false);
  world_.Exchange();
  handlers().held[0]->Write(ByteBuffer("one"));
  handlers().held[0]->Write(ByteBuffer("two"));
  handlers().held[0]->Finish(Status(Code::kAborted, "enough", "enough"), Duration::zero());
  auto& got = Run(id);
  EXPECT_EQ(got.body, GrpcFrame("one") + GrpcFrame("two"));
  EXPECT_EQ(got.GrpcStatus(), "10");
  EXPECT_TRUE(got.closed);
  EXPECT_EQ(handlers().cancels, 0);
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, ClientThatDoesNotReadIsStopped) {
  // It echoes into a shut window until the session withholds the client's own.
  client().Grpc("/t.S/EchoStream", "", {}, false);
  world_.Exchange();
  const std::string frame = GrpcFrame(std::string(1u << 19, 'x'));
  std::size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    client().Send(1, frame);
    const std::string up = client().TakeBytes();
    sent += up.size();
    if (!up.empty()) world_.connection->Receive(up);
    world_.loop.RunReady();
    // Only frames that carry no answer reach the client: its windows stay shut.
    const std::string down = world_.connection->Collect();
    if (i == 0) continue;
    if (down.size() < 1000 && !down.empty()) client().Receive(down);
  }
  EXPECT_LT(sent, 40u << 20);
}

TEST_F(Http2SessionTest, BodyBoundOfTheServer) {
  world_.options.in_flight_bytes_max = 1'500'000;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 3; ++i)
    ids.push_back(client().Grpc("/t.S/Hold", GrpcFrame(std::string(700'000, 'x'))));
  world_.Exchange();
  EXPECT_EQ(handlers().held.size(), 2u);
  int refused = 0;
  for (const auto id : ids) refused += client().at(id).GrpcStatus() == "8";
  EXPECT_EQ(refused, 1);
  for (GrpcCall* call : handlers().held) call->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, DeclaredLengthIsNotBelieved) {
  std::string liar = GrpcFrame("x");
  liar[2] = '\x0f';  // Says 15 * 64 KiB.
  world_.options.body_bytes_max = 1u << 30;
  liar[1] = '\x20';  // Says 512 MiB.
  client().Grpc("/t.S/Echo", liar, {}, false);
  world_.Exchange();
  EXPECT_LE(world_.shared.body_bytes_now.load(), 1 << 20);
}

TEST_F(Http2SessionTest, HttpGetAndPost) {
  auto& get = Run(client().Open({{":method", "GET"},
                                 {":scheme", "http"},
                                 {":path", "/v2/a%20b?x=1&y"},
                                 {":authority", "host.example"}},
                                ""));
  EXPECT_EQ(get.head[":status"], "200");
  EXPECT_EQ(get.head["content-type"], "text/plain");
  EXPECT_EQ(get.head["content-length"], "0");
  EXPECT_EQ(get.head["x-method"], "GET");
  EXPECT_EQ(get.head["x-path"], "/v2/a b");
  EXPECT_EQ(get.head["x-query"], "x=1&y");
  EXPECT_EQ(get.head["x-host"], "host.example");
  EXPECT_EQ(get.head.count("x-bad"), 0u);
  const std::string body(300'000, 'b');
  const Fields fields = {{":method", "POST"},
                         {":scheme", "http"},
                         {":path", "/p"},
                         {":authority", "a"},
                         {"content-length", "300000"}};
  auto& post = Run(client().Open(fields, body));
  EXPECT_EQ(post.head["content-length"], "300000");
  EXPECT_TRUE(post.body == body);
  EXPECT_TRUE(post.closed);
  EXPECT_TRUE(world_.connection->session->Idle());
}

TEST_F(Http2SessionTest, HttpEncodings) {
  const std::string text(50'000, 't');
  Fields fields = {{":method", "POST"},
                   {":scheme", "http"},
                   {":path", "/p"},
                   {":authority", "a"},
                   {"content-encoding", "gzip"}};
  EXPECT_TRUE(Run(client().Open(fields, Pack(text, Encoding::kGzip))).body == text);
  EXPECT_EQ(Run(client().Open(fields, "junk")).head[":status"], "400");
  EXPECT_EQ(
      Run(client().Open(fields, Pack(std::string(2u << 20, 'x'), Encoding::kGzip))).head[":status"],
      "413");
  fields.back().second = "zstd";
  EXPECT_EQ(Run(client().Open(fields, "junk")).head[":status"], "415");
  fields.back() = {"accept-encoding", "gzip"};
  auto& packed = Run(client().Open(fields, text));
  EXPECT_EQ(packed.head["content-encoding"], "gzip");
  EXPECT_LT(packed.body.size(), 1000u);
}

TEST_F(Http2SessionTest, HttpRefusals) {
  Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/p"}, {":authority", "a"}};
  EXPECT_EQ(Run(client().Open(fields, std::string((1u << 20) + 1, 'x'))).head[":status"], "413");
  fields.emplace_back("content-length", "2000000");
  EXPECT_EQ(Run(client().Open(fields, "x", false)).head[":status"], "413");
  fields.back() = {"x-large", std::string(40'000, 'x')};
  fields.emplace_back("x-larger", std::string(40'000, 'x'));
  EXPECT_EQ(Run(client().Open(fields, "")).head[":status"], "431");
  fields.emplace_back("content-type", "application/grpc");
  fields[2].second = "/%zz";
  fields.resize(4);
  EXPECT_EQ(Run(client().Open(fields, "")).head[":status"], "400");
  EXPECT_EQ(
      Run(client().Open({{":method", "CONNECT"}, {":authority", "a"}}, "", false)).head[":status"],
      "501");
  EXPECT_EQ(handlers().requests, 0);
  const auto big =
      client().Grpc("/t.S/Echo", GrpcFrame("x"),
                    {{"a", std::string(50'000, 'y')}, {"b", std::string(30'000, 'y')}});
  EXPECT_EQ(Run(big).GrpcStatus(), "8");
}

TEST_F(Http2SessionTest, HttpHead) {
  const Fields fields = {
      {":method", "HEAD"}, {":scheme", "http"}, {":path", "/p"}, {":authority", "a"}};
  auto& got = Run(client().Open(fields, "abc"));
  EXPECT_EQ(got.head["content-length"], "3");
  EXPECT_TRUE(got.body.empty());
  EXPECT_TRUE(got.closed);
}

TEST_F(Http2SessionTest, ReplyHeadTooLargeToSend) {
  const auto id = client().Open(
      {{":method", "GET"}, {":scheme", "http"}, {":path", "/hold"}, {":authority", "a"}}, "");
  world_.Exchange();
  HttpReply reply;
  reply.headers.emplace_back("x-large", std::string(100'000, 'x'));
  handlers().held_http[0]->Reply(std::move(reply));
  EXPECT_TRUE(Run(id).closed);
  EXPECT_EQ(Run(id).error_code, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

TEST_F(Http2SessionTest, DrainLetsCallsFinish) {
  const auto held = client().Grpc("/t.S/Hold", GrpcFrame("x"));
  world_.Exchange();
  world_.connection->session->StartDrain();
  const std::string notice = world_.connection->Collect();
  // A call that was under way when the notice was sent is still taken.
  const auto late = client().Grpc("/t.S/Echo", GrpcFrame("late"));
  world_.connection->Receive(client().TakeBytes());
  client().Receive(notice);
  world_.Exchange();
  EXPECT_EQ(client().at(late).GrpcStatus(), "0");
  ASSERT_EQ(client().goaways.size(), 2u);
  EXPECT_EQ(client().goaways[1], 0u);
  EXPECT_EQ(client().goaway_last_id, late);
  EXPECT_FALSE(world_.connection->session->Finished());
  handlers().held[0]->Reply(ByteBuffer("done"));
  EXPECT_TRUE(world_.connection->want_write);
  world_.Exchange();
  EXPECT_EQ(client().at(held).GrpcStatus(), "0");
  EXPECT_TRUE(world_.connection->session->Finished());
}

TEST_F(Http2SessionTest, DrainOfASilentClient) {
  world_.Exchange();
  world_.connection->session->StartDrain();
  world_.connection->Collect();
  EXPECT_FALSE(world_.connection->session->Finished());
  world_.clock.Advance(2s);
  world_.loop.RunReady();
  world_.connection->Collect();
  EXPECT_TRUE(world_.connection->session->Finished());
}

TEST_F(Http2SessionTest, RapidResets) {
  const unsigned seed = 20231010;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  int opened = 0;
  for (; opened < 1000 && client().goaways.empty(); ++opened) {
    const bool whole = random() % 2 != 0;
    const auto id = client().Grpc(random() % 2 != 0 ? "/t.S/Hold" : "/t.S/HoldStream",
                                  GrpcFrame("x"), {}, whole);
    if (random() % 4 != 0) world_.connection->Receive(client().TakeBytes());
    client().Reset(id);
    if (random() % 8 == 0) world_.Exchange();
  }
  world_.Exchange();
  ASSERT_FALSE(client().goaways.empty());
  EXPECT_EQ(client().goaways[0], static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_LT(opened, 400);  // Some were reset before they were sent.
  EXPECT_TRUE(world_.connection->session->Finished());
  world_.connection.reset();
  for (GrpcCall* call : handlers().held) call->Finish(OkStatus(), Duration::zero());
}

TEST_F(Http2SessionTest, CancellingEverySecondCallIsFine) {
  for (int i = 0; i < 2000; ++i) {
    const auto id = client().Grpc("/t.S/Hold", GrpcFrame("x"));
    client().Grpc("/t.S/Echo", GrpcFrame("x"));
    world_.Exchange();
    client().Reset(id);
    world_.Exchange();
    handlers().held.back()->Finish(OkStatus(), Duration::zero());
  }
  EXPECT_TRUE(client().goaways.empty());
}

TEST_F(Http2SessionTest, PingsAreAnsweredAndFloodsEnded) {
  nghttp2_submit_ping(client().ng(), NGHTTP2_FLAG_NONE, nullptr);
  world_.Exchange();
  EXPECT_EQ(client().pings_answered, 1);
  for (int i = 0; i < 5000 && client().goaways.empty(); ++i) {
    nghttp2_submit_ping(client().ng(), NGHTTP2_FLAG_NONE, nullptr);
    world_.Exchange();
  }
  ASSERT_FALSE(client().goaways.empty());
  EXPECT_EQ(client().goaways[0], static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST_F(Http2SessionTest, PingFloodWithoutReading) {
  world_.Exchange();
  std::string ping("\0\0\x08\x06\0\0\0\0\0", 9);
  ping += "12345678";
  for (int i = 0; i < 20'000; ++i) world_.connection->Receive(ping);
  world_.connection->Collect();
  EXPECT_TRUE(world_.connection->session->Finished());
}

TEST_F(Http2SessionTest, ContinuationFlood) {
  world_.Exchange();
  const std::string head("\0\0\0\x01\0\0\0\0\x01", 9);  // HEADERS without END_HEADERS.
  const std::string more("\0\0\x01\x09\0\0\0\0\x01\x88", 10);
  world_.connection->Receive(head);
  EXPECT_TRUE(world_.connection->session->MidRequest());
  for (int i = 0; i < 1000; ++i) world_.connection->Receive(more);
  world_.connection->Collect();
  EXPECT_TRUE(world_.connection->session->Finished());
}

TEST_F(Http2SessionTest, NotHttp2) {
  world_.connection->Receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  world_.connection->Collect();
  EXPECT_TRUE(world_.connection->session->Finished());
  EXPECT_EQ(world_.shared.protocol_errors.load(), 1u);
}

TEST_F(Http2SessionTest, RepliesFromOtherThreads) {
  constexpr int kCalls = 400;
  const unsigned seed = 7;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::vector<std::thread> threads;
  std::vector<std::int32_t> ids;
  world_.Exchange();
  for (int i = 0; i < kCalls; ++i) {
    const bool stream = random() % 2 != 0;
    ids.push_back(
        client().Grpc(stream ? "/t.S/HoldStream" : "/t.S/Hold", GrpcFrame("x"), {}, !stream));
    world_.Exchange();
    GrpcCall* call = handlers().held.back();
    threads.emplace_back([call, stream] {
      if (!stream) return call->Reply(ByteBuffer("answer"));
      for (int k = 0; k < 20; ++k) call->Write(ByteBuffer("part"));
      call->Finish(OkStatus(), Duration::zero());
    });
    if (random() % 5 == 0) client().Reset(ids.back());
    world_.Exchange();
    if (threads.size() == 4) {
      for (std::thread& thread : threads) thread.join();
      threads.clear();
    }
  }
  for (std::thread& thread : threads) thread.join();
  world_.Exchange();
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
  int ok = 0;
  for (const auto id : ids) ok += client().at(id).GrpcStatus() == "0";
  EXPECT_GT(ok, kCalls / 2);
}

TEST_F(Http2SessionTest, HttpRepliesFromOtherThreads) {
  const Fields fields = {
      {":method", "GET"}, {":scheme", "http"}, {":path", "/hold"}, {":authority", "a"}};
  for (int i = 0; i < 100; ++i) {
    const auto id = client().Open(fields, "");
    world_.Exchange();
    std::thread thread([call = handlers().held_http.back()] {
      HttpReply reply;
      reply.body = ByteBuffer("answer");
      call->Reply(std::move(reply));
    });
    if (i % 3 == 0) client().Reset(id);
    world_.Exchange();
    thread.join();
    world_.Exchange();
    if (i % 3 != 0) {
      ASSERT_EQ(client().at(id).body, "answer");
    }
  }
  EXPECT_EQ(world_.shared.calls_now.load(), 0);
}

TEST_F(Http2SessionTest, RandomConversations) {
  const unsigned seed = 4711;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round) {
    world_.Connect();
    std::vector<std::int32_t> open;
    for (int step = 0; step < 60; ++step) {
      switch (random() % 8) {
        case 0:
          open.push_back(client().Grpc("/t.S/EchoStream", GrpcFrame("s"), {}, false));
          break;
        case 1:
          open.push_back(client().Grpc("/t.S/HoldStream", "", {{"grpc-timeout", "20m"}}, false));
          break;
        case 2:
          client().Grpc("/t.S/Hold", GrpcFrame(std::string(random() % 100'000, 'h')),
                        {{"grpc-timeout", "10m"}});
          break;
        case 3:
          client().Grpc("/t.S/Echo", GrpcFrame(std::string(random() % 300'000, 'e')));
          break;
        case 4:
          if (!open.empty())
            client().Send(open[random() % open.size()], GrpcFrame("more").substr(0, random() % 10));
          break;
        case 5:
          if (!open.empty()) client().Reset(open[random() % open.size()]);
          break;
        case 6:
          if (handlers().held.empty()) break;
          std::swap(handlers().held[random() % handlers().held.size()], handlers().held.back());
          if (random() % 2 != 0)
            handlers().held.back()->Write(ByteBuffer(std::string(random() % 200'000, 'w')));
          handlers().held.back()->Finish(OkStatus(), Duration::zero());
          handlers().held.pop_back();
          break;
        default:
          world_.clock.Advance(std::chrono::milliseconds(random() % 10));
          if (random() % 2 != 0) world_.connection->Receive(client().TakeBytes());
      }
      if (random() % 3 == 0) world_.Exchange();
    }
  }
  world_.connection.reset();
  for (GrpcCall* call : handlers().held) call->Finish(OkStatus(), Duration::zero());
}

}  // namespace
}  // namespace brim::io
