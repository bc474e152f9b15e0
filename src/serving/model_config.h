// ModelConfig: how a model's owner wants it served; read from Triton's config.pbtxt, TensorFlow
// Serving's batching file, or our own brim.json beside the model.
//
// Precedence: brim.json over config.pbtxt over batching_parameters_config.txt over the command
// line's defaults. An unknown field of brim.json is an error with the list of known ones; of
// Triton's file, a warning where it changes answers and silence where it only tunes (instance
// groups, optimisation hints). Pure but for ReadModelConfig and its kin.
//
// brim.json is one object. Its keys, all optional:
//   owner       string   whom metrics, logs and alerts name
//   runtime     string   "auto", "openvino", "tensorflow", ...
//   precision   string   "f32", "bf16", "f16", "auto"
//   device      string   the runtime's own device name, e.g. "CPU"
//   width       1..256   cores one inference may spread over
//   copies_max  0..1024  compiled copies; 0: up to one per worker
//   warm_up     bool     one run with zeros before a version serves
//   batch       object   enabled bool; rows_max 1..65536; preferred_rows list of rows;
//                        delay_us_max 0..10000000; preserve_order bool
//   queue       object   requests_max 1..1048576; timeout_us 0..86400000000 (0: none);
//                        timeout_override bool
//   versions    object   policy "latest", "all" or "specific"; latest 1..1000; specific list of
//                        versions; labels object of label: version
//   options     object   name: string, number or bool; passed to the runtime as text
// In config.pbtxt the `parameters` owner, runtime, precision and device mean the same, and
// "option.NAME" becomes the option NAME.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/signature.h"

namespace brim::serving {

struct BatchConfig {
  bool enabled = false;
  std::uint32_t rows_max = 1;                 // Rows of one joined batch.
  std::vector<std::uint32_t> preferred_rows;  // Ascending; empty: none.
  std::chrono::microseconds delay_max{0};     // Zero: join only what queued while busy.
  bool preserve_order = false;

  friend bool operator==(const BatchConfig&, const BatchConfig&) = default;
};

struct QueueConfig {
  std::uint32_t requests_max = 1024;     // Waiting requests of one version; above: refused.
  std::chrono::microseconds timeout{0};  // Zero: none. A request that waited longer is refused.
  bool timeout_override = true;          // A request may state a shorter timeout.

  friend bool operator==(const QueueConfig&, const QueueConfig&) = default;
};

enum class VersionRule : std::uint8_t { kLatest, kAll, kSpecific };
struct VersionConfig {
  VersionRule rule = VersionRule::kLatest;
  std::uint32_t latest = 1;                    // kLatest: how many of the highest.
  std::vector<std::int64_t> specific;          // kSpecific.
  std::map<std::string, std::int64_t> labels;  // TensorFlow Serving's version labels.

  friend bool operator==(const VersionConfig&, const VersionConfig&) = default;
};

// As written in config.pbtxt; dims without the batch dimension when max_batch_size > 0.
struct TensorConfig {
  std::string name;
  model::DType dtype = model::DType::kInvalid;
  model::Shape dims;

  friend bool operator==(const TensorConfig&, const TensorConfig&) = default;
};

struct ModelConfig {
  std::string name;
  std::string owner;      // Whom metrics, logs and alerts name. Empty: "unowned".
  std::string runtime;    // "", "auto", "openvino", "tensorflow", "fake", …
  std::string precision;  // "" means f32.
  std::string device;     // "" means CPU.
  std::uint32_t width = 1;
  std::uint32_t copies_max = 0;  // Compiled copies; 0: up to one per worker, as the load asks.
  bool warm_up = true;           // One run with zeros before the version serves.
  int max_batch_size = 0;        // As Triton states it: > 0 means "inputs have a batch dimension".
  BatchConfig batch;
  QueueConfig queue;
  VersionConfig versions;
  std::vector<TensorConfig> inputs;  // From config.pbtxt; may be empty.
  std::vector<TensorConfig> outputs;
  std::vector<std::pair<std::string, std::string>> options;  // Passed to the runtime.
  std::string default_filename;       // Triton's default_model_filename; empty: the usual ones.
  std::vector<std::string> warnings;  // What was read but is not honoured; logged at load.

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct ConfigDefaults {
  std::string runtime, precision, device, owner;
  BatchConfig batch;
  QueueConfig queue;
  VersionConfig versions;
};

// Each starts from `config` and overwrites what the text states. Errors carry line or key.
Status ApplyTritonConfig(std::string_view pbtxt, ModelConfig* config);
Status ApplyTritonConfigJson(std::string_view json, ModelConfig* config);  // The load API's.
Status ApplyTfsBatching(std::string_view pbtxt, ModelConfig* config);
Status ApplyBrimConfig(std::string_view json, ModelConfig* config);

// The configuration of a model that states nothing.
ModelConfig DefaultModelConfig(const std::string& name, const ConfigDefaults& defaults);

// Names of the files read below, for whoever watches them for changes.
inline constexpr std::string_view kTritonConfigFile = "config.pbtxt";
inline constexpr std::string_view kBrimConfigFile = "brim.json";
inline constexpr std::string_view kTfsBatchingFiles[] = {
    "batching_parameters_config.txt", "batching_parameters.pbtxt", "batching_params.pbtxt"};

// Reads whatever of the three files lies in `directory` (each at most 1 MiB).
Result<ModelConfig> ReadModelConfig(const std::string& directory, const std::string& name,
                                    const ConfigDefaults& defaults);
// As above, but with `config_json` (the load API's) in the place of config.pbtxt, over brim.json.
Result<ModelConfig> ReadModelConfigWith(const std::string& config_json,
                                        const std::string& directory, const std::string& name,
                                        const ConfigDefaults& defaults);
// One brim.json under another name, e.g. that of a plain model file. A missing file states nothing.
Status ApplyBrimConfigFile(const std::string& path, ModelConfig* config);

}  // namespace brim::serving
