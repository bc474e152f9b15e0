// Lists of idle blocks by size; see block_pool.h.
#include "io/block_pool.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

namespace brim::io {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPools = false;
#else
constexpr bool kPools = true;
#endif

}  // namespace

BlockPool::~BlockPool() {
  for (Head* head : idle_) {
    while (head != nullptr) {
      Head* const next = head->next();
      std::free(head);
      head = next;
    }
  }
}

std::size_t BlockPool::SizeOf(std::size_t bytes) {
  if (bytes <= kSmallest) return 0;
  return static_cast<std::size_t>(std::bit_width((bytes - 1) / kSmallest));
}

void* BlockPool::Take(std::size_t bytes) {
  const bool pooled = kPools && bytes <= kLargest;
  const std::size_t size = pooled ? SizeOf(bytes) : 0;
  const std::size_t room = pooled ? kSmallest << size : bytes;
  Head* head = pooled ? idle_[size] : nullptr;
  if (head != nullptr) {
    idle_[size] = head->next();
    kept_bytes_ -= room;
  } else {
    head = static_cast<Head*>(std::malloc(sizeof(Head) + room));
    if (head == nullptr) return nullptr;
    head->pool = pooled ? this : nullptr;
    head->room = room;
  }
  return head + 1;
}

void BlockPool::Give(void* block) {
  if (block == nullptr) return;
  Head* const head = static_cast<Head*>(block) - 1;
  BlockPool* const pool = head->pool;
  if (pool == nullptr || pool->kept_bytes_ + head->room > kKeptMax) return std::free(head);
  Head*& first = pool->idle_[SizeOf(head->room)];
  head->set_next(first);
  first = head;
  pool->kept_bytes_ += head->room;
}

void* BlockPool::Resize(void* block, std::size_t bytes) {
  if (block == nullptr) return Take(bytes);
  const std::size_t room = (static_cast<Head*>(block) - 1)->room;
  if (bytes <= room && room <= kLargest) return block;
  void* const grown = Take(bytes);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown, block, std::min(room, bytes));
  Give(block);
  return grown;
}

}  // namespace brim::io
