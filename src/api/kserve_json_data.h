// Decodes the "data" of one JSON tensor; inside part of the KServe JSON reader, as it shows
// simdjson's types.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
