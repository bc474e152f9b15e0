// Http1Call: one HTTP/1.1 request in a handler's hands, and the way its reply comes home.
//
// Built and read out by its session on the connection's loop; Reply from any thread. While `owner_`
// is set the session owns it; an orphan (owner_ null) owns itself and goes when the reply comes.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "io/content_encoding.h"
#include "io/http1_head.h"
#include "io/http_call.h"
#include "io/loop.h"
#include "io/session.h"

namespace brim::io {

class Http1Call;

// The session as its calls see it; on the loop.
class Http1CallOwner {
 public:
  virtual ~Http1CallOwner() = default;
  virtual void OnReplied(Http1Call& call) = 0;
};

class Http1Call final : public HttpCall, public Loop::Posted {
 public:
  // A body buffer up to this size is kept for the connection's next request.
  static constexpr std::size_t kBodyKept = 16u << 10;

  Http1Call(Loop& loop, SharedState& shared) : loop_(loop), shared_(shared) {}
  ~Http1Call() override { DropBody(); }

  // HttpCall.
  std::string_view method() const override { return head_.method; }
  std::string_view path() const override { return head_.path(); }
  std::string_view query() const override { return head_.query(); }
  std::string_view Header(std::string_view name) const override { return head_.Find(name); }
  std::span<const std::byte> body() const override { return body_.span(); }
  Time received() const override { return received_; }
  std::string_view peer() const override { return peer_; }
  const std::atomic<bool>& cancelled() const override { return cancelled_; }
  Loop* own_loop() override { return &loop_; }
  void Reply(HttpReply reply) override;

  // Loop::Posted: the reply has come home.
  void RunOnLoop() override;

  // For the session, while it builds the request.
  void Begin(Time received, std::string_view peer);
  Http1Head& head() { return head_; }
  ByteBuffer& body_buffer() { return body_; }
  std::size_t body_room() const { return body_room_; }
  // Makes room for body bytes and charges it to in_flight_bytes_max. At least `need` in all; up to
  // `wish` when that is a modest step. False when the server's bound would be passed.
  bool GrowBody(std::size_t need, std::size_t wish);
  // Undoes content-encoding in place.
  Status InflateBody(Encoding encoding);
  void DropBody();
  bool keep_alive = true;
  bool http10 = false;

  // For the session, around the handler.
  void Dispatch(Http1CallOwner* owner);  // Counts it and calls the handler.
  void Abandon();                        // The session dies: becomes an orphan, or goes at once.
  void SetLocalReply(int status, std::string_view message);  // Answers without the handler.
  bool replied() const { return replied_; }
  HttpReply& reply() { return reply_; }
  // Appends the status line and header fields of the reply.
  void RenderHead(std::string* out) const;
  bool HasReplyBody() const;

 private:
  Loop& loop_;
  SharedState& shared_;
  Http1CallOwner* owner_ = nullptr;
  Http1Head head_;
  ByteBuffer body_;
  std::size_t body_room_ = 0;      // Charged to body_bytes_now; body_ has at least this room.
  std::size_t body_capacity_ = 0;  // The largest room body_ was ever given.
  Time received_{};
  std::string peer_;
  std::atomic<bool> cancelled_{false};
  bool in_handler_ = false;
  bool replied_ = false;
  HttpReply reply_;
};

// {"error": message}, the form that TensorFlow Serving and KServe clients read.
HttpReply ErrorReply(int status, std::string_view message);
// "HTTP/1.1 200 OK\r\n"
void AppendStatusLine(int status, std::string* out);

}  // namespace brim::io
