// What tfs_json.cc and tfs_examples.cc ask of a parsed JSON value, in TensorFlow Serving's words.
// Internal to api.
//
// simdjson reads no NaN, Infinity or -Infinity and no integers above 64 bits; RewriteForParser()
// turns them into what it reads: an object that no honest client sends ({"\u0000":0}, 1 or 2), and
// a number with a fraction. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "simdjson.h"

namespace brim::api {

using JsonElement = simdjson::dom::element;

// REQUIRES: the element is that. By value: simdjson's own value_unsafe() hands out a reference into
// a temporary.
inline simdjson::dom::object AsObject(const JsonElement& element) {
  return element.get_object().value_unsafe();
}
inline simdjson::dom::array AsArray(const JsonElement& element) {
  return element.get_array().value_unsafe();
}

// The document with those tokens replaced; nothing when it has none of them.
std::optional<ByteBuffer> RewriteForParser(std::span<const std::byte> json);

// Whether it stands for NaN or an infinity; then *value.
bool IsNonFinite(const JsonElement& element, double* value);
// Whether it is {"b64": "text"}; then *text.
bool IsBase64Object(const JsonElement& element, std::string_view* text);
// An object that is a mapping, not a value in an object's clothes.
bool IsMapping(const JsonElement& element);

// Exact also above simdjson's own 24-bit count.
std::size_t ArraySize(const simdjson::dom::array& array);

std::string_view JsonTypeWord(const JsonElement& element);  // "Number", "Object", …
std::string JsonDebugText(const JsonElement& element);      // Compact JSON, cut at 256 bytes.

// kInvalidArgument, reason "json_value".
Status JsonError(std::string message);
// "JSON Value: <text> <tail>"
Status JsonFormatError(const JsonElement& element, std::string_view tail);

}  // namespace brim::api
