#include "io/output.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace brim::io {
namespace {

std::string Front(const Output& out, std::size_t max) {
  iovec vectors[4];
  const std::size_t count = out.Gather(vectors, 4);
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  }
  return text.substr(0, max);
}

TEST(OutputTest, SmallPiecesAreOneVector) {
  Output out;
  out.Append(std::string_view("head "));
  out.Append(ByteBuffer("body"));
  iovec vectors[4];
  EXPECT_EQ(out.Gather(vectors, 4), 1u);
  EXPECT_EQ(Front(out, 100), "head body");
  EXPECT_EQ(out.size(), 9u);
}

TEST(OutputTest, LargeBufferIsMovedNotCopied) {
  Output out;
  out.Append(std::string_view("head"));
  ByteBuffer large(std::string(100000, 'x'));
  const std::byte* at = large.data();
  out.Append(std::move(large));
  iovec vectors[4];
  ASSERT_EQ(out.Gather(vectors, 4), 2u);
  EXPECT_EQ(vectors[1].iov_base, at);
  out.Append(std::string_view("tail"));  // Must not touch the moved buffer.
  EXPECT_EQ(out.Gather(vectors, 4), 3u);
}

TEST(OutputTest, SlicesShareTheirOwner) {
  auto owner = std::make_shared<const ByteBuffer>(std::string(9000, 'y'));
  Output out;
  out.Append(owner, owner->span().first(4500));
  out.Append(owner, owner->span().subspan(4500));
  EXPECT_EQ(owner.use_count(), 3);
  out.Consume(4500);
  EXPECT_EQ(owner.use_count(), 2);
  out.Consume(4500);
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_TRUE(out.empty());
}

TEST(OutputTest, HighWater) {
  Output out;
  EXPECT_FALSE(out.AboveHighWater());
  out.Append(ByteBuffer(std::string(Output::kHighWater, 'z')));
  EXPECT_TRUE(out.AboveHighWater());
  out.Consume(1);
  EXPECT_FALSE(out.AboveHighWater());
}

TEST(OutputTest, AnyMixtureComesOutInOrder) {
  const unsigned seed = 20261123;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Output out;
  std::string expected;
  char next = 'a';
  for (int round = 0; round < 3000; ++round) {
    const std::size_t n = random() % 3 == 0 ? random() % 20000 : random() % 40;
    const std::string text(n, next);
    next = next == 'z' ? 'a' : static_cast<char>(next + 1);
    switch (random() % 3) {
      case 0:
        out.Append(text);
        break;
      case 1:
        out.Append(ByteBuffer(text));
        break;
      default: {
        auto owner = std::make_shared<const ByteBuffer>(text);
        out.Append(owner, owner->span());
      }
    }
    expected += text;
    ASSERT_EQ(out.size(), expected.size());
    if (random() % 4 != 0 || expected.empty()) continue;
    const std::string front = Front(out, expected.size());
    ASSERT_EQ(front, expected.substr(0, front.size()));
    const std::size_t step = random() % (expected.size() + 1);
    out.Consume(step);
    expected.erase(0, step);
  }
}

}  // namespace
}  // namespace brim::io
