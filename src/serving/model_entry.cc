#include "serving/model_entry.h"

#include <algorithm>
#include <utility>

namespace brim::serving {
namespace {

VersionView ViewOf(const ModelEntry& entry, std::int64_t number, const VersionEntry& version) {
  VersionView view;
  view.number = number;
  view.on_disk = version.on_disk;
  view.settled = version.settled;
  view.serving = version.handle != nullptr;
  view.tried = version.tried.has_value() && *version.tried == entry.Current(version);
  return view;
}

bool LookAtVersion(const VersionOnDisk& disk, const LookOptions& options, VersionEntry* version,
                   bool is_new) {
  const bool changed = is_new || !version->on_disk ||
                       version->disk.fingerprint != disk.fingerprint ||
                       version->disk.path != disk.path;
  version->disk = disk;
  version->on_disk = true;
  if (changed) {
    version->seen = options.now;
    version->settled = options.at_once;
  } else if (options.at_once || options.now - version->seen >= options.settle) {
    version->settled = true;
  }
  return changed;
}

}  // namespace

std::vector<VersionView> ModelEntry::Views() const {
  std::vector<VersionView> views;
  views.reserve(versions.size());
  for (const auto& [number, version] : versions) views.push_back(ViewOf(*this, number, version));
  return views;
}

VersionAction ModelEntry::Next() const {
  if (!active || !configured) return {};
  return NextVersionAction(config.versions, Views());
}

bool ModelEntry::Serves() const {
  for (const auto& [number, version] : versions) {
    if (version.handle != nullptr) return true;
  }
  return false;
}

ServedModel ModelEntry::Served() const {
  ServedModel served;
  served.held_back = !active;
  served.status.name = name;
  served.status.owner = config.owner;
  served.status.status = config_status.ok() ? disk_status : config_status;
  served.labels = config.versions.labels;
  const std::vector<std::int64_t> wanted = automatic && active && configured
                                               ? WantedVersions(config.versions, Views())
                                               : std::vector<std::int64_t>();
  for (const auto& [number, version] : versions) {
    const bool is_wanted = std::find(wanted.begin(), wanted.end(), number) != wanted.end();
    if (!is_wanted && version.state == VersionState::kStart) continue;
    served.status.versions.push_back({number, version.state, version.status});
    if (version.handle != nullptr) served.versions.push_back(version.handle);
  }
  return served;
}

bool Look(const ModelOnDisk& disk, const LookOptions& options, ModelEntry* entry) {
  bool changed = !entry->on_disk || entry->disk_status.message() != disk.status.message();
  entry->on_disk = true;
  entry->disk_status = disk.status;
  // What cannot be listed for a moment has not been deleted.
  if (disk.status.reason() == "directory_unreadable") return changed;
  if (disk.config_fingerprint != entry->config_fingerprint || entry->directory != disk.directory) {
    entry->config_fingerprint = disk.config_fingerprint;
    entry->config_seen = options.now;
    entry->config_settled = options.at_once;
    changed = true;
  } else if (options.at_once || options.now - entry->config_seen >= options.settle) {
    entry->config_settled = true;
  }
  entry->directory = disk.directory;
  entry->config_file = disk.config_file;
  for (auto& [number, version] : entry->versions) {
    const auto same = [n = number](const VersionOnDisk& found) { return found.number == n; };
    if (std::any_of(disk.versions.begin(), disk.versions.end(), same)) continue;
    changed |= version.on_disk;
    version.on_disk = false;
  }
  for (const VersionOnDisk& found : disk.versions) {
    const auto [at, is_new] = entry->versions.try_emplace(found.number);
    changed |= LookAtVersion(found, options, &at->second, is_new);
  }
  return changed;
}

bool LookGone(ModelEntry* entry) {
  const bool changed = entry->on_disk;
  entry->on_disk = false;
  for (auto& [number, version] : entry->versions) version.on_disk = false;
  return changed;
}

bool ConfigIsDue(const ModelEntry& entry) {
  return entry.config_settled && entry.config_read != entry.config_fingerprint;
}

Result<ModelConfig> ReadEntryConfig(const ModelEntry& entry, const std::string& config_json,
                                    const ConfigDefaults& defaults) {
  if (!config_json.empty()) {
    return ReadModelConfigWith(config_json, entry.directory, entry.name, defaults);
  }
  if (!entry.directory.empty()) return ReadModelConfig(entry.directory, entry.name, defaults);
  ModelConfig config = DefaultModelConfig(entry.name, defaults);
  BRIM_RETURN_IF_ERROR(ApplyBrimConfigFile(entry.config_file, &config));
  return config;
}

void Configure(ModelConfig config, ModelEntry* entry) {
  ModelConfig comparable = config;
  comparable.versions = entry->config.versions;
  comparable.warnings = entry->config.warnings;
  if (!entry->configured || !(comparable == entry->config)) ++entry->generation;
  entry->config = std::move(config);
  entry->configured = true;
}

}  // namespace brim::serving
