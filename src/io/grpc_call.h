// GrpcCall: one gRPC call, unary or streaming; GrpcHandler: who answers.
//
// Framing, compression, deadlines and trailers are io's business; messages are protobuf bytes. io
// owns the call: created on the connection's loop, destroyed on it after the final status was
// carried out (and, for a call that the client abandoned, after Finish was called), so the handler
// may keep a pointer until it calls Reply/Finish.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/status.h"
#include "io/http_call.h"

namespace brim::io {

class GrpcCall {
 public:
  virtual ~GrpcCall() = default;

  virtual std::string_view method() const = 0;  // "/inference.GRPCInferenceService/ModelInfer"
  virtual std::string_view Metadata(
      std::string_view name) const = 0;  // Lower case; empty when absent.
  virtual Time deadline() const = 0;     // From grpc-timeout; Time::max() without.
  virtual Time received() const = 0;
  virtual std::string_view peer() const = 0;
  // The unary request, or the streamed message during OnMessage; decompressed; ByteBuffer::kPadding
  // readable bytes follow. A unary message lives as long as the call.
  virtual std::span<const std::byte> message() const = 0;
  // Set when the client cancelled, went away, or the deadline passed. For a unary call past its
  // deadline io has already answered DEADLINE_EXCEEDED; Finish must still be called, and is then
  // dropped.
  virtual const std::atomic<bool>& cancelled() const = 0;

  // Sends one message of a streaming answer. From any thread. Dropped when cancelled.
  virtual void Write(ByteBuffer message) = 0;
  // Messages written but not yet accepted by the peer; a stream writer should pause above a bound
  // of its own.
  virtual std::size_t UnsentBytes() const = 0;
  // Ends the call, exactly once, from any thread; the call must not be touched afterwards. kOk for
  // a stream. retry_delay > 0 adds the trailer grpc-retry-pushback-ms (gRFC A6), the hint of an
  // overloaded server.
  virtual void Finish(const Status& status, Duration retry_delay = Duration::zero()) = 0;
  // Unary success: one message and status ok. Same rules as Finish, in place of it.
  virtual void Reply(ByteBuffer message) = 0;

  // The loop that made the call, for who wants to work at the end of its round; null where there is
  // none (in tests).
  virtual Loop* own_loop() { return nullptr; }

  void Attach(std::unique_ptr<CallState> state) { state_ = std::move(state); }
  CallState* state() const { return state_.get(); }
  // What an earlier call left behind: recycled, of whatever kind; or null.
  std::unique_ptr<CallState> TakeSpare() { return std::move(spare_); }
  // An empty buffer to write the answer into: with the memory of an earlier answer, if it is there.
  ByteBuffer TakeBuffer() { return std::move(buffer_); }

 protected:
  // For the call's owner, at the call's begin and end.
  void GiveSpare(std::unique_ptr<CallState> spare, ByteBuffer buffer) {
    spare_ = std::move(spare);
    buffer_ = std::move(buffer);
  }
  std::unique_ptr<CallState> TakeState() {
    if (state_ == nullptr) return std::move(spare_);
    return state_->Recycle() ? std::move(state_) : nullptr;
  }

 private:
  std::unique_ptr<CallState> state_;
  std::unique_ptr<CallState> spare_;
  ByteBuffer buffer_;
};

// All functions are called on loop threads and must not block.
class GrpcHandler {
 public:
  enum class Kind : std::uint8_t { kUnknown, kUnary, kStream };

  virtual ~GrpcHandler() = default;
  // kUnknown: io answers UNIMPLEMENTED.
  virtual Kind Lookup(std::string_view method) const = 0;
  virtual void OnUnary(GrpcCall& call) = 0;  // message() is the request.
  virtual void OnStreamStart(GrpcCall& call) = 0;
  virtual void OnStreamMessage(GrpcCall& call) = 0;  // message() is valid during this only.
  virtual void OnStreamHalfClose(
      GrpcCall& call) = 0;  // The client sends no more; not called if it vanished.
  virtual void OnStreamCancel(GrpcCall& call) = 0;  // The client vanished: call Finish soon.
};

}  // namespace brim::io
