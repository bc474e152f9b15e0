// BlockPool: blocks hold what is written, come back, and are bounded while idle.
#include "io/block_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace brim::io {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPools = false;
#else
constexpr bool kPools = true;
#endif

TEST(BlockPool, GivesTheSameBlockAgain) {
  if (!kPools) GTEST_SKIP() << "AddressSanitizer sees every block";
  BlockPool pool;
  void* const first = pool.Take(100);
  EXPECT_EQ(pool.kept_bytes(), 0u);
  BlockPool::Give(first);
  EXPECT_EQ(pool.kept_bytes(), 128u);
  EXPECT_EQ(pool.Take(65), first);  // Of the same size.
  EXPECT_EQ(pool.kept_bytes(), 0u);
  void* const other = pool.Take(64);
  EXPECT_NE(other, first);
  BlockPool::Give(other);
  BlockPool::Give(first);
  BlockPool::Give(nullptr);
}

TEST(BlockPool, KeepsABoundedAmount) {
  BlockPool pool;
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 2 * BlockPool::kKeptMax / BlockPool::kLargest; ++i) {
    blocks.push_back(pool.Take(BlockPool::kLargest));
  }
  blocks.push_back(pool.Take(BlockPool::kLargest + 1));
  for (void* block : blocks) BlockPool::Give(block);
  EXPECT_LE(pool.kept_bytes(), BlockPool::kKeptMax);
}

TEST(BlockPool, RandomUseKeepsEveryByte) {
  struct Held {
    std::uint8_t* bytes;
    std::size_t size;
    std::uint8_t fill;
  };
  for (unsigned seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    BlockPool pool;
    std::vector<Held> held;
    const auto check = [](const Held& h) {
      for (std::size_t i = 0; i < h.size; ++i) ASSERT_EQ(h.bytes[i], h.fill);
    };
    for (int step = 0; step < 500; ++step) {
      const std::size_t size = random() % 3000;
      const auto fill = static_cast<std::uint8_t>(random());
      if (held.size() < 20 || random() % 2 == 0) {
        held.push_back({static_cast<std::uint8_t*>(pool.Take(size)), size, fill});
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(held.back().bytes) % 16, 0u);
      } else {
        std::swap(held[random() % held.size()], held.back());
        Held& last = held.back();
        check(last);
        if (random() % 2 == 0) {
          BlockPool::Give(last.bytes);
          held.pop_back();
          continue;
        }
        last.bytes = static_cast<std::uint8_t*>(pool.Resize(last.bytes, size));
        for (std::size_t i = 0; i < std::min(last.size, size); ++i) {
          ASSERT_EQ(last.bytes[i], last.fill);
        }
        last.size = size;
        last.fill = fill;
      }
      std::memset(held.back().bytes, held.back().fill, held.back().size);
    }
    for (const Held& h : held) {
      check(h);
      BlockPool::Give(h.bytes);
    }
  }
}

}  // namespace
}  // namespace brim::io
