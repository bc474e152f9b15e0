// BlockPool: small blocks of memory for one loop, kept for the next request when they are given
// back.
//
// A request on HTTP/2 takes and gives back about ten blocks, in nghttp2 and here. With 32 streams
// open at once those overflow the seven blocks per size that malloc keeps per thread, and each then
// costs a search and a merge. Here a block is a pop and a push of a list.
// A block knows its pool. Blocks above kLargest, and what comes back when kKeptMax bytes lie idle,
// are malloc's. Under AddressSanitizer all are, so that it sees each use after free.
// Threads: the loop's, or any one while the loop does not run. REQUIRES: every block has come back
// before the pool goes.
#pragma once

#include <array>
#include <cstddef>

namespace brim::io {

class BlockPool {
 public:
  static constexpr std::size_t kLargest = 2048;
  static constexpr std::size_t kKeptMax = 1u << 20;  // Bytes of idle blocks.

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Aligned as malloc's. Null when memory is out.
  void* Take(std::size_t bytes);
  // Null is allowed.
  static void Give(void* block);
  // As realloc() does.
  void* Resize(void* block, std::size_t bytes);

  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  struct alignas(16) Head {  // Before each block.
    BlockPool* pool;         // Null: malloc's own.
    std::size_t room;        // Bytes that the block has.
    Head* next() const { return *reinterpret_cast<Head* const*>(this + 1); }
    void set_next(Head* head) { *reinterpret_cast<Head**>(this + 1) = head; }
  };
  // Sizes 64, 128, ... kLargest.
  static constexpr std::size_t kSmallest = 64;
  static constexpr std::size_t kSizes = 6;
  static std::size_t SizeOf(std::size_t bytes);

  std::array<Head*, kSizes> idle_{};
  std::size_t kept_bytes_ = 0;
};

}  // namespace brim::io
