// gRPC framing: timeouts, texts, and messages in any pieces.
#include "io/grpc_framing.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "io/http2_test_client.h"

namespace brim::io {
namespace {

using namespace std::chrono_literals;
using Step = GrpcMessageReader::Step;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(GrpcTimeout, AllUnits) {
  EXPECT_EQ(ParseGrpcTimeout("2H"), Duration(2h));
  EXPECT_EQ(ParseGrpcTimeout("3M"), Duration(3min));
  EXPECT_EQ(ParseGrpcTimeout("4S"), Duration(4s));
  EXPECT_EQ(ParseGrpcTimeout("5m"), Duration(5ms));
  EXPECT_EQ(ParseGrpcTimeout("6u"), Duration(6us));
  EXPECT_EQ(ParseGrpcTimeout("7n"), Duration(7ns));
  EXPECT_EQ(ParseGrpcTimeout("0n"), Duration(0));
  EXPECT_GT(ParseGrpcTimeout("99999999H"), Duration(24h * 365 * 199));
  EXPECT_EQ(ParseGrpcTimeout("99999999M"), Duration(99999999min));
}

TEST(GrpcTimeout, Malformed) {
  for (const char* text :
       {"", "1", "S", "1s", "1h", "-1S", "+1S", "1.5S", " 1S", "1 S", "123456789S", "1SS", "xS"}) {
    EXPECT_FALSE(ParseGrpcTimeout(text)) << text;
  }
}

TEST(GrpcMessageText, Encoding) {
  EXPECT_EQ(EncodeGrpcMessage("plain text ~!"), "plain text ~!");
  EXPECT_EQ(EncodeGrpcMessage("100%\n\x7f"), "100%25%0A%7F");
  EXPECT_EQ(EncodeGrpcMessage("\xc3\xa4"), "%C3%A4");
  // A text that is too long is cut between characters.
  std::string text(kGrpcMessageBytesMax - 1, 'a');
  EXPECT_EQ(EncodeGrpcMessage(text + "\xc3\xa4"), text);
  EXPECT_EQ(EncodeGrpcMessage(std::string(3 * kGrpcMessageBytesMax, '\x80')).size(), 0u);
}

TEST(GrpcList, Has) {
  EXPECT_TRUE(GrpcListHas("identity, deflate,gzip", "gzip"));
  EXPECT_TRUE(GrpcListHas("identity, deflate,gzip", "deflate"));
  EXPECT_FALSE(GrpcListHas("identity,gzipped", "gzip"));
  EXPECT_FALSE(GrpcListHas("", "gzip"));
}

TEST(GrpcPrefix, UsesTheHeadroom) {
  ByteBuffer message("abc");
  const std::byte* at = message.data();
  PrependGrpcPrefix(&message, true);
  EXPECT_EQ(message.data() + 5, at);
  EXPECT_EQ(message.view(), GrpcFrame("abc", 1));
}

TEST(GrpcMessageReader, AnyPieces) {
  const unsigned seed = 99;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  TestWorld world;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> messages(random() % 6);
    std::string stream;
    for (auto& message : messages) {
      message.assign(random() % (random() % 2 != 0 ? 10 : 20'000), static_cast<char>(random()));
      stream += GrpcFrame(message, static_cast<char>(message.size() % 2));
    }
    GrpcMessageReader reader(world.shared, 1u << 20);
    std::size_t seen = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 5000, stream.size() - at);
      auto piece = Bytes(stream).subspan(at, n);
      at += n;
      while (!piece.empty()) {
        const Step step = reader.Feed(&piece);
        if (step == Step::kMore) break;
        ASSERT_EQ(step, Step::kMessage);
        ASSERT_EQ(TestHandlers::Text(reader.body().span()), messages[seen]);
        ASSERT_EQ(reader.compressed(), messages[seen].size() % 2 != 0);
        ASSERT_NE(reader.body().span().data(), nullptr);
        ++seen;
        reader.Next();
      }
    }
    EXPECT_EQ(seen, messages.size());
    EXPECT_TRUE(reader.AtBoundary());
  }
}

TEST(GrpcMessageReader, Bounds) {
  TestWorld world;
  world.options.in_flight_bytes_max = 3000;
  const std::string frame = GrpcFrame(std::string(2000, 'x'));
  GrpcMessageReader one(world.shared, 2000), two(world.shared, 2000), three(world.shared, 1999);
  auto bytes = Bytes(frame);
  EXPECT_EQ(one.Feed(&bytes), Step::kMessage);
  bytes = Bytes(frame);
  EXPECT_EQ(two.Feed(&bytes), Step::kOverloaded);
  one.Next();
  EXPECT_EQ(world.shared.body_bytes_now.load(), 0);
  bytes = Bytes(frame);
  EXPECT_EQ(three.Feed(&bytes), Step::kTooLarge);
  EXPECT_EQ(three.length(), 2000u);
}

}  // namespace
}  // namespace brim::io
