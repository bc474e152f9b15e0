// Tests of base/pbtxt.h.
#include "base/pbtxt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace brim {
namespace {

PbMessage Parse(std::string_view text) {
  Result<PbMessage> parsed = ParsePbtxt(text);
  EXPECT_TRUE(parsed.ok()) << text << "\n" << parsed.status().ToString();
  return parsed.ok() ? std::move(parsed).value() : PbMessage{};
}

std::string ErrorOf(std::string_view text) {
  const Result<PbMessage> parsed = ParsePbtxt(text);
  EXPECT_FALSE(parsed.ok()) << text;
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  return parsed.status().message();
}

TEST(Pbtxt, ReadsATritonConfiguration) {
  const PbMessage root = Parse(R"(
# A comment.
name: "rec"   # another
max_batch_size: 8
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 3, 48, -1 ] },
  { name: "y", data_type: TYPE_INT64; dims: 1 dims: 2 }
]
instance_group < kind: KIND_CPU count: 0x2 >
dynamic_batching { }
parameters: { key: "owner" value: { string_value: "ocr" } }
version_policy: { latest { num_versions: 2 } }
)");
  EXPECT_EQ(root.Find("name")->AsString().value(), "rec");
  EXPECT_EQ(root.Find("max_batch_size")->AsInt().value(), 8);
  EXPECT_EQ(root.Find("max_batch_size")->line, 4);
  const auto inputs = root.All("input");
  ASSERT_EQ(inputs.size(), 2u);
  const auto dims = inputs[0]->message->All("dims");
  ASSERT_EQ(dims.size(), 3u);
  EXPECT_EQ(dims[2]->AsInt().value(), -1);
  EXPECT_EQ(inputs[0]->message->Find("data_type")->AsEnum().value(), "TYPE_FP32");
  EXPECT_EQ(inputs[1]->message->All("dims").size(), 2u);
  EXPECT_EQ(inputs[1]->line, 7);
  EXPECT_EQ(root.Find("instance_group")->message->Find("count")->AsInt().value(), 2);
  EXPECT_TRUE(root.Find("dynamic_batching")->message->fields.empty());
  EXPECT_EQ(root.Find("missing"), nullptr);
  const PbField* value = root.Find("parameters")->message->Find("value");
  EXPECT_EQ(value->message->Find("string_value")->AsString().value(), "ocr");
}

TEST(Pbtxt, ReadsScalars) {
  const PbMessage root = Parse(
      "a: 017 b: -0x10 c: 1.5e+3f d: -inf e: nan f: t g: False h: 9223372036854775807 "
      "i: -9223372036854775808 j: 18446744073709551615 k: - 5 l: .5 m: 1e400 n: 08 o: 1 p: 7F");
  EXPECT_EQ(root.Find("a")->AsInt().value(), 15);
  EXPECT_EQ(root.Find("b")->AsInt().value(), -16);
  EXPECT_EQ(root.Find("c")->AsDouble().value(), 1500);
  EXPECT_EQ(root.Find("d")->AsDouble().value(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(root.Find("e")->AsDouble().value()));
  EXPECT_TRUE(root.Find("f")->AsBool().value());
  EXPECT_FALSE(root.Find("g")->AsBool().value());
  EXPECT_EQ(root.Find("h")->AsInt().value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(root.Find("i")->AsInt().value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(root.Find("j")->AsInt().ok());
  EXPECT_EQ(root.Find("k")->AsInt().value(), -5);
  EXPECT_EQ(root.Find("l")->AsDouble().value(), 0.5);
  EXPECT_FALSE(root.Find("m")->AsDouble().ok());
  EXPECT_FALSE(root.Find("n")->AsInt().ok());
  EXPECT_TRUE(root.Find("o")->AsBool().value());
  EXPECT_EQ(root.Find("p")->AsDouble().value(), 7);
}

TEST(Pbtxt, UnescapesAndJoinsStrings) {
  const PbMessage root = Parse(
      R"(a: "x\n\t\"\\\x41\101" 'q"' # joined over a comment
         "z"
         b: "\u00e9\U0001F600" c: '')");
  EXPECT_EQ(root.Find("a")->AsString().value(), "x\n\t\"\\AAq\"z");
  EXPECT_EQ(root.Find("b")->AsString().value(), "\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(root.Find("c")->AsString().value(), "");
  EXPECT_TRUE(root.Find("c")->quoted);
}

TEST(Pbtxt, KeepsOrderAndRepeats) {
  const PbMessage root = Parse("a: 1 b: 2 a: 3 c: [] d: [{}, <x: 1>] e [ {} ] [ext.name]: 4");
  ASSERT_EQ(root.fields.size(), 7u);
  EXPECT_EQ(root.Find("a")->scalar, "3");
  EXPECT_EQ(root.All("c").size(), 0u);
  EXPECT_EQ(root.All("d").size(), 2u);
  EXPECT_EQ(root.Find("[ext.name]")->AsInt().value(), 4);
  EXPECT_TRUE(Parse("").fields.empty());
  EXPECT_TRUE(Parse(" # only a comment").fields.empty());
}

TEST(Pbtxt, RefusesBadText) {
  EXPECT_EQ(ErrorOf("a: 1\nb"), "line 2: expected ':' or '{' after 'b', found the end of the text");
  EXPECT_EQ(ErrorOf("a {\n\n"), "line 3: the text ends inside a message; expected '}'");
  EXPECT_EQ(ErrorOf("a { >"), "line 1: expected a field name, found '>'");
  EXPECT_EQ(ErrorOf("a: \"x\ny\""), "line 1: a string is not closed on its line");
  EXPECT_EQ(ErrorOf("a: ,"), "line 1: expected a value for 'a', found ','");
  EXPECT_EQ(ErrorOf("\x01"), "line 1: expected a field name, found byte 0x01");
  EXPECT_EQ(ErrorOf("a: [1 2]"), "line 1: expected ',' or ']', found '2'");
  EXPECT_EQ(ErrorOf("a [1]"),
            "line 1: expected '{' in the list 'a' (a list of scalars needs ':'), found '1'");
  for (const std::string_view bad :
       {"a",        "a:",         "a: {", "a: [",   "a: [1",    "a: [1,",     "a: [,]",
        "a 1",      "1: 2",       "}",    "a: '\\", "a: '\\x'", "a: '\\u12'", "a: '\\ud800'",
        "a: '\\q'", "a: '\\400'", "a: -", "[a",     "[]: 1",    "a: \"",      "a: 1 }"}) {
    EXPECT_NE(ErrorOf(bad), "") << bad;
  }
}

TEST(Pbtxt, SaysWhatAValueShouldHaveBeen) {
  const PbMessage root = Parse("a: \"x\"\nb: 1\nc {}\nd: word");
  EXPECT_EQ(root.Find("a")->AsInt().status().message(),
            "line 1: 'a' must be an integer, found a string");
  EXPECT_EQ(root.Find("b")->AsString().status().message(),
            "line 2: 'b' must be a quoted string, found '1'");
  EXPECT_EQ(root.Find("c")->AsBool().status().message(),
            "line 3: 'c' must be true or false, found a message");
  EXPECT_FALSE(root.Find("d")->AsDouble().ok());
  EXPECT_FALSE(root.Find("d")->AsInt().ok());
  EXPECT_FALSE(root.Find("b")->AsEnum().ok());
}

TEST(Pbtxt, IsBounded) {
  std::string deep;
  for (int i = 0; i < 32; ++i) deep += "a{";
  EXPECT_TRUE(ParsePbtxt(deep + std::string(32, '}')).ok());
  EXPECT_EQ(ErrorOf("a{" + deep + std::string(33, '}')), "line 1: more than 32 nested messages");
  std::string many = "a:[1";
  for (int i = 1; i < 65536; ++i) many += ",1";
  EXPECT_EQ(Parse(many + "]").fields.size(), 65536u);
  EXPECT_NE(ErrorOf(many + ",1]"), "");
  EXPECT_NE(ErrorOf(std::string((1 << 20) + 1, ' ')), "");
}

}  // namespace
}  // namespace brim
