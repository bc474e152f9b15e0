// ByteBuffer: an owned, growable run of bytes with room in front and readable padding behind.
//
// - Growing never zero-fills: a 600 KB answer is written once.
// - kHeadroom bytes before data() may be claimed with Prepend(), so that a length prefix or frame
//   header (gRPC's takes 5 bytes) can be put before a finished message without a copy.
// - kPadding bytes behind size() are always allocated and readable (zeroed or stale), which
// simdjson
//   requires of its input.
//
// Threads: none of its own; move it between threads freely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace brim {

class ByteBuffer {
 public:
  static constexpr std::size_t kHeadroom = 16;
  static constexpr std::size_t kPadding = 64;

  ByteBuffer() = default;
  explicit ByteBuffer(std::string_view text) { Append(text); }
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    ByteBuffer gone(std::move(other));
    swap(gone);
    return *this;
  }

  std::byte* data() { return block_ ? block_.get() + begin_ : nullptr; }
  const std::byte* data() const { return block_ ? block_.get() + begin_ : nullptr; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::byte> span() const { return {data(), size_}; }
  std::string_view view() const { return {reinterpret_cast<const char*>(data()), size_}; }

  void clear() {
    size_ = 0;
    begin_ = kHeadroom;
  }
  // Room for `capacity` bytes in all without another allocation.
  void Reserve(std::size_t capacity) {
    if (!block_ || capacity > room_ - begin_) Grow(capacity);
  }
  // Appends n bytes of unspecified content and returns where they start.
  std::byte* Extend(std::size_t n) {
    if (!block_ || size_ + n > room_ - begin_) Grow(size_ + n > 2 * size_ ? size_ + n : 2 * size_);
    std::byte* at = data() + size_;
    size_ += n;
    return at;
  }
  void Append(std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(Extend(bytes.size()), bytes.data(), bytes.size());
  }
  void Append(std::string_view text) { Append(std::as_bytes(std::span(text.data(), text.size()))); }
  void PushBack(char c) { *Extend(1) = static_cast<std::byte>(c); }
  // Keeps the first n bytes. REQUIRES: n <= size().
  void Truncate(std::size_t n) {
    BRIM_CHECK(n <= size_);
    size_ = n;
  }
  // Grows by n bytes in front and returns data(). REQUIRES: all Prepends together <= kHeadroom.
  std::byte* Prepend(std::size_t n) {
    if (!block_) Grow(size_ + 64);
    BRIM_CHECK(n <= begin_);
    begin_ -= n;
    size_ += n;
    return data();
  }

  void swap(ByteBuffer& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
  }

 private:
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };

  void Grow(std::size_t capacity) {
    auto* grown = static_cast<std::byte*>(std::malloc(begin_ + capacity + kPadding));
    BRIM_CHECK(grown != nullptr);
    if (size_ != 0) std::memcpy(grown + begin_, data(), size_);
    std::memset(grown + begin_ + capacity, 0, kPadding);
    block_.reset(grown);
    room_ = begin_ + capacity;
  }

  std::unique_ptr<std::byte, Free> block_;
  std::size_t begin_ = kHeadroom;  // Offset of data() in the block.
  std::size_t size_ = 0;
  std::size_t room_ = 0;  // Usable bytes of the block, headroom included, padding not.
};

// Little-endian loads and stores at any alignment.
template <typename T>
T LoadLittle(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));  // Every supported host is little-endian.
  return value;
}
template <typename T>
void StoreLittle(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

}  // namespace brim
