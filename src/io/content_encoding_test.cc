#include "io/content_encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace brim::io {
namespace {

std::string Noise(std::size_t n) {  // Half compressible.
  std::mt19937 random(static_cast<unsigned>(n));
  std::string text(n, 'a');
  for (std::size_t i = 0; i < n; i += 2) text[i] = static_cast<char>(random());
  return text;
}

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(ContentEncodingTest, RoundTrips) {
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate, Encoding::kIdentity}) {
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, std::size_t{70000}, std::size_t{1} << 20}) {
      const std::string text = Noise(n);
      auto packed = Deflate(Bytes(text), encoding);
      ASSERT_TRUE(packed.ok());
      auto unpacked = Inflate(packed->span(), encoding, n);
      ASSERT_TRUE(unpacked.ok()) << unpacked.status().ToString();
      EXPECT_TRUE(unpacked->view() == text);
    }
  }
}

TEST(ContentEncodingTest, BoundIsExact) {
  const std::string text(1000000, 'x');  // Packs to about 1 KB: a small bomb.
  auto packed = Deflate(Bytes(text), Encoding::kGzip);
  ASSERT_TRUE(packed.ok());
  EXPECT_LT(packed->size(), 10000u);
  EXPECT_TRUE(Inflate(packed->span(), Encoding::kGzip, 1000000).ok());
  for (const std::uint64_t max :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{65536}, std::uint64_t{999999}}) {
    EXPECT_EQ(Inflate(packed->span(), Encoding::kGzip, max).status().code(),
              Code::kResourceExhausted);
  }
}

TEST(ContentEncodingTest, DamageIsRefused) {
  const std::string text = Noise(5000);
  auto packed = Deflate(Bytes(text), Encoding::kGzip);
  ASSERT_TRUE(packed.ok());
  const std::string good(packed->view());
  const auto refused = [](std::string_view bytes) {
    const auto result = Inflate(Bytes(bytes), Encoding::kGzip, 1u << 20);
    return result.status().code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("hello"));
  EXPECT_TRUE(refused(good + "x"));
  for (std::size_t cut = 1; cut < good.size(); cut += 97) {
    EXPECT_TRUE(refused(good.substr(0, cut))) << cut;
  }
  std::string bad = good;
  bad[bad.size() - 6] ^= 1;  // The checksum.
  EXPECT_TRUE(refused(bad));
}

TEST(ContentEncodingTest, BareDeflateStreamIsTaken) {
  auto packed = Deflate(Bytes("hello hello hello"), Encoding::kDeflate);
  ASSERT_TRUE(packed.ok());
  const auto bare = packed->span().subspan(2, packed->size() - 6);  // RFC 1950's header and sum.
  auto unpacked = Inflate(bare, Encoding::kDeflate, 100);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status().ToString();
  EXPECT_EQ(unpacked->view(), "hello hello hello");
}

TEST(ContentEncodingTest, Names) {
  EXPECT_EQ(ParseEncoding("GZIP"), Encoding::kGzip);
  EXPECT_EQ(ParseEncoding(" x-gzip "), Encoding::kGzip);
  EXPECT_EQ(ParseEncoding("deflate"), Encoding::kDeflate);
  EXPECT_EQ(ParseEncoding(""), Encoding::kIdentity);
  EXPECT_EQ(ParseEncoding("br"), std::nullopt);
  EXPECT_EQ(ParseEncoding("gzip, gzip"), std::nullopt);
}

TEST(ContentEncodingTest, Choice) {
  EXPECT_EQ(ChooseEncoding(""), Encoding::kIdentity);
  EXPECT_EQ(ChooseEncoding("gzip, deflate, br"), Encoding::kGzip);
  EXPECT_EQ(ChooseEncoding("deflate"), Encoding::kDeflate);
  EXPECT_EQ(ChooseEncoding("br, deflate;q=0.5, gzip;q=0.1"), Encoding::kGzip);
  EXPECT_EQ(ChooseEncoding("gzip;q=0, deflate;q=0.0"), Encoding::kIdentity);
  EXPECT_EQ(ChooseEncoding("*"), Encoding::kGzip);
  EXPECT_EQ(ChooseEncoding("br,,;"), Encoding::kIdentity);
}

}  // namespace
}  // namespace brim::io
