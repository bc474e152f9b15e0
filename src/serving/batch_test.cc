#include "serving/batch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace brim::serving {
namespace {

using model::DType;
using model::Shape;
using model::TensorView;

TensorView Floats(std::string_view name, const std::vector<float>& values, const Shape& shape) {
  return {name, DType::kFp32, shape, std::as_bytes(std::span(values))};
}

std::string Encode(const std::vector<std::string>& strings) {
  std::string encoded;
  for (const std::string& text : strings) {
    const auto length = static_cast<std::uint32_t>(text.size());
    encoded.append(reinterpret_cast<const char*>(&length), 4);
    encoded += text;
  }
  return encoded;
}

TensorView Strings(std::string_view name, const std::string& encoded, const Shape& shape) {
  return {name, DType::kBytes, shape, std::as_bytes(std::span(encoded.data(), encoded.size()))};
}

std::string Text(const TensorView& tensor) {
  return {reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()};
}

TEST(Batch, JoinsEveryInputAlongAxisZero) {
  const std::vector<float> a = {1, 2}, b = {3, 4, 5, 6};
  const std::string s = Encode({"x"}), t = Encode({"", "yz"});
  const std::vector<TensorView> first = {Floats("f", a, {1, 2}), Strings("s", s, {1})};
  const std::vector<TensorView> none = {Floats("f", {}, {0, 2}), Strings("s", "", {0})};
  const std::vector<TensorView> second = {Floats("f", b, {2, 2}), Strings("s", t, {2})};
  const std::vector<std::span<const TensorView>> requests = {first, none, second};
  ByteBuffer scratch;
  std::vector<TensorView> joined;
  for (int again = 0; again < 2; ++again) {
    JoinInputs(requests, 0, &scratch, &joined);
    ASSERT_EQ(joined.size(), 2u);
    EXPECT_EQ(joined[0].name, "f");
    EXPECT_EQ(joined[0].shape, (Shape{3, 2}));
    const float expected[] = {1, 2, 3, 4, 5, 6};
    ASSERT_EQ(joined[0].data.size(), sizeof(expected));
    EXPECT_EQ(std::memcmp(joined[0].data.data(), expected, sizeof(expected)), 0);
    EXPECT_EQ(joined[1].shape, (Shape{3}));
    EXPECT_EQ(Text(joined[1]), s + t);
    for (const TensorView& tensor : joined) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data.data()) % 64, 0u);
    }
  }
}

TEST(Batch, PadsWithTheLastRowAndDropsItAgain) {
  const std::vector<float> a = {1, 2}, b = {3, 4};
  const std::vector<TensorView> first = {Floats("f", a, {1, 2})};
  const std::vector<TensorView> second = {Floats("f", b, {1, 2})};
  const std::vector<TensorView> none = {Floats("f", {}, {0, 2})};
  const std::vector<std::span<const TensorView>> requests = {first, second, none};
  ByteBuffer scratch;
  std::vector<TensorView> joined;
  JoinInputs(requests, 3, &scratch, &joined);
  ASSERT_EQ(joined.size(), 1u);
  EXPECT_EQ(joined[0].shape, (Shape{5, 2}));
  const float expected[] = {1, 2, 3, 4, 3, 4, 3, 4, 3, 4};
  ASSERT_EQ(joined[0].data.size(), sizeof(expected));
  EXPECT_EQ(std::memcmp(joined[0].data.data(), expected, sizeof(expected)), 0);
  const std::vector<std::uint32_t> rows = {1, 1, 0};
  std::vector<TensorView> pieces;
  ASSERT_TRUE(SplitOutputs(joined, rows, 3, &pieces).ok());
  EXPECT_EQ(pieces[1].shape, (Shape{1, 2}));
  EXPECT_EQ(pieces[1].data.data(), joined[0].data.data() + 8);
  EXPECT_EQ(pieces[1].data.size(), 8u);
  EXPECT_EQ(pieces[2].shape, (Shape{0, 2}));
  EXPECT_FALSE(SplitOutputs(joined, rows, 2, &pieces).ok());
}

TEST(Batch, SplitsDenseAndStringOutputs) {
  const std::vector<float> y = {1, 2, 3, 4, 5, 6};
  const std::string s = Encode({"a", "bb", "", "dddd", "e", "ff"});
  const std::vector<TensorView> outputs = {Floats("y", y, {3, 2}), Strings("s", s, {3, 2})};
  const std::vector<std::uint32_t> rows = {1, 0, 2};
  std::vector<TensorView> pieces;
  ASSERT_TRUE(SplitOutputs(outputs, rows, 0, &pieces).ok());
  ASSERT_EQ(pieces.size(), 6u);
  EXPECT_EQ(pieces[0].shape, (Shape{1, 2}));
  EXPECT_EQ(pieces[0].data.data(), outputs[0].data.data());
  EXPECT_EQ(pieces[0].data.size(), 8u);
  EXPECT_EQ(Text(pieces[1]), Encode({"a", "bb"}));
  EXPECT_EQ(pieces[2].shape, (Shape{0, 2}));
  EXPECT_TRUE(pieces[2].data.empty());
  EXPECT_EQ(pieces[4].data.data(), outputs[0].data.data() + 8);
  EXPECT_EQ(pieces[4].data.size(), 16u);
  EXPECT_EQ(Text(pieces[5]), Encode({"", "dddd", "e", "ff"}));
}

TEST(Batch, SplitsNothingIntoNothing) {
  const std::vector<TensorView> outputs = {Floats("y", {}, {0, 2})};
  const std::vector<std::uint32_t> rows = {0, 0};
  std::vector<TensorView> pieces;
  ASSERT_TRUE(SplitOutputs(outputs, rows, 0, &pieces).ok());
  EXPECT_EQ(pieces[1].shape, (Shape{0, 2}));
}

TEST(Batch, RefusesOutputsThatAreNotRows) {
  const std::vector<float> y = {1, 2, 3, 4};
  const std::vector<std::uint32_t> rows = {1, 2};
  std::vector<TensorView> pieces;
  for (const TensorView& output :
       {Floats("y", y, {4}), Floats("y", y, {1, 4}), Floats("y", y, {3})}) {
    const Status status = SplitOutputs(std::vector{output}, rows, 0, &pieces);
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_EQ(status.reason(), "not_batchable");
  }
  const std::vector<float> scalar = {1};
  EXPECT_FALSE(SplitOutputs(std::vector{Floats("y", scalar, {})}, rows, 0, &pieces).ok());
}

}  // namespace
}  // namespace brim::serving
