// See tfs_json_value.h.
#include "api/tfs_json_value.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "base/json.h"

namespace brim::api {
namespace {

constexpr std::size_t kDebugBytesMax = 256;
constexpr std::size_t kSimdjsonCountMax = 0xFFFFFF;

struct Word {
  std::string_view text;
  std::string_view instead;
};
// Longest first: "Inf" is a prefix of "Infinity". The list is rapidjson's.
constexpr std::array<Word, 6> kWords{{{"-Infinity", "{\"\\u0000\":2}"},
                                      {"Infinity", "{\"\\u0000\":1}"},
                                      {"-Inf", "{\"\\u0000\":2}"},
                                      {"Inf", "{\"\\u0000\":1}"},
                                      {"-NaN", "{\"\\u0000\":0}"},
                                      {"NaN", "{\"\\u0000\":0}"}}};

bool EndsToken(std::string_view json, std::size_t at) {
  return at >= json.size() ||
         std::string_view(",]} \t\r\n").find(json[at]) != std::string_view::npos;
}

// Length of the string token at json[at] == '"', quotes included; up to the end when it has none.
std::size_t StringLength(std::string_view json, std::size_t at) {
  std::size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return (end < json.size() ? end + 1 : json.size()) - at;
}

bool FitsNoInteger(std::string_view digits, bool negative) {
  const std::string_view limit = negative ? "9223372036854775808" : "18446744073709551615";
  return digits.size() > limit.size() || (digits.size() == limit.size() && digits > limit);
}

bool IsNumberChar(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

// Copies the number token at json[at], with ".0" behind an integer of more than 64 bits; returns
// its length.
std::size_t CopyNumber(std::string_view json, std::size_t at, ByteBuffer* out, bool* changed) {
  std::size_t end = at;
  while (end < json.size() && IsNumberChar(json[end])) ++end;
  const std::string_view token = json.substr(at, end - at);
  out->Append(token);
  const bool negative = token.front() == '-';
  const std::string_view digits = token.substr(negative ? 1 : 0);
  if (digits.find_first_not_of("0123456789") == std::string_view::npos &&
      FitsNoInteger(digits, negative)) {
    out->Append(std::string_view(".0"));
    *changed = true;
  }
  return token.size();
}

// The writer may stop anywhere once `out` is long enough: the text is only shown to people.
void AppendDebug(const JsonElement& element, std::string* out) {
  if (out->size() >= kDebugBytesMax) return;
  double number = 0;
  if (IsNonFinite(element, &number)) {
    JsonWriter(out).Double(number);
    return;
  }
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY: {
      char before = '[';
      for (const JsonElement child : AsArray(element)) {
        out->push_back(before);
        AppendDebug(child, out);
        before = ',';
        if (out->size() >= kDebugBytesMax) return;
      }
      out->append(before == '[' ? "[]" : "]");
      return;
    }
    case simdjson::dom::element_type::OBJECT: {
      char before = '{';
      for (const auto& [key, value] : AsObject(element)) {
        out->push_back(before);
        AppendJsonString(out, key.substr(0, kDebugBytesMax));
        out->push_back(':');
        AppendDebug(value, out);
        before = ',';
        if (out->size() >= kDebugBytesMax) return;
      }
      out->append(before == '{' ? "{}" : "}");
      return;
    }
    case simdjson::dom::element_type::STRING:
      AppendJsonString(out, element.get_string().value_unsafe().substr(0, kDebugBytesMax));
      return;
    case simdjson::dom::element_type::INT64:
      JsonWriter(out).Int(element.get_int64().value_unsafe());
      return;
    case simdjson::dom::element_type::UINT64:
      JsonWriter(out).Uint(element.get_uint64().value_unsafe());
      return;
    case simdjson::dom::element_type::DOUBLE:
      JsonWriter(out).Double(element.get_double().value_unsafe());
      return;
    case simdjson::dom::element_type::BOOL:
      JsonWriter(out).Bool(element.get_bool().value_unsafe());
      return;
    case simdjson::dom::element_type::NULL_VALUE:
      out->append("null");
      return;
  }
}

}  // namespace

std::optional<ByteBuffer> RewriteForParser(std::span<const std::byte> bytes) {
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ByteBuffer out;
  out.Reserve(json.size() + json.size() / 8);
  bool changed = false;
  for (std::size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      const std::size_t length = StringLength(json, at);
      out.Append(json.substr(at, length));
      at += length;
      continue;
    }
    if (c == 'N' || c == 'I' || c == '-') {
      const Word* found = nullptr;
      for (const Word& word : kWords) {
        if (json.substr(at, word.text.size()) == word.text &&
            EndsToken(json, at + word.text.size())) {
          found = &word;
          break;
        }
      }
      if (found != nullptr) {
        out.Append(found->instead);
        at += found->text.size();
        changed = true;
        continue;
      }
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
      at += CopyNumber(json, at, &out, &changed);
      continue;
    }
    out.PushBack(c);
    ++at;
  }
  if (!changed) return std::nullopt;
  return out;
}

bool IsNonFinite(const JsonElement& element, double* value) {
  if (!element.is_object()) return false;
  const simdjson::dom::object object = AsObject(element);
  if (object.size() != 1) return false;
  const auto field = *object.begin();
  std::int64_t kind = 0;
  if (field.key != std::string_view("\0", 1) || field.value.get(kind) != simdjson::SUCCESS)
    return false;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  *value = kind == 0   ? std::numeric_limits<double>::quiet_NaN()
           : kind == 1 ? kInfinity
                       : -kInfinity;
  return true;
}

bool IsBase64Object(const JsonElement& element, std::string_view* text) {
  if (!element.is_object()) return false;
  const simdjson::dom::object object = AsObject(element);
  if (object.size() != 1) return false;
  const auto field = *object.begin();
  return field.key == "b64" && field.value.get(*text) == simdjson::SUCCESS;
}

bool IsMapping(const JsonElement& element) {
  std::string_view text;
  double number = 0;
  return element.is_object() && !IsBase64Object(element, &text) && !IsNonFinite(element, &number);
}

std::size_t ArraySize(const simdjson::dom::array& array) {
  const std::size_t size = array.size();
  if (size < kSimdjsonCountMax) return size;
  std::size_t count = 0;
  for (auto it = array.begin(); it != array.end(); ++it) ++count;
  return count;
}

std::string_view JsonTypeWord(const JsonElement& element) {
  double number = 0;
  if (IsNonFinite(element, &number)) return "Number";
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "Array";
    case simdjson::dom::element_type::OBJECT:
      return "Object";
    case simdjson::dom::element_type::STRING:
      return "String";
    case simdjson::dom::element_type::BOOL:
      return element.get_bool().value_unsafe() ? "True" : "False";
    case simdjson::dom::element_type::NULL_VALUE:
      return "Null";
    case simdjson::dom::element_type::INT64:
    case simdjson::dom::element_type::UINT64:
    case simdjson::dom::element_type::DOUBLE:
      return "Number";
  }
  return "Null";
}

std::string JsonDebugText(const JsonElement& element) {
  std::string text;
  AppendDebug(element, &text);
  if (text.size() > kDebugBytesMax) text.resize(kDebugBytesMax);
  return text;
}

Status JsonError(std::string message) {
  return Status(Code::kInvalidArgument, "json_value", std::move(message));
}

Status JsonFormatError(const JsonElement& element, std::string_view tail) {
  return JsonError(fmt::format("JSON Value: {} {}", JsonDebugText(element), tail));
}

}  // namespace brim::api
