// Reads protobuf text format (config.pbtxt, TensorFlow Serving's configuration files) into a tree.
//
//   Result<PbMessage> root = ParsePbtxt(text);
//   for (const PbField* f : root->All("instance_group")) f->message...
//
// Schema-free: field names and values are kept as written; the reader of each field converts. Both
// `name: value`, `name { ... }`, `name < ... >` and `name: [a, b]` are read; comments start with #.
// Source: https://protobuf.dev/reference/protobuf/textformat-spec. Limits: 1 MiB of text, depth 32,
// 65,536 fields. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace brim {

struct PbMessage;

struct PbField {
  std::string name;
  int line = 0;
  bool quoted = false;                 // The scalar was a string literal.
  std::string scalar;                  // Unescaped when quoted; else the literal as written.
  std::unique_ptr<PbMessage> message;  // Set for a nested message; then scalar is empty.

  // Each fails with the field's name and line when the value is of another kind.
  Result<std::string> AsString() const;
  Result<std::int64_t> AsInt() const;  // Decimal, hex (0x) or octal (0), as the format says.
  Result<bool> AsBool() const;         // true, false, t, f, 1, 0.
  Result<double> AsDouble() const;
  Result<std::string> AsEnum() const;  // A bare word.
};

struct PbMessage {
  std::vector<PbField> fields;  // In file order.

  const PbField* Find(std::string_view name) const;  // The last one of that name, or null.
  std::vector<const PbField*> All(std::string_view name) const;
};

Result<PbMessage> ParsePbtxt(std::string_view text);

}  // namespace brim
