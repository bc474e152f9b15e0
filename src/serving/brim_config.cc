// Reads brim.json (keys: serving/model_config.h) over a ModelConfig.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "serving/model_config.h"

namespace brim::serving {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kTextMax = 1 << 20;
constexpr std::int64_t kRowsMax = 65536;
constexpr std::size_t kListMax = 1000;
constexpr std::size_t kTextValueMax = 4096;

Status BadValue(std::string_view key, std::string_view wanted) {
  return Status(Code::kInvalidArgument, "config_value",
                fmt::format("key '{}' must be {}", key, wanted));
}

Status UnknownKey(std::string_view key, std::string_view known) {
  return Status(Code::kInvalidArgument, "config_key_unknown",
                fmt::format("unknown key '{:.200}'; known: {}", key, known));
}

Status ReadText(std::string_view key, const dom::element& value, std::string* out) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || text.size() > kTextValueMax) {
    return BadValue(key, "a string of at most 4096 bytes");
  }
  out->assign(text);
  return OkStatus();
}

Status ReadBool(std::string_view key, const dom::element& value, bool* out) {
  return value.get(*out) == simdjson::SUCCESS ? OkStatus() : BadValue(key, "true or false");
}

template <typename T>
Status ReadInt(std::string_view key, const dom::element& value, std::int64_t least,
               std::int64_t most, T* out) {
  std::int64_t number = 0;
  if (value.get(number) != simdjson::SUCCESS || number < least || number > most) {
    return BadValue(key, fmt::format("an integer from {} to {}", least, most));
  }
  *out = static_cast<T>(number);
  return OkStatus();
}

template <typename T>
Status ReadInts(std::string_view key, const dom::element& value, std::int64_t least,
                std::int64_t most, std::vector<T>* out) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS || array.size() > kListMax) {
    return BadValue(key, "a list of at most 1000 integers");
  }
  out->clear();
  for (const dom::element item : array) {
    T number{};
    BRIM_RETURN_IF_ERROR(ReadInt(key, item, least, most, &number));
    out->push_back(number);
  }
  std::sort(out->begin(), out->end());
  out->erase(std::unique(out->begin(), out->end()), out->end());
  return OkStatus();
}

Status ReadObject(std::string_view key, const dom::element& value, dom::object* out) {
  return value.get(*out) == simdjson::SUCCESS ? OkStatus() : BadValue(key, "an object");
}

Status ReadMicros(std::string_view key, const dom::element& value, std::int64_t most,
                  std::chrono::microseconds* out) {
  std::int64_t micros = 0;
  BRIM_RETURN_IF_ERROR(ReadInt(key, value, 0, most, &micros));
  *out = std::chrono::microseconds(micros);
  return OkStatus();
}

Status ReadBatch(const dom::object& object, BatchConfig* batch) {
  for (const auto [key, value] : object) {
    if (key == "enabled") {
      BRIM_RETURN_IF_ERROR(ReadBool("batch.enabled", value, &batch->enabled));
    } else if (key == "rows_max") {
      BRIM_RETURN_IF_ERROR(ReadInt("batch.rows_max", value, 1, kRowsMax, &batch->rows_max));
    } else if (key == "preferred_rows") {
      BRIM_RETURN_IF_ERROR(
          ReadInts("batch.preferred_rows", value, 1, kRowsMax, &batch->preferred_rows));
    } else if (key == "delay_us_max") {
      BRIM_RETURN_IF_ERROR(ReadMicros("batch.delay_us_max", value, 10'000'000, &batch->delay_max));
    } else if (key == "preserve_order") {
      BRIM_RETURN_IF_ERROR(ReadBool("batch.preserve_order", value, &batch->preserve_order));
    } else {
      return UnknownKey(fmt::format("batch.{}", key),
                        "enabled, rows_max, preferred_rows, delay_us_max, preserve_order");
    }
  }
  if (!batch->preferred_rows.empty() && batch->preferred_rows.back() > batch->rows_max) {
    return BadValue("batch.preferred_rows", "at most batch.rows_max each");
  }
  return OkStatus();
}

Status ReadQueue(const dom::object& object, QueueConfig* queue) {
  for (const auto [key, value] : object) {
    if (key == "requests_max") {
      BRIM_RETURN_IF_ERROR(ReadInt("queue.requests_max", value, 1, 1 << 20, &queue->requests_max));
    } else if (key == "timeout_us") {
      BRIM_RETURN_IF_ERROR(ReadMicros("queue.timeout_us", value, 86'400'000'000, &queue->timeout));
    } else if (key == "timeout_override") {
      BRIM_RETURN_IF_ERROR(ReadBool("queue.timeout_override", value, &queue->timeout_override));
    } else {
      return UnknownKey(fmt::format("queue.{}", key), "requests_max, timeout_us, timeout_override");
    }
  }
  return OkStatus();
}

Status ReadLabels(const dom::element& value, std::map<std::string, std::int64_t>* labels) {
  dom::object object;
  BRIM_RETURN_IF_ERROR(ReadObject("versions.labels", value, &object));
  if (object.size() > kListMax) return BadValue("versions.labels", "at most 1000 labels");
  labels->clear();
  for (const auto [label, number] : object) {
    if (label.empty()) return BadValue("versions.labels", "labels that are not empty");
    BRIM_RETURN_IF_ERROR(ReadInt("versions.labels", number, 0,
                                 std::numeric_limits<std::int64_t>::max(),
                                 &(*labels)[std::string(label)]));
  }
  return OkStatus();
}

Status ReadVersions(const dom::object& object, VersionConfig* versions) {
  bool policy_stated = false;
  for (const auto [key, value] : object) {
    if (key == "policy") {
      std::string policy;
      BRIM_RETURN_IF_ERROR(ReadText("versions.policy", value, &policy));
      if (policy == "latest") {
        versions->rule = VersionRule::kLatest;
      } else if (policy == "all") {
        versions->rule = VersionRule::kAll;
      } else if (policy == "specific") {
        versions->rule = VersionRule::kSpecific;
      } else {
        return BadValue("versions.policy", "\"latest\", \"all\" or \"specific\"");
      }
      policy_stated = true;
    } else if (key == "latest") {
      BRIM_RETURN_IF_ERROR(ReadInt("versions.latest", value, 1, 1000, &versions->latest));
      if (!policy_stated) versions->rule = VersionRule::kLatest;
    } else if (key == "specific") {
      BRIM_RETURN_IF_ERROR(ReadInts("versions.specific", value, 0,
                                    std::numeric_limits<std::int64_t>::max(), &versions->specific));
      if (!policy_stated) versions->rule = VersionRule::kSpecific;
    } else if (key == "labels") {
      BRIM_RETURN_IF_ERROR(ReadLabels(value, &versions->labels));
    } else {
      return UnknownKey(fmt::format("versions.{}", key), "policy, latest, specific, labels");
    }
  }
  if (versions->rule == VersionRule::kSpecific && versions->specific.empty()) {
    return BadValue("versions.specific", "a list of the versions to serve");
  }
  return OkStatus();
}

Status ReadOptions(const dom::object& object,
                   std::vector<std::pair<std::string, std::string>>* options) {
  if (object.size() > kListMax) return BadValue("options", "at most 1000 options");
  for (const auto [key, value] : object) {
    std::string text;
    if (value.is<std::string_view>()) {
      BRIM_RETURN_IF_ERROR(ReadText(fmt::format("options.{}", key), value, &text));
    } else if (value.is_bool() || value.is_number()) {
      text = simdjson::minify(value);
    } else {
      return BadValue(fmt::format("options.{:.200}", key), "a string, a number, true or false");
    }
    const std::string_view name = key;
    const auto same = std::find_if(options->begin(), options->end(),
                                   [name](const auto& option) { return option.first == name; });
    if (same != options->end()) {
      same->second = std::move(text);
    } else {
      options->emplace_back(std::string(name), std::move(text));
    }
  }
  return OkStatus();
}

Status ReadKey(std::string_view key, const dom::element& value, ModelConfig* config) {
  dom::object object;
  if (key == "owner") return ReadText(key, value, &config->owner);
  if (key == "runtime") return ReadText(key, value, &config->runtime);
  if (key == "precision") return ReadText(key, value, &config->precision);
  if (key == "device") return ReadText(key, value, &config->device);
  if (key == "width") return ReadInt(key, value, 1, 256, &config->width);
  if (key == "copies_max") return ReadInt(key, value, 0, 1024, &config->copies_max);
  if (key == "warm_up") return ReadBool(key, value, &config->warm_up);
  if (key == "batch") {
    BRIM_RETURN_IF_ERROR(ReadObject(key, value, &object));
    return ReadBatch(object, &config->batch);
  }
  if (key == "queue") {
    BRIM_RETURN_IF_ERROR(ReadObject(key, value, &object));
    return ReadQueue(object, &config->queue);
  }
  if (key == "versions") {
    BRIM_RETURN_IF_ERROR(ReadObject(key, value, &object));
    return ReadVersions(object, &config->versions);
  }
  if (key == "options") {
    BRIM_RETURN_IF_ERROR(ReadObject(key, value, &object));
    return ReadOptions(object, &config->options);
  }
  return UnknownKey(key,
                    "owner, runtime, precision, device, width, copies_max, warm_up, batch, queue, "
                    "versions, options");
}

}  // namespace

Status ApplyBrimConfig(std::string_view json, ModelConfig* config) {
  if (json.size() > kTextMax) {
    return Status(Code::kInvalidArgument, "config_too_large",
                  fmt::format("larger than {}", HumanBytes(kTextMax)));
  }
  dom::parser parser;
  dom::element root;
  const simdjson::padded_string padded(json);
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS) {
    return Status(Code::kInvalidArgument, "config_syntax",
                  fmt::format("not JSON: {}", simdjson::error_message(error)));
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    return Status(Code::kInvalidArgument, "config_syntax",
                  "must be one JSON object, as {\"owner\": \"me\"}");
  }
  for (const auto [key, value] : object) BRIM_RETURN_IF_ERROR(ReadKey(key, value, config));
  return OkStatus();
}

}  // namespace brim::serving
