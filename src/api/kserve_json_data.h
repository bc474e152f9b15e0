// Decodes the "data" of one JSON tensor, and what else the KServe JSON readers share; inside part
// of them, as it shows simdjson's types.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "api/json_parser_inside.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/dtype.h"

namespace brim::api {

Status JsonError(simdjson::error_code error, std::string_view where);
Status JsonCountMismatch(std::string_view input, std::uint64_t expected);

// The raw text of a string value when it holds no escape: a view into the document. Null otherwise;
// the value may then still be read with get_string().
std::optional<std::string_view> PlainText(simdjson::ondemand::value& value);

// Calls on_field(field), which returns a Status, for each field of the object that is all of
// `body`. Bytes behind body must be readable (ByteBuffer::kPadding).
template <typename OnField>
Status ReadWholeObject(JsonParser& parser, std::span<const std::byte> body, OnField on_field) {
  const simdjson::padded_string_view text(reinterpret_cast<const char*>(body.data()), body.size(),
                                          body.size() + simdjson::SIMDJSON_PADDING);
  simdjson::ondemand::document document;
  if (const auto error = parser.parser.iterate(text).get(document)) {
    return JsonError(error, "request JSON");
  }
  simdjson::ondemand::object object;
  if (const auto error = document.get_object().get(object)) {
    return JsonError(error, "request JSON: an object is expected");
  }
  for (auto result : object) {
    simdjson::ondemand::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "request JSON");
    BRIM_RETURN_IF_ERROR(on_field(field));
  }
  if (document.at_end()) return OkStatus();
  return Status(Code::kInvalidArgument, "json_malformed",
                "Unable to parse request JSON: text after its end");
}

struct JsonTensor {
  std::string_view name;  // For messages.
  model::DType dtype = model::DType::kInvalid;
  std::uint64_t elements = 0;  // What the shape says; bounded by the caller.
};

// Appends the elements of `array`, nested or flat, to *out in the tensor's binary form.
// kInvalidArgument when there are not exactly tensor.elements, one does not fit the datatype, or
// arrays nest deeper than depth_max. FP16 and BF16 are refused, as Triton does.
Status ReadJsonData(simdjson::ondemand::array array, const JsonTensor& tensor,
                    std::uint32_t depth_max, ByteBuffer* out);

}  // namespace brim::api
