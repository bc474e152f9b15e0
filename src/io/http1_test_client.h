// For tests and the fuzzer: an HTTP/1.1 session without a socket, and a handler that answers when
// told to. One thread.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/session.h"

namespace brim::io {

// Answers at once with `answer`, or keeps the calls for later when `answer` is empty.
class FakeHttp1Handler final : public HttpHandler {
 public:
  void OnRequest(HttpCall& call) override {
    ++requests;
    if (answer) {
      call.Reply(answer(call));
    } else {
      waiting.push_back(&call);
    }
  }
  std::function<HttpReply(HttpCall&)> answer;
  std::vector<HttpCall*> waiting;
  int requests = 0;
};

class FakeHttp1Host final : public SessionHost {
 public:
  explicit FakeHttp1Host(ServerOptions given, FakeHttp1Handler& handler)
      : options(std::move(given)),
        state{options, clock, logger, {&handler, nullptr}},
        loop_(clock) {
    BRIM_CHECK(loop_.Open().ok());
    loop_.RunReady();
    session = NewHttp1Session(*this);
  }

  Loop& loop() override { return loop_; }
  SharedState& shared() override { return state; }
  std::string_view peer() const override { return "127.0.0.1:1"; }
  void WantWrite() override { wants_write = true; }

  // As a connection does: in place where the session wants that, and only what it wants to read.
  // Returns how many bytes it took.
  std::size_t Receive(std::string_view bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size() && session->WantRead()) {
      const std::size_t left = bytes.size() - taken;
      const std::span<std::byte> space = session->ReceiveSpace();
      std::size_t n = std::min(left, receive_max);
      if (space.empty()) {
        session->OnReceive(std::as_bytes(std::span(bytes.data() + taken, n)));
      } else {
        n = std::min(n, space.size());
        std::memcpy(space.data(), bytes.data() + taken, n);
        session->OnReceivedInPlace(n);
        in_place += n;
      }
      taken += n;
      Pump();
    }
    return taken;
  }
  // A loop round: replies come home, output is collected into sent.
  void Pump() {
    loop_.RunReady();
    do {
      wants_write = false;
      Output out;
      session->Collect(&out);
      iovec vector;
      while (out.Gather(&vector, 1) == 1) {
        sent.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
        out.Consume(vector.iov_len);
      }
    } while (wants_write);
  }
  std::string TakeSent() { return std::exchange(sent, std::string()); }

  const ServerOptions options;
  FakeClock clock;
  Logger logger{2, LogLevel::kOff, LogFormat::kText, clock};
  SharedState state;

 private:
  Loop loop_;

 public:
  std::unique_ptr<Session> session;
  std::string sent;
  std::size_t receive_max = 64u << 10;
  std::size_t in_place = 0;  // Bytes received where the session wanted them.
  bool wants_write = false;
};

}  // namespace brim::io
