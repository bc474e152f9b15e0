#include "serving/serving_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace brim::serving {
namespace {

constexpr std::size_t kNamedMax = 16;  // Versions or labels that an error lists.

Status Unknown(std::string_view name) {
  return Status(Code::kNotFound, "model_unknown",
                fmt::format("model '{:.256}' is not known", name));
}

std::string ServedNumbers(const ServedModel& model) {
  if (model.versions.empty()) return "none";
  std::string text;
  for (std::size_t i = 0; i < model.versions.size() && i < kNamedMax; ++i) {
    text += (i == 0 ? "" : ", ") + model.versions[i]->number_text();
  }
  return text;
}

std::string LabelNames(const ServedModel& model) {
  if (model.labels.empty()) return "none";
  std::string text;
  std::size_t count = 0;
  for (const auto& [label, number] : model.labels) {
    if (count++ == kNamedMax) break;
    fmt::format_to(std::back_inserter(text), "{}'{:.64}'", count == 1 ? "" : ", ", label);
  }
  return text;
}

Status NotReady(std::string text) {
  return Status(Code::kUnavailable, "model_not_ready", std::move(text));
}

// Why a version that the repository knows does not serve.
Status WhyNot(const ServedModel& model, const VersionStatus& version) {
  const std::string& name = model.status.name;
  if (!version.status.ok()) {
    return NotReady(fmt::format("version {} of model '{}' failed to load: {}", version.number, name,
                                version.status.message()));
  }
  if (model.held_back)
    return NotReady(fmt::format("model '{}' is not loaded: load it first", name));
  if (version.state == VersionState::kEnd || version.state == VersionState::kUnloading) {
    return Status(Code::kNotFound, "version_unknown",
                  fmt::format("version {} of model '{}' is no longer served; served: {}",
                              version.number, name, ServedNumbers(model)));
  }
  return NotReady(fmt::format("version {} of model '{}' is being loaded", version.number, name));
}

Status NoVersion(const ServedModel& model) {
  const std::string& name = model.status.name;
  if (!model.status.status.ok()) {
    return NotReady(
        fmt::format("model '{}' cannot be served: {}", name, model.status.status.message()));
  }
  if (model.held_back)
    return NotReady(fmt::format("model '{}' is not loaded: load it first", name));
  for (const VersionStatus& version : model.status.versions) {
    if (version.state == VersionState::kLoading || version.state == VersionState::kStart) {
      return NotReady(fmt::format("model '{}' is being loaded", name));
    }
  }
  for (const VersionStatus& version : model.status.versions) {
    if (!version.status.ok()) return WhyNot(model, version);
  }
  return NotReady(fmt::format("model '{}' has no version to serve", name));
}

Result<VersionHandle> FindNumber(const ServedModel& model, std::int64_t number) {
  for (const VersionHandle& version : model.versions) {
    if (version->number() == number) return version;
  }
  for (const VersionStatus& version : model.status.versions) {
    if (version.number == number) return WhyNot(model, version);
  }
  return Status(Code::kNotFound, "version_unknown",
                fmt::format("model '{}' has no version {}; served: {}", model.status.name, number,
                            ServedNumbers(model)));
}

Result<VersionHandle> FindLabel(const ServedModel& model, std::string_view label) {
  const auto found = model.labels.find(std::string(label));
  if (found == model.labels.end()) {
    return Status(Code::kNotFound, "label_unknown",
                  fmt::format("model '{}' has no version label '{:.256}'; labels: {}",
                              model.status.name, label, LabelNames(model)));
  }
  for (const VersionHandle& version : model.versions) {
    if (version->number() == found->second) return version;
  }
  return NotReady(
      fmt::format("label '{}' of model '{}' means version {}, which does not serve; served: {}",
                  found->first, model.status.name, found->second, ServedNumbers(model)));
}

}  // namespace

void ServingTable::Publish(ServedModel model) {
  Shard& shard = ShardOf(model.status.name);
  const std::string name = model.status.name;
  MutexLock lock(shard.mutex);
  // Swapped, not assigned: what was there is freed when `model` goes, after the lock.
  std::swap(shard.models[name], model);
}

void ServingTable::Remove(const std::string& name) {
  Shard& shard = ShardOf(name);
  ServedModel gone;
  MutexLock lock(shard.mutex);
  const auto found = shard.models.find(name);
  if (found == shard.models.end()) return;
  gone = std::move(found->second);
  shard.models.erase(found);
}

void ServingTable::Clear() {
  for (Shard& shard : shards_) {
    decltype(shard.models) gone;
    MutexLock lock(shard.mutex);
    gone.swap(shard.models);
  }
}

Result<VersionHandle> ServingTable::Find(const ModelRef& ref) const {
  const Shard& shard = ShardOf(ref.name);
  MutexLock lock(shard.mutex);
  const auto found = shard.models.find(ref.name);
  if (found == shard.models.end()) return Unknown(ref.name);
  const ServedModel& model = found->second;
  if (ref.number.has_value()) return FindNumber(model, *ref.number);
  if (!ref.label.empty()) return FindLabel(model, ref.label);
  if (!model.versions.empty()) return model.versions.front();
  return NoVersion(model);
}

std::vector<ModelStatus> ServingTable::List() const {
  std::vector<ModelStatus> all;
  for (const Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    for (const auto& [name, model] : shard.models) all.push_back(model.status);
  }
  std::sort(all.begin(), all.end(),
            [](const ModelStatus& a, const ModelStatus& b) { return a.name < b.name; });
  return all;
}

Result<ModelStatus> ServingTable::Describe(std::string_view name) const {
  const Shard& shard = ShardOf(name);
  MutexLock lock(shard.mutex);
  const auto found = shard.models.find(name);
  if (found == shard.models.end()) return Unknown(name);
  return found->second.status;
}

std::vector<VersionHandle> ServingTable::Serving() const {
  std::vector<VersionHandle> all;
  for (const Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    for (const auto& [name, model] : shard.models) {
      all.insert(all.end(), model.versions.begin(), model.versions.end());
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const VersionHandle& a, const VersionHandle& b) {
    return a->model() < b->model();
  });
  return all;
}

}  // namespace brim::serving
