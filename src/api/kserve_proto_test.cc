// Tests of kserve_proto.h and proto_writer.h: requests are built with the one and read with the
// other.
#include "api/kserve_proto.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "api/proto_writer.h"

namespace brim::api {
namespace {

using model::DType;

class ReadProtoTest : public ::testing::Test {
 protected:
  // Starts an input; `fill` writes its contents message.
  template <typename Fill>
  void Input(std::string_view name, std::string_view dtype, std::vector<std::int64_t> shape,
             Fill fill, bool contents = true) {
    const auto mark = w_.Begin(5);
    w_.Text(1, name);
    w_.Text(2, dtype);
    w_.PackedInts(3, shape);
    if (contents) {
      const auto inner = w_.Begin(5);
      fill();
      w_.End(inner);
    }
    w_.End(mark);
  }
  void RawInput(std::string_view name, std::string_view dtype, std::vector<std::int64_t> shape) {
    Input(
        name, dtype, std::move(shape), [] {}, false);
  }
  Status Read() {
    message_ = KserveMessage();
    return ReadInferProto(bytes_.span(), limits_, &message_);
  }
  Status ReadTyped(std::string_view dtype, std::vector<std::int64_t> shape,
                   const std::function<void(ProtoWriter&)>& fill) {
    bytes_.clear();
    Input("x", dtype, std::move(shape), [&] { fill(w_); });
    return Read();
  }
  template <typename T>
  std::vector<T> Values(std::size_t input = 0) {
    const auto data = message_.inputs.at(input).data;
    std::vector<T> values(data.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), data.data(), values.size() * sizeof(T));
    return values;
  }
  void ExpectInvalid(const Status& status, std::string_view text) {
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.ToString();
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
  }
  // map<string, InferParameter> entry in field 4 of the request.
  template <typename Fill>
  void Parameter(std::string_view key, Fill fill, std::uint32_t field = 4) {
    const auto entry = w_.Begin(field);
    w_.Text(1, key);
    const auto value = w_.Begin(2);
    fill();
    w_.End(value);
    w_.End(entry);
  }

  KserveLimits limits_;
  ByteBuffer bytes_;
  ProtoWriter w_{&bytes_};
  KserveMessage message_;
};

TEST_F(ReadProtoTest, ReadsRawInputsInPlace) {
  w_.Text(1, "m");
  w_.Text(2, "3");
  w_.Text(3, "id");
  RawInput("a", "FP32", {1, 2});
  RawInput("b", "BYTES", {1});
  const auto output = w_.Begin(6);
  w_.Text(1, "y");
  Parameter(
      "classification", [&] { w_.AlwaysUint(2, 4); }, 2);
  w_.End(output);
  w_.AlwaysText(7, "12345678");
  w_.AlwaysText(7, std::string_view("\1\0\0\0x", 5));
  const Status status = Read();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(message_.model_name, "m");
  EXPECT_EQ(message_.model_version, "3");
  EXPECT_EQ(message_.id, "id");
  ASSERT_EQ(message_.inputs.size(), 2u);
  EXPECT_EQ(message_.inputs[0].dtype, DType::kFp32);
  EXPECT_EQ(message_.inputs[0].shape, (model::Shape{1, 2}));
  EXPECT_EQ(message_.inputs[0].data.size(), 8u);
  EXPECT_GE(message_.inputs[0].data.data(), bytes_.data());
  EXPECT_LT(message_.inputs[0].data.data(), bytes_.data() + bytes_.size());
  EXPECT_EQ(message_.inputs[1].data.size(), 5u);
  ASSERT_EQ(message_.outputs.size(), 1u);
  EXPECT_EQ(message_.outputs[0].name, "y");
  EXPECT_EQ(message_.outputs[0].classes, 4u);
  EXPECT_TRUE(message_.owned.empty());
}

TEST_F(ReadProtoTest, ReadsRawBeforeInputs) {
  w_.AlwaysText(7, "abcd");
  RawInput("a", "FP32", {1});
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(message_.inputs[0].data.size(), 4u);
}

TEST_F(ReadProtoTest, ReadsTypedContents) {
  ASSERT_TRUE(ReadTyped("BOOL", {2}, [](ProtoWriter& w) {
                w.AlwaysUint(1, 1);
                w.AlwaysUint(1, 0);
              }).ok());
  EXPECT_EQ(Values<std::uint8_t>(), (std::vector<std::uint8_t>{1, 0}));
  const std::vector<std::int64_t> small = {-128, 127, 0};
  ASSERT_TRUE(ReadTyped("INT8", {3}, [&](ProtoWriter& w) { w.PackedInts(2, small); }).ok());
  EXPECT_EQ(Values<std::int8_t>(), (std::vector<std::int8_t>{-128, 127, 0}));
  ASSERT_TRUE(ReadTyped("INT16", {3, 1}, [&](ProtoWriter& w) { w.PackedInts(2, small); }).ok());
  EXPECT_EQ(Values<std::int16_t>(), (std::vector<std::int16_t>{-128, 127, 0}));
  ASSERT_TRUE(ReadTyped("INT32", {3}, [&](ProtoWriter& w) { w.PackedInts(2, small); }).ok());
  ASSERT_TRUE(ReadTyped("INT64", {3}, [&](ProtoWriter& w) { w.PackedInts(3, small); }).ok());
  EXPECT_EQ(Values<std::int64_t>(), small);
  const std::vector<std::int64_t> natural = {255, 0};
  ASSERT_TRUE(ReadTyped("UINT8", {2}, [&](ProtoWriter& w) { w.PackedInts(4, natural); }).ok());
  EXPECT_EQ(Values<std::uint8_t>(), (std::vector<std::uint8_t>{255, 0}));
  ASSERT_TRUE(ReadTyped("UINT16", {2}, [&](ProtoWriter& w) { w.PackedInts(4, natural); }).ok());
  ASSERT_TRUE(ReadTyped("UINT32", {2}, [&](ProtoWriter& w) { w.PackedInts(4, natural); }).ok());
  ASSERT_TRUE(ReadTyped("UINT64", {1}, [&](ProtoWriter& w) {
                w.AlwaysUint(5, std::numeric_limits<std::uint64_t>::max());
              }).ok());
  EXPECT_EQ(Values<std::uint64_t>()[0], std::numeric_limits<std::uint64_t>::max());
  ASSERT_TRUE(ReadTyped("BYTES", {2}, [](ProtoWriter& w) {
                w.AlwaysText(8, "ab");
                w.AlwaysText(8, "");
              }).ok());
  EXPECT_EQ(message_.inputs[0].data.size(), 10u);
  ASSERT_TRUE(ReadTyped("FP32", {0}, [](ProtoWriter&) {}).ok());
}

TEST_F(ReadProtoTest, ReadsFloatsInPlaceAndInPieces) {
  const std::vector<float> values = {1, 2, 3, 4};
  const auto packed = [&](ProtoWriter& w, std::size_t from, std::size_t n) {
    w.AlwaysText(6, {reinterpret_cast<const char*>(values.data() + from), n * sizeof(float)});
  };
  ASSERT_TRUE(ReadTyped("FP32", {4}, [&](ProtoWriter& w) { packed(w, 0, 4); }).ok());
  EXPECT_EQ(Values<float>(), values);
  EXPECT_TRUE(message_.owned.empty());
  ASSERT_TRUE(ReadTyped("FP32", {4}, [&](ProtoWriter& w) {
                packed(w, 0, 2);
                w.AlwaysFloat(6, 3);
                packed(w, 3, 1);
              }).ok());
  EXPECT_EQ(Values<float>(), values);
  ASSERT_TRUE(ReadTyped("FP64", {2}, [&](ProtoWriter& w) {
                w.AlwaysDouble(7, 1.5);
                w.AlwaysDouble(7, 2.5);
              }).ok());
  EXPECT_EQ(Values<double>(), (std::vector<double>{1.5, 2.5}));
  ExpectInvalid(ReadTyped("FP32", {1}, [](ProtoWriter& w) { w.AlwaysText(6, "abc"); }),
                "end inside a number");
}

TEST_F(ReadProtoTest, RefusesContentsThatDoNotFit) {
  const auto ints = [](std::uint32_t field, std::vector<std::int64_t> values) {
    return [field, values](ProtoWriter& w) { w.PackedInts(field, values); };
  };
  ExpectInvalid(ReadTyped("INT8", {1}, ints(2, {128})), "does not hold");
  ExpectInvalid(ReadTyped("UINT8", {1}, ints(4, {256})), "does not hold");
  ExpectInvalid(ReadTyped("UINT32", {1}, ints(4, {-1})), "does not hold");
  ExpectInvalid(ReadTyped("FP32", {1}, ints(2, {1})), "int_contents does not hold datatype 'FP32'");
  ExpectInvalid(ReadTyped("FP16", {1}, ints(2, {1})), "does not hold datatype 'FP16'");
  ExpectInvalid(ReadTyped("INT64", {1}, ints(2, {1})), "int_contents");
  ExpectInvalid(ReadTyped("INT32", {2}, ints(2, {1})), "says 2");
  ExpectInvalid(ReadTyped("INT32", {2}, ints(2, {1, 2, 3})), "more elements");
  ExpectInvalid(ReadTyped("BYTES", {1}, ints(2, {1})), "int_contents");
  ExpectInvalid(ReadTyped("FP32", {1}, [](ProtoWriter& w) { w.AlwaysText(8, "x"); }),
                "bytes_contents");
  ExpectInvalid(ReadTyped("FP64", {1}, [](ProtoWriter& w) { w.AlwaysFloat(6, 1); }),
                "fp32_contents");
  limits_.decoded_bytes_max = 100;
  EXPECT_EQ(ReadTyped("INT64", {1000}, ints(3, {1})).code(), Code::kResourceExhausted);
}

TEST_F(ReadProtoTest, RefusesMixedMissingAndLeftData) {
  Input("a", "INT32", {1}, [&] { w_.AlwaysUint(2, 1); });
  RawInput("b", "INT32", {1});
  ExpectInvalid(Read(), "unable to find data for input tensor 'b'");
  w_.AlwaysText(7, "1234");
  ExpectInvalid(Read(),
                "contents field must not be specified when using raw_input_contents for 'a'");
  bytes_.clear();
  RawInput("a", "INT32", {1});
  ExpectInvalid(Read(), "unable to find data for input tensor 'a'");
  w_.AlwaysText(7, "1234");
  w_.AlwaysText(7, "1234");
  ExpectInvalid(Read(), "2 raw_input_contents for 1 inputs");
}

TEST_F(ReadProtoTest, RefusesBadShapesTypesAndIds) {
  RawInput("a", "INT32", {-1});
  ExpectInvalid(Read(), "negative");
  bytes_.clear();
  RawInput("a", "INT32", std::vector<std::int64_t>(17, 1));
  ExpectInvalid(Read(), "more than 16 dimensions");
  bytes_.clear();
  RawInput("a", "int32", {1});
  ExpectInvalid(Read(), "invalid datatype 'int32'");
  bytes_.clear();
  w_.Text(3, "\xFF");
  ExpectInvalid(Read(), "UTF-8");
  bytes_.clear();
  w_.Text(3, std::string(5000, 'a'));
  ExpectInvalid(Read(), "'id' has 5000 bytes");
}

TEST_F(ReadProtoTest, ReadsParameters) {
  Parameter("priority", [&] { w_.AlwaysUint(5, 7); });
  Parameter("timeout", [&] { w_.AlwaysUint(2, 9); });
  Parameter("triton_enable_empty_final_response", [&] { w_.AlwaysUint(1, 1); });
  Parameter("mine", [&] { w_.AlwaysText(3, "v"); });
  Parameter("d", [&] { w_.AlwaysDouble(4, 0.5); });
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(message_.priority, 7u);
  EXPECT_EQ(message_.timeout_us, 9u);
  ASSERT_EQ(message_.parameters.size(), 2u);
  EXPECT_EQ(message_.parameters[0].text, "v");
  EXPECT_EQ(message_.parameters[1].number, 0.5);
  bytes_.clear();
  Parameter("priority", [&] { w_.AlwaysUint(2, ~0ull); });
  ExpectInvalid(Read(), "'priority'");
  bytes_.clear();
  Parameter("triton_other", [&] { w_.AlwaysUint(1, 1); });
  ExpectInvalid(Read(), "reserved");
}

TEST_F(ReadProtoTest, BoundsTensors) {
  limits_.tensors_max = 1;
  RawInput("a", "INT32", {0});
  RawInput("b", "INT32", {0});
  ExpectInvalid(Read(), "more than 1 inputs");
}

TEST_F(ReadProtoTest, PlacesTensorsInSharedMemory) {
  const auto shared = [&](std::uint64_t bytes, std::uint32_t field = 4) {
    Parameter(
        "shared_memory_region", [&] { w_.AlwaysText(3, "r"); }, field);
    if (bytes == 0) return;
    Parameter(
        "shared_memory_byte_size", [&] { w_.AlwaysUint(2, bytes); }, field);
    Parameter(
        "shared_memory_offset", [&] { w_.AlwaysUint(2, 8); }, field);
  };
  const auto input = [&](std::uint64_t bytes) {
    const auto mark = w_.Begin(5);
    w_.Text(1, "a");
    w_.Text(2, "INT32");
    shared(bytes);
    w_.End(mark);
  };
  // Raw contents belong to the inputs that are not in shared memory, in order.
  input(4);
  RawInput("b", "INT32", {1});
  input(12);
  RawInput("c", "INT32", {1});
  w_.AlwaysText(7, "bbbb");
  w_.AlwaysText(7, "cccc");
  const auto output = w_.Begin(6);
  w_.Text(1, "y");
  shared(400, 2);
  w_.End(output);
  ASSERT_TRUE(Read().ok());
  ASSERT_EQ(message_.shared_inputs.size(), 2u);
  EXPECT_EQ(message_.shared_inputs[1].input, 2u);
  EXPECT_EQ(message_.shared_inputs[1].part.bytes, 12u);
  EXPECT_EQ(message_.shared_inputs[1].part.offset, 8u);
  EXPECT_EQ(message_.inputs[1].data[0], std::byte{'b'});
  EXPECT_TRUE(message_.inputs[2].data.empty());
  EXPECT_EQ(message_.inputs[3].data[0], std::byte{'c'});
  EXPECT_EQ(message_.outputs[0].shared.bytes, 400u);

  w_.AlwaysText(7, "one too many");
  ExpectInvalid(Read(), "3 raw_input_contents for 2 inputs");
  bytes_.clear();
  input(0);
  ExpectInvalid(Read(), "'shared_memory_byte_size' must be specified");
  bytes_.clear();
  input(4);
  const auto bare = w_.Begin(5);
  w_.Text(1, "no data");
  w_.Text(2, "INT32");
  w_.End(bare);
  ExpectInvalid(Read(), "unable to find data for input tensor 'no data'");
  bytes_.clear();
  const auto both = w_.Begin(5);
  w_.Text(1, "a");
  w_.Text(2, "INT32");
  shared(4);
  w_.End(w_.Begin(5));
  w_.End(both);
  ExpectInvalid(Read(), "both contents and shared memory");
}

TEST_F(ReadProtoTest, WrongWireTypesAreSkippedAndTruncationsRefused) {
  w_.AlwaysUint(1, 5);  // model_name as a number: unknown to a reader of strings.
  w_.AlwaysDouble(5, 1);
  w_.AlwaysUint(99, 1);
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(message_.model_name, "");
  bytes_.clear();
  RawInput("abc", "INT32", {2, 3});
  w_.AlwaysText(7, "0123456789");
  const std::string whole(bytes_.view());
  for (std::size_t n = 1; n < whole.size(); ++n) {
    bytes_ = ByteBuffer(std::string_view(whole).substr(0, n));
    EXPECT_EQ(Read().code(), Code::kInvalidArgument) << n;
  }
}

TEST_F(ReadProtoTest, GarbageNeverCrashes) {
  const unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  RawInput("abc", "INT32", {2, 3});
  Input("x", "INT32", {1}, [&] { w_.AlwaysUint(2, 1); });
  w_.AlwaysText(7, "0123456789");
  const std::string whole(bytes_.view());
  for (int i = 0; i < 20000; ++i) {
    std::string text = whole;
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
    bytes_ = ByteBuffer(text);
    static_cast<void>(Read());
  }
}

TEST(ProtoWriterTest, LongMessagesGetLongLengths) {
  for (const std::size_t size : {0u, 1u, 127u, 128u, 16383u, 16384u, 3000000u}) {
    ByteBuffer out;
    ProtoWriter w(&out);
    const auto mark = w.Begin(1);
    w.AlwaysText(2, std::string(size, 'x'));
    w.End(mark);
    NamedRequest request;
    ASSERT_TRUE(ReadNamedRequest(out.span(), &request).ok());
    NamedRequest inner;
    ASSERT_TRUE(
        ReadNamedRequest(std::as_bytes(std::span(request.name.data(), request.name.size())), &inner)
            .ok());
    EXPECT_EQ(inner.version.size(), size);
  }
}

// What the answer says, read with the request reader: both have names in 1, version in 2, id in 3,
// tensors in 5.
TEST(WriteInferProtoTest, WritesRawAnswers) {
  const std::vector<float> values(300, 1.5F);
  const std::vector<KserveAnswerTensor> outputs = {
      {{"y", DType::kFp32, {1, 300}, std::as_bytes(std::span(values))}},
      {{"empty", DType::kInt64, {0}, {}}}};
  KserveParameter parameter;
  parameter.key = "k";
  parameter.kind = KserveParameter::Kind::kInt;
  parameter.integer = -1;
  const KserveAnswer answer{"m", "1", "id", {&parameter, 1}, outputs};
  const ByteBuffer bytes = WriteInferProto(answer);
  KserveMessage message;
  // raw_output_contents is field 6 here and requested outputs there: only the head compares.
  NamedRequest names;
  ASSERT_TRUE(ReadNamedRequest(bytes.span(), &names).ok());
  EXPECT_EQ(names.name, "m");
  EXPECT_EQ(names.version, "1");
  const std::string_view text = bytes.view();
  const std::string_view raw(reinterpret_cast<const char*>(values.data()), 1200);
  EXPECT_NE(text.find(raw), std::string_view::npos);
  EXPECT_EQ(text.substr(text.size() - 2), std::string_view("\x32\x00", 2));  // The empty tensor.

  const ByteBuffer streamed = WriteStreamAnswer(answer);
  ASSERT_TRUE(ReadNamedRequest(streamed.span(), &names).ok());
  EXPECT_NE(names.version.find("triton_final_response"), std::string_view::npos);
  EXPECT_NE(names.version.find(raw), std::string_view::npos);

  const ByteBuffer failed = WriteStreamError("no \xFF", "id", "m", "");
  NamedRequest error;
  ASSERT_TRUE(ReadNamedRequest(failed.span(), &error).ok());
  EXPECT_EQ(error.name, "no \xEF\xBF\xBD");
  NamedRequest inner;
  ASSERT_TRUE(
      ReadNamedRequest(std::as_bytes(std::span(error.version.data(), error.version.size())), &inner)
          .ok());
  EXPECT_EQ(inner.name, "m");
}

TEST(RepositoryProtoTest, ReadsBothDialects) {
  const auto read = [](const ByteBuffer& bytes, RepositoryProto* out) {
    return ReadRepositoryProto(bytes.span(), {}, out);
  };
  ByteBuffer triton;
  ProtoWriter w(&triton);
  w.Text(2, "m");
  for (const auto& [key, field] : {std::pair("config", 3u), std::pair("file:1/a", 4u)}) {
    const auto entry = w.Begin(3);
    w.Text(1, key);
    const auto value = w.Begin(2);
    w.AlwaysText(field, "v");
    w.End(value);
    w.End(entry);
  }
  RepositoryProto out;
  ASSERT_TRUE(read(triton, &out).ok());
  EXPECT_EQ(out.name, "m");
  EXPECT_EQ(out.config, "v");
  ASSERT_EQ(out.files.size(), 1u);
  EXPECT_EQ(out.files[0].first, "1/a");

  ByteBuffer kserve;
  ProtoWriter(&kserve).Text(1, "k");
  out = {};
  ASSERT_TRUE(read(kserve, &out).ok());
  EXPECT_EQ(out.name, "k");
  ProtoWriter(&kserve).Text(2, "both");
  EXPECT_EQ(read(kserve, &out).code(), Code::kUnimplemented);

  ByteBuffer index;
  ProtoWriter(&index).Bool(2, true);
  bool ready = false;
  ASSERT_TRUE(ReadIndexRequest(index.span(), &ready).ok());
  EXPECT_TRUE(ready);
  // A cut number is refused, not read past: the buffer is just as long as what is in it.
  const std::vector<std::byte> cut = {std::byte{0x10}, std::byte{0x80}};
  EXPECT_EQ(ReadIndexRequest(cut, &ready).code(), Code::kInvalidArgument);
  EXPECT_EQ(ReadIndexRequest(std::span(cut).first(1), &ready).code(), Code::kInvalidArgument);
  bool changes = false;
  ASSERT_TRUE(ReadSettingsRequest(index.span(), &changes).ok());
  EXPECT_FALSE(changes);
  ASSERT_TRUE(ReadSettingsRequest(kserve.span(), &changes).ok());
  EXPECT_TRUE(changes);
}

}  // namespace
}  // namespace brim::api
