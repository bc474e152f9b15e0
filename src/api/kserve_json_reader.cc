// Reads KServe v2 inference requests in JSON in one pass over simdjson's on-demand iterators.
//
// Strings without escapes and binary tensors stay where they are in the body; JSON data is decoded
// straight into its tensor. An input's "data" is decoded when it is met if shape and datatype came
// before it, as every known client writes them; else the object is walked a second time for it.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "api/json_parser_inside.h"
#include "api/kserve_json.h"
#include "api/kserve_json_data.h"
#include "model/dtype.h"
#include "model/shape.h"

namespace brim::api {
namespace {

namespace od = simdjson::ondemand;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

// One input while its object is walked.
struct InputFields {
  std::string_view name;
  model::DType dtype = model::DType::kInvalid;
  model::Shape shape;
  bool has_name = false, has_dtype = false, has_shape = false;
  bool has_data = false, data_read = false;
  std::optional<std::uint64_t> binary_size;
  KserveSharedPart shared;
  std::span<const std::byte> data;
};

class Reader {
 public:
  Reader(std::span<const std::byte> body, std::size_t json_bytes, const KserveLimits& limits,
         KserveMessage* message)
      : json_(body.first(json_bytes)),
        binary_(body.subspan(json_bytes)),
        limits_(limits),
        message_(*message) {}

  Status Read(od::parser& parser);

 private:
  Status ReadTop(od::object object);
  Status ReadParameters(od::value value);
  Status ReadInputs(od::value value);
  Status ReadInput(od::object object);
  Status ReadInputField(od::field& field, InputFields* input);
  Status ReadInputParameters(od::value value, InputFields* input);
  Status ReadShape(od::value value, InputFields* input);
  Status FinishInput(od::object& object, InputFields* input);
  Status TakeBinary(InputFields* input);
  Status ReadData(od::value value, InputFields* input);
  Status ReadOutputs(od::value value);
  Status ReadOutput(od::object object);
  Status ReadOutputParameters(od::value value, KserveOutput* output);
  Status ReadSharedParameter(od::field& field, KserveSharedPart* part);
  // *is_null: the value is null, and nothing is said.
  Status ReadParameter(od::value value, std::string_view key, KserveParameter* parameter,
                       bool* is_null);
  // Fails with `where` when the value is no string.
  Status ReadText(od::value value, std::string_view where, std::string_view* text);

  const std::span<const std::byte> json_;
  std::span<const std::byte> binary_;  // What no input has taken yet.
  const KserveLimits& limits_;
  KserveMessage& message_;
  std::uint64_t decoded_bytes_ = 0;
};

bool IsNull(od::value& value) {
  od::json_type type;
  return value.type().get(type) == simdjson::SUCCESS && type == od::json_type::null;
}

Status Reader::ReadText(od::value value, std::string_view where, std::string_view* text) {
  od::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS || type != od::json_type::string) {
    return Invalid("json_type", fmt::format("Unable to parse {}: a string is expected", where));
  }
  if (const auto plain = PlainText(value)) {
    *text = *plain;
    return OkStatus();
  }
  std::string_view unescaped;
  if (const auto error = value.get_string().get(unescaped)) return JsonError(error, where);
  *text = message_.Keep(unescaped);
  return OkStatus();
}

Status Reader::Read(od::parser& parser) {
  const simdjson::padded_string_view text(reinterpret_cast<const char*>(json_.data()), json_.size(),
                                          json_.size() + simdjson::SIMDJSON_PADDING);
  od::document document;
  if (const auto error = parser.iterate(text).get(document))
    return JsonError(error, "request JSON");
  od::object object;
  if (const auto error = document.get_object().get(object)) {
    return JsonError(error, "request JSON: an object is expected");
  }
  BRIM_RETURN_IF_ERROR(ReadTop(object));
  if (!document.at_end()) {
    return Invalid("json_malformed", "Unable to parse request JSON: text after its end");
  }
  if (!binary_.empty()) {
    return Invalid("binary_data_left",
                   fmt::format("unexpected additional input data: {} bytes behind the last input; "
                               "check binary_data_size and Inference-Header-Content-Length",
                               binary_.size()));
  }
  return OkStatus();
}

Status Reader::ReadTop(od::object object) {
  enum Seen : unsigned { kId = 1, kParameters = 2, kInputs = 4, kOutputs = 8 };
  unsigned seen = 0;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "request JSON");
    const std::string_view key = field.escaped_key();
    const unsigned which = key == "id"           ? kId
                           : key == "parameters" ? kParameters
                           : key == "inputs"     ? kInputs
                           : key == "outputs"    ? kOutputs
                                                 : 0u;
    if (which == 0) continue;
    if ((seen & which) != 0) {
      return Invalid("json_repeated", fmt::format("'{}' is given twice in the request", key));
    }
    seen |= which;
    od::value value = field.value();
    if (which != kInputs && IsNull(value)) continue;
    switch (which) {
      case kId:
        BRIM_RETURN_IF_ERROR(ReadText(value, "'id'", &message_.id));
        break;
      case kParameters:
        BRIM_RETURN_IF_ERROR(ReadParameters(value));
        break;
      case kInputs:
        BRIM_RETURN_IF_ERROR(ReadInputs(value));
        break;
      default:
        BRIM_RETURN_IF_ERROR(ReadOutputs(value));
    }
  }
  if (message_.id.size() > limits_.id_bytes_max) {
    return Invalid("id_too_long", fmt::format("'id' has {} bytes, at most {} are allowed",
                                              message_.id.size(), limits_.id_bytes_max));
  }
  if ((seen & kInputs) == 0) {
    return Invalid("inputs_missing", "Unable to parse 'inputs': the request has none");
  }
  return OkStatus();
}

Status TooManyParameters(const KserveLimits& limits) {
  return Invalid("too_many_parameters",
                 fmt::format("more than {} parameters", limits.parameters_max));
}

// A scalar as a parameter; *is_null for null. `text` receives a string's value.
template <typename ReadTextFn>
Status ReadScalar(od::value value, std::string_view key, ReadTextFn read_text,
                  KserveParameter* parameter, bool* is_null) {
  using Kind = KserveParameter::Kind;
  *is_null = false;
  parameter->key = key;
  od::json_type type;
  if (const auto error = value.type().get(type)) return JsonError(error, "'parameters'");
  if (type == od::json_type::string) {
    parameter->kind = Kind::kText;
    return read_text(value, &parameter->text);
  }
  if (type == od::json_type::boolean) {
    parameter->kind = Kind::kBool;
    const auto error = value.get_bool().get(parameter->boolean);
    return error ? JsonError(error, "'parameters'") : OkStatus();
  }
  if (type == od::json_type::number) {
    if (value.get_int64().get(parameter->integer) == simdjson::SUCCESS) {
      parameter->kind = Kind::kInt;
    } else if (value.get_uint64().get(parameter->natural) == simdjson::SUCCESS) {
      parameter->kind = Kind::kUint;
    } else if (const auto error = value.get_double().get(parameter->number)) {
      return JsonError(error, "'parameters'");
    } else {
      parameter->kind = Kind::kDouble;
    }
    return OkStatus();
  }
  if (type == od::json_type::null) {
    *is_null = true;
    return OkStatus();
  }
  return Invalid("parameter_type",
                 fmt::format("parameter '{}' has invalid type. It should be either 'int', 'bool', "
                             "'double' or 'string'.",
                             key));
}

Status Reader::ReadParameter(od::value value, std::string_view key, KserveParameter* parameter,
                             bool* is_null) {
  return ReadScalar(
      value, key,
      [&](od::value v, std::string_view* text) { return ReadText(v, "'parameters'", text); },
      parameter, is_null);
}

Status Reader::ReadParameters(od::value value) {
  od::object object;
  if (const auto error = value.get_object().get(object)) return JsonError(error, "'parameters'");
  std::uint32_t count = 0;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'parameters'");
    if (++count > limits_.parameters_max) return TooManyParameters(limits_);
    std::string_view key = field.escaped_key();
    if (key.find('\\') != std::string_view::npos) {
      std::string_view unescaped;
      if (const auto error = field.unescaped_key().get(unescaped)) {
        return JsonError(error, "'parameters'");
      }
      key = message_.Keep(unescaped);
    }
    KserveParameter parameter;
    bool is_null = false;
    BRIM_RETURN_IF_ERROR(ReadParameter(field.value(), key, &parameter, &is_null));
    if (is_null) continue;
    if (key == "binary_data_output") {
      if (parameter.kind != KserveParameter::Kind::kBool) {
        return Invalid("parameter_type", "Unable to parse 'binary_data_output': expected a bool");
      }
      message_.binary_output = parameter.boolean;
      continue;
    }
    BRIM_RETURN_IF_ERROR(TakeParameter(parameter, limits_, &message_));
  }
  return OkStatus();
}

Status Reader::ReadInputs(od::value value) {
  od::array array;
  if (const auto error = value.get_array().get(array)) return JsonError(error, "'inputs'");
  for (auto result : array) {
    od::object object;
    if (const auto error = result.get_object().get(object)) return JsonError(error, "'inputs'");
    if (message_.inputs.size() >= limits_.tensors_max) {
      return Invalid("too_many_tensors", fmt::format("more than {} inputs", limits_.tensors_max));
    }
    BRIM_RETURN_IF_ERROR(ReadInput(object));
  }
  return OkStatus();
}

Status Reader::ReadInput(od::object object) {
  InputFields input;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'inputs'");
    BRIM_RETURN_IF_ERROR(ReadInputField(field, &input));
  }
  return FinishInput(object, &input);
}

Status Reader::ReadInputField(od::field& field, InputFields* input) {
  const std::string_view key = field.escaped_key();
  if (key == "name") {
    input->has_name = true;
    return ReadText(field.value(), "'name'", &input->name);
  }
  if (key == "datatype") {
    std::string_view text;
    BRIM_RETURN_IF_ERROR(ReadText(field.value(), "'datatype'", &text));
    const auto dtype = model::FromKServeName(text);
    if (!dtype) {
      return Invalid("dtype_unknown",
                     fmt::format("invalid datatype '{}' for input '{}'", text, input->name));
    }
    input->dtype = *dtype;
    input->has_dtype = true;
    return OkStatus();
  }
  if (key == "shape") return ReadShape(field.value(), input);
  if (key == "parameters") return ReadInputParameters(field.value(), input);
  if (key == "data") {
    if (input->has_data) {
      return Invalid("json_repeated", fmt::format("input '{}' has 'data' twice", input->name));
    }
    input->has_data = true;
    if (input->has_dtype && input->has_shape) return ReadData(field.value(), input);
  }
  return OkStatus();
}

Status Reader::ReadShape(od::value value, InputFields* input) {
  if (input->has_shape) {
    return Invalid("json_repeated", fmt::format("input '{}' has 'shape' twice", input->name));
  }
  input->has_shape = true;
  od::array array;
  if (const auto error = value.get_array().get(array)) return JsonError(error, "'shape'");
  for (auto result : array) {
    std::int64_t dim = 0;
    if (const auto error = result.get_int64().get(dim)) return JsonError(error, "'shape'");
    if (dim < 0) {
      return Invalid(
          "shape_invalid",
          fmt::format("invalid shape for input '{}': dimension {} is negative", input->name, dim));
    }
    if (!input->shape.Append(dim)) {
      return Invalid("shape_invalid", fmt::format("invalid shape for input '{}': more than {} "
                                                  "dimensions",
                                                  input->name, model::kRankMax));
    }
  }
  return OkStatus();
}

Status Reader::ReadInputParameters(od::value value, InputFields* input) {
  if (IsNull(value)) return OkStatus();
  od::object object;
  if (const auto error = value.get_object().get(object)) return JsonError(error, "'parameters'");
  std::uint32_t count = 0;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'parameters'");
    if (++count > limits_.parameters_max) return TooManyParameters(limits_);
    const std::string_view key = field.escaped_key();
    if (key == "binary_data_size") {
      std::uint64_t size = 0;
      if (const auto error = field.value().get_uint64().get(size)) {
        return JsonError(error, "'binary_data_size'");
      }
      input->binary_size = size;
    } else if (IsSharedParameter(key)) {
      BRIM_RETURN_IF_ERROR(ReadSharedParameter(field, &input->shared));
    }
  }
  return OkStatus();
}

Status Reader::ReadSharedParameter(od::field& field, KserveSharedPart* part) {
  const std::string_view key = field.escaped_key();
  KserveParameter parameter;
  bool is_null = false;
  BRIM_RETURN_IF_ERROR(ReadParameter(field.value(), key, &parameter, &is_null));
  return is_null ? OkStatus() : TakeSharedParameter(parameter, part);
}

Status Reader::FinishInput(od::object& object, InputFields* input) {
  if (!input->has_name) return Invalid("input_name", "Unable to parse 'name': an input has none");
  if (!input->has_shape || !input->has_dtype) {
    return Invalid("input_incomplete",
                   fmt::format("Unable to parse '{}': input '{}' has none",
                               input->has_shape ? "datatype" : "shape", input->name));
  }
  BRIM_RETURN_IF_ERROR(CheckSharedPart(input->shared, input->name));
  const bool is_shared = !input->shared.region.empty();
  if ((input->has_data ? 1 : 0) + (input->binary_size ? 1 : 0) + (is_shared ? 1 : 0) > 1) {
    return Invalid("input_data", fmt::format("Input '{}' must set only one of 'data' and the "
                                             "parameters 'binary_data_size' and "
                                             "'shared_memory_region', but sets more",
                                             input->name));
  }
  if (input->has_data && !input->data_read) {
    if (const auto error = object.reset().error()) return JsonError(error, "'data'");
    for (auto result : object) {
      od::field field;
      if (const auto error = std::move(result).get(field)) return JsonError(error, "'data'");
      if (field.escaped_key() != "data") continue;
      BRIM_RETURN_IF_ERROR(ReadData(field.value(), input));
    }
  }
  if (is_shared) {
    message_.shared_inputs.push_back({message_.inputs.size(), input->shared});
  } else if (!input->has_data) {
    BRIM_RETURN_IF_ERROR(TakeBinary(input));
  }
  message_.inputs.push_back({input->name, input->dtype, input->shape, input->data});
  return OkStatus();
}

Status Reader::TakeBinary(InputFields* input) {
  if (!input->binary_size && !binary_.empty()) {
    // Not said, but for fixed-size elements the shape tells.
    input->binary_size = model::DenseBytes(input->dtype, input->shape);
  }
  if (!input->binary_size) {
    return Invalid("input_data", fmt::format("Input '{}' must set one of 'data' and the parameter "
                                             "'binary_data_size', but no field is set",
                                             input->name));
  }
  if (*input->binary_size > binary_.size()) {
    return Invalid("binary_data_short",
                   fmt::format("unexpected size for input '{}', expecting {} additional bytes; "
                               "binary tensors follow the JSON, whose length the header "
                               "Inference-Header-Content-Length states",
                               input->name, *input->binary_size - binary_.size()));
  }
  input->data = binary_.first(*input->binary_size);
  binary_ = binary_.subspan(*input->binary_size);
  return OkStatus();
}

Status Reader::ReadData(od::value value, InputFields* input) {
  input->data_read = true;
  od::array array;
  if (const auto error = value.get_array().get(array)) return JsonError(error, "'data'");
  const auto elements = input->shape.Elements();
  if (!elements) {
    return Invalid("shape_invalid",
                   fmt::format("invalid shape for input '{}': {} holds too many elements",
                               input->name, input->shape.ToString()));
  }
  // Each element takes at least a character and a comma, so a larger count cannot be there: nothing
  // is allocated on the word of a shape alone.
  if (*elements > json_.size() / 2 + 1) return JsonCountMismatch(input->name, *elements);
  decoded_bytes_ += *elements * std::max(model::ElementBytes(input->dtype), 4u);
  if (decoded_bytes_ > limits_.decoded_bytes_max) {
    return Status(Code::kResourceExhausted, "request_too_large",
                  fmt::format("the inputs decode to more than {} bytes: send them as binary data",
                              limits_.decoded_bytes_max));
  }
  ByteBuffer buffer;
  BRIM_RETURN_IF_ERROR(
      ReadJsonData(array, {input->name, input->dtype, *elements}, limits_.json_depth_max, &buffer));
  input->data = message_.owned.emplace_back(std::move(buffer)).span();
  return OkStatus();
}

Status Reader::ReadOutputs(od::value value) {
  od::array array;
  if (const auto error = value.get_array().get(array)) return JsonError(error, "'outputs'");
  for (auto result : array) {
    od::object object;
    if (const auto error = result.get_object().get(object)) return JsonError(error, "'outputs'");
    if (message_.outputs.size() >= limits_.tensors_max) {
      return Invalid("too_many_tensors", fmt::format("more than {} outputs", limits_.tensors_max));
    }
    BRIM_RETURN_IF_ERROR(ReadOutput(object));
  }
  return OkStatus();
}

Status Reader::ReadOutput(od::object object) {
  KserveOutput output;
  bool has_name = false;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'outputs'");
    const std::string_view key = field.escaped_key();
    if (key == "name") {
      has_name = true;
      BRIM_RETURN_IF_ERROR(ReadText(field.value(), "'name'", &output.name));
    } else if (key == "parameters") {
      BRIM_RETURN_IF_ERROR(ReadOutputParameters(field.value(), &output));
    }
  }
  if (!has_name) return Invalid("output_name", "Unable to parse 'name': an output has none");
  message_.outputs.push_back(output);
  return CheckSharedPart(output.shared, output.name);
}

Status Reader::ReadOutputParameters(od::value value, KserveOutput* output) {
  if (IsNull(value)) return OkStatus();
  od::object object;
  if (const auto error = value.get_object().get(object)) return JsonError(error, "'parameters'");
  std::uint32_t count = 0;
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'parameters'");
    if (++count > limits_.parameters_max) return TooManyParameters(limits_);
    const std::string_view key = field.escaped_key();
    if (key == "binary_data") {
      bool binary = false;
      if (const auto error = field.value().get_bool().get(binary)) {
        return JsonError(error, "'binary_data'");
      }
      output->binary = binary;
    } else if (key == "classification") {
      if (const auto error = field.value().get_uint64().get(output->classes)) {
        return JsonError(error, "'classification'");
      }
    } else if (IsSharedParameter(key)) {
      BRIM_RETURN_IF_ERROR(ReadSharedParameter(field, &output->shared));
    }
  }
  return OkStatus();
}

}  // namespace

Status ReadInferJson(JsonParser& parser, std::span<const std::byte> body, std::size_t json_bytes,
                     const KserveLimits& limits, KserveMessage* message) {
  if (json_bytes > body.size()) {
    return Invalid("header_length",
                   fmt::format("inference header size should be in range (0, {}), got: {}",
                               body.size(), json_bytes));
  }
  return Reader(body, json_bytes, limits, message).Read(parser.parser);
}

}  // namespace brim::api
