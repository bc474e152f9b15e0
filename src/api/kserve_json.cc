#include "api/kserve_json.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "api/base64.h"
#include "api/json_text.h"
#include "api/kserve_json_data.h"
#include "base/json.h"

namespace brim::api {
namespace {

namespace od = simdjson::ondemand;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

template <typename T>
void AppendNumbers(std::span<const std::byte> data, ByteBuffer* out) {
  constexpr std::size_t kBlock = 256;  // Numbers formatted between two appends.
  char text[kBlock * (kNumberTextMax + 1)];
  char* at = text;
  const std::size_t count = data.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    at = WriteNumber(at, LoadLittle<T>(data.data() + i * sizeof(T)));
    *at++ = ',';
    if (i % kBlock == kBlock - 1 || i + 1 == count) {
      out->Append(std::string_view(text, static_cast<std::size_t>(at - text)));
      at = text;
    }
  }
  if (count != 0) out->Truncate(out->size() - 1);  // The last comma.
}

void AppendBools(std::span<const std::byte> data, ByteBuffer* out) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (i != 0) out->PushBack(',');
    out->Append(data[i] != std::byte{0} ? std::string_view("true") : std::string_view("false"));
  }
}

void AppendStrings(std::span<const std::byte> data, ByteBuffer* out) {
  model::StringElements elements(data);
  std::string_view element;
  for (bool first = true; elements.Next(&element); first = false) {
    if (!first) out->PushBack(',');
    AppendQuoted(out, element);
  }
}

// The elements, without brackets. REQUIRES: the tensor's data is what its dtype and shape say.
Status AppendData(const model::TensorView& tensor, ByteBuffer* out) {
  using model::DType;
  switch (tensor.dtype) {
    case DType::kBool:
      AppendBools(tensor.data, out);
      break;
    case DType::kUint8:
      AppendNumbers<std::uint8_t>(tensor.data, out);
      break;
    case DType::kUint16:
      AppendNumbers<std::uint16_t>(tensor.data, out);
      break;
    case DType::kUint32:
      AppendNumbers<std::uint32_t>(tensor.data, out);
      break;
    case DType::kUint64:
      AppendNumbers<std::uint64_t>(tensor.data, out);
      break;
    case DType::kInt8:
      AppendNumbers<std::int8_t>(tensor.data, out);
      break;
    case DType::kInt16:
      AppendNumbers<std::int16_t>(tensor.data, out);
      break;
    case DType::kInt32:
      AppendNumbers<std::int32_t>(tensor.data, out);
      break;
    case DType::kInt64:
      AppendNumbers<std::int64_t>(tensor.data, out);
      break;
    case DType::kFp32:
      AppendNumbers<float>(tensor.data, out);
      break;
    case DType::kFp64:
      AppendNumbers<double>(tensor.data, out);
      break;
    case DType::kBytes:
      AppendStrings(tensor.data, out);
      break;
    case DType::kFp16:
    case DType::kBf16:
    case DType::kInvalid:
      return Invalid("dtype_in_json",
                     fmt::format("sending {} data via JSON is not supported. Please use the binary "
                                 "data format for output '{}'",
                                 model::KServeName(tensor.dtype), tensor.name));
  }
  return OkStatus();
}

void AppendParameter(const KserveParameter& parameter, ByteBuffer* out) {
  AppendQuoted(out, parameter.key);
  out->PushBack(':');
  switch (parameter.kind) {
    case KserveParameter::Kind::kBool:
      out->Append(parameter.boolean ? std::string_view("true") : std::string_view("false"));
      break;
    case KserveParameter::Kind::kInt:
      AppendNumber(out, parameter.integer);
      break;
    case KserveParameter::Kind::kUint:
      AppendNumber(out, parameter.natural);
      break;
    case KserveParameter::Kind::kDouble:
      AppendNumber(out, parameter.number);
      break;
    case KserveParameter::Kind::kText:
      AppendQuoted(out, parameter.text);
      break;
  }
}

void AppendHead(const KserveAnswer& answer, ByteBuffer* out) {
  out->PushBack('{');
  if (!answer.id.empty()) {
    out->Append("\"id\":");
    AppendQuoted(out, answer.id);
    out->PushBack(',');
  }
  out->Append("\"model_name\":");
  AppendQuoted(out, answer.model_name);
  out->Append(",\"model_version\":");
  AppendQuoted(out, answer.model_version);
  if (!answer.parameters.empty()) {
    out->Append(",\"parameters\":{");
    for (std::size_t i = 0; i < answer.parameters.size(); ++i) {
      if (i != 0) out->PushBack(',');
      AppendParameter(answer.parameters[i], out);
    }
    out->PushBack('}');
  }
}

Status AppendTensor(const KserveAnswerTensor& output, ByteBuffer* out) {
  const model::TensorView& tensor = output.tensor;
  out->Append("{\"name\":");
  AppendQuoted(out, tensor.name);
  out->Append(",\"datatype\":\"");
  out->Append(model::KServeName(tensor.dtype));
  out->Append("\",\"shape\":[");
  for (std::size_t axis = 0; axis < tensor.shape.rank(); ++axis) {
    if (axis != 0) out->PushBack(',');
    AppendNumber(out, tensor.shape[axis]);
  }
  if (output.elsewhere) {
    out->Append("]}");
    return OkStatus();
  }
  if (output.binary) {
    out->Append("],\"parameters\":{\"binary_data_size\":");
    AppendNumber(out, tensor.data.size());
    out->Append("}}");
    return OkStatus();
  }
  out->Append("],\"data\":[");
  BRIM_RETURN_IF_ERROR(AppendData(tensor, out));
  out->Append("]}");
  return OkStatus();
}

}  // namespace

void AppendQuoted(ByteBuffer* out, std::string_view text) {
  // Plain text, which names and most strings are, goes in one piece.
  bool plain = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    plain = plain && byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
  }
  if (plain) {
    out->PushBack('"');
    out->Append(text);
    out->PushBack('"');
    return;
  }
  std::string quoted;
  AppendJsonString(&quoted, text);
  out->Append(quoted);
}

Status WriteInferJson(const KserveAnswer& answer, ByteBuffer* out, std::size_t* json_bytes) {
  constexpr std::size_t kHeadRoom = 192;    // Fixed text of the answer, and
  constexpr std::size_t kTensorRoom = 192;  // of one output; names come on top.
  std::size_t room = kHeadRoom + answer.model_name.size() + answer.id.size();
  bool any_binary = false;
  for (const KserveAnswerTensor& output : answer.outputs) {
    room += kTensorRoom + output.tensor.name.size() + output.tensor.data.size();
    any_binary = any_binary || output.binary;
  }
  out->Reserve(room);
  AppendHead(answer, out);
  out->Append(",\"outputs\":[");
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    if (i != 0) out->PushBack(',');
    BRIM_RETURN_IF_ERROR(AppendTensor(answer.outputs[i], out));
  }
  out->Append("]}");
  *json_bytes = any_binary ? out->size() : 0;
  for (const KserveAnswerTensor& output : answer.outputs) {
    if (output.binary) out->Append(output.tensor.data);
  }
  return OkStatus();
}

namespace {

Status ReadRepositoryParameters(od::object object, const KserveLimits& limits,
                                RepositoryJson* out) {
  for (auto result : object) {
    od::field field;
    if (const auto error = std::move(result).get(field)) return JsonError(error, "'parameters'");
    std::string_view key;
    if (const auto error = field.unescaped_key().get(key)) return JsonError(error, "'parameters'");
    const bool is_file = key.substr(0, 5) == "file:";
    if (key == "unload_dependents") {
      // No model here depends on another, so both values mean the same.
      bool ignored = false;
      if (const auto error = field.value().get_bool().get(ignored))
        return JsonError(error, "'unload_dependents'");
      continue;
    }
    if (key != "config" && !is_file) {
      return Invalid("parameter_unknown",
                     fmt::format("unknown parameter '{}': 'config' and 'file:<version>/<name>' are "
                                 "known",
                                 key));
    }
    std::string_view text;
    if (const auto error = field.value().get_string().get(text)) return JsonError(error, key);
    if (!is_file) {
      out->config = text;
      continue;
    }
    if (out->files.size() >= limits.parameters_max) {
      return Invalid("too_many_parameters",
                     fmt::format("more than {} files", limits.parameters_max));
    }
    ByteBuffer decoded;
    if (!DecodeBase64(text, &decoded)) {
      return Invalid("base64_malformed", fmt::format("parameter '{}' is not base64", key));
    }
    out->files.emplace_back(key.substr(5), decoded.view());
  }
  return OkStatus();
}

}  // namespace

Status ReadRepositoryJson(JsonParser& parser, std::span<const std::byte> body,
                          const KserveLimits& limits, RepositoryJson* out) {
  if (body.empty()) return OkStatus();
  return ReadWholeObject(parser, body, [&](od::field& field) {
    const std::string_view key = field.escaped_key();
    if (key == "ready") {
      const auto error = field.value().get_bool().get(out->ready);
      return error ? JsonError(error, "'ready'") : OkStatus();
    }
    if (key != "parameters") return OkStatus();
    od::object parameters;
    if (const auto error = field.value().get_object().get(parameters)) {
      return JsonError(error, "'parameters'");
    }
    return ReadRepositoryParameters(parameters, limits, out);
  });
}

}  // namespace brim::api
