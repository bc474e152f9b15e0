// HttpCall: one HTTP request (1.1 or 2) and its one reply; HttpHandler: who answers.
//
// io owns the call. It is created on the connection's loop when the whole request is there, and
// destroyed on that loop after Reply() was carried out, also when the client has gone meanwhile: so
// a handler may keep a pointer to it from OnRequest until it calls Reply, on any thread, and never
// after.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"

namespace brim::io {

class Loop;

// What a handler hangs on a call; destroyed with it, on its loop.
class CallState {
 public:
  virtual ~CallState() = default;
  // The call has ended. True: what belonged to it was dropped, some memory was kept, and this may
  // serve another call of its kind. False: it is to be destroyed.
  virtual bool Recycle() { return false; }
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>>
      headers;  // Names in lower case. No hop-by-hop ones.
  ByteBuffer body;
};

class HttpCall {
 public:
  virtual ~HttpCall() = default;

  virtual std::string_view method() const = 0;  // "GET"
  virtual std::string_view path() const = 0;   // Percent-decoded, without the query: "/v2/models/a"
  virtual std::string_view query() const = 0;  // As sent, without '?'.
  // Value of a request header; the name in lower case. Empty when absent.
  virtual std::string_view Header(std::string_view name) const = 0;
  // The whole body, content-encoding undone; ByteBuffer::kPadding readable bytes follow.
  virtual std::span<const std::byte> body() const = 0;
  virtual Time received() const = 0;          // When its first byte was read.
  virtual std::string_view peer() const = 0;  // "127.0.0.1:54321"

  // Set when the client has gone: the reply will be dropped, so work may stop.
  virtual const std::atomic<bool>& cancelled() const = 0;

  // Exactly once, from any thread. After it the call must not be touched.
  virtual void Reply(HttpReply reply) = 0;

  // The loop that made the call, for who wants to work at the end of its round; null where there is
  // none (in tests).
  virtual Loop* own_loop() { return nullptr; }

  void Attach(std::unique_ptr<CallState> state) { state_ = std::move(state); }
  CallState* state() const { return state_.get(); }

 private:
  std::unique_ptr<CallState> state_;
};

// All functions are called on loop threads and must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void OnRequest(HttpCall& call) = 0;
};

}  // namespace brim::io
