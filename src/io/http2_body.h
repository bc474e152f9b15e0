// ReservedBuffer: a body that grows as its bytes really arrive and is charged to
// in_flight_bytes_max.
// OutgoingBytes: an answer's buffers, cut into DATA frames without copying the large ones.
//
// Threads: the connection's loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "io/output.h"
#include "io/session.h"

namespace brim::io {

class ReservedBuffer {
 public:
  // A sender that declares a large body gets at most this much, or twice what it has sent, ahead of
  // its bytes.
  static constexpr std::uint64_t kAheadMax = 1u << 20;

  explicit ReservedBuffer(SharedState& shared) : shared_(&shared) {}
  ~ReservedBuffer() { shared_->ReleaseBody(charged_); }
  ReservedBuffer(const ReservedBuffer&) = delete;
  ReservedBuffer& operator=(const ReservedBuffer&) = delete;

  // `declared` is the size that the sender announced, 0 when it did not. False, with nothing
  // appended, when the server's bound would be passed.
  bool Append(std::span<const std::byte> bytes, std::uint64_t declared);
  // Takes `buffer` in place of what is held. False when the bound would be passed.
  bool Replace(ByteBuffer buffer);
  void Clear();  // Empty and uncharged; a small block is kept for the next message.

  std::size_t size() const { return buffer_.size(); }
  std::span<const std::byte> span() const { return buffer_.span(); }

  // Lend and take back a block, so that the next call need not allocate one.
  void Adopt(ByteBuffer empty) { buffer_ = std::move(empty); }
  ByteBuffer TakeBlock();

 private:
  static constexpr std::size_t kKeepMax = 8192;

  SharedState* shared_;
  ByteBuffer buffer_;
  std::uint64_t charged_ = 0;  // Also the capacity asked for.
  bool foreign_ = false;       // Came by Replace: of unknown capacity, so not kept.
};

class OutgoingBytes {
 public:
  void Push(ByteBuffer buffer);
  // Moves the next n bytes into `out`. REQUIRES: n <= size().
  void Take(std::size_t n, Output* out);
  void Clear();
  // The memory of a small buffer that was sent; or nothing.
  ByteBuffer TakeSpare() { return std::move(spare_); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // A part of the first buffer has gone out, so that nothing else may follow but its rest.
  bool MidBuffer() const { return taken_ != 0; }

 private:
  void PopFront();

  std::vector<ByteBuffer> queue_;
  std::size_t head_ = 0;                      // Of queue_.
  std::size_t taken_ = 0;                     // Of the first buffer.
  std::size_t size_ = 0;                      // Bytes not yet taken.
  ByteBuffer spare_;                          // Empty; see TakeSpare().
  std::shared_ptr<const ByteBuffer> shared_;  // The first buffer, when it goes out in slices.
};

}  // namespace brim::io
