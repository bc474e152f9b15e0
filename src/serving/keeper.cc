#include "serving/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "serving/version_load.h"

namespace brim::serving {
namespace {

Status Stopping() { return Status(Code::kUnavailable, "stopping", "the server is stopping"); }

Status NoSuchModel(std::string_view verb, std::string_view name) {
  return Status(Code::kNotFound, "model_unknown",
                fmt::format("failed to {} '{:.256}', no such model", verb, name));
}

RepositoryOptions Cleaned(RepositoryOptions options) {
  while (options.path.size() > 1 && options.path.back() == '/') options.path.pop_back();
  return options;
}

std::string Millis(double seconds) { return fmt::format("{:.1f}", seconds * 1e3); }

}  // namespace

Keeper::Keeper(RepositoryOptions options, runtimes::Host& host, const Clock& clock,
               const Logger& logger)
    : options_(Cleaned(std::move(options))), host_(host), clock_(clock), logger_(logger) {}

Keeper::~Keeper() {
  loader_.Stop();
  {
    MutexLock lock(mutex_);
    first_round_over_ = true;
    changed_.NotifyAll();
  }
  // From here on the last handle of a version frees it where it is dropped.
  copy_work_.clear();
  table_.Clear();
  entries_.clear();
}

void Keeper::Post(std::function<Status()> work, Repository::Done done) {
  Loader::Task task = [work = std::move(work), done](bool stopping) {
    const Status status = stopping ? Stopping() : work();
    if (done) done(status);
  };
  if (loader_.inbox()->Post(&task) || !done) return;
  done(Status(
      Code::kResourceExhausted, "loader_busy",
      fmt::format("{} model operations wait already, or the server is stopping; try again later",
                  Loader::Inbox::kTasksMax)));
}

std::vector<Repository::LoadCount> Keeper::LoadCounts() const {
  std::vector<Repository::LoadCount> all;
  MutexLock lock(mutex_);
  all.reserve(counts_.size());
  for (const auto& [name, counts] : counts_) all.push_back({name, counts.ok, counts.failed});
  return all;
}

void Keeper::Count(const std::string& name, bool ok) {
  MutexLock lock(mutex_);
  Counts& counts = counts_[name];
  ++(ok ? counts.ok : counts.failed);
}

// ---- The loader's turn.

Duration Keeper::Step() {
  BeginFirstRound();
  if (tune_.exchange(false, std::memory_order_acq_rel)) PlanCopies();
  const bool polls = options_.poll.count() > 0;
  if (polls && clock_.Now() - scanned_ >= ScanDelay()) (void)Scan(false);
  if (StepFirstRound()) return Duration(0);
  if (!queue_.empty()) {
    const auto found = entries_.find(queue_.front());
    Status failure;  // Logged where it happened.
    if (found != entries_.end() && Advance(&found->second, &failure)) return Duration(0);
    queue_.pop_front();
    if (found != entries_.end()) {
      found->second.queued = false;
      Settle(&found->second);
    }
    return Duration(0);
  }
  if (first_round_ == Round::kRunning) EndFirstRound();
  if (!copy_work_.empty()) {
    DoCopyWork();
    return Duration(0);
  }
  if (!polls) return Duration::max();
  return std::max<Duration>(ScanDelay() - (clock_.Now() - scanned_), std::chrono::milliseconds(1));
}

void Keeper::BeginFirstRound() {
  if (first_round_ != Round::kNotBegun) return;
  first_round_ = Round::kRunning;
  tuned_ = clock_.Now();
  (void)Scan(true);  // Start() has seen that the path can be read.
  if (!options_.explicit_control) return;
  for (const std::string& name : options_.load_at_start) {
    if (name != "*") {
      load_at_start_.push_back(name);
      continue;
    }
    for (const auto& [known, entry] : entries_) load_at_start_.push_back(known);
  }
}

bool Keeper::StepFirstRound() {
  if (load_at_start_.empty()) return false;
  const std::string name = load_at_start_.front();
  load_at_start_.pop_front();
  const Status status = LoadNow(name, {});
  const auto found = entries_.find(name);
  if (found != entries_.end()) {
    Report(&found->second);
    return true;
  }
  logger_.Error("model_load_failed", {{"model", name}, {"error", status.message()}});
  ModelStatus unknown;
  unknown.name = name;
  unknown.status = status;
  MutexLock lock(mutex_);
  reported_.push_back(std::move(unknown));
  changed_.NotifyAll();
  return true;
}

void Keeper::Report(ModelEntry* entry) {
  if (entry->reported || first_round_ != Round::kRunning) return;
  entry->reported = true;
  ModelStatus status = entry->Served().status;
  MutexLock lock(mutex_);
  reported_.push_back(std::move(status));
  changed_.NotifyAll();
}

void Keeper::EndFirstRound() {
  first_round_ = Round::kOver;
  ready_.store(true, std::memory_order_release);
  MutexLock lock(mutex_);
  first_round_over_ = true;
  changed_.NotifyAll();
}

void Keeper::WaitForFirstRound(const std::function<void(const ModelStatus&)>& progress) {
  for (bool over = false; !over;) {
    std::deque<ModelStatus> reported;
    {
      MutexLock lock(mutex_);
      while (reported_.empty() && !first_round_over_) changed_.Wait(mutex_);
      reported.swap(reported_);
      over = first_round_over_;
    }
    for (const ModelStatus& status : reported) {
      if (progress) progress(status);
    }
  }
}

// ---- Acting on what the policy says.

void Keeper::Enqueue(ModelEntry* entry) {
  if (entry->queued) return;
  entry->queued = true;
  queue_.push_back(entry->name);
}

bool Keeper::Advance(ModelEntry* entry, Status* failure) {
  const VersionAction action = entry->Next();
  switch (action.step) {
    case VersionStep::kNothing:
      return false;
    case VersionStep::kLoad:
      LoadVersionOf(entry, action.number, failure);
      return true;
    case VersionStep::kUnload:
      UnloadVersionOf(entry, action.number);
      return true;
  }
  return false;
}

void Keeper::LoadVersionOf(ModelEntry* entry, std::int64_t number, Status* failure) {
  VersionEntry& version = entry->versions.at(number);
  version.tried = entry->Current(version);
  if (version.handle == nullptr) {
    version.state = VersionState::kLoading;
    version.status = OkStatus();
    Publish(*entry);
  }
  const std::string number_text = std::to_string(number);
  logger_.Info("model_loading", {{"model", entry->name}, {"version", number_text}});
  VersionSpec spec{entry->name, number, version.disk.path, entry->config, options_.workers};
  if (entry->config.copies_max > 0) {
    spec.copies_max = std::min(spec.copies_max, entry->config.copies_max);
  }
  Result<MutableVersionHandle> loaded = LoadVersion(spec, host_, loader_.inbox(), clock_, logger_);
  Count(entry->name, loaded.ok());
  MutableVersionHandle old;
  if (loaded.ok()) {
    old = std::exchange(version.handle, std::move(*loaded));
    version.state = VersionState::kAvailable;
    version.status = OkStatus();
    version.busy_ns_before = 0;
    version.quiet_windows = 0;
    const model::ModelInfo& info = version.handle->info();
    logger_.Info("model_loaded", {{"model", entry->name},
                                  {"version", number_text},
                                  {"owner", entry->config.owner},
                                  {"ms", Millis(version.handle->load_seconds())},
                                  {"bytes", std::to_string(info.memory_bytes)},
                                  {"runtime", info.runtime},
                                  {"precision", info.precision},
                                  {"device", info.device},
                                  {"copies", std::to_string(version.handle->copies())}});
  } else {
    version.status = loaded.status();
    version.state = version.handle != nullptr ? VersionState::kAvailable : VersionState::kEnd;
    *failure = failure->ok() ? version.status.WithContext("version " + number_text) : *failure;
    logger_.Error("model_load_failed",
                  {{"model", entry->name},
                   {"version", number_text},
                   {"owner", entry->config.owner},
                   {"reason", version.status.reason()},
                   {"error", version.status.message()},
                   {"serving", entry->Serves() ? "the version before" : "nothing"}});
  }
  Publish(*entry);
}

void Keeper::UnloadVersionOf(ModelEntry* entry, std::int64_t number) {
  VersionEntry& version = entry->versions.at(number);
  const MutableVersionHandle old = std::exchange(version.handle, nullptr);
  version.state = VersionState::kEnd;
  version.status = OkStatus();
  version.tried.reset();  // It is loaded again when it is wanted again: newer ones were deleted.
  Publish(*entry);
  logger_.Info("model_unloaded", {{"model", entry->name},
                                  {"version", std::to_string(number)},
                                  {"owner", entry->config.owner}});
}

void Keeper::Forget(const std::string& name) {
  table_.Remove(name);
  entries_.erase(name);
  MutexLock lock(mutex_);
  counts_.erase(name);  // Or names that come and go would add up.
}

// Nothing is left to do for the model until something changes.
void Keeper::Settle(ModelEntry* entry) {
  Report(entry);
  bool dropped = false;
  for (auto at = entry->versions.begin(); at != entry->versions.end();) {
    const bool gone = !at->second.on_disk && at->second.handle == nullptr;
    dropped |= gone;
    at = gone ? entry->versions.erase(at) : std::next(at);
  }
  if (!entry->on_disk && !entry->Serves()) {
    return Forget(std::string(entry->name));
  }
  if (dropped) Publish(*entry);
  WarnOfLabels(entry);
}

void Keeper::WarnOfLabels(ModelEntry* entry) {
  std::string idle;
  for (const auto& [label, number] : entry->config.versions.labels) {
    const auto version = entry->versions.find(number);
    if (version != entry->versions.end() && version->second.handle != nullptr) continue;
    if (idle.size() > 500) break;
    fmt::format_to(std::back_inserter(idle), "{}{}: {}", idle.empty() ? "" : ", ", label, number);
  }
  if (idle == entry->idle_labels || !entry->active) return;
  entry->idle_labels = idle;
  if (idle.empty()) return;
  logger_.Warn("config_warning", {{"model", entry->name},
                                  {"owner", entry->config.owner},
                                  {"warning", "labels whose version does not serve: " + idle}});
}

// ---- What clients ask for.

Status Keeper::LoadNow(const std::string& name, LoadOverrides overrides) {
  BeginFirstRound();
  const std::string context = fmt::format("failed to load '{:.256}'", name);
  if (!IsModelName(name)) {
    return Status(Code::kInvalidArgument, "model_name",
                  context + ": a model's name has 1 to 255 bytes, no '/', and no '.' in front");
  }
  if (!overrides.files.empty() && overrides.config_json.empty()) {
    return Status(Code::kInvalidArgument, "override_without_config",
                  context + ": files need the parameter 'config' beside them");
  }
  std::unique_ptr<OverrideFiles> files;
  ModelEntry probe;  // What the configuration is read for, before anything is changed.
  probe.name = name;
  Result<ModelOnDisk> disk = NoSuchModel("load", name);
  if (!overrides.files.empty()) {
    auto written = OverrideFiles::Write(overrides.files);
    if (!written.ok()) return written.status().WithContext(context);
    files = std::move(*written);
    overrides.files.clear();
    disk = ScanModelDirectory(files->directory(), name);
  } else {
    disk = LookFor(name);
  }
  if (!disk.ok()) return disk.status();
  probe.directory = disk->directory;
  probe.config_file = disk->config_file;
  Result<ModelConfig> config = ReadEntryConfig(probe, overrides.config_json, options_.defaults);
  if (entries_.find(name) == entries_.end() && entries_.size() >= options_.models_max) {
    return Status(Code::kResourceExhausted, "models_max",
                  fmt::format("{}: there are {} models already", context, options_.models_max));
  }
  ModelEntry& entry = entries_[name];
  entry.name = name;
  entry.automatic = !options_.explicit_control;
  if (!config.ok()) {
    // What serves goes on as it is.
    if (!entry.Serves()) {
      entry.active = true;
      if (files == nullptr) Look(*disk, {clock_.Now(), Duration(0), true}, &entry);
      if (overrides.config_json.empty()) entry.config_read = entry.config_fingerprint;
      entry.config_status = config.status();
    }
    LoadFailed(entry, config.status());
    return config.status().WithContext(context);
  }
  entry.active = true;
  std::swap(entry.files, files);  // The old ones stay until the new versions serve.
  entry.config_json = std::move(overrides.config_json);
  Look(*disk, {clock_.Now(), Duration(0), true}, &entry);
  entry.config_read = entry.config_fingerprint;
  entry.config_status = OkStatus();
  Configure(std::move(*config), &entry);
  LogWarnings(entry);
  for (auto& [number, version] : entry.versions) version.tried.reset();
  Status failure;
  while (Advance(&entry, &failure)) {
  }
  Publish(entry);
  if (failure.ok() && !entry.Serves()) {
    failure = disk->status.ok() ? Status(Code::kFailedPrecondition, "no_version",
                                         "the version policy asks for none that is on disk")
                                : disk->status;
  }
  Settle(&entry);
  return failure.WithContext(context);
}

Status Keeper::UnloadNow(const std::string& name) {
  BeginFirstRound();
  const auto found = entries_.find(name);
  if (found == entries_.end()) return NoSuchModel("unload", name);
  ModelEntry& entry = found->second;
  entry.active = false;
  for (auto& [number, version] : entry.versions) {
    if (version.handle != nullptr) UnloadVersionOf(&entry, number);
    version.tried.reset();
    version.status = OkStatus();
    if (version.state != VersionState::kEnd) version.state = VersionState::kStart;
  }
  entry.config_json.clear();
  entry.config_status = OkStatus();
  entry.config_read.reset();
  entry.idle_labels.clear();
  if (std::exchange(entry.files, nullptr) != nullptr) {
    const Result<ModelOnDisk> disk = LookFor(name);
    LookGone(&entry);
    if (disk.ok()) Look(*disk, {clock_.Now(), Duration(0), true}, &entry);
  }
  Publish(entry);
  Settle(&entry);
  return OkStatus();
}

Status Keeper::RescanNow() {
  BeginFirstRound();
  const Status status = Scan(false);
  while (!queue_.empty()) {
    const auto found = entries_.find(queue_.front());
    queue_.pop_front();
    if (found == entries_.end()) continue;
    found->second.queued = false;
    Status failure;  // Logged where it happened.
    while (Advance(&found->second, &failure)) {
    }
    Settle(&found->second);
  }
  return status;
}

}  // namespace brim::serving
