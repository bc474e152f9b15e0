// Http2Stream: one request on an HTTP/2 connection, as its session sees it: bytes in, DATA out, the
// end.
//
// A stream is created when its header block is complete and owns itself: it lives until the wire
// has closed it and, if a handler got it, the handler has finished it too. In between the session
// may die; the stream is then an orphan (session_ is null) that drops its answer.
// Threads: the connection's loop, but for what the call interfaces allow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "io/http2_body.h"
#include "io/http2_headers.h"
#include "io/http_call.h"
#include "io/loop.h"
#include "io/session.h"

namespace brim::io {

class Http2Session;

// What a finished stream leaves for the next one, so that a request needs few allocations.
struct StreamMemory {
  HeaderBlock headers;
  ByteBuffer block;
  OutgoingBytes outgoing;
  std::unique_ptr<CallState> state;  // Recycled, or null.
};

class Http2Stream {
 public:
  struct Source {  // What the session gives at birth.
    Http2Session* session;
    Loop* loop;
    SharedState* shared;
    std::int32_t id;
    bool headers_too_large;  // Refuse it: some of its fields were dropped.
  };
  enum class Pull : std::uint8_t {
    kWait,      // Nothing now; the stream will resume.
    kMore,      // `length` bytes, others may follow.
    kLast,      // `length` bytes end the stream.
    kTrailers,  // `length` bytes, then the trailers that were just submitted.
  };

  Http2Stream(const Source& source, StreamMemory memory)
      : stream_loop_(*source.loop),
        shared_(*source.shared),
        session_(source.session),
        id_(source.id),
        headers_too_large_(source.headers_too_large),
        memory_(std::move(memory)) {}
  virtual ~Http2Stream();
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  virtual void Start() = 0;  // Called once, first.
  virtual void OnData(std::span<const std::byte> bytes) = 0;
  virtual void OnEndStream() = 0;
  // The stream has left the session, or the session dies. May delete the stream.
  virtual void OnClosed() = 0;
  // The next step is the client's: to send the rest of its request, or to take the answer.
  virtual bool AwaitsClient() const = 0;
  // What of the answer may go out now: at most `max` bytes.
  virtual Pull PullData(std::size_t max, std::size_t* length) = 0;
  // Moves bytes that PullData announced.
  virtual void Send(std::size_t n, Output* out) = 0;

 protected:
  // A handler gets the call: it is counted in calls_now until the stream is deleted.
  void HandOver();
  Loop& loop() const { return stream_loop_; }
  bool handed_over() const { return handed_over_; }
  // Opens the peer's window for bytes that were dealt with, in large steps.
  void Consumed(std::size_t n);

  Loop& stream_loop_;  // Outlives the session.
  SharedState& shared_;
  Http2Session* session_;  // Null once orphaned.
  const std::int32_t id_;
  const bool headers_too_large_;
  StreamMemory memory_;
  bool ended_ = false;  // The client's END_STREAM was seen.

 private:
  friend class Http2Session;

  Http2Stream* previous_ = nullptr;  // The session's list of live streams.
  Http2Stream* next_ = nullptr;
  std::size_t unconsumed_ = 0;
  bool handed_over_ = false;
};

}  // namespace brim::io
