// JsonWriter: appends JSON text to a string. Commas and escapes are its business, nesting is yours.
//
//   JsonWriter w(&out);
//   w.BeginObject().Key("name").String("a").Key("shape");
//   w.BeginArray().Int(1).EndArray().EndObject();
//
// Floats print in the shortest form that reads back equal; non-finite ones print as NaN, Infinity
// and -Infinity (TensorFlow Serving's dialect). Invalid UTF-8 in a string is replaced by U+FFFD.
// Reading is simdjson's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace brim {

class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(*out) {}

  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Int(std::int64_t value);
  JsonWriter& Uint(std::uint64_t value);
  JsonWriter& Float(float value);
  JsonWriter& Double(double value);
  JsonWriter& Raw(std::string_view json);  // A value that is JSON already.

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Separate();

  std::string& out_;
  bool need_comma_ = false;
};

// Appends `value` quoted and escaped.
void AppendJsonString(std::string* out, std::string_view value);

}  // namespace brim
