// Http2HttpStream: an HttpCall on an HTTP/2 stream.
//
// Handed over when its body is whole. Threads: HttpCall's functions as it says; the rest on the
// connection's loop.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "io/content_encoding.h"
#include "io/http1_head.h"
#include "io/http2_body.h"
#include "io/http2_stream.h"
#include "io/http_call.h"

namespace brim::io {

// Http2Stream comes first, so that it goes last: it reports the call's end to a server that may
// wait for it.
class Http2HttpStream final : public Http2Stream, public HttpCall, private Loop::Posted {
 public:
  Http2HttpStream(const Source& source, StreamMemory memory);

  // HttpCall.
  std::string_view method() const override { return memory_.headers.Find(":method"); }
  std::string_view path() const override { return target_.path(); }
  std::string_view query() const override { return target_.query(); }
  std::string_view Header(std::string_view name) const override;
  std::span<const std::byte> body() const override { return body_.span(); }
  Time received() const override { return received_; }
  std::string_view peer() const override { return memory_.headers.Find(":peer"); }
  const std::atomic<bool>& cancelled() const override { return cancelled_; }
  Loop* own_loop() override { return &loop(); }
  void Reply(HttpReply reply) override;

  // Http2Stream.
  void Start() override;
  void OnData(std::span<const std::byte> bytes) override;
  void OnEndStream() override;
  void OnClosed() override;
  bool AwaitsClient() const override { return replied_ || !ended_; }
  Pull PullData(std::size_t max, std::size_t* length) override;
  void Send(std::size_t n, Output* out) override { memory_.outgoing.Take(n, out); }

 private:
  void RunOnLoop() override;  // The reply has come home.
  void Refuse(int status, std::string_view message);
  void SubmitReply();

  Time received_;
  Http1Head target_;  // Takes :path apart.
  ReservedBuffer body_;
  std::uint64_t declared_ = 0;  // By content-length; 0 without.
  Encoding encoding_ = Encoding::kIdentity;
  std::atomic<bool> cancelled_{false};
  bool replied_ = false;
  HttpReply reply_;
};

}  // namespace brim::io
