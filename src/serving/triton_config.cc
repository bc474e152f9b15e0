// Reads Triton's model configuration, as text (config.pbtxt) or JSON (the load API), over a
// ModelConfig.
//
// JSON is first turned into the tree that ParsePbtxt gives, so that one reader serves both. In
// proto JSON numbers of 64 bits and enums may be strings, and `parameters` is an object.
// Source: triton-inference-server/common protobuf/model_config.proto.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/pbtxt.h"
#include "base/text.h"
#include "serving/model_config.h"

namespace brim::serving {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kTextMax = 1 << 20;
constexpr int kDepthMax = 32;
constexpr std::size_t kFieldsMax = 65536;
constexpr std::int64_t kRowsMax = 65536;
constexpr std::size_t kTensorsMax = 1024;
constexpr std::size_t kVersionsMax = 1000;
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

Status At(const PbField& field, Code code, const char* reason, std::string_view text) {
  return Status(code, reason,
                field.line > 0 ? fmt::format("line {}: '{}' {}", field.line, field.name, text)
                               : fmt::format("'{}' {}", field.name, text));
}
Status Bad(const PbField& field, std::string_view text) {
  return At(field, Code::kInvalidArgument, "config_value", text);
}
Status NotSupported(const PbField& field, std::string_view text) {
  return At(field, Code::kUnimplemented, "config_not_supported", text);
}

// Line 0 marks a field that came from JSON, where numbers and words may be quoted.
Status ReadInt(const PbField& field, std::int64_t least, std::int64_t most, std::int64_t* out) {
  PbField bare;
  bare.name = field.name;
  bare.scalar = field.scalar;
  const bool json_string = field.line == 0 && field.quoted && field.message == nullptr;
  const Result<std::int64_t> number = json_string ? bare.AsInt() : field.AsInt();
  if (!number.ok()) return Bad(field, "must be an integer");
  if (*number < least || *number > most) {
    return Bad(field, fmt::format("is {}; it must be {} to {}", *number, least, most));
  }
  *out = *number;
  return OkStatus();
}

Status ReadText(const PbField& field, std::string* out) {
  if (field.message != nullptr || !field.quoted) return Bad(field, "must be a quoted string");
  *out = field.scalar;
  return OkStatus();
}

Status ReadBool(const PbField& field, bool* out) {
  const Result<bool> value = field.AsBool();
  if (!value.ok()) return Bad(field, "must be true or false");
  *out = *value;
  return OkStatus();
}

Status ReadWord(const PbField& field, std::string* out) {
  const bool json_string = field.line == 0 && field.quoted;
  if (field.message != nullptr || (field.quoted && !json_string)) {
    return Bad(field, "must be a bare word");
  }
  *out = field.scalar;
  return OkStatus();
}

Status ReadMessage(const PbField& field, const PbMessage** out) {
  if (field.message == nullptr) return Bad(field, "must be a message");
  *out = field.message.get();
  return OkStatus();
}

bool In(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void Warn(ModelConfig* config, const PbField& field, std::string_view text) {
  constexpr std::size_t kWarningsMax = 64;
  if (config->warnings.size() >= kWarningsMax) return;
  config->warnings.push_back(
      field.line > 0 ? fmt::format("line {}: '{:.200}' {}", field.line, field.name, text)
                     : fmt::format("'{:.200}' {}", field.name, text));
}

Status ReadDims(const PbField& field, model::Shape* dims) {
  std::int64_t dim = 0;
  BRIM_RETURN_IF_ERROR(ReadInt(field, -1, kInt64Max, &dim));
  if (!dims->Append(dim)) {
    return Bad(field, fmt::format("has more than {} dimensions", model::kRankMax));
  }
  return OkStatus();
}

Status ReadTensor(const PbField& field, std::vector<TensorConfig>* tensors, ModelConfig* config) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  if (tensors->size() >= kTensorsMax) return Bad(field, "is repeated more than 1024 times");
  TensorConfig tensor;
  for (const PbField& part : message->fields) {
    bool flag = false;
    if (part.name == "name") {
      BRIM_RETURN_IF_ERROR(ReadText(part, &tensor.name));
    } else if (part.name == "data_type") {
      std::string word;
      BRIM_RETURN_IF_ERROR(ReadWord(part, &word));
      const auto dtype = model::FromTritonConfigName(word);
      if (!dtype.has_value() || *dtype == model::DType::kInvalid) {
        return Bad(part, fmt::format("'{:.64}' is not a data type; write e.g. TYPE_FP32", word));
      }
      tensor.dtype = *dtype;
    } else if (part.name == "dims") {
      BRIM_RETURN_IF_ERROR(ReadDims(part, &tensor.dims));
    } else if (part.name == "reshape") {
      return NotSupported(part, "is not supported: state the model's own dims");
    } else if (In(part.name, {"is_shape_tensor", "allow_ragged_batch", "optional"})) {
      BRIM_RETURN_IF_ERROR(ReadBool(part, &flag));
      if (flag)
        Warn(config, part, "is not honoured: every input is needed, as the model declares it");
    } else if (!In(part.name, {"format", "label_filename", "is_non_linear_format_io"})) {
      Warn(config, part, "is not known and was ignored");
    }
  }
  if (tensor.name.empty()) return Bad(field, "needs a name");
  for (const TensorConfig& other : *tensors) {
    if (other.name == tensor.name) {
      return Bad(field, fmt::format("'{:.200}' is stated twice", tensor.name));
    }
  }
  tensors->push_back(std::move(tensor));
  return OkStatus();
}

Status ReadSpecific(const PbMessage& message, VersionConfig* versions) {
  versions->specific.clear();
  for (const PbField& field : message.fields) {
    if (field.name != "versions") return Bad(field, "is not known; write versions: [ 1, 2 ]");
    if (versions->specific.size() >= kVersionsMax) return Bad(field, "has more than 1000 entries");
    std::int64_t number = 0;
    BRIM_RETURN_IF_ERROR(ReadInt(field, 0, kInt64Max, &number));
    versions->specific.push_back(number);
  }
  std::sort(versions->specific.begin(), versions->specific.end());
  return OkStatus();
}

Status ReadVersionPolicy(const PbField& field, VersionConfig* versions) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  for (const PbField& rule : message->fields) {
    const PbMessage* body = nullptr;
    BRIM_RETURN_IF_ERROR(ReadMessage(rule, &body));
    if (rule.name == "latest") {
      versions->rule = VersionRule::kLatest;
      versions->latest = 1;
      if (const PbField* count = body->Find("num_versions")) {
        std::int64_t number = 0;
        BRIM_RETURN_IF_ERROR(ReadInt(*count, 1, kVersionsMax, &number));
        versions->latest = static_cast<std::uint32_t>(number);
      }
    } else if (rule.name == "all") {
      versions->rule = VersionRule::kAll;
    } else if (rule.name == "specific") {
      versions->rule = VersionRule::kSpecific;
      BRIM_RETURN_IF_ERROR(ReadSpecific(*body, versions));
      if (versions->specific.empty()) return Bad(rule, "needs versions: [ 1, 2 ]");
    } else {
      return Bad(rule, "is not known; write latest, all or specific");
    }
  }
  return OkStatus();
}

Status ReadQueuePolicy(const PbField& field, ModelConfig* config) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  for (const PbField& part : message->fields) {
    std::int64_t number = 0;
    if (part.name == "max_queue_size") {
      BRIM_RETURN_IF_ERROR(ReadInt(part, 0, std::numeric_limits<std::int32_t>::max(), &number));
      // Triton's 0 means "no bound"; ours stays.
      if (number > 0) {
        config->queue.requests_max =
            static_cast<std::uint32_t>(std::min<std::int64_t>(number, 1 << 20));
      }
    } else if (part.name == "default_timeout_microseconds") {
      BRIM_RETURN_IF_ERROR(ReadInt(part, 0, 86'400'000'000, &number));
      config->queue.timeout = std::chrono::microseconds(number);
    } else if (part.name == "allow_timeout_override") {
      BRIM_RETURN_IF_ERROR(ReadBool(part, &config->queue.timeout_override));
    } else if (part.name == "timeout_action") {
      std::string action;
      BRIM_RETURN_IF_ERROR(ReadWord(part, &action));
      if (action == "DELAY") Warn(config, part, "DELAY is not honoured: late requests are refused");
    } else {
      Warn(config, part, "is not known and was ignored");
    }
  }
  return OkStatus();
}

Status ReadDynamicBatching(const PbField& field, ModelConfig* config) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  std::vector<std::uint32_t> preferred;
  for (const PbField& part : message->fields) {
    std::int64_t number = 0;
    if (part.name == "preferred_batch_size") {
      BRIM_RETURN_IF_ERROR(ReadInt(part, 1, kRowsMax, &number));
      if (preferred.size() >= kVersionsMax) return Bad(part, "has more than 1000 entries");
      preferred.push_back(static_cast<std::uint32_t>(number));
    } else if (part.name == "max_queue_delay_microseconds") {
      BRIM_RETURN_IF_ERROR(ReadInt(part, 0, 10'000'000, &number));
      config->batch.delay_max = std::chrono::microseconds(number);
    } else if (part.name == "preserve_ordering") {
      BRIM_RETURN_IF_ERROR(ReadBool(part, &config->batch.preserve_order));
    } else if (part.name == "default_queue_policy") {
      BRIM_RETURN_IF_ERROR(ReadQueuePolicy(part, config));
    } else if (part.name == "priority_queue_policy") {
      Warn(config, part, "is not honoured: default_queue_policy holds for every priority");
    } else if (part.name == "default_priority_level") {
      Warn(config, part, "is not honoured: requests that state no priority come last");
    } else if (part.name != "priority_levels") {  // A request's own priority always counts.
      Warn(config, part, "is not known and was ignored");
    }
  }
  std::sort(preferred.begin(), preferred.end());
  preferred.erase(std::unique(preferred.begin(), preferred.end()), preferred.end());
  config->batch.enabled = true;
  config->batch.preferred_rows = std::move(preferred);
  return OkStatus();
}

Status ReadParameter(const PbField& field, ModelConfig* config) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  std::string key;
  std::string text;
  if (const PbField* stated = message->Find("key")) BRIM_RETURN_IF_ERROR(ReadText(*stated, &key));
  if (const PbField* value = message->Find("value")) {
    BRIM_RETURN_IF_ERROR(ReadMessage(*value, &message));
    if (const PbField* stated = message->Find("string_value")) {
      BRIM_RETURN_IF_ERROR(ReadText(*stated, &text));
    }
  }
  constexpr std::string_view kOption = "option.";
  if (key == "owner") {
    config->owner = text;
  } else if (key == "runtime") {
    config->runtime = text;
  } else if (key == "precision") {
    config->precision = text;
  } else if (key == "device") {
    config->device = text;
  } else if (key.compare(0, kOption.size(), kOption) == 0) {
    config->options.emplace_back(key.substr(kOption.size()), text);
  }
  // Other parameters are another backend's own.
  return OkStatus();
}

Status ReadInstanceGroup(const PbField& field, ModelConfig* config) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  std::string kind;
  if (const PbField* stated = message->Find("kind")) BRIM_RETURN_IF_ERROR(ReadWord(*stated, &kind));
  if (kind == "KIND_GPU" || message->Find("gpus") != nullptr) {
    Warn(config, field,
         "asks for a GPU; the model runs on the device that brim.json or the "
         "parameter 'device' names, else on the CPU");
  }
  return OkStatus();
}

Status CheckBackend(const PbField& field) {
  std::string name;
  BRIM_RETURN_IF_ERROR(ReadText(field, &name));
  if (name == "ensemble") return NotSupported(field, "\"ensemble\" is not supported");
  const bool known = field.name == "backend"
                         ? In(name, {"", "openvino", "onnxruntime", "tensorflow", "fake"})
                         : In(name, {"", "tensorflow_savedmodel", "tensorflow_graphdef",
                                     "onnxruntime_onnx", "openvino", "OpenVINO", "fake"});
  if (known) return OkStatus();
  return NotSupported(
      field,
      fmt::format("\"{:.64}\" is not supported; known: {}. Or leave it out and the runtime is "
                  "chosen by the model's file",
                  name,
                  field.name == "backend"
                      ? "openvino, onnxruntime, tensorflow"
                      : "tensorflow_savedmodel, tensorflow_graphdef, onnxruntime_onnx, openvino"));
}

Status CheckTransactions(const PbField& field) {
  const PbMessage* message = nullptr;
  BRIM_RETURN_IF_ERROR(ReadMessage(field, &message));
  bool decoupled = false;
  if (const PbField* stated = message->Find("decoupled")) {
    BRIM_RETURN_IF_ERROR(ReadBool(*stated, &decoupled));
  }
  return decoupled ? NotSupported(field, "decoupled is not supported: one answer per request")
                   : OkStatus();
}

Status ReadField(const PbField& field, ModelConfig* config) {
  const std::string_view name = field.name;
  if (name == "name") return ReadText(field, &config->name);
  if (name == "platform" || name == "backend") return CheckBackend(field);
  if (name == "max_batch_size") {
    std::int64_t rows = 0;
    BRIM_RETURN_IF_ERROR(ReadInt(field, 0, kRowsMax, &rows));
    config->max_batch_size = static_cast<int>(rows);
    return OkStatus();
  }
  if (name == "input") return ReadTensor(field, &config->inputs, config);
  if (name == "output") return ReadTensor(field, &config->outputs, config);
  if (name == "version_policy") return ReadVersionPolicy(field, &config->versions);
  if (name == "dynamic_batching") return ReadDynamicBatching(field, config);
  if (name == "default_model_filename") return ReadText(field, &config->default_filename);
  if (name == "parameters") return ReadParameter(field, config);
  if (name == "instance_group") return ReadInstanceGroup(field, config);
  if (name == "model_transaction_policy") return CheckTransactions(field);
  if (In(name, {"sequence_batching", "ensemble_scheduling", "batch_input", "batch_output"})) {
    return NotSupported(field, "is not supported");
  }
  if (In(name, {"model_operations", "model_repository_agents"})) {
    Warn(config, field, "is not honoured");
    return OkStatus();
  }
  if (In(name, {"model_warmup", "response_cache", "metric_tags"})) {
    Warn(config, field,
         name == "model_warmup"     ? "is not honoured: one run with zeros warms a version up"
         : name == "response_cache" ? "is not honoured: every request is run"
                                    : "is not honoured: the parameter 'owner' is a label");
    return OkStatus();
  }
  if (!In(name, {"optimization", "cc_model_filenames", "runtime", "model_metrics"})) {
    Warn(config, field, "is not known and was ignored");
  }
  return OkStatus();
}

Status ApplyTree(const PbMessage& root, ModelConfig* config) {
  const bool batched_before = config->batch.enabled;
  config->inputs.clear();
  config->outputs.clear();
  for (const PbField& field : root.fields) BRIM_RETURN_IF_ERROR(ReadField(field, config));
  const PbField* batching = root.Find("dynamic_batching");
  if (batching != nullptr && config->max_batch_size == 0) {
    Warn(config, *batching, "needs max_batch_size above 0: requests are not joined");
    config->batch.enabled = batched_before;
    config->batch.preferred_rows.clear();
  } else if (batching != nullptr) {
    config->batch.rows_max = static_cast<std::uint32_t>(config->max_batch_size);
    const auto& preferred = config->batch.preferred_rows;
    if (!preferred.empty() && preferred.back() > config->batch.rows_max) {
      return Bad(*batching, fmt::format("preferred_batch_size {} is above max_batch_size {}",
                                        preferred.back(), config->max_batch_size));
    }
  }
  return OkStatus();
}

class JsonToTree {
 public:
  Status Object(const dom::object& object, int depth, PbMessage* out) {
    if (depth > kDepthMax) return TooMuch("more than 32 nested objects");
    for (const auto [key, value] : object) {
      dom::object entries;
      if (key == "parameters" && value.get(entries) == simdjson::SUCCESS) {
        BRIM_RETURN_IF_ERROR(Map(key, entries, depth, out));
      } else {
        BRIM_RETURN_IF_ERROR(Value(key, value, depth, out));
      }
    }
    return OkStatus();
  }

 private:
  static Status TooMuch(const char* what) {
    return Status(Code::kInvalidArgument, "config_syntax", what);
  }

  // A proto map: an object of key to value becomes repeated { key, value }.
  Status Map(std::string_view name, const dom::object& entries, int depth, PbMessage* out) {
    for (const auto [key, value] : entries) {
      PbField entry;
      entry.name = name;
      entry.message = std::make_unique<PbMessage>();
      PbField key_field;
      key_field.name = "key";
      key_field.quoted = true;
      key_field.scalar = key;
      entry.message->fields.push_back(std::move(key_field));
      BRIM_RETURN_IF_ERROR(Value("value", value, depth + 1, entry.message.get()));
      out->fields.push_back(std::move(entry));
    }
    return OkStatus();
  }

  Status Value(std::string_view name, const dom::element& value, int depth, PbMessage* out) {
    dom::array array;
    if (value.get(array) == simdjson::SUCCESS) {
      for (const dom::element item : array) {
        if (item.is<dom::array>()) return TooMuch("a list inside a list");
        BRIM_RETURN_IF_ERROR(Value(name, item, depth, out));
      }
      return OkStatus();
    }
    if (value.is_null()) return OkStatus();  // Proto JSON: as if it were not there.
    if (++fields_ > kFieldsMax) return TooMuch("more than 65536 values");
    PbField field;
    field.name = name;
    dom::object object;
    std::string_view text;
    if (value.get(object) == simdjson::SUCCESS) {
      field.message = std::make_unique<PbMessage>();
      BRIM_RETURN_IF_ERROR(Object(object, depth + 1, field.message.get()));
    } else if (value.get(text) == simdjson::SUCCESS) {
      field.quoted = true;
      field.scalar = text;
    } else {
      field.scalar = simdjson::minify(value);
    }
    out->fields.push_back(std::move(field));
    return OkStatus();
  }

  std::size_t fields_ = 0;
};

}  // namespace

Status ApplyTritonConfig(std::string_view pbtxt, ModelConfig* config) {
  BRIM_ASSIGN_OR_RETURN(const PbMessage root, ParsePbtxt(pbtxt));
  return ApplyTree(root, config);
}

Status ApplyTritonConfigJson(std::string_view json, ModelConfig* config) {
  if (json.size() > kTextMax) {
    return Status(Code::kInvalidArgument, "config_too_large",
                  fmt::format("larger than {}", HumanBytes(kTextMax)));
  }
  dom::parser parser;
  dom::element element;
  const simdjson::padded_string padded(json);
  if (const auto error = parser.parse(padded).get(element); error != simdjson::SUCCESS) {
    return Status(Code::kInvalidArgument, "config_syntax",
                  fmt::format("not JSON: {}", simdjson::error_message(error)));
  }
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return Status(Code::kInvalidArgument, "config_syntax",
                  "the configuration must be a JSON object");
  }
  PbMessage root;
  BRIM_RETURN_IF_ERROR(JsonToTree().Object(object, 0, &root));
  return ApplyTree(root, config);
}

}  // namespace brim::serving
