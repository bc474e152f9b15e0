// Output: bytes waiting for a socket, as a queue of owned buffers written with one writev.
//
// Small pieces are copied together; a large ByteBuffer is moved in and never copied. Not for
// several threads.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace brim::io {

class Output {
 public:
  static constexpr std::size_t kHighWater = 1u << 20;  // Sessions stop collecting above this.
  static constexpr std::size_t kCopyMax = 4096;  // Buffers up to this size are copied together.

  void Append(std::string_view text);
  void Append(std::span<const std::byte> bytes);
  void Append(ByteBuffer buffer);
  // A slice of a buffer that several slices share (HTTP/2 DATA frames of one message).
  void Append(std::shared_ptr<const ByteBuffer> owner, std::span<const std::byte> slice);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool AboveHighWater() const { return size_ >= kHighWater; }

  // Fills at most `max` iovecs from the front; returns how many. They hold until the next call of
  // a function that is not const.
  std::size_t Gather(iovec* vectors, std::size_t max) const;
  void Consume(std::size_t n);  // REQUIRES: n <= size().

 private:
  struct Piece {
    ByteBuffer owned;
    std::shared_ptr<const ByteBuffer> shared;
    std::span<const std::byte> slice;  // Of `shared`; unused for an owned piece.
    std::size_t sent = 0;
    bool open = false;  // Takes further small pieces.

    std::span<const std::byte> left() const {
      return (shared ? slice : owned.span()).subspan(sent);
    }
  };

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;  // Pieces before it are sent and empty.
  std::size_t size_ = 0;
  ByteBuffer spare_;  // A small buffer, kept so that a steady exchange allocates nothing.
};

}  // namespace brim::io
