// Tests of tfs_json: what TensorFlow Serving's REST API accepts, refuses (with its words) and
// answers.
#include "api/tfs_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "api/base64.h"

namespace brim::api {
namespace {

using model::DType;
using model::Shape;

model::Signature Inputs(std::vector<model::TensorSpec> inputs) {
  model::Signature signature;
  signature.inputs = std::move(inputs);
  return signature;
}

struct Parsed {
  Status status;
  OwnedTensors tensors;
  TfsFormat format = TfsFormat::kRow;

  template <typename T>
  std::vector<T> Values(std::size_t i) const {
    const auto data = tensors.views[i].data;
    std::vector<T> values(data.size() / sizeof(T));
    if (!data.empty()) std::memcpy(values.data(), data.data(), data.size());
    return values;
  }
  std::vector<std::string> Strings(std::size_t i) const {
    EXPECT_TRUE(model::CheckData(tensors.views[i]).ok());
    std::vector<std::string> values;
    model::StringElements elements(tensors.views[i].data);
    std::string_view element;
    while (elements.Next(&element)) values.emplace_back(element);
    return values;
  }
};

Parsed Parse(std::string_view json, const model::Signature& signature) {
  Parsed parsed;
  const ByteBuffer body(json);
  TfsJsonRequest request({});
  parsed.status = request.Parse(body.span());
  if (parsed.status.ok())
    parsed.status = request.FillInputs(signature, &parsed.tensors, &parsed.format);
  if (parsed.status.ok()) {
    for (const auto& view : parsed.tensors.views) EXPECT_TRUE(model::CheckData(view).ok()) << json;
  }
  return parsed;
}

std::string Error(std::string_view json, const model::Signature& signature,
                  Code code = Code::kInvalidArgument) {
  const Parsed parsed = Parse(json, signature);
  EXPECT_EQ(parsed.status.code(), code) << json << " " << parsed.status.ToString();
  return parsed.status.ok() ? "" : parsed.status.message();
}

const model::Signature kX = Inputs({{"x", DType::kFp32, Shape{-1, 2}}});
const model::Signature kXY =
    Inputs({{"x", DType::kFp32, Shape{-1, 2}}, {"y", DType::kInt32, Shape{-1}}});
const model::Signature kS = Inputs({{"s", DType::kBytes, Shape{-1}}});

TEST(TfsJsonTest, RowsOfOneInput) {
  const Parsed parsed =
      Parse(R"({"signature_name": "serving_default", "instances": [[1, 2.5], [-3e1, 4]]})", kX);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.ToString();
  EXPECT_EQ(parsed.format, TfsFormat::kRow);
  ASSERT_EQ(parsed.tensors.views.size(), 1u);
  EXPECT_EQ(parsed.tensors.views[0].name, "x");
  EXPECT_EQ(parsed.tensors.views[0].shape, (Shape{2, 2}));
  EXPECT_EQ(parsed.Values<float>(0), (std::vector<float>{1, 2.5, -30, 4}));
}

TEST(TfsJsonTest, RowsOfScalarsAndDeeperLists) {
  EXPECT_EQ(Parse(R"({"instances": [1, 2, 3]})", kX).tensors.views[0].shape, (Shape{3}));
  EXPECT_EQ(Parse(R"({"instances": [[[1],[2]]]})", kX).tensors.views[0].shape, (Shape{1, 2, 1}));
  EXPECT_EQ(Parse(R"({"instances": [[], []]})", kX).tensors.views[0].shape, (Shape{2, 0}));
}

TEST(TfsJsonTest, RowsOfNamedInputs) {
  const Parsed parsed =
      Parse(R"({"instances": [{"x": [1, 2], "y": 7}, {"y": -8, "x": [3, 4]}]})", kXY);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.ToString();
  EXPECT_EQ(parsed.tensors.views[0].shape, (Shape{2, 2}));
  EXPECT_EQ(parsed.tensors.views[1].shape, (Shape{2}));
  EXPECT_EQ(parsed.Values<float>(0), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(parsed.Values<std::int32_t>(1), (std::vector<std::int32_t>{7, -8}));
}

TEST(TfsJsonTest, Columns) {
  const Parsed named = Parse(R"({"inputs": {"y": [7], "x": [[1, 2]], "unknown": "ignored"}})", kXY);
  ASSERT_TRUE(named.status.ok()) << named.status.ToString();
  EXPECT_EQ(named.format, TfsFormat::kColumnar);
  EXPECT_EQ(named.tensors.views[0].name, "x");
  EXPECT_EQ(named.tensors.views[0].shape, (Shape{1, 2}));
  const Parsed bare = Parse(R"({"inputs": [[1, 2]]})", kX);
  ASSERT_TRUE(bare.status.ok()) << bare.status.ToString();
  EXPECT_EQ(bare.tensors.views[0].shape, (Shape{1, 2}));
  const Parsed object = Parse(R"({"inputs": {"x": [[1, 2]]}})", kX);
  EXPECT_EQ(object.tensors.views[0].shape, (Shape{1, 2}));
  const Parsed scalar = Parse(R"({"inputs": 3})", kX);
  EXPECT_EQ(scalar.tensors.views[0].shape, (Shape{}));
  EXPECT_EQ(scalar.Values<float>(0), (std::vector<float>{3}));
}

TEST(TfsJsonTest, StringsAndBase64) {
  const Parsed rows = Parse(R"({"instances": ["a", {"b64": "aGVsbG8="}, "\u00e9", ""]})", kS);
  ASSERT_TRUE(rows.status.ok()) << rows.status.ToString();
  EXPECT_EQ(rows.Strings(0), (std::vector<std::string>{"a", "hello", "\xC3\xA9", ""}));
  const Parsed first = Parse(R"({"instances": [{"b64": "AAH/"}]})", kS);
  EXPECT_EQ(first.Strings(0), (std::vector<std::string>{std::string("\x00\x01\xFF", 3)}));
  const Parsed named = Parse(R"({"instances": [{"s": {"b64": "aGVsbG8"}}]})", kS);
  EXPECT_EQ(named.Strings(0), (std::vector<std::string>{"hello"}));
  const Parsed column = Parse(R"({"inputs": {"b64": "aGVsbG8="}})", kS);
  EXPECT_EQ(column.Strings(0), (std::vector<std::string>{"hello"}));
  EXPECT_EQ(column.tensors.views[0].shape, (Shape{}));
  const Parsed list = Parse(R"({"inputs": {"s": [["a", "b"], ["c", {"b64": "ZA=="}]]}})", kS);
  EXPECT_EQ(list.tensors.views[0].shape, (Shape{2, 2}));
  EXPECT_EQ(list.Strings(0), (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST(TfsJsonTest, Base64Errors) {
  EXPECT_EQ(Error(R"({"inputs": {"b64": "a*=="}})", kS), "Unable to base64 decode");
  EXPECT_EQ(Error(R"({"instances": [{"b64": "a"}]})", kS),
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Unable to "
            "base64 decode");
  EXPECT_EQ(Error(R"({"inputs": [{"b65": "aa"}]})", kS),
            R"(JSON Value: {"b65":"aa"} not formatted correctly for base64 data)");
  EXPECT_EQ(Error(R"({"inputs": [{"b64": 1}]})", kS),
            R"(JSON Value: {"b64":1} not formatted correctly for base64 data)");
  EXPECT_EQ(Error(R"({"inputs": [{"b64": "aGVsbG8="}]})", kX),
            R"(JSON Value: {"b64":"aGVsbG8="} Type: Object is not of expected type: float)");
}

TEST(TfsJsonTest, NonFiniteNumbers) {
  const Parsed parsed =
      Parse(R"({"instances": [[NaN, Infinity],[-Infinity,1e3], [-Inf, Inf]]})", kX);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.ToString();
  const std::vector<float> values = parsed.Values<float>(0);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], kInfinity);
  EXPECT_EQ(values[2], -kInfinity);
  EXPECT_EQ(values[3], 1000);
  EXPECT_EQ(values[4], -kInfinity);
  EXPECT_EQ(values[5], kInfinity);
  EXPECT_EQ(parsed.tensors.views[0].shape, (Shape{3, 2}));
  // Words inside of strings stay; a non-finite number is no integer.
  EXPECT_EQ(Parse(R"({"inputs": ["NaN \" Infinity"], "unused": NaN})", kS).Strings(0),
            (std::vector<std::string>{"NaN \" Infinity"}));
  EXPECT_EQ(Error(R"({"inputs": {"x": [NaN], "y": [NaN]}})", kXY),
            "JSON Value: NaN Type: Number is not of expected type: int32");
  EXPECT_EQ(Error(R"({"inputs": [Infinite]})", kX).rfind("JSON Parse error: ", 0), 0u);
}

TEST(TfsJsonTest, FloatsTakeAnyNumber) {
  const Parsed parsed = Parse(
      R"({"inputs": [1e300, -1e300, 123456789012345678901234567890, 18446744073709551615, 0.1]})",
      kX);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.ToString();
  const std::vector<float> values = parsed.Values<float>(0);
  EXPECT_EQ(values[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[1], -std::numeric_limits<float>::infinity());
  EXPECT_FLOAT_EQ(values[2], 1.2345679e29F);
  EXPECT_FLOAT_EQ(values[3], 1.8446744e19F);
  EXPECT_EQ(values[4], 0.1F);
}

TEST(TfsJsonTest, EveryType) {
  const auto one = [](DType dtype) { return Inputs({{"x", dtype, Shape{-1}}}); };
  EXPECT_EQ(Parse(R"({"inputs": [1.5, 2]})", one(DType::kFp64)).Values<double>(0),
            (std::vector<double>{1.5, 2}));
  EXPECT_EQ(Parse(R"({"inputs": [-128, 127]})", one(DType::kInt8)).Values<std::int8_t>(0),
            (std::vector<std::int8_t>{-128, 127}));
  EXPECT_EQ(Parse(R"({"inputs": [-32768]})", one(DType::kInt16)).Values<std::int16_t>(0),
            (std::vector<std::int16_t>{-32768}));
  EXPECT_EQ(Parse(R"({"inputs": [255]})", one(DType::kUint8)).Values<std::uint8_t>(0),
            (std::vector<std::uint8_t>{255}));
  EXPECT_EQ(Parse(R"({"inputs": [4294967295]})", one(DType::kUint32)).Values<std::uint32_t>(0),
            (std::vector<std::uint32_t>{4294967295u}));
  EXPECT_EQ(
      Parse(R"({"inputs": [-9223372036854775808]})", one(DType::kInt64)).Values<std::int64_t>(0),
      (std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min()}));
  EXPECT_EQ(Parse(R"({"inputs": [18446744073709551615, 1]})", one(DType::kUint64))
                .Values<std::uint64_t>(0),
            (std::vector<std::uint64_t>{18446744073709551615u, 1}));
  EXPECT_EQ(Parse(R"({"inputs": [true, false]})", one(DType::kBool)).Values<std::uint8_t>(0),
            (std::vector<std::uint8_t>{1, 0}));
}

TEST(TfsJsonTest, TypeErrors) {
  const auto one = [](DType dtype) { return Inputs({{"x", dtype, Shape{-1}}}); };
  EXPECT_EQ(Error(R"({"inputs": ["a"]})", one(DType::kFp32)),
            R"(JSON Value: "a" Type: String is not of expected type: float)");
  EXPECT_EQ(Error(R"({"inputs": [1, 1.5]})", one(DType::kInt32)),
            "JSON Value: 1.5 Type: Number is not of expected type: int32");
  EXPECT_EQ(Error(R"({"inputs": [2147483648]})", one(DType::kInt32)),
            "JSON Value: 2147483648 Type: Number is not of expected type: int32");
  EXPECT_EQ(Error(R"({"inputs": [300]})", one(DType::kUint8)),
            "JSON Value: 300 Type: Number is not of expected type: uint8");
  EXPECT_EQ(Error(R"({"inputs": [-1]})", one(DType::kUint64)),
            "JSON Value: -1 Type: Number is not of expected type: uint64");
  EXPECT_EQ(Error(R"({"inputs": [1]})", one(DType::kBool)),
            "JSON Value: 1 Type: Number is not of expected type: bool");
  EXPECT_EQ(Error(R"({"inputs": [null]})", one(DType::kFp32)),
            "JSON Value: null Type: Null is not of expected type: float");
  EXPECT_EQ(Error(R"({"inputs": [1]})", kS),
            "JSON Value: 1 Type: Number is not of expected type: string");
  EXPECT_EQ(Error(R"({"inputs": [1]})", one(DType::kFp16), Code::kUnimplemented),
            "Conversion of JSON Value: 1 to type: half");
  EXPECT_EQ(Error(R"({"instances": [1]})", one(DType::kUint16)),
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of "
            "JSON Value: 1 to "
            "type: uint16");
}

TEST(TfsJsonTest, FormatErrors) {
  EXPECT_EQ(Error("", kX), "JSON Parse error: The document is empty");
  EXPECT_EQ(Error("[1,2]", kX), "JSON Value: [1,2] Is not object");
  EXPECT_EQ(Error("{", kX).rfind("JSON Parse error: ", 0), 0u);
  EXPECT_EQ(Error(R"({"instances": [1]} x)", kX).rfind("JSON Parse error: ", 0), 0u);
  EXPECT_EQ(Error("{}", kX), "Missing 'inputs' or 'instances' key");
  EXPECT_EQ(
      Error(R"({"instances": [1], "inputs": [1]})", kX),
      R"(JSON Value: {"instances":[1],"inputs":[1]} Not formatted correctly expecting only one of )"
      R"('inputs' or )"
      "'instances' keys to exist ");
  EXPECT_EQ(Error(R"({"instances": 1})", kX),
            R"(JSON Value: {"instances":1} Expecting 'instances' to be an list/array)");
  EXPECT_EQ(Error(R"({"instances": []})", kX),
            R"(JSON Value: {"instances":[]} No values in 'instances' array)");
  EXPECT_EQ(Error(R"({"signature_name": 1, "instances": [1]})", kX),
            R"(JSON Value: {"signature_name":1,"instances":[1]} not formatted correctly. )"
            R"('signature_name' key must be a )"
            "string value.");
  EXPECT_EQ(Error(R"({"instances": [1]})", Inputs({})),
            "Failed to get input map for signature: serving_default");
}

TEST(TfsJsonTest, RowErrors) {
  EXPECT_EQ(Error(R"({"instances": [1]})", kXY),
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per "
            "tensorinfo_map");
  // Values in an object's clothes are a plain list too.
  EXPECT_NE(Error(R"({"instances": [NaN]})", kXY).find("instances is a plain list"),
            std::string::npos);
  EXPECT_NE(Error(R"({"instances": [{"b64": "AA=="}]})", kXY).find("instances is a plain list"),
            std::string::npos);
  EXPECT_EQ(Error(R"({"instances": [{"x": [1, 2], "y": 1}, [1]]})", kXY),
            "Expecting object but got list at item 1 of input list");
  EXPECT_EQ(Error(R"({"instances": [[1], {"x": [1]}]})", kX),
            "Expecting value/list but got object at item 1 of input list");
  EXPECT_EQ(Error(R"({"instances": [{"x": [1, 2], "z": 1}]})", kXY),
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not "
            "have named input: z");
  EXPECT_EQ(Error(R"({"instances": [{"x": [1, 2]}]})", kXY),
            R"(Failed to process element: 0 of 'instances' list. JSON object: {"x":[1,2]} keys )"
            "must be equal to: x,y");
  EXPECT_EQ(Error(R"({"instances": [{"x": [1, 2], "x": [3, 4]}]})", kX),
            "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: the "
            "key is given twice");
  EXPECT_EQ(Error(R"({"instances": [[1, 2], [3]]})", kX),
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
            "tensor size: 2 but "
            "got: 1");
  EXPECT_EQ(Error(R"({"instances": [[1, 2], [[3, 4]]]})", kX),
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
            "shape [2] but got: "
            "[1,2]");
  EXPECT_EQ(Error(R"({"instances": [[[1, 2], [3]]]})", kX),
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Encountered list at unexpected "
            "size: 1 at level: 1 expected size: 2");
}

TEST(TfsJsonTest, RaggedColumns) {
  EXPECT_EQ(Error(R"({"inputs": [[1, 2], [3]]})", kX),
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2");
  EXPECT_EQ(Error(R"({"inputs": [[1, 2], 3]})", kX),
            "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2");
  EXPECT_EQ(Error(R"({"inputs": [1, [2]]})", kX),
            "Encountered list at unexpected level: 1 expected < 1");
  EXPECT_EQ(Error(R"({"inputs": {"x": [[1, 2]]}})", kXY),
            "Missing named input: y in 'inputs' object.");
  EXPECT_EQ(Error(R"({"inputs": [1]})", kXY),
            "inputs is a plain value/list, but expecting an object as multiple input tensors "
            "required as per "
            "tensorinfo_map");
}

TEST(TfsJsonTest, DepthIsBounded) {
  std::string deep = R"({"inputs": )" + std::string(90, '[') + "1" + std::string(90, ']') + "}";
  EXPECT_EQ(Error(deep, kX), "lists nest deeper than the 16 dimensions that a tensor can have");
  deep = R"({"inputs": )" + std::string(2000, '[') + std::string(2000, ']') + "}";
  EXPECT_EQ(Error(deep, kX), "JSON Parse error: nested deeper than 100");
  const std::string sixteen =
      R"({"instances": )" + std::string(17, '[') + "1" + std::string(17, ']') + "}";
  EXPECT_NE(Error(sixteen, kX).find("nest deeper"), std::string::npos);
}

TEST(TfsJsonTest, LongValuesAreCutInMessages) {
  const std::string message = Error(R"({"inputs": [")" + std::string(5000, 'a') + R"("]})", kX);
  EXPECT_LT(message.size(), 400u);
}

// -------------------------------------------------------------------------------- examples

Status Examples(std::string_view json, OwnedTensors* tensors) {
  const ByteBuffer body(json);
  TfsJsonRequest request({});
  BRIM_RETURN_IF_ERROR(request.Parse(body.span()));
  return request.FillExamples("inputs", tensors);
}

TEST(TfsJsonTest, ExamplesBecomeSerializedProtos) {
  OwnedTensors tensors;
  ASSERT_TRUE(
      Examples(R"({"examples": [{"a": 1}, {"b": [1.5], "c": "z", "d": [], "e": {"b64": "AA=="}}]})",
               &tensors)
          .ok());
  ASSERT_EQ(tensors.views.size(), 1u);
  EXPECT_EQ(tensors.views[0].name, "inputs");
  EXPECT_EQ(tensors.views[0].shape, (Shape{2}));
  model::StringElements elements(tensors.views[0].data);
  std::string_view element;
  ASSERT_TRUE(elements.Next(&element));
  // features {feature {key: "a" value {int64_list {value: 1}}}}
  EXPECT_EQ(element, std::string_view("\x0A\x0C\x0A\x0A\x0A\x01"
                                      "a"
                                      "\x12\x05\x1A\x03\x0A\x01\x01",
                                      14));
  ASSERT_TRUE(elements.Next(&element));
  EXPECT_NE(element.find(std::string_view("\x12\x06\x0A\x04\x00\x00\xC0\x3F", 8)),
            std::string_view::npos);
  EXPECT_NE(element.find(std::string_view("\x0A\x03\x0A\x01z", 5)), std::string_view::npos);
}

TEST(TfsJsonTest, ContextComesFirstInEachExample) {
  OwnedTensors tensors, context;
  ASSERT_TRUE(Examples(R"({"context": {"q": "x"}, "examples": [{}, {"a": 1}]})", &tensors).ok());
  ASSERT_TRUE(Examples(R"({"examples": [{"q": "x"}]})", &context).ok());
  model::StringElements one(context.views[0].data), two(tensors.views[0].data);
  std::string_view expected, element;
  ASSERT_TRUE(one.Next(&expected));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(two.Next(&element));
    EXPECT_EQ(element.substr(0, expected.size()), expected);
  }
}

TEST(TfsJsonTest, ExampleErrors) {
  OwnedTensors tensors;
  const auto error = [&](std::string_view json) { return Examples(json, &tensors).message(); };
  EXPECT_EQ(error("{}"),
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found");
  EXPECT_EQ(error(R"({"examples": 1})"),
            R"(JSON Value: {"examples":1} Expecting 'examples' value to be an list/array)");
  EXPECT_EQ(error(R"({"examples": []})"),
            R"(JSON Value: {"examples":[]} 'examples' value is an empty array)");
  EXPECT_EQ(error(R"({"examples": [1]})"), "Example must be JSON object but got JSON Number");
  EXPECT_EQ(error(R"({"examples": [{"a": null}]})"),
            "Feature: a has element with unexpected JSON type: Null");
  EXPECT_EQ(error(R"({"examples": [{"a": [[1]]}]})"),
            "Feature: a has element with unexpected JSON type: Array");
  EXPECT_EQ(error(R"({"examples": [{"a": [1, 1.5]}]})"),
            "Unexpected element type in feature: a expecting type: int64");
  EXPECT_EQ(error(R"({"examples": [{"a": [18446744073709551615]}]})"),
            "Feature: a has uint64_t element. Only int64_t is supported.");
  const std::string bomb =
      R"({"context": {"a": ")" + std::string(1 << 20, 'a') + R"("}, "examples": [{})";
  std::string many = bomb;
  for (int i = 0; i < 100; ++i) many += ",{}";
  EXPECT_NE(error(many + "]}").find("is too long for 101 examples"), std::string::npos);
}

// -------------------------------------------------------------------------------- answers

template <typename T>
model::TensorView View(std::string_view name, DType dtype, Shape shape,
                       const std::vector<T>& values) {
  return {name, dtype, shape, std::as_bytes(std::span(values))};
}

std::string Answer(TfsFormat format, const std::vector<model::TensorView>& outputs) {
  ByteBuffer out;
  const Status status = WritePredictions(format, outputs, &out);
  return status.ok() ? std::string(out.view()) : "error: " + status.message();
}

TEST(TfsJsonTest, AnswersInRows) {
  const std::vector<float> a{0.5, 1, 100000000, 1.5e-9F};
  const std::vector<std::int32_t> b{7, -8};
  EXPECT_EQ(Answer(TfsFormat::kRow, {View("a", DType::kFp32, Shape{2, 2}, a)}),
            R"({"predictions":[[0.5,1.0],[100000000.0,1.5e-09]]})");
  EXPECT_EQ(Answer(TfsFormat::kRow, {View("a", DType::kFp32, Shape{2, 2}, a),
                                     View("b", DType::kInt32, Shape{2}, b)}),
            R"({"predictions":[{"a":[0.5,1.0],"b":7},{"a":[100000000.0,1.5e-09],"b":-8}]})");
  EXPECT_EQ(Answer(TfsFormat::kRow, {View("b", DType::kInt32, Shape{2}, b)}),
            R"({"predictions":[7,-8]})");
  EXPECT_EQ(Answer(TfsFormat::kRow, {View("b", DType::kInt32, Shape{}, b)}),
            "error: Tensor name: b has no shape information ");
  EXPECT_EQ(Answer(TfsFormat::kRow,
                   {View("a", DType::kFp32, Shape{4}, a), View("b", DType::kInt32, Shape{2}, b)}),
            "error: Tensor name: b has inconsistent batch size: 2 expecting: 4");
}

TEST(TfsJsonTest, AnswersInColumns) {
  const std::vector<double> a{0.1, std::nan(""), -std::numeric_limits<double>::infinity(), 3};
  const std::vector<std::uint8_t> b{1, 0};
  EXPECT_EQ(Answer(TfsFormat::kColumnar, {View("a", DType::kFp64, Shape{2, 2}, a)}),
            R"({"outputs":[[0.1,NaN],[-Infinity,3.0]]})");
  EXPECT_EQ(Answer(TfsFormat::kColumnar,
                   {View("a", DType::kFp64, Shape{4}, a), View("b", DType::kBool, Shape{2}, b)}),
            R"({"outputs":{"a":[0.1,NaN,-Infinity,3.0],"b":[true,false]}})");
  EXPECT_EQ(Answer(TfsFormat::kColumnar,
                   {View("b", DType::kUint8, Shape{}, std::vector<std::uint8_t>{9})}),
            R"({"outputs":9})");
  EXPECT_EQ(Answer(TfsFormat::kColumnar,
                   {View("b", DType::kUint8, Shape{2, 0}, std::vector<std::uint8_t>{})}),
            R"({"outputs":[[],[]]})");
  EXPECT_EQ(Answer(TfsFormat::kColumnar,
                   {View("b", DType::kFp16, Shape{1}, std::vector<std::uint16_t>{0})}),
            "error: Failed to write JSON value for tensor type: half");
  EXPECT_EQ(Answer(TfsFormat::kColumnar, {View("b", DType::kFp32, Shape{std::int64_t{1} << 40, 0},
                                               std::vector<float>{})}),
            "error: output b of shape [1099511627776,0] is too large to write");
}

TEST(TfsJsonTest, AnswersStrings) {
  const std::string data("\x02\0\0\0h\"\x01\0\0\0\xFF", 11);
  const model::TensorView text{"s", DType::kBytes, Shape{2}, std::as_bytes(std::span(data))};
  const model::TensorView bytes{"s_bytes", DType::kBytes, Shape{2}, std::as_bytes(std::span(data))};
  EXPECT_EQ(Answer(TfsFormat::kRow, {text}), "{\"predictions\":[\"h\\\"\",\"\xEF\xBF\xBD\"]}");
  EXPECT_EQ(Answer(TfsFormat::kRow, {bytes}), R"({"predictions":[{"b64":"aCI="},{"b64":"/w=="}]})");
}

TEST(TfsJsonTest, AnswersManyNumbers) {
  std::vector<std::int64_t> values(1000);
  std::string expected = "{\"outputs\":[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int64_t>(i) * 1000003 - 500000000;
    expected += (i == 0 ? "" : ",") + std::to_string(values[i]);
  }
  EXPECT_EQ(Answer(TfsFormat::kColumnar, {View("v", DType::kInt64, Shape{1000}, values)}),
            expected + "]}");
}

TEST(TfsJsonTest, AnswersClassificationsAndRegressions) {
  const std::string words("\x01\0\0\0a\x01\0\0\0b", 10);
  const std::vector<float> scores{0.25, 0.75};
  const model::TensorView labels{"classes", DType::kBytes, Shape{1, 2},
                                 std::as_bytes(std::span(words))};
  const model::TensorView values = View("scores", DType::kFp32, Shape{1, 2}, scores);
  ByteBuffer both, only_scores, only_labels, regressions;
  WriteClassifications(&labels, &values, &both);
  WriteClassifications(nullptr, &values, &only_scores);
  WriteClassifications(&labels, nullptr, &only_labels);
  WriteRegressions(values, &regressions);
  EXPECT_EQ(both.view(), R"({"results":[[["a",0.25],["b",0.75]]]})");
  EXPECT_EQ(only_scores.view(), R"({"results":[[["",0.25],["",0.75]]]})");
  EXPECT_EQ(only_labels.view(), R"({"results":[[["a",0.0],["b",0.0]]]})");
  EXPECT_EQ(regressions.view(), R"({"results":[0.25,0.75]})");
}

TEST(Base64Test, RoundTrip) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    ByteBuffer out;
    ASSERT_TRUE(DecodeBase64(EncodeBase64(bytes), &out));
    EXPECT_EQ(out.view(), bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  ByteBuffer out;
  EXPECT_TRUE(DecodeBase64(" aGV\nsbG8 ", &out));
  EXPECT_EQ(out.view(), "hello");
  for (const char* bad : {"a", "a=", "aa=", "aaa==", "aaaa=", "a=aa", "====", "aa-a", "aa_a"}) {
    ByteBuffer ignored;
    EXPECT_FALSE(DecodeBase64(bad, &ignored)) << bad;
  }
}

}  // namespace
}  // namespace brim::api
