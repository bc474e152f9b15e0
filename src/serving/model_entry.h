// ModelEntry: all that the loader knows of one model: what lies on disk, how it is configured, and
// what became of each version.
//
// Threads: the loader's alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serving/load_override.h"
#include "serving/model_config.h"
#include "serving/repository_scan.h"
#include "serving/serving_table.h"
#include "serving/version.h"
#include "serving/version_policy.h"

namespace brim::serving {

struct VersionEntry {
  VersionOnDisk disk;
  bool on_disk = true;
  bool settled = false;
  Time seen{};  // When its files first looked as they do.
  // The files and configuration of the last load, whether it went well or not.
  struct Tried {
    std::uint64_t fingerprint = 0;
    std::uint64_t generation = 0;
    friend bool operator==(const Tried&, const Tried&) = default;
  };
  std::optional<Tried> tried;
  VersionState state = VersionState::kStart;
  Status status;
  MutableVersionHandle handle;  // Not null: it serves.

  // For the residency policy: of the window before.
  std::uint64_t busy_ns_before = 0;
  std::uint64_t misses_before = 0;
  std::uint64_t runs_before = 0;
  std::uint32_t quiet_windows = 0;
};

struct ModelEntry {
  std::string name;
  bool on_disk = true;
  bool automatic = true;    // Follows the disk; false under explicit control.
  bool active = false;      // May load: not held back by explicit control or an unload.
  bool configured = false;  // `config` is of this model's files.
  bool queued = false;      // For its next action.
  bool reported = false;    // In the first round.
  Status disk_status;       // Why nothing in its directory can be loaded.
  Status
      config_status;  // Why its configuration cannot be used; `config` is then the last good one.
  ModelConfig config;
  std::uint64_t generation = 0;  // Moves when the configuration asks for another load.
  std::string config_json;       // The load API's, in the place of config.pbtxt.
  std::unique_ptr<OverrideFiles> files;
  std::map<std::int64_t, VersionEntry, std::greater<>> versions;
  std::string idle_labels;  // The labels last warned of.

  std::string directory;  // As in ModelOnDisk, of the last look.
  std::string config_file;
  std::uint64_t config_fingerprint = 0;
  Time config_seen{};
  bool config_settled = false;
  std::optional<std::uint64_t> config_read;  // The fingerprint that `config` was read at.

  VersionEntry::Tried Current(const VersionEntry& version) const {
    return {version.disk.fingerprint, generation};
  }
  std::vector<VersionView> Views() const;
  VersionAction Next() const;  // kNothing unless active and configured.
  bool Serves() const;
  ServedModel Served() const;  // What other threads may see of it.
};

struct LookOptions {
  Time now{};
  Duration settle{0};    // How long files must stay the same before an automatic load.
  bool at_once = false;  // Start-up and explicit loads do not wait.
};

// Takes in what a scan saw. True when something changed.
bool Look(const ModelOnDisk& disk, const LookOptions& options, ModelEntry* entry);
// Nothing of the model is on disk any more. True when something changed.
bool LookGone(ModelEntry* entry);

// Whether the configuration files changed since they were read, and have settled.
bool ConfigIsDue(const ModelEntry& entry);

// Reads the configuration of a model that was looked at; `config_json` as in ModelEntry.
Result<ModelConfig> ReadEntryConfig(const ModelEntry& entry, const std::string& config_json,
                                    const ConfigDefaults& defaults);
// Makes it the model's. A change of the version policy or of labels alone asks for no new load.
void Configure(ModelConfig config, ModelEntry* entry);

}  // namespace brim::serving
