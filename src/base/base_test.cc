// Tests of status, result, bytes, json, text and log.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "base/status.h"
#include "base/text.h"

namespace brim {
namespace {

TEST(StatusTest, SaysCodeReasonAndContext) {
  EXPECT_TRUE(OkStatus().ok());
  EXPECT_EQ(OkStatus().ToString(), "OK");
  const Status status =
      Status(Code::kNotFound, "model_unknown", "no model 'a'").WithContext("predict");
  EXPECT_EQ(status.ToString(), "NOT_FOUND (model_unknown): predict: no model 'a'");
  EXPECT_EQ(CodeName(Code::kUnauthenticated), "UNAUTHENTICATED");
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Status(Code::kInvalidArgument, "odd", "odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  BRIM_ASSIGN_OR_RETURN(const int half, Half(n));
  return Half(half);
}

TEST(ResultTest, CarriesValueOrStatus) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().reason(), "odd");
}

TEST(ByteBufferTest, GrowsPrependsAndKeepsPadding) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  for (int i = 0; i < 1000; ++i) buffer.Append("0123456789");
  EXPECT_EQ(buffer.size(), 10000u);
  std::memcpy(buffer.Prepend(5), "HEAD:", 5);
  EXPECT_EQ(buffer.view().substr(0, 8), "HEAD:012");
  // The padding may be read: a sanitizer build checks that it is there.
  unsigned sum = 0;
  for (std::size_t i = 0; i < ByteBuffer::kPadding; ++i) {
    sum += static_cast<unsigned>(buffer.data()[buffer.size() + i]) & 1;
  }
  EXPECT_LE(sum, ByteBuffer::kPadding);
  ByteBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.size(), 10005u);
  moved.clear();
  EXPECT_TRUE(moved.empty());
  moved.Prepend(ByteBuffer::kHeadroom);
}

TEST(JsonWriterTest, WritesNestedValues) {
  std::string out;
  JsonWriter w(&out);
  w.BeginObject().Key("a").BeginArray().Int(-1).Uint(2).Null().Bool(true).EndArray();
  w.Key("b").BeginObject().EndObject().Key("c").String("x").EndObject();
  EXPECT_EQ(out, R"({"a":[-1,2,null,true],"b":{},"c":"x"})");
}

TEST(JsonWriterTest, EscapesAndRepairsStrings) {
  std::string out;
  AppendJsonString(&out, std::string_view("q\"\\\n\x01\xff\xe4\xb8\xad", 9));
  EXPECT_EQ(out, "\"q\\\"\\\\\\n\\u0001\xEF\xBF\xBD\xe4\xb8\xad\"");
}

TEST(JsonWriterTest, FloatsReadBackEqual) {
  std::string out;
  JsonWriter w(&out);
  w.BeginArray().Float(0.1F).Double(0.1).Float(3).Double(-1e300);
  w.Float(std::nanf("")).Double(-std::numeric_limits<double>::infinity()).EndArray();
  EXPECT_EQ(out, "[0.1,0.1,3.0,-1e+300,NaN,-Infinity]");
}

TEST(TextTest, Utf8) {
  EXPECT_TRUE(IsUtf8("plain \xe4\xb8\xad \xf0\x9f\x98\x80"));
  EXPECT_FALSE(IsUtf8("\xc0\x80"));          // Overlong.
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));      // Surrogate.
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));  // Above U+10FFFF.
  EXPECT_FALSE(IsUtf8("\xe4\xb8"));          // Cut.
}

TEST(TextTest, NumbersAreWholeAndInRange) {
  EXPECT_EQ(ParseInt64("-5"), -5);
  EXPECT_FALSE(ParseInt64("5x").has_value());
  EXPECT_FALSE(ParseInt64("").has_value());
  EXPECT_FALSE(ParseInt64("9223372036854775808").has_value());
  EXPECT_EQ(ParseUint64("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_FALSE(ParseUint64("-1").has_value());
}

TEST(TextTest, SmallThings) {
  EXPECT_EQ(HumanBytes(512), "512 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(UrlPathPart("a-B.9_~ /三"), "a-B.9_~%20%2F%E4%B8%89");
  EXPECT_EQ(Split("a,,b", ',').size(), 3u);
  EXPECT_EQ(Trim(" \ta b\r\n"), "a b");
  EXPECT_TRUE(EqualsIgnoreCase("Content-Type", "content-type"));
}

TEST(LoggerTest, WritesOneLinePerEvent) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  FakeClock clock;
  Logger json(fds[1], LogLevel::kInfo, LogFormat::kJson, clock);
  json.Debug("hidden", {});
  json.Info("loaded", {{"model", "a b"}});
  Logger text(fds[1], LogLevel::kInfo, LogFormat::kText, clock);
  text.Warn("slow", {{"model", "a b"}, {"ms", "7"}});
  close(fds[1]);
  std::string all(4096, '\0');
  const ssize_t n = read(fds[0], all.data(), all.size());
  ASSERT_GT(n, 0);
  all.resize(static_cast<std::size_t>(n));
  close(fds[0]);
  EXPECT_EQ(all,
            "{\"time\":\"1970-01-01T01:00:00.000000Z\",\"level\":\"info\",\"event\":\"loaded\","
            "\"model\":\"a b\"}\n"
            "1970-01-01T01:00:00.000000Z warn  slow model=\"a b\" ms=7\n");
}

TEST(LoggerTest, APipeThatNobodyReadsHoldsUpNobody) {
  for (const bool is_socket : {false, true}) {
    int fds[2];
    ASSERT_EQ(is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
    FakeClock clock;
    const Logger logger(fds[1], LogLevel::kInfo, LogFormat::kText, clock);
    const std::string large(4000, 'x');
    for (int i = 0; i < 200; ++i) logger.Info("full", {{"text", large}});  // 800 KB: no room.
    ASSERT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    std::string all(1 << 20, '\0');
    std::size_t taken = 0;
    const auto drain = [&] {
      for (ssize_t n; (n = read(fds[0], all.data() + taken, all.size() - taken)) > 0;) {
        taken += static_cast<std::size_t>(n);
      }
    };
    drain();
    const std::string_view before(all.data(), taken);
    const auto whole = std::count(before.begin(), before.end(), '\n');
    logger.Info("after", {});
    const std::size_t start = taken;
    drain();
    const std::string_view text(all.data() + start, taken - start);
    EXPECT_NE(text.find(fmt::format("log_dropped lines={}\n", 200 - whole)), std::string::npos)
        << text;
    EXPECT_NE(text.find("after"), std::string::npos) << text;
    close(fds[0]);
    close(fds[1]);
  }
}

}  // namespace
}  // namespace brim
