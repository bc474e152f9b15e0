// Tests of kserve_json.h: reading requests, writing answers.
#include "api/kserve_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace brim::api {
namespace {

using model::DType;

class ReadTest : public ::testing::Test {
 protected:
  // `binary` follows the JSON.
  Status Read(std::string_view json, std::string_view binary = {}) {
    message_ = KserveMessage();
    body_ = ByteBuffer(json);
    body_.Append(binary);
    body_.Reserve(body_.size() + 1);
    JsonParserPool::Lease parser(pool_);
    return ReadInferJson(*parser, body_.span(), json.size(), limits_, &message_);
  }
  // One input "x" with these fields.
  Status ReadOne(const std::string& fields, std::string_view binary = {}) {
    return Read("{\"inputs\":[{\"name\":\"x\"," + fields + "}]}", binary);
  }
  template <typename T>
  std::vector<T> Values(std::size_t input = 0) {
    const auto data = message_.inputs.at(input).data;
    std::vector<T> values(data.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), data.data(), values.size() * sizeof(T));
    return values;
  }
  std::vector<std::string> Strings(std::size_t input = 0) {
    std::vector<std::string> values;
    model::StringElements elements(message_.inputs.at(input).data);
    for (std::string_view element; elements.Next(&element);) values.emplace_back(element);
    return values;
  }
  void ExpectInvalid(const Status& status, std::string_view text) {
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.ToString();
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
  }

  KserveLimits limits_;
  JsonParserPool pool_;
  ByteBuffer body_;
  KserveMessage message_;
};

TEST_F(ReadTest, ReadsNestedAndFlatData) {
  ASSERT_TRUE(
      ReadOne("\"shape\":[2,3],\"datatype\":\"FP32\",\"data\":[[1,2.5,-3e-2],[4,5,6]]").ok());
  const model::TensorView& x = message_.inputs.at(0);
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(x.dtype, DType::kFp32);
  EXPECT_EQ(x.shape, (model::Shape{2, 3}));
  EXPECT_EQ(Values<float>(), (std::vector<float>{1, 2.5F, -3e-2F, 4, 5, 6}));
  ASSERT_TRUE(ReadOne("\"shape\":[2,3],\"datatype\":\"INT32\",\"data\":[1,2,3,4,5,-6]").ok());
  EXPECT_EQ(Values<std::int32_t>(), (std::vector<std::int32_t>{1, 2, 3, 4, 5, -6}));
}

TEST_F(ReadTest, ReadsDataThatComesBeforeItsShape) {
  ASSERT_TRUE(
      Read("{\"inputs\":[{\"data\":[1,2],\"datatype\":\"INT64\",\"shape\":[2],\"name\":\"x\"},"
           "{\"name\":\"y\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[7]}]}")
          .ok());
  EXPECT_EQ(Values<std::int64_t>(), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(Values<std::int8_t>(1), (std::vector<std::int8_t>{7}));
}

TEST_F(ReadTest, ReadsEveryDatatypeToItsLimits) {
  ASSERT_TRUE(ReadOne("\"shape\":[3],\"datatype\":\"BOOL\",\"data\":[true,false,1]").ok());
  EXPECT_EQ(Values<std::uint8_t>(), (std::vector<std::uint8_t>{1, 0, 1}));
  ASSERT_TRUE(ReadOne("\"shape\":[2],\"datatype\":\"UINT8\",\"data\":[0,255]").ok());
  EXPECT_EQ(Values<std::uint8_t>(), (std::vector<std::uint8_t>{0, 255}));
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"UINT16\",\"data\":[65535]").ok());
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"UINT32\",\"data\":[4294967295]").ok());
  ASSERT_TRUE(
      ReadOne("\"shape\":[1],\"datatype\":\"UINT64\",\"data\":[18446744073709551615]").ok());
  EXPECT_EQ(Values<std::uint64_t>(), (std::vector<std::uint64_t>{18446744073709551615ull}));
  ASSERT_TRUE(ReadOne("\"shape\":[2],\"datatype\":\"INT16\",\"data\":[-32768,32767]").ok());
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"INT64\",\"data\":[-9223372036854775808]").ok());
  EXPECT_EQ(Values<std::int64_t>()[0], std::numeric_limits<std::int64_t>::min());
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"FP64\",\"data\":[1e300]").ok());
  EXPECT_EQ(Values<double>()[0], 1e300);
  for (const char* bad :
       {"\"datatype\":\"UINT8\",\"data\":[256]", "\"datatype\":\"UINT8\",\"data\":[-1]",
        "\"datatype\":\"INT8\",\"data\":[128]", "\"datatype\":\"INT32\",\"data\":[1.5]",
        "\"datatype\":\"BOOL\",\"data\":[2]", "\"datatype\":\"FP32\",\"data\":[1e39]",
        "\"datatype\":\"FP32\",\"data\":[\"1\"]", "\"datatype\":\"FP32\",\"data\":[null]",
        "\"datatype\":\"FP32\",\"data\":[{}]", "\"datatype\":\"UINT64\",\"data\":[-1]",
        "\"datatype\":\"INT64\",\"data\":[9223372036854775808]"}) {
    ExpectInvalid(ReadOne("\"shape\":[1]," + std::string(bad)),
                  "Unable to parse 'data': element 0");
  }
}

TEST_F(ReadTest, ReadsTheLargestFloats) {
  // As Python prints the largest FP32, and as it prints it widened.
  ASSERT_TRUE(
      ReadOne("\"shape\":[2],\"datatype\":\"FP32\",\"data\":[3.4028235e+38,-3.4028234663852886e38]")
          .ok());
  EXPECT_EQ(Values<float>(), (std::vector<float>{std::numeric_limits<float>::max(),
                                                 -std::numeric_limits<float>::max()}));
}

TEST_F(ReadTest, ReadsNonFiniteWords) {
  ASSERT_TRUE(
      ReadOne("\"shape\":[4],\"datatype\":\"FP32\",\"data\":[NaN, Infinity ,-Infinity,1]").ok());
  const auto values = Values<float>();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[2], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[3], 1.0F);
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"FP64\",\"data\":[NaN]").ok());
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[Nan]"), "'Nan'");
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"INT32\",\"data\":[NaN]"), "'NaN'");
}

// The very doubles that the C library reads.
TEST_F(ReadTest, ReadsDecimalsExactly) {
  const unsigned seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::string data;
  std::vector<double> expected;
  for (int i = 0; i < 5000; ++i) {
    std::string text = i % 3 == 0 ? "-" : "";
    text += std::to_string(random() % (std::uint64_t{1} << (random() % 64)));
    if (i % 4 != 0) {
      text += '.';
      for (std::size_t k = 1 + random() % 20; k > 0; --k)
        text += static_cast<char>('0' + random() % 10);
    }
    if (i % 16 == 1) text += "e-" + std::to_string(random() % 30);
    data += (i == 0 ? "" : (i % 2 == 0 ? "," : " ,\n")) + text;
    expected.push_back(std::strtod(text.c_str(), nullptr));
  }
  ASSERT_TRUE(ReadOne("\"shape\":[5000],\"datatype\":\"FP64\",\"data\":[" + data + "]").ok());
  EXPECT_EQ(Values<double>(), expected);
  for (const char* bad :
       {"01", "-", "1.", ".5", "1.e3", "+1", "1x", "0x1", "-01.5", "1.5.5", "--1", "1_0"}) {
    ExpectInvalid(
        ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[" + std::string(bad) + "]"),
        "'data'");
  }
  ASSERT_TRUE(ReadOne("\"shape\":[3],\"datatype\":\"FP32\",\"data\":[-0,0.0,-0.0]").ok());
  EXPECT_TRUE(std::signbit(Values<float>()[0]));
}

TEST_F(ReadTest, ReadsStrings) {
  ASSERT_TRUE(ReadOne("\"shape\":[2,2],\"datatype\":\"BYTES\","
                      "\"data\":[[\"a\",\"\"],[\"q\\\"\\u00e9\\n\",\"\xE4\xBD\xA0\"]]")
                  .ok());
  EXPECT_EQ(Strings(), (std::vector<std::string>{"a", "", "q\"\xC3\xA9\n", "\xE4\xBD\xA0"}));
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[1]"), "must be a string");
}

TEST_F(ReadTest, ReadsEmptyTensors) {
  ASSERT_TRUE(ReadOne("\"shape\":[0,4],\"datatype\":\"FP32\",\"data\":[]").ok());
  EXPECT_EQ(message_.inputs.at(0).data.size(), 0u);
  ASSERT_TRUE(ReadOne("\"shape\":[],\"datatype\":\"FP32\",\"data\":[3]").ok());
  EXPECT_EQ(message_.inputs.at(0).shape.rank(), 0u);
  EXPECT_EQ(Values<float>(), (std::vector<float>{3}));
}

TEST_F(ReadTest, RefusesAnotherNumberOfElements) {
  for (const char* data : {"[1]", "[1,2,3]", "[[1],[2],[3]]", "[]", "[[],[1]]"}) {
    ExpectInvalid(ReadOne("\"shape\":[2],\"datatype\":\"FP32\",\"data\":" + std::string(data)),
                  "needs 2 elements");
    ExpectInvalid(
        ReadOne("\"shape\":[1000000000000],\"datatype\":\"FP32\",\"data\":" + std::string(data)),
        "needs 1000000000000 elements");
  }
  ExpectInvalid(ReadOne("\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"a\"]"), "needs 2");
}

TEST_F(ReadTest, RefusesBadShapes) {
  ExpectInvalid(ReadOne("\"shape\":[-1],\"datatype\":\"FP32\",\"data\":[1]"), "negative");
  ExpectInvalid(ReadOne("\"shape\":[1.5],\"datatype\":\"FP32\",\"data\":[1]"), "'shape'");
  ExpectInvalid(ReadOne("\"shape\":[9223372036854775807,9223372036854775807],\"datatype\":\"FP32\","
                        "\"data\":[1]"),
                "too many elements");
  ExpectInvalid(ReadOne("\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"datatype\":\"FP32\","
                        "\"data\":[1]"),
                "more than 16 dimensions");
  ExpectInvalid(ReadOne("\"shape\":\"1\",\"datatype\":\"FP32\",\"data\":[1]"), "'shape'");
}

TEST_F(ReadTest, RefusesDeepData) {
  limits_.json_depth_max = 3;
  ASSERT_TRUE(ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[[[1]]]").ok());
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[[[[1]]]]"), "depth");
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[[[[\"a\"]]]]"), "depth");
  limits_.json_depth_max = 100;
  const std::string deep(100000, '[');
  EXPECT_FALSE(ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":" + deep).ok());
}

TEST_F(ReadTest, RefusesHalfFloatsInJson) {
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"FP16\",\"data\":[1]"), "FP16 data via JSON");
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"BF16\",\"data\":[1]"), "BF16 data via JSON");
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"FLOAT\",\"data\":[1]"), "invalid datatype");
}

TEST_F(ReadTest, TakesBinaryTensorsInOrder) {
  ASSERT_TRUE(Read("{\"inputs\":["
                   "{\"name\":\"a\",\"shape\":[2],\"datatype\":\"FP16\",\"parameters\":{\"binary_"
                   "data_size\":4}},"
                   "{\"name\":\"b\",\"shape\":[1],\"datatype\":\"INT32\",\"data\":[9]},"
                   "{\"name\":\"c\",\"shape\":[3],\"datatype\":\"UINT8\",\"parameters\":{\"binary_"
                   "data_size\":3}}]}",
                   "abcdxyz")
                  .ok());
  EXPECT_EQ(message_.inputs[0].data.data(), body_.data() + body_.size() - 7);  // A view, no copy.
  EXPECT_EQ(message_.inputs[0].data.size(), 4u);
  EXPECT_EQ(std::memcmp(message_.inputs[2].data.data(), "xyz", 3), 0);
  // The size may be left out where the shape tells it.
  ASSERT_TRUE(ReadOne("\"shape\":[2],\"datatype\":\"UINT16\"", "abcd").ok());
  EXPECT_EQ(message_.inputs[0].data.size(), 4u);
}

TEST_F(ReadTest, RefusesLyingBinarySizes) {
  const std::string fields =
      "\"shape\":[2],\"datatype\":\"FP16\",\"parameters\":{\"binary_data_size\":";
  ExpectInvalid(ReadOne(fields + "5}", "abcd"), "expecting 1 additional bytes");
  ExpectInvalid(ReadOne(fields + "3}", "abcd"), "unexpected additional input data");
  ExpectInvalid(ReadOne(fields + "-4}", "abcd"), "binary_data_size");
  ExpectInvalid(ReadOne(fields + "18446744073709551615}", "abcd"), "additional bytes");
  ExpectInvalid(ReadOne("\"shape\":[2],\"datatype\":\"INT16\",\"parameters\":{\"binary_data_size\":"
                        "4},\"data\":[1,2]",
                        "abcd"),
                "only one of");
  ExpectInvalid(ReadOne("\"shape\":[2],\"datatype\":\"FP16\""), "no field is set");
  ExpectInvalid(ReadOne("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]", "left"),
                "additional input data");
  body_ = ByteBuffer("{}");
  JsonParserPool::Lease parser(pool_);
  ExpectInvalid(ReadInferJson(*parser, body_.span(), 3, limits_, &message_), "header size");
}

TEST_F(ReadTest, ReadsIdOutputsAndParameters) {
  ASSERT_TRUE(
      Read("{\"id\":\"4\\u0032\",\"parameters\":{\"priority\":2,\"timeout\":5000,"
           "\"binary_data_output\":true,\"sequence_id\":\"s\",\"sequence_start\":true,"
           "\"mine\":1.5,\"n\":null,\"t\":\"x\",\"i\":-3,\"b\":false,\"u\":18446744073709551615},"
           "\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":false,"
           "\"classification\":3}},{\"name\":\"z\"}]}")
          .ok());
  EXPECT_EQ(message_.id, "42");
  EXPECT_EQ(message_.priority, 2u);
  EXPECT_EQ(message_.timeout_us, 5000u);
  EXPECT_TRUE(message_.binary_output);
  ASSERT_EQ(message_.outputs.size(), 2u);
  EXPECT_EQ(message_.outputs[0].name, "y");
  EXPECT_EQ(message_.outputs[0].classes, 3u);
  EXPECT_EQ(message_.outputs[0].binary, false);
  EXPECT_FALSE(message_.outputs[1].binary.has_value());
  ASSERT_EQ(message_.parameters.size(), 5u);
  EXPECT_EQ(message_.parameters[0].number, 1.5);
  EXPECT_EQ(message_.parameters[1].text, "x");
  EXPECT_EQ(message_.parameters[2].integer, -3);
  EXPECT_FALSE(message_.parameters[3].boolean);
  EXPECT_EQ(message_.parameters[4].natural, 18446744073709551615ull);
}

TEST_F(ReadTest, RefusesBadParameters) {
  const auto with = [](const std::string& p) { return "{\"inputs\":[],\"parameters\":" + p + "}"; };
  ExpectInvalid(Read(with("{\"priority\":-1}")), "'priority'");
  ExpectInvalid(Read(with("{\"timeout\":\"5\"}")), "'timeout'");
  ExpectInvalid(Read(with("{\"binary_data_output\":1}")), "'binary_data_output'");
  ExpectInvalid(Read(with("{\"triton_x\":1}")), "reserved");
  ExpectInvalid(Read(with("{\"a\":[]}")), "invalid type");
  ExpectInvalid(Read(with("{\"sequence_start\":1}")), "'sequence_start'");
  ExpectInvalid(Read(with("3")), "'parameters'");
  EXPECT_TRUE(Read(with("null")).ok());
  std::string many = "{\"p0\":1";
  for (int i = 1; i < 300; ++i) many += ",\"p" + std::to_string(i) + "\":1";
  ExpectInvalid(Read(with(many + "}")), "more than 256 parameters");
}

TEST_F(ReadTest, PlacesTensorsInSharedMemory) {
  const auto with = [](std::string_view parameters, std::string_view more = "") {
    return "\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{" + std::string(parameters) + "}" +
           std::string(more);
  };
  const std::string_view good =
      R"("shared_memory_region":"r","shared_memory_byte_size":4,"shared_memory_offset":8)";
  ASSERT_TRUE(ReadOne(with(good)).ok());
  ASSERT_EQ(message_.shared_inputs.size(), 1u);
  EXPECT_EQ(message_.shared_inputs[0].input, 0u);
  EXPECT_EQ(message_.shared_inputs[0].part.region, "r");
  EXPECT_EQ(message_.shared_inputs[0].part.bytes, 4u);
  EXPECT_EQ(message_.shared_inputs[0].part.offset, 8u);
  EXPECT_TRUE(message_.inputs[0].data.empty());
  ExpectInvalid(ReadOne(with(good, ",\"data\":[1]")), "only one of 'data'");
  ExpectInvalid(ReadOne(with(std::string(good) + ",\"binary_data_size\":4")), "only one of 'data'");
  ExpectInvalid(ReadOne(with(R"("shared_memory_region":"r")")),
                "'shared_memory_byte_size' must be");
  ExpectInvalid(ReadOne(with(R"("shared_memory_byte_size":4)")), "'shared_memory_region' must be");
  ExpectInvalid(ReadOne(with(R"("shared_memory_offset":4)")), "'shared_memory_region' must be");
  ExpectInvalid(ReadOne(with(R"("shared_memory_region":5)")), "expected a string");
  ExpectInvalid(ReadOne(with(R"("shared_memory_byte_size":-1)")), "integer >= 0");
  ExpectInvalid(ReadOne(with(R"("shared_memory_size":1)")), "unknown parameter");

  const auto output = [](std::string_view parameters) {
    return R"({"inputs":[],"outputs":[{"name":"y","parameters":{)" + std::string(parameters) +
           "}}]}";
  };
  ASSERT_TRUE(Read(output(good)).ok());
  EXPECT_EQ(message_.outputs[0].shared.region, "r");
  EXPECT_EQ(message_.outputs[0].shared.offset, 8u);
  ExpectInvalid(Read(output(R"("shared_memory_region":"r")")), "'shared_memory_byte_size' must be");
}

TEST_F(ReadTest, RefusesMalformedJson) {
  for (const char* text :
       {"",
        " ",
        "{",
        "}",
        "[]",
        "3",
        "\"a\"",
        "{\"inputs\":[]",
        "{\"inputs\":[}",
        "{\"inputs\":{}}",
        "{\"inputs\":[1]}",
        "{\"inputs\":[]}}",
        "{\"inputs\":[]} x",
        "{\"id\":1,\"inputs\":[]}",
        "{}",
        "{\"inputs\":null}",
        "{\"inputs\":[],\"inputs\":[]}",
        "{\"inputs\":[],\"id\":\"a}",
        "{\"inputs\":[{\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"data\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"data\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":1}]}",
        "{\"inputs\":[],\"outputs\":[{}]}",
        "{\"inputs\":[],\"outputs\":3}"}) {
    EXPECT_EQ(Read(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST_F(ReadTest, BoundsTensorsAndId) {
  limits_.tensors_max = 2;
  const std::string one = "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"UINT8\",\"data\":[1]}";
  EXPECT_TRUE(Read("{\"inputs\":[" + one + "," + one + "]}").ok());
  ExpectInvalid(Read("{\"inputs\":[" + one + "," + one + "," + one + "]}"), "more than 2 inputs");
  ExpectInvalid(
      Read("{\"inputs\":[],\"outputs\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}"),
      "more than 2 outputs");
  ExpectInvalid(Read("{\"inputs\":[],\"id\":\"" + std::string(2000, 'i') + "\"}"),
                "'id' has 2000 bytes");
  limits_.decoded_bytes_max = 16;
  EXPECT_EQ(ReadOne("\"shape\":[3],\"datatype\":\"FP64\",\"data\":[1,2,3]").code(),
            Code::kResourceExhausted);
}

TEST_F(ReadTest, EveryTruncationIsRefused) {
  const std::string whole =
      "{\"id\":\"a\\n\",\"inputs\":[{\"data\":[[1,NaN],[3,4]],\"name\":\"x\",\"shape\":[2,2],"
      "\"datatype\":\"FP32\",\"parameters\":{\"k\":[1,{}]}}],\"outputs\":[{\"name\":\"y\"}]}";
  ASSERT_TRUE(Read(whole).ok()) << Read(whole).ToString();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(Read(std::string_view(whole).substr(0, n)).ok()) << n;
  }
}

TEST(RepositoryJsonTest, ReadsRequests) {
  JsonParserPool pool;
  const auto read = [&](std::string_view text, RepositoryJson* out) {
    ByteBuffer body(text);
    JsonParserPool::Lease parser(pool);
    return ReadRepositoryJson(*parser, body.span(), {}, out);
  };
  RepositoryJson out;
  EXPECT_TRUE(read("", &out).ok());
  EXPECT_TRUE(read("{\"ready\":true}", &out).ok());
  EXPECT_TRUE(out.ready);
  EXPECT_TRUE(read("{\"parameters\":{\"config\":\"{\\\"a\\\":1}\",\"file:1/m.onnx\":\"aGk=\","
                   "\"unload_dependents\":false}}",
                   &out)
                  .ok());
  EXPECT_EQ(out.config, "{\"a\":1}");
  ASSERT_EQ(out.files.size(), 1u);
  EXPECT_EQ(out.files[0].first, "1/m.onnx");
  EXPECT_EQ(out.files[0].second, "hi");
  for (const char* bad :
       {"[]", "{\"ready\":1}", "{\"parameters\":{\"x\":1}}", "{\"parameters\":{\"config\":{}}}",
        "{\"parameters\":{\"file:a\":\"?\"}}", "{\"parameters\":3}", "{"}) {
    EXPECT_EQ(read(bad, &out).code(), Code::kInvalidArgument) << bad;
  }
}

template <typename T>
std::vector<std::byte> Bytes(std::initializer_list<T> values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}

std::string Write(std::vector<KserveAnswerTensor> outputs, std::size_t* json_bytes,
                  std::vector<KserveParameter> parameters = {}) {
  ByteBuffer out;
  const Status status = WriteInferJson({"m", "3", "i\"d", parameters, outputs}, &out, json_bytes);
  return status.ok() ? std::string(out.view()) : status.ToString();
}

TEST(WriteInferJsonTest, WritesNumbersAsTheyAre) {
  std::size_t json_bytes = 1;
  const auto f = Bytes<float>({1, 0.1F, -1e-20F, std::numeric_limits<float>::quiet_NaN(),
                               -std::numeric_limits<float>::infinity(), 16777216});
  const auto i = Bytes<std::int64_t>({-9223372036854775807ll - 1, 5});
  const auto u = Bytes<std::uint64_t>({18446744073709551615ull});
  const auto b = Bytes<std::uint8_t>({1, 0});
  EXPECT_EQ(
      Write({{{"f", DType::kFp32, {2, 3}, f}},
             {{"i", DType::kInt64, {2}, i}},
             {{"u", DType::kUint64, {1}, u}},
             {{"b", DType::kBool, {2}, b}},
             {{"e", DType::kFp64, {0}, {}}}},
            &json_bytes),
      "{\"id\":\"i\\\"d\",\"model_name\":\"m\",\"model_version\":\"3\",\"outputs\":["
      "{\"name\":\"f\",\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":[1.0,0.1,-1e-20,NaN,-"
      "Infinity,"
      "16777216.0]},"
      "{\"name\":\"i\",\"datatype\":\"INT64\",\"shape\":[2],\"data\":[-9223372036854775808,5]},"
      "{\"name\":\"u\",\"datatype\":\"UINT64\",\"shape\":[1],\"data\":[18446744073709551615]},"
      "{\"name\":\"b\",\"datatype\":\"BOOL\",\"shape\":[2],\"data\":[true,false]},"
      "{\"name\":\"e\",\"datatype\":\"FP64\",\"shape\":[0],\"data\":[]}]}");
  EXPECT_EQ(json_bytes, 0u);
}

TEST(WriteInferJsonTest, WritesStringsAndParameters) {
  ByteBuffer data;
  for (const std::string_view text : {"a\"", "", "\xFF\xE4\xBD\xA0"}) {
    StoreLittle(data.Extend(4), static_cast<std::uint32_t>(text.size()));
    data.Append(text);
  }
  KserveParameter parameter;
  parameter.key = "k";
  parameter.kind = KserveParameter::Kind::kText;
  parameter.text = "v";
  std::size_t json_bytes = 0;
  EXPECT_EQ(Write({{{"s", DType::kBytes, {3}, data.span()}}}, &json_bytes, {parameter}),
            "{\"id\":\"i\\\"d\",\"model_name\":\"m\",\"model_version\":\"3\",\"parameters\":{\"k\":"
            "\"v\"},"
            "\"outputs\":[{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[3],"
            "\"data\":[\"a\\\"\",\"\",\"\xEF\xBF\xBD\xE4\xBD\xA0\"]}]}");
}

TEST(WriteInferJsonTest, PutsBinaryTensorsBehindTheJson) {
  const auto a = Bytes<std::uint8_t>({'a', 'b'});
  const auto half = Bytes<std::uint16_t>({0x6463});
  std::size_t json_bytes = 0;
  const std::string text = Write({{{"a", DType::kUint8, {2}, a}, true},
                                  {{"j", DType::kUint8, {2}, a}, false},
                                  {{"h", DType::kFp16, {1}, half}, true}},
                                 &json_bytes);
  ASSERT_EQ(json_bytes, text.size() - 4);
  EXPECT_EQ(text.substr(json_bytes), "abcd");
  EXPECT_NE(text.find("\"shape\":[2],\"parameters\":{\"binary_data_size\":2}}"), std::string::npos);
  EXPECT_NE(text.find("\"data\":[97,98]"), std::string::npos);
  EXPECT_NE(
      Write({{{"h", DType::kFp16, {1}, half}, false}}, &json_bytes).find("FP16 data via JSON"),
      std::string::npos);
}

TEST(WriteInferJsonTest, ManyNumbersRoundTrip) {
  // More than one block of the formatter.
  std::vector<float> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 7.0F;
  std::size_t json_bytes = 0;
  const std::string text =
      Write({{{"f", DType::kFp32, {1000}, std::as_bytes(std::span(values))}}}, &json_bytes);
  const std::size_t at = text.find("\"data\":");
  std::string request = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1000],\"datatype\":\"FP32\"," +
                        text.substr(at, text.size() - at - 3) + "}]}";
  ByteBuffer body(request);
  JsonParserPool pool;
  JsonParserPool::Lease parser(pool);
  KserveMessage message;
  ASSERT_TRUE(ReadInferJson(*parser, body.span(), body.size(), {}, &message).ok());
  ASSERT_EQ(message.inputs.at(0).data.size(), 4000u);
  EXPECT_EQ(std::memcmp(message.inputs[0].data.data(), values.data(), 4000), 0);
}

}  // namespace
}  // namespace brim::api
