// See tfs_examples.h.
//
// Example {Features features = 1}; Features {map<string, Feature> feature = 1}; Feature is one of
// BytesList bytes_list = 1, FloatList float_list = 2, Int64List int64_list = 3, each {repeated
// value = 1}.
#include "api/tfs_examples.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

#include "api/base64.h"
#include "base/bytes.h"

namespace brim::api {
namespace {

using simdjson::dom::element_type;

// What copies of the context may take in all: a small body could ask for gigabytes otherwise.
constexpr std::size_t kContextBytesMax = 64u << 20;

// The values of one feature, which are all of one kind.
class FeatureValues {
 public:
  explicit FeatureValues(std::string_view name) : name_(name) {}

  Status Add(const JsonElement& element) {
    std::string_view text;
    double number = 0;
    if (IsNonFinite(element, &number)) return AddFloat(number);
    switch (element.type()) {
      case element_type::BOOL:
        return AddInteger(element.get_bool().value_unsafe() ? 1 : 0);
      case element_type::INT64:
        return AddInteger(element.get_int64().value_unsafe());
      case element_type::DOUBLE:
        return AddFloat(element.get_double().value_unsafe());
      case element_type::STRING:
        return AddBytes(element.get_string().value_unsafe());
      case element_type::UINT64:
        if (kind_ != Kind::kNone && kind_ != Kind::kInteger) return Mixed();
        return JsonError(
            fmt::format("Feature: {} has uint64_t element. Only int64_t is supported.", name_));
      case element_type::OBJECT:
        if (IsBase64Object(element, &text)) return AddBase64(text);
        break;
      default:
        break;
    }
    return JsonError(fmt::format("Feature: {} has element with unexpected JSON type: {}", name_,
                                 JsonTypeWord(element)));
  }

  // Serialized Feature.
  std::string Take() {
    std::string feature;
    protozero::pbf_writer writer(feature);
    switch (kind_) {
      case Kind::kNone:
        break;
      case Kind::kBytes:
        writer.add_message(1, list_);
        break;
      case Kind::kFloat:
        protozero::pbf_writer(list_).add_packed_float(1, floats_.begin(), floats_.end());
        writer.add_message(2, list_);
        break;
      case Kind::kInteger:
        protozero::pbf_writer(list_).add_packed_int64(1, integers_.begin(), integers_.end());
        writer.add_message(3, list_);
        break;
    }
    return feature;
  }

 private:
  enum class Kind : std::uint8_t { kNone, kBytes, kFloat, kInteger };

  Status Mixed() const {
    const char* expected = kind_ == Kind::kBytes   ? "bytes"
                           : kind_ == Kind::kFloat ? "float"
                                                   : "int64";
    return JsonError(
        fmt::format("Unexpected element type in feature: {} expecting type: {}", name_, expected));
  }
  bool Is(Kind kind) {
    if (kind_ == Kind::kNone) kind_ = kind;
    return kind_ == kind;
  }

  Status AddInteger(std::int64_t value) {
    if (!Is(Kind::kInteger)) return Mixed();
    integers_.push_back(value);
    return OkStatus();
  }
  Status AddFloat(double value) {
    if (!Is(Kind::kFloat)) return Mixed();
    constexpr double kMax = std::numeric_limits<float>::max();
    if (value > kMax) value = std::numeric_limits<double>::infinity();
    if (value < -kMax) value = -std::numeric_limits<double>::infinity();
    floats_.push_back(static_cast<float>(value));
    return OkStatus();
  }
  Status AddBytes(std::string_view value) {
    if (!Is(Kind::kBytes)) return Mixed();
    protozero::pbf_writer(list_).add_bytes(1, value.data(), value.size());
    return OkStatus();
  }
  Status AddBase64(std::string_view text) {
    ByteBuffer bytes;
    if (kind_ != Kind::kNone && kind_ != Kind::kBytes) return Mixed();
    if (!DecodeBase64(text, &bytes)) return JsonError("Unable to base64 decode");
    return AddBytes(bytes.view());
  }

  const std::string_view name_;
  Kind kind_ = Kind::kNone;
  std::string list_;  // Serialized list; filled as it goes for bytes, at the end for numbers.
  std::vector<float> floats_;
  std::vector<std::int64_t> integers_;
};

Status AppendExample(const JsonElement& element, std::string* example) {
  simdjson::dom::object object;
  double number = 0;
  if (element.get(object) != simdjson::SUCCESS || IsNonFinite(element, &number)) {
    return JsonError(
        fmt::format("Example must be JSON object but got JSON {}", JsonTypeWord(element)));
  }
  std::string features;
  for (const auto& [name, content] : object) {
    FeatureValues values(name);
    simdjson::dom::array array;
    if (content.get(array) == simdjson::SUCCESS) {
      for (const JsonElement value : array) BRIM_RETURN_IF_ERROR(values.Add(value));
    } else {
      BRIM_RETURN_IF_ERROR(values.Add(content));
    }
    std::string entry;
    protozero::pbf_writer writer(entry);
    writer.add_string(1, name.data(), name.size());
    writer.add_message(2, values.Take());
    protozero::pbf_writer(features).add_message(1, entry);
  }
  protozero::pbf_writer(*example).add_message(1, features);
  return OkStatus();
}

}  // namespace

Status ReadExamples(const JsonElement& root, std::string_view input_name, OwnedTensors* tensors) {
  std::string context;
  JsonElement element;
  if (root.at_key("context").get(element) == simdjson::SUCCESS) {
    BRIM_RETURN_IF_ERROR(AppendExample(element, &context));
  }
  if (root.at_key("examples").get(element) != simdjson::SUCCESS) {
    return JsonFormatError(root,
                           "When method is classify, key 'examples' is expected and was not found");
  }
  simdjson::dom::array examples;
  if (element.get(examples) != simdjson::SUCCESS) {
    return JsonFormatError(root, "Expecting 'examples' value to be an list/array");
  }
  if (examples.size() == 0) return JsonFormatError(root, "'examples' value is an empty array");
  if (context.size() > kContextBytesMax / ArraySize(examples)) {
    return JsonError(fmt::format("'context' of {} bytes is too long for {} examples",
                                 context.size(), ArraySize(examples)));
  }
  ByteBuffer& out = tensors->storage.emplace_back();
  std::int64_t count = 0;
  for (const JsonElement value : examples) {
    // Messages joined end to end are merged when read: the example's features are added to the
    // context's.
    std::string example = context;
    BRIM_RETURN_IF_ERROR(AppendExample(value, &example));
    StoreLittle(out.Extend(4), static_cast<std::uint32_t>(example.size()));
    out.Append(example);
    ++count;
  }
  tensors->views.push_back({input_name, model::DType::kBytes, model::Shape{count}, out.span()});
  return OkStatus();
}

}  // namespace brim::api
