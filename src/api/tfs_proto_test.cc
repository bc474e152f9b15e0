// Tests of tfs_proto: requests as clients encode them, tensors in every encoding, answers read back
// field by field.
#include "api/tfs_proto.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

namespace brim::api {
namespace {

using model::DType;
using model::Shape;
using protozero::pbf_reader;
using protozero::pbf_writer;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string Shaped(const std::vector<std::int64_t>& dims) {
  std::string shape;
  for (const std::int64_t size : dims) {
    std::string dim;
    pbf_writer(dim).add_int64(1, size);
    pbf_writer(shape).add_message(2, dim);
  }
  return shape;
}

// A TensorProto of dtype and shape; the caller adds values.
std::string Tensor(int dtype, const std::vector<std::int64_t>& dims) {
  std::string proto;
  pbf_writer writer(proto);
  writer.add_enum(1, dtype);
  writer.add_message(2, Shaped(dims));
  return proto;
}

struct Decoded {
  Status status;
  OwnedTensors tensors;
  template <typename T>
  std::vector<T> Values() const {
    const auto data = tensors.views[0].data;
    std::vector<T> values(data.size() / sizeof(T));
    if (!data.empty()) std::memcpy(values.data(), data.data(), data.size());
    return values;
  }
  std::vector<std::string> Strings() const {
    std::vector<std::string> values;
    model::StringElements elements(tensors.views[0].data);
    std::string_view element;
    while (elements.Next(&element)) values.emplace_back(element);
    return values;
  }
};

Decoded Decode(const std::string& proto, TfsProtoLimits limits = {}) {
  Decoded decoded;
  decoded.status = DecodeInputs({{"x", proto}}, limits, &decoded.tensors);
  if (decoded.status.ok()) {
    EXPECT_TRUE(model::CheckData(decoded.tensors.views[0]).ok());
  }
  return decoded;
}

TEST(TfsProtoTest, ParsesPredict) {
  std::string spec;
  {
    pbf_writer writer(spec);
    writer.add_string(1, "m");
    std::string version;
    pbf_writer(version).add_int64(1, 7);
    writer.add_message(2, version);
    writer.add_string(3, "sig");
  }
  std::string message;
  pbf_writer writer(message);
  writer.add_message(1, spec);
  for (const char* name : {"a", "b", "a"}) {
    std::string entry;
    pbf_writer(entry).add_string(1, name);
    pbf_writer(entry).add_message(2, name[0] == 'a' ? Tensor(1, {2}) : Tensor(3, {1}));
    writer.add_message(2, entry);
  }
  writer.add_string(3, "out");
  writer.add_string(99, "unknown fields are skipped");
  TfsPredictMessage parsed;
  ASSERT_TRUE(ParsePredict(Bytes(message), {}, &parsed).ok());
  ASSERT_TRUE(parsed.spec.has_value());
  EXPECT_EQ(parsed.spec->name, "m");
  EXPECT_EQ(parsed.spec->version, 7);
  EXPECT_EQ(parsed.spec->signature_name, "sig");
  ASSERT_EQ(parsed.inputs.size(), 2u);
  EXPECT_EQ(parsed.inputs[0].name, "a");
  EXPECT_EQ(parsed.inputs[1].name, "b");
  EXPECT_EQ(parsed.output_filter, (std::vector<std::string_view>{"out"}));
}

TEST(TfsProtoTest, VersionAndLabelAreOneChoice) {
  std::string version;
  pbf_writer(version).add_int64(1, 7);
  for (const bool label_last : {true, false}) {
    std::string spec;
    pbf_writer writer(spec);
    if (!label_last) writer.add_string(4, "stable");
    writer.add_message(2, version);
    if (label_last) writer.add_string(4, "stable");
    std::string message;
    pbf_writer(message).add_message(1, spec);
    TfsSpecMessage parsed;
    ASSERT_TRUE(ParseSpec(Bytes(message), {}, &parsed).ok());
    EXPECT_EQ(parsed.spec->version.has_value(), !label_last);
    EXPECT_EQ(parsed.spec->label, label_last ? "stable" : "");
  }
}

TEST(TfsProtoTest, BadBytesAreRefused) {
  TfsPredictMessage parsed;
  for (const std::string& bad : {std::string("\xFF"),
                                 std::string("\x0A\x05"
                                             "ab"),
                                 std::string("\x0F"), std::string("\x12\x03\x0A\x09z")}) {
    EXPECT_EQ(ParsePredict(Bytes(bad), {}, &parsed).code(), Code::kInvalidArgument);
  }
  std::string many;
  for (int i = 0; i < 5; ++i) pbf_writer(many).add_string(3, "o");
  EXPECT_EQ(ParsePredict(Bytes(many), {.tensors_max = 4}, &parsed).reason(), "too_many_tensors");
}

TEST(TfsProtoTest, TensorContentIsAView) {
  std::string proto = Tensor(1, {2});
  const float values[] = {1.5, -2};
  pbf_writer(proto).add_bytes(4, reinterpret_cast<const char*>(values), sizeof values);
  const Decoded decoded = Decode(proto);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.ToString();
  EXPECT_EQ(decoded.tensors.views[0].dtype, DType::kFp32);
  EXPECT_EQ(decoded.tensors.views[0].shape, (Shape{2}));
  EXPECT_EQ(decoded.Values<float>(), (std::vector<float>{1.5, -2}));
  EXPECT_TRUE(decoded.tensors.storage.empty());
}

TEST(TfsProtoTest, PackedFloatsAreAView) {
  std::string proto = Tensor(1, {2});
  const std::vector<float> values{1.5, -2, 3};  // One more than the shape asks for.
  pbf_writer(proto).add_packed_float(5, values.begin(), values.end());
  const Decoded decoded = Decode(proto);
  ASSERT_TRUE(decoded.status.ok()) << decoded.status.ToString();
  EXPECT_EQ(decoded.Values<float>(), (std::vector<float>{1.5, -2}));
  EXPECT_TRUE(decoded.tensors.storage.empty());
}

TEST(TfsProtoTest, ListsInPiecesAndShortLists) {
  std::string pieces = Tensor(1, {4});
  const std::vector<float> two{2, 3};
  pbf_writer(pieces).add_float(5, 1);
  pbf_writer(pieces).add_packed_float(5, two.begin(), two.end());
  EXPECT_EQ(Decode(pieces).Values<float>(), (std::vector<float>{1, 2, 3, 3}));
  EXPECT_EQ(Decode(Tensor(2, {2})).Values<double>(), (std::vector<double>{0, 0}));
  std::string one = Tensor(2, {3});
  pbf_writer(one).add_double(6, 0.5);
  EXPECT_EQ(Decode(one).Values<double>(), (std::vector<double>{0.5, 0.5, 0.5}));
  std::string scalar = Tensor(3, {});
  pbf_writer(scalar).add_int32(7, -5);
  EXPECT_EQ(Decode(scalar).Values<std::int32_t>(), (std::vector<std::int32_t>{-5}));
}

template <typename T>
void ExpectVarints(int dtype, std::uint32_t field, const std::vector<std::int64_t>& wire,
                   const std::vector<T>& expected) {
  std::string proto = Tensor(dtype, {static_cast<std::int64_t>(wire.size())});
  pbf_writer(proto).add_packed_int64(field, wire.begin(), wire.end());
  const Decoded decoded = Decode(proto);
  ASSERT_TRUE(decoded.status.ok()) << dtype << decoded.status.ToString();
  EXPECT_EQ(decoded.Values<T>(), expected) << dtype;
}

TEST(TfsProtoTest, EveryIntegerType) {
  ExpectVarints<std::int32_t>(3, 7, {-1, 2147483647}, {-1, 2147483647});
  ExpectVarints<std::uint8_t>(4, 7, {255, 0}, {255, 0});
  ExpectVarints<std::int16_t>(5, 7, {-32768}, {-32768});
  ExpectVarints<std::int8_t>(6, 7, {-128, 127}, {-128, 127});
  ExpectVarints<std::int64_t>(9, 10, {std::numeric_limits<std::int64_t>::min()},
                              {std::numeric_limits<std::int64_t>::min()});
  ExpectVarints<std::uint8_t>(10, 11, {1, 0, 1}, {1, 0, 1});
  ExpectVarints<std::uint16_t>(14, 13, {16256}, {16256});
  ExpectVarints<std::uint16_t>(17, 7, {65535}, {65535});
  ExpectVarints<std::uint16_t>(19, 13, {15360}, {15360});
  ExpectVarints<std::uint32_t>(22, 16, {4294967295}, {4294967295u});
  ExpectVarints<std::uint64_t>(23, 17, {-1}, {18446744073709551615u});
}

TEST(TfsProtoTest, Strings) {
  std::string proto = Tensor(7, {3});
  pbf_writer(proto).add_string(8, "a");
  pbf_writer(proto).add_string(8, "bc");
  EXPECT_EQ(Decode(proto).Strings(), (std::vector<std::string>{"a", "bc", "bc"}));
  EXPECT_EQ(Decode(Tensor(7, {2})).Strings(), (std::vector<std::string>{"", ""}));
  std::string content = Tensor(7, {2});
  pbf_writer(content).add_bytes(4, std::string("\x01\x02"
                                               "abc"));
  EXPECT_EQ(Decode(content).Strings(), (std::vector<std::string>{"a", "bc"}));
  for (const std::string& bad : {std::string("\x01"),
                                 std::string("\x01\x02"
                                             "ab"),
                                 std::string("\x01\x02"
                                             "abcd"),
                                 std::string("\x01\xFF\xFF\xFF\xFF\x0F"
                                             "a"),
                                 std::string("\xFF\xFF")}) {
    std::string lying = Tensor(7, {2});
    pbf_writer(lying).add_bytes(4, bad);
    EXPECT_EQ(Decode(lying).status.code(), Code::kInvalidArgument);
  }
}

TEST(TfsProtoTest, TensorErrorsNameTheTensor) {
  std::string content = Tensor(1, {3});
  pbf_writer(content).add_bytes(4, "12345678");
  EXPECT_EQ(Decode(content).status.message(),
            "tensor parsing error: x: tensor_content has 8 bytes; shape [3] of DT_FLOAT needs 12");
  EXPECT_EQ(Decode(Tensor(1, {-1})).status.message(),
            "tensor parsing error: x: shape [-1] is not one of a value");
  EXPECT_EQ(Decode(Tensor(8, {1})).status.message(),
            "tensor parsing error: x: dtype 8 is not supported");
  EXPECT_EQ(Decode("").status.message(), "tensor parsing error: x: dtype 0 is not supported");
  EXPECT_EQ(Decode(Tensor(1, std::vector<std::int64_t>(17, 1))).status.message(),
            "tensor parsing error: x: more than 16 dimensions");
  std::string unknown;
  pbf_writer(unknown).add_enum(1, 1);
  std::string shape;
  pbf_writer(shape).add_bool(3, true);
  pbf_writer(unknown).add_message(2, shape);
  EXPECT_NE(Decode(unknown).status.message().find("unknown_rank"), std::string::npos);
  std::string odd = Tensor(1, {1});
  pbf_writer(odd).add_bytes(5, "abc");
  EXPECT_EQ(Decode(odd).status.code(), Code::kInvalidArgument);
  std::string wrong = Tensor(1, {1});
  pbf_writer(wrong).add_uint64(5, 3);
  EXPECT_EQ(Decode(wrong).status.code(), Code::kInvalidArgument);
}

TEST(TfsProtoTest, ShapesThatLieClaimNoMemory) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 61;
  for (const int dtype : {1, 2, 3, 7, 9, 10}) {
    EXPECT_EQ(Decode(Tensor(dtype, {kHuge})).status.code(), Code::kResourceExhausted) << dtype;
    EXPECT_EQ(Decode(Tensor(dtype, {std::int64_t{1} << 32})).status.code(),
              Code::kResourceExhausted)
        << dtype;
  }
  EXPECT_EQ(Decode(Tensor(1, {kHuge, kHuge})).status.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Decode(Tensor(1, {kHuge, 0})).status.ok());
  std::string text = Tensor(7, {1000});
  pbf_writer(text).add_string(8, std::string(1000, 'a'));
  EXPECT_EQ(Decode(text, {.decoded_bytes_max = 1000000}).status.code(), Code::kResourceExhausted);
  EXPECT_TRUE(Decode(text, {.decoded_bytes_max = 1004000}).status.ok());
}

TEST(TfsProtoTest, ExamplesWithAndWithoutContext) {
  std::string list;
  pbf_writer(list).add_string(1, "one");
  pbf_writer(list).add_string(1, "");
  std::string input;
  pbf_writer(input).add_message(1, list);
  Decoded plain;
  ASSERT_TRUE(DecodeExamples(input, "inputs", {}, &plain.tensors).ok());
  EXPECT_EQ(plain.Strings(), (std::vector<std::string>{"one", ""}));
  EXPECT_EQ(plain.tensors.views[0].shape, (Shape{2}));
  pbf_writer(list).add_string(2, "context");
  input.clear();
  pbf_writer(input).add_message(2, list);
  Decoded with;
  ASSERT_TRUE(DecodeExamples(input, "inputs", {}, &with.tensors).ok());
  EXPECT_EQ(with.Strings(), (std::vector<std::string>{"contextone", "context"}));
  EXPECT_EQ(DecodeExamples("", "inputs", {}, &with.tensors).message(), "Input is empty.");
  EXPECT_FALSE(DecodeExamples(input, "inputs", {.decoded_bytes_max = 10}, &with.tensors).ok());
}

// Reads {key, TensorProto} of the first output back with the decoder under test.
struct ReadBack {
  std::string name;
  Decoded decoded;
};
ReadBack FirstOutput(const ByteBuffer& response) {
  ReadBack back;
  pbf_reader reader(reinterpret_cast<const char*>(response.data()), response.size());
  if (!reader.next(1)) return back;
  pbf_reader entry = reader.get_message();
  std::string proto;
  while (entry.next()) {
    if (entry.tag() == 1) {
      back.name = entry.get_string();
    } else {
      proto = entry.get_string();
    }
  }
  back.decoded.status = DecodeInputs({{"x", proto}}, {}, &back.decoded.tensors);
  // The views may point into `proto`.
  back.decoded.tensors.storage.emplace_back(std::string_view(proto));
  if (!back.decoded.tensors.views.empty()) {
    auto& view = back.decoded.tensors.views[0];
    const auto* begin = reinterpret_cast<const std::byte*>(proto.data());
    if (view.data.data() >= begin && view.data.data() < begin + proto.size()) {
      view.data = back.decoded.tensors.storage.back().span().subspan(
          static_cast<std::size_t>(view.data.data() - begin), view.data.size());
    }
  }
  return back;
}

template <typename T>
void ExpectRoundTrip(DType dtype, const std::vector<T>& values) {
  const Shape shape{static_cast<std::int64_t>(values.size()), 1};
  ByteBuffer out;
  const model::TensorView view{"name", dtype, shape, std::as_bytes(std::span(values))};
  WritePredictResponse({"m", 3, "serving_default"}, std::span(&view, 1), &out);
  const ReadBack back = FirstOutput(out);
  ASSERT_TRUE(back.decoded.status.ok()) << back.decoded.status.ToString();
  EXPECT_EQ(back.name, "name");
  EXPECT_EQ(back.decoded.tensors.views[0].dtype, dtype);
  EXPECT_EQ(back.decoded.tensors.views[0].shape, shape);
  EXPECT_EQ(back.decoded.Values<T>(), values);
}

TEST(TfsProtoTest, EveryTypeIsAnsweredTyped) {
  ExpectRoundTrip<float>(DType::kFp32, {1.5, -0.0F, 3e38F});
  ExpectRoundTrip<double>(DType::kFp64, {1.5, 1e300});
  ExpectRoundTrip<std::int8_t>(DType::kInt8, {-128, 0, 127});
  ExpectRoundTrip<std::int16_t>(DType::kInt16, {-32768, 32767});
  ExpectRoundTrip<std::int32_t>(DType::kInt32, {-1, 0, 300, 2147483647});
  ExpectRoundTrip<std::int64_t>(DType::kInt64, {-1, std::numeric_limits<std::int64_t>::max()});
  ExpectRoundTrip<std::uint8_t>(DType::kUint8, {0, 255});
  ExpectRoundTrip<std::uint16_t>(DType::kUint16, {0, 65535});
  ExpectRoundTrip<std::uint32_t>(DType::kUint32, {0, 4294967295u});
  ExpectRoundTrip<std::uint64_t>(DType::kUint64, {0, 18446744073709551615u});
  ExpectRoundTrip<std::uint16_t>(DType::kFp16, {15360, 64512});
  ExpectRoundTrip<std::uint16_t>(DType::kBf16, {16256, 49024});
  ExpectRoundTrip<std::uint8_t>(DType::kBool, {0, 1, 1});
  ExpectRoundTrip<float>(DType::kFp32, {});
  const std::string words("\x01\0\0\0a\0\0\0\0", 9);
  ByteBuffer out;
  const model::TensorView view{"s", DType::kBytes, Shape{2}, Bytes(words)};
  WritePredictResponse({"m", 3, ""}, std::span(&view, 1), &out);
  EXPECT_EQ(FirstOutput(out).decoded.Strings(), (std::vector<std::string>{"a", ""}));
}

TEST(TfsProtoTest, PredictResponseCarriesTheResolvedSpec) {
  ByteBuffer out;
  WritePredictResponse({"m", 300, "sig"}, {}, &out);
  pbf_reader reader(reinterpret_cast<const char*>(out.data()), out.size());
  ASSERT_TRUE(reader.next(2));
  pbf_reader spec = reader.get_message();
  ASSERT_TRUE(spec.next(1));
  EXPECT_EQ(spec.get_string(), "m");
  ASSERT_TRUE(spec.next(2));
  pbf_reader version = spec.get_message();
  ASSERT_TRUE(version.next(1));
  EXPECT_EQ(version.get_int64(), 300);
  ASSERT_TRUE(spec.next(3));
  EXPECT_EQ(spec.get_string(), "sig");
}

TEST(TfsProtoTest, StatusResponse) {
  const std::vector<TfsVersionStatus> versions{
      {2, 30, OkStatus()}, {1, 50, Status(Code::kNotFound, "gone", "no such file")}};
  ByteBuffer out;
  WriteStatusResponse(versions, &out);
  EXPECT_EQ(out.view(),
            std::string_view("\x0A\x06\x08\x02\x10\x1E\x1A\x00"
                             "\x0A\x16\x08\x01\x10\x32\x1A\x10\x08\x05\x12\x0Cno such file",
                             32));
}

TEST(TfsProtoTest, MetadataResponse) {
  model::Signature signature;
  signature.method_name = "tensorflow/serving/predict";
  signature.inputs = {{"x", DType::kFp32, Shape{-1, 3}}};
  signature.outputs = {{"y", DType::kBytes, Shape{}, false}};
  ByteBuffer out;
  WriteMetadataResponse({"m", 1, ""}, std::span(&signature, 1), &out);
  pbf_reader reader(reinterpret_cast<const char*>(out.data()), out.size());
  ASSERT_TRUE(reader.next(2));
  pbf_reader entry = reader.get_message();
  ASSERT_TRUE(entry.next(1));
  EXPECT_EQ(entry.get_string(), "signature_def");
  ASSERT_TRUE(entry.next(2));
  pbf_reader any = entry.get_message();
  ASSERT_TRUE(any.next(1));
  EXPECT_EQ(any.get_string(), "type.googleapis.com/tensorflow.serving.SignatureDefMap");
  ASSERT_TRUE(any.next(2));
  pbf_reader map = any.get_message();
  ASSERT_TRUE(map.next(1));
  pbf_reader named = map.get_message();
  ASSERT_TRUE(named.next(1));
  EXPECT_EQ(named.get_string(), "serving_default");
  ASSERT_TRUE(named.next(2));
  pbf_reader definition = named.get_message();
  ASSERT_TRUE(definition.next(1));
  definition.skip();
  ASSERT_TRUE(definition.next(2));
  definition.skip();
  ASSERT_TRUE(definition.next(3));
  EXPECT_EQ(definition.get_string(), "tensorflow/serving/predict");
}

}  // namespace
}  // namespace brim::api
