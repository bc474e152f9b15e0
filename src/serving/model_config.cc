#include "serving/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "base/pbtxt.h"
#include "base/text.h"

namespace brim::serving {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::int64_t kRowsMax = 65536;
constexpr std::int64_t kQueueMax = 1 << 20;
constexpr std::int64_t kDelayMicrosMax = 10'000'000;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Null when there is no such file.
Result<std::optional<std::string>> ReadSmallFile(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
    return Status(Code::kFailedPrecondition, "config_unreadable",
                  fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  std::string text(kFileBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return Status(Code::kFailedPrecondition, "config_unreadable",
                  fmt::format("cannot read {}", path));
  }
  if (text.size() > kFileBytesMax) {
    return Status(Code::kInvalidArgument, "config_too_large",
                  fmt::format("{} is larger than {}", path, HumanBytes(kFileBytesMax)));
  }
  return std::optional<std::string>(std::move(text));
}

using Apply = Status (*)(std::string_view text, ModelConfig* config);

Status ApplyFile(const std::string& path, Apply apply, ModelConfig* config, bool* found) {
  BRIM_ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadSmallFile(path));
  *found = text.has_value();
  if (!text.has_value()) return OkStatus();
  return apply(*text, config).WithContext(path);
}

Status ApplyTfsFiles(const std::string& directory, ModelConfig* config) {
  bool found = false;
  for (const std::string_view file : kTfsBatchingFiles) {
    BRIM_RETURN_IF_ERROR(
        ApplyFile(fmt::format("{}/{}", directory, file), ApplyTfsBatching, config, &found));
    if (found) break;
  }
  return OkStatus();
}

// TensorFlow Serving wraps its optional numbers: `max_batch_size { value: 8 }`.
Status Wrapped(const PbField& field, std::int64_t least, std::int64_t most, std::int64_t* out) {
  const PbField* value = field.message != nullptr ? field.message->Find("value") : &field;
  if (value == nullptr) {
    return Status(Code::kInvalidArgument, "config_value",
                  fmt::format("line {}: write '{} {{ value: NUMBER }}'", field.line, field.name));
  }
  BRIM_ASSIGN_OR_RETURN(*out, value->AsInt());
  if (*out < least || *out > most) {
    return Status(Code::kInvalidArgument, "config_value",
                  fmt::format("line {}: '{}' is {}; it must be {} to {}", field.line, field.name,
                              *out, least, most));
  }
  return OkStatus();
}

}  // namespace

Status ApplyTfsBatching(std::string_view pbtxt, ModelConfig* config) {
  BRIM_ASSIGN_OR_RETURN(const PbMessage root, ParsePbtxt(pbtxt));
  BatchConfig batch = config->batch;
  batch.enabled = true;
  std::vector<std::uint32_t> allowed;
  std::int64_t enqueued_batches = 0;
  for (const PbField& field : root.fields) {
    std::int64_t value = 0;
    if (field.name == "max_batch_size") {
      BRIM_RETURN_IF_ERROR(Wrapped(field, 1, kRowsMax, &value));
      batch.rows_max = static_cast<std::uint32_t>(value);
    } else if (field.name == "batch_timeout_micros") {
      BRIM_RETURN_IF_ERROR(Wrapped(field, 0, kDelayMicrosMax, &value));
      batch.delay_max = std::chrono::microseconds(value);
    } else if (field.name == "max_enqueued_batches") {
      BRIM_RETURN_IF_ERROR(Wrapped(field, 1, kQueueMax, &enqueued_batches));
    } else if (field.name == "allowed_batch_sizes") {
      BRIM_RETURN_IF_ERROR(Wrapped(field, 1, kRowsMax, &value));
      allowed.push_back(static_cast<std::uint32_t>(value));
    } else if (field.name == "pad_variable_length_inputs") {
      BRIM_ASSIGN_OR_RETURN(const bool pads, field.AsBool());
      if (pads) {
        config->warnings.emplace_back(
            "pad_variable_length_inputs is not honoured: only inputs of one shape are joined");
      }
    }
    // The rest (threads, pool names, splitting) only tunes.
  }
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  if (!allowed.empty() && allowed.back() > batch.rows_max) {
    return Status(Code::kInvalidArgument, "config_value",
                  fmt::format("allowed_batch_sizes has {}, above max_batch_size {}", allowed.back(),
                              batch.rows_max));
  }
  if (!allowed.empty()) batch.preferred_rows = std::move(allowed);
  if (enqueued_batches > 0) {
    config->queue.requests_max = static_cast<std::uint32_t>(
        std::min<std::int64_t>(enqueued_batches * batch.rows_max, kQueueMax));
  }
  config->batch = std::move(batch);
  return OkStatus();
}

ModelConfig DefaultModelConfig(const std::string& name, const ConfigDefaults& defaults) {
  ModelConfig config;
  config.name = name;
  config.owner = defaults.owner;
  config.runtime = defaults.runtime;
  config.precision = defaults.precision;
  config.device = defaults.device;
  config.batch = defaults.batch;
  config.queue = defaults.queue;
  config.versions = defaults.versions;
  return config;
}

Status ApplyBrimConfigFile(const std::string& path, ModelConfig* config) {
  bool found = false;
  return ApplyFile(path, ApplyBrimConfig, config, &found);
}

Result<ModelConfig> ReadModelConfig(const std::string& directory, const std::string& name,
                                    const ConfigDefaults& defaults) {
  ModelConfig config = DefaultModelConfig(name, defaults);
  bool found = false;
  BRIM_RETURN_IF_ERROR(ApplyTfsFiles(directory, &config));
  BRIM_RETURN_IF_ERROR(ApplyFile(fmt::format("{}/{}", directory, kTritonConfigFile),
                                 ApplyTritonConfig, &config, &found));
  BRIM_RETURN_IF_ERROR(
      ApplyBrimConfigFile(fmt::format("{}/{}", directory, kBrimConfigFile), &config));
  if (config.name != name) {
    config.warnings.push_back(
        fmt::format("{} names the model '{}'; it is served as '{}', after its directory or file",
                    kTritonConfigFile, config.name, name));
    config.name = name;
  }
  return config;
}

Result<ModelConfig> ReadModelConfigWith(const std::string& config_json,
                                        const std::string& directory, const std::string& name,
                                        const ConfigDefaults& defaults) {
  ModelConfig config = DefaultModelConfig(name, defaults);
  if (!directory.empty()) {
    BRIM_RETURN_IF_ERROR(ApplyTfsFiles(directory, &config));
    BRIM_RETURN_IF_ERROR(
        ApplyBrimConfigFile(fmt::format("{}/{}", directory, kBrimConfigFile), &config));
  }
  BRIM_RETURN_IF_ERROR(ApplyTritonConfigJson(config_json, &config).WithContext("config"));
  config.name = name;
  return config;
}

}  // namespace brim::serving
