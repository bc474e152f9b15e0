// gRPC over HTTP/2, the parts without a connection: length-prefixed messages, timeouts, trailers'
// text.
//
// Pure but for the budget that a message being read is charged to. Threads: none of its own.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "io/http2_body.h"

namespace brim::io {

inline constexpr std::size_t kGrpcPrefixBytes = 5;  // Compressed flag, then big-endian length.
// What this server can undo and do; the value of grpc-accept-encoding.
inline constexpr std::string_view kGrpcAcceptEncoding = "identity,deflate,gzip";

// Puts the prefix before a finished message; its headroom makes that free.
void PrependGrpcPrefix(ByteBuffer* message, bool compressed);

// "100m" and the like: at most 8 digits and a unit of H M S m u n. Nothing when malformed.
std::optional<Duration> ParseGrpcTimeout(std::string_view text);

// The value of grpc-message: percent-encoded UTF-8, of at most kGrpcMessageBytesMax bytes before
// encoding, because common clients refuse more than 8 KiB of trailers.
inline constexpr std::size_t kGrpcMessageBytesMax = 2048;
std::string EncodeGrpcMessage(std::string_view message);

// Whether a comma-separated list such as grpc-accept-encoding names `word`.
bool GrpcListHas(std::string_view list, std::string_view word);

// Takes a stream of bytes apart into messages. One message is held at a time.
class GrpcMessageReader {
 public:
  enum class Step : std::uint8_t {
    kMore,        // All bytes are consumed and the message is not complete.
    kMessage,     // body() is a whole message; call Next() before the following Feed.
    kTooLarge,    // Its length is above bytes_max.
    kOverloaded,  // The server's in-flight bytes would pass their bound.
    kBadFlag,     // The compressed flag is neither 0 nor 1: this is no gRPC message.
  };

  GrpcMessageReader(SharedState& shared, std::uint64_t bytes_max)
      : bytes_max_(bytes_max), body_(shared) {}

  // Consumes from the front of *bytes up to the end of one message. After anything but kMore and
  // kMessage it must not be called again.
  Step Feed(std::span<const std::byte>* bytes);
  void Next();

  ReservedBuffer& body() { return body_; }
  const ReservedBuffer& body() const { return body_; }
  bool compressed() const { return prefix_[0] == std::byte{1}; }
  std::uint32_t length() const { return length_; }
  // Neither a prefix nor a message has begun.
  bool AtBoundary() const { return prefix_bytes_ == 0; }

 private:
  std::uint64_t bytes_max_;
  ReservedBuffer body_;
  std::byte prefix_[kGrpcPrefixBytes] = {};
  std::size_t prefix_bytes_ = 0;
  std::uint32_t length_ = 0;
};

}  // namespace brim::io
