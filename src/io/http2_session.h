// Http2Session: the server's side of one HTTP/2 connection, on nghttp2.
//
// nghttp2 does framing, HPACK, flow control and the protocol's checks; this class maps streams to
// calls, bounds what a peer may ask for, and moves frames to the connection once per loop round.
// http2_stream.h says who owns what.
// Threads: the connection's loop.
// Source: RFC 9113; bounds against floods: CVE-2019-9511 and its siblings, CVE-2023-44487,
// CVE-2024-28182.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "io/http2_stream.h"
#include "io/session.h"

namespace brim::io {

// A header field of an answer. The Static one points into constants, so nothing is copied; the
// Copied one may go away after the call that submits it. Copied values vary, so they are kept out
// of the HPACK table.
nghttp2_nv StaticField(std::string_view name, std::string_view value);
nghttp2_nv CopiedField(std::string_view name, std::string_view value);

class Http2Session final : public Session, private Loop::Timer {
 public:
  static constexpr std::int32_t kStreamWindow = 16 << 20;
  static constexpr std::int32_t kConnectionWindow = 64 << 20;
  static constexpr std::uint32_t kFrameMax = 1u << 20;  // Accepted.
  // Sent, where the peer accepts it: large answers in few frames, and no stream of a connection
  // waits for long behind another's.
  static constexpr std::size_t kFrameSentMax = 256u << 10;

  explicit Http2Session(SessionHost& host);
  ~Http2Session() override;

  void OnReceive(std::span<const std::byte> bytes) override;
  void Collect(Output* out) override;
  bool Finished() const override;
  bool Idle() const override { return live_count_ == 0 && !in_headers_; }
  std::optional<Time> HeadSince() const override {
    return in_headers_ ? std::optional<Time>(headers_begun_) : std::nullopt;
  }
  bool MidRequest() const override;
  void StartDrain() override;

  // For streams. None calls back into a stream.
  nghttp2_session* ng() { return ng_; }
  SessionHost& host() { return host_; }
  // Submits the answer's head; the DATA, if any, is pulled from the stream.
  // True once: the first answer of the connection says what the server can decompress, the others
  // need not repeat it.
  bool AnnouncesEncodings() { return !std::exchange(encodings_announced_, true); }
  void SubmitHead(Http2Stream* stream, std::span<const nghttp2_nv> fields, bool has_data);
  void SubmitTrailers(std::int32_t id, std::span<const nghttp2_nv> fields);
  void Resume(std::int32_t id);  // After kWait: there is more now.
  void ConsumeStream(std::int32_t id, std::size_t n);
  void Reset(std::int32_t id, std::uint32_t error_code);
  void Recycle(StreamMemory memory);

 private:
  friend struct Http2Callbacks;

  // From nghttp2, while it receives.
  void OnBeginHeaders(bool request);
  void OnHeader(std::string_view name, std::string_view value);
  void OnFrame(const nghttp2_frame& frame);
  void OnData(std::int32_t id, std::span<const std::byte> bytes);
  void OnStreamClose(std::int32_t id);
  void OnGoaway(const nghttp2_goaway& goaway);
  // From nghttp2, while it sends.
  ssize_t OnRead(Http2Stream* stream, std::size_t max, std::uint32_t* flags);
  int OnSendData(Http2Stream* stream, const std::uint8_t* frame_head, std::size_t n);
  void OnFrameSent(const nghttp2_frame& frame);

  void NewStream(std::int32_t id);
  Http2Stream* Find(std::int32_t id) const;
  void EndStream(Http2Stream* stream);
  void Unlink(Http2Stream* stream);
  // The peer did something cheap for it and not for us. Ends the connection when that is all it
  // does.
  void Charge(double cost);
  void OnTimer() override;  // The drain's second GOAWAY is due.
  void FinishDrain();
  void Break();  // nghttp2 gave up: nothing more is read or sent.
  void WantWrite();

  SessionHost& host_;
  SharedState& shared_;
  nghttp2_session* ng_ = nullptr;
  Output* out_ = nullptr;  // While collecting.
  Http2Stream* live_ = nullptr;
  std::size_t live_count_ = 0;
  std::size_t connection_unconsumed_ = 0;
  HeaderBlock block_;  // The header block being received.
  std::uint64_t block_bytes_ = 0;
  std::vector<StreamMemory> spare_;
  double patience_;  // See Charge.
  Time patience_at_;
  enum class Drain : std::uint8_t { kNo, kNoticed, kDone };
  Drain drain_ = Drain::kNo;
  bool in_headers_ = false;
  Time headers_begun_{};
  bool block_is_request_ = false;
  bool receiving_ = false;
  bool broken_ = false;
  bool encodings_announced_ = false;
  // The stream that was last found by Find.
  mutable std::int32_t found_id_ = 0;
  mutable Http2Stream* found_ = nullptr;
};

}  // namespace brim::io
