// For tests: an HTTP/2 client in memory (nghttp2's client side), the host that a session needs, and
// a gRPC handler whose behaviour is in its method's name. Header only; one thread unless a test
// says otherwise.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/grpc_call.h"
#include "io/http_call.h"
#include "io/session.h"

namespace brim::io {

inline std::string GrpcFrame(std::string_view message, char flag = 0) {
  std::string out(1, flag);
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(message.size() >> shift & 0xFF));
  }
  return out.append(message);
}

using Fields = std::vector<std::pair<std::string, std::string>>;

class TestClient {
 public:
  struct Exchange {
    std::string to_send;
    std::size_t sent = 0;
    bool end = false;
    std::map<std::string, std::string> head;
    std::map<std::string, std::string> trailers;
    std::string body;
    bool head_done = false;
    bool closed = false;
    std::uint32_t error_code = 0;

    std::string GrpcStatus() const {
      const auto& from = trailers.empty() ? head : trailers;
      const auto found = from.find("grpc-status");
      return found == from.end() ? "none" : found->second;
    }
    std::string GrpcText() const {
      const auto& from = trailers.empty() ? head : trailers;
      const auto found = from.find("grpc-message");
      return found == from.end() ? "" : found->second;
    }
  };

  explicit TestClient(std::int32_t window = 0) {
    nghttp2_session_callbacks* table = nullptr;
    nghttp2_session_callbacks_new(&table);
    nghttp2_session_callbacks_set_on_header_callback(table, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, OnClose);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);  // So that it can send nonsense.
    nghttp2_option_set_max_send_header_block_length(option, 1u << 20);
    nghttp2_session_client_new2(&ng_, table, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(table);
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                    static_cast<std::uint32_t>(window)};
    nghttp2_submit_settings(ng_, NGHTTP2_FLAG_NONE, &entry, window != 0 ? 1 : 0);
  }
  ~TestClient() { nghttp2_session_del(ng_); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  nghttp2_session* ng() { return ng_; }

  std::int32_t Open(const Fields& fields, std::string body, bool end = true) {
    auto exchange = std::make_unique<Exchange>();
    exchange->to_send = std::move(body);
    exchange->end = end;
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider;
    provider.source.ptr = exchange.get();
    provider.read_callback = OnRead;
    const bool has_body = !end || !exchange->to_send.empty();
    const auto id = nghttp2_submit_request(ng_, nullptr, list.data(), list.size(),
                                           has_body ? &provider : nullptr, nullptr);
    exchanges[id] = std::move(exchange);
    return id;
  }
  static Fields GrpcFields(const std::string& method, const Fields& more = {}) {
    Fields fields = {{":method", "POST"}, {":scheme", "http"},
                     {":path", method},   {":authority", "a"},
                     {"te", "trailers"},  {"content-type", "application/grpc"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  std::int32_t Grpc(const std::string& method, std::string body, const Fields& more = {},
                    bool end = true) {
    return Open(GrpcFields(method, more), std::move(body), end);
  }
  void Send(std::int32_t id, std::string_view bytes, bool end = false) {
    exchanges[id]->to_send.append(bytes);
    exchanges[id]->end = end;
    nghttp2_session_resume_data(ng_, id);
  }
  void Reset(std::int32_t id) {
    nghttp2_submit_rst_stream(ng_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }

  std::string TakeBytes() {
    std::string out;
    for (;;) {
      const std::uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(ng_, &data);
      if (n <= 0) return out;
      out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(n));
    }
  }
  void Receive(std::string_view bytes) {
    const auto n = nghttp2_session_mem_recv(
        ng_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    BRIM_CHECK(n == static_cast<ssize_t>(bytes.size()));
  }
  Exchange& at(std::int32_t id) { return *exchanges.at(id); }

  std::map<std::int32_t, std::unique_ptr<Exchange>> exchanges;
  std::vector<std::uint32_t> goaways;  // Error codes, in order.
  std::int32_t goaway_last_id = -1;
  int pings_answered = 0;

 private:
  static TestClient& Of(void* user_data) { return *static_cast<TestClient*>(user_data); }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* user_data) {
    Exchange& exchange = Of(user_data).at(frame->hd.stream_id);
    auto& into = exchange.head_done ? exchange.trailers : exchange.head;
    into[std::string(reinterpret_cast<const char*>(name), name_size)] =
        std::string(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    TestClient& client = Of(user_data);
    if (frame->hd.type == NGHTTP2_HEADERS) client.at(frame->hd.stream_id).head_done = true;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
      ++client.pings_answered;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      client.goaways.push_back(frame->goaway.error_code);
      client.goaway_last_id = frame->goaway.last_stream_id;
    }
    return 0;
  }
  static int OnData(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                    std::size_t n, void* user_data) {
    Of(user_data).at(id).body.append(reinterpret_cast<const char*>(data), n);
    return 0;
  }
  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error_code, void* user_data) {
    Exchange& exchange = Of(user_data).at(id);
    exchange.closed = true;
    exchange.error_code = error_code;
    return 0;
  }
  static ssize_t OnRead(nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t max,
                        std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& exchange = *static_cast<Exchange*>(source->ptr);
    const std::size_t n = std::min(max, exchange.to_send.size() - exchange.sent);
    if (n != 0) std::memcpy(into, exchange.to_send.data() + exchange.sent, n);
    exchange.sent += n;
    const bool all = exchange.sent == exchange.to_send.size();
    if (all && exchange.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (n == 0 && !exchange.end) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(n);
  }

  nghttp2_session* ng_ = nullptr;
};

// /t.S/Echo answers at once; /t.S/Hold and /t.S/HoldStream keep the call in `held`; /t.S/EchoStream
// echoes each message; /t.S/Fail finishes with fail_status. HTTP: /hold is kept in held_http, the
// rest is echoed.
class TestHandlers final : public GrpcHandler, public HttpHandler {
 public:
  Kind Lookup(std::string_view method) const override {
    if (method == "/t.S/Echo" || method == "/t.S/Hold" || method == "/t.S/Fail")
      return Kind::kUnary;
    if (method == "/t.S/EchoStream" || method == "/t.S/HoldStream") return Kind::kStream;
    return Kind::kUnknown;
  }
  void OnUnary(GrpcCall& call) override {
    ++unary;
    last_message = Text(call.message());
    if (call.method() == "/t.S/Hold") {
      held.push_back(&call);
    } else if (call.method() == "/t.S/Fail") {
      call.Finish(fail_status, retry);
    } else {
      call.Reply(Copy(call.message()));
    }
  }
  void OnStreamStart(GrpcCall& call) override {
    ++starts;
    if (call.method() == "/t.S/HoldStream") held.push_back(&call);
  }
  void OnStreamMessage(GrpcCall& call) override {
    ++messages;
    last_message = Text(call.message());
    if (call.method() == "/t.S/EchoStream") call.Write(Copy(call.message()));
  }
  void OnStreamHalfClose(GrpcCall& call) override {
    ++half_closes;
    if (call.method() == "/t.S/EchoStream") call.Finish(OkStatus(), Duration::zero());
  }
  void OnStreamCancel(GrpcCall& call) override {
    ++cancels;
    if (call.method() == "/t.S/EchoStream")
      call.Finish(Status(Code::kCancelled, "gone", "gone"), Duration::zero());
  }
  void OnRequest(HttpCall& call) override {
    ++requests;
    if (call.path() == "/hold") {
      held_http.push_back(&call);
      return;
    }
    HttpReply reply;
    reply.content_type = "text/plain";
    reply.headers.emplace_back("x-method", call.method());
    reply.headers.emplace_back("x-path", call.path());
    reply.headers.emplace_back("x-query", call.query());
    reply.headers.emplace_back("x-host", call.Header("host"));
    reply.headers.emplace_back("x-bad", "a\r\nb: c");
    reply.body = Copy(call.body());
    call.Reply(std::move(reply));
  }

  static std::string Text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static ByteBuffer Copy(std::span<const std::byte> bytes) {
    ByteBuffer out;
    out.Append(bytes);
    return out;
  }

  std::vector<GrpcCall*> held;
  std::vector<HttpCall*> held_http;
  std::string last_message;
  Status fail_status = Status(Code::kNotFound, "test", "no 100% match");
  Duration retry{};
  int unary = 0, starts = 0, messages = 0, half_closes = 0, cancels = 0, requests = 0;
};

// One connection: a session with its host.
class TestConnection final : public SessionHost {
 public:
  TestConnection(Loop& loop, SharedState& shared) : loop_(loop), shared_(shared) {
    session = NewHttp2Session(*this);
  }
  Loop& loop() override { return loop_; }
  SharedState& shared() override { return shared_; }
  std::string_view peer() const override { return "127.0.0.1:1"; }
  void WantWrite() override { want_write = true; }

  void Receive(std::string_view bytes) {
    session->OnReceive(std::as_bytes(std::span(bytes.data(), bytes.size())));
  }
  // Takes at most `max` bytes of what is to be sent.
  std::string Collect(std::size_t max = SIZE_MAX) {
    want_write = false;
    std::string out;
    for (;;) {
      session->Collect(&output);
      if (output.empty() || out.size() >= max) return out;
      iovec vectors[16];
      const std::size_t count = output.Gather(vectors, 16);
      std::size_t taken = 0;
      for (std::size_t i = 0; i < count && out.size() < max; ++i) {
        const std::size_t n = std::min(vectors[i].iov_len, max - out.size());
        out.append(static_cast<const char*>(vectors[i].iov_base), n);
        taken += n;
      }
      output.Consume(taken);
    }
  }

  std::unique_ptr<Session> session;
  Output output;
  bool want_write = false;

 private:
  Loop& loop_;
  SharedState& shared_;
};

// Everything a test needs, and the check that nothing is left behind.
struct TestWorld {
  TestWorld() {
    options.body_bytes_max = 1u << 20;
    options.in_flight_bytes_max = 8u << 20;
    BRIM_CHECK(loop.Open().ok());
    loop.RunReady();
    Connect();
  }
  ~TestWorld() {
    connection.reset();
    loop.RunReady();
    BRIM_CHECK(shared.calls_now.load() == 0);
    BRIM_CHECK(shared.body_bytes_now.load() == 0);
  }
  void Connect(std::int32_t client_window = 0) {
    connection.reset();
    client = std::make_unique<TestClient>(client_window);
    connection = std::make_unique<TestConnection>(loop, shared);
  }
  // Carries bytes both ways until neither side has any.
  void Exchange() {
    for (;;) {
      const std::string up = client->TakeBytes();
      if (!up.empty()) connection->Receive(up);
      loop.RunReady();
      const std::string down = connection->Collect();
      if (!down.empty()) client->Receive(down);
      if (up.empty() && down.empty()) return;
    }
  }

  FakeClock clock;
  Logger logger{2, LogLevel::kOff, LogFormat::kText, clock};
  ServerOptions options;
  TestHandlers handlers;
  Loop loop{clock};
  SharedState shared{options, clock, logger, {&handlers, &handlers}};
  std::unique_ptr<TestClient> client;
  std::unique_ptr<TestConnection> connection;
};

}  // namespace brim::io
