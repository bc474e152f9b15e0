// The Keeper's eyes: scanning the path, taking in what changed, reading configurations; and the
// tuning of copies, which looks at load instead.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "serving/keeper.h"
#include "serving/memory_room.h"
#include "serving/residency_policy.h"

namespace brim::serving {
namespace {

// A scan may take at most this share of one core: of a very large repository, scans are spaced out.
constexpr int kScanShare = 20;

std::uint64_t BusyNanoseconds(const VersionStats& stats) {
  std::uint64_t sum = 0;
  for (const BatchSizeStats& batch : stats.batch) sum += batch.infer_ns.Get();
  return sum;
}

// Of a counter that was *before a window of so many nanoseconds ago; moves *before.
double PerSecond(std::uint64_t count, std::uint64_t* before, double window_ns) {
  const std::uint64_t more = count - std::min(count, std::exchange(*before, count));
  return static_cast<double>(more) * 1e9 / window_ns;
}

}  // namespace

Status Keeper::Start() {
  ScanLimits limits;
  limits.models_max = options_.models_max;
  BRIM_ASSIGN_OR_RETURN(const RepositoryOnDisk found, ScanRepository(options_.path, limits));
  const auto loadable = [](const ModelOnDisk& model) { return !model.versions.empty(); };
  if (!options_.explicit_control &&
      std::none_of(found.models.begin(), found.models.end(), loadable)) {
    return Status(Code::kFailedPrecondition, "repository_empty", DescribeLayouts(options_.path));
  }
  loader_.Start([this] { return Step(); });
  return OkStatus();
}

Duration Keeper::ScanDelay() const {
  return std::max<Duration>(options_.poll, scan_cost_ * kScanShare);
}

Status Keeper::Scan(bool at_once) {
  ScanLimits limits;
  limits.models_max = options_.models_max;
  const Time started = clock_.Now();
  const Duration cpu_before = clock_.ThreadCpu();
  Result<RepositoryOnDisk> found = ScanRepository(options_.path, limits);
  scanned_ = clock_.Now();
  scan_cost_ = clock_.ThreadCpu() - cpu_before;
  // A path that cannot be read for a moment (a network volume) unloads nothing.
  const std::string failure = found.ok() ? "" : found.status().message();
  if (failure != scan_failure_ && !failure.empty()) {
    logger_.Warn("repository_scan_failed", {{"error", failure}});
  }
  scan_failure_ = failure;
  if (!found.ok()) return found.status();
  WarnOnce(found->warnings);
  std::set<std::string_view> seen;
  for (const ModelOnDisk& model : found->models) {
    seen.insert(model.name);
    TakeIn(model, {started, options_.poll, at_once});
  }
  for (auto at = entries_.begin(); at != entries_.end();) {
    ModelEntry& entry = at->second;
    ++at;  // The entry may go.
    if (entry.files != nullptr || seen.count(entry.name) > 0) continue;
    if (LookGone(&entry)) Publish(entry);
    if (!entry.Serves()) {
      Forget(std::string(entry.name));
    } else if (!options_.explicit_control) {
      Enqueue(&entry);
    }
  }
  return OkStatus();
}

void Keeper::TakeIn(const ModelOnDisk& disk, const LookOptions& look) {
  const auto [at, is_new] = entries_.try_emplace(disk.name);
  ModelEntry& entry = at->second;
  if (is_new) {
    entry.name = disk.name;
    entry.automatic = !options_.explicit_control;
    entry.active = entry.automatic;
  }
  if (entry.files != nullptr) return;  // It serves files that a request brought along.
  bool changed = Look(disk, look, &entry) || is_new;
  WarnOnce(disk.warnings);
  if (entry.active && !options_.explicit_control) {
    if (ConfigIsDue(entry)) {
      RefreshConfig(&entry);
      changed = true;
    }
    const bool first = first_round_ == Round::kRunning && !entry.reported;
    if (first || changed || entry.Next().step != VersionStep::kNothing) Enqueue(&entry);
  }
  if (changed) Publish(entry);
}

void Keeper::RefreshConfig(ModelEntry* entry) {
  entry->config_read = entry->config_fingerprint;
  Result<ModelConfig> config = ReadEntryConfig(*entry, entry->config_json, options_.defaults);
  if (!config.ok()) {
    entry->config_status = config.status();
    return LoadFailed(*entry, config.status());
  }
  entry->config_status = OkStatus();
  Configure(std::move(*config), entry);
  LogWarnings(*entry);
}

// For a failure of the model as a whole, before any version was tried.
void Keeper::LoadFailed(const ModelEntry& entry, const Status& status) {
  Count(entry.name, false);
  Publish(entry);
  logger_.Error("model_load_failed", {{"model", entry.name},
                                      {"owner", entry.config.owner},
                                      {"reason", status.reason()},
                                      {"error", status.message()},
                                      {"serving", entry.Serves() ? "as before" : "nothing"}});
}

void Keeper::LogWarnings(const ModelEntry& entry) {
  for (const std::string& warning : entry.config.warnings) {
    logger_.Warn("config_warning",
                 {{"model", entry.name}, {"owner", entry.config.owner}, {"warning", warning}});
  }
}

void Keeper::WarnOnce(const std::vector<std::string>& warnings) {
  constexpr std::size_t kWarnedMax = 1000;
  for (const std::string& warning : warnings) {
    if (warned_.size() >= kWarnedMax) return;
    if (std::find(warned_.begin(), warned_.end(), warning) != warned_.end()) continue;
    warned_.push_back(warning);
    logger_.Warn("config_warning", {{"warning", warning}});
  }
}

// One model's directory when it is known, so that loading many models one by one stays linear.
Result<ModelOnDisk> Keeper::LookFor(const std::string& name) {
  const auto known = entries_.find(name);
  if (known != entries_.end() && known->second.files == nullptr &&
      !known->second.directory.empty()) {
    ModelOnDisk disk = ScanModelDirectory(known->second.directory, name);
    if (disk.status.reason() != "directory_unreadable") return disk;
  }
  ScanLimits limits;
  limits.models_max = options_.models_max;
  BRIM_ASSIGN_OR_RETURN(RepositoryOnDisk found, ScanRepository(options_.path, limits));
  for (ModelOnDisk& model : found.models) {
    if (model.name == name) return std::move(model);
  }
  return Status(Code::kNotFound, "model_unknown",
                fmt::format("failed to load '{:.256}', no such model", name));
}

// ---- Copies.

void Keeper::TuneCopies() {
  tune_.store(true, std::memory_order_release);
  loader_.inbox()->Wake();
}

void Keeper::PlanCopies() {
  const Time now = clock_.Now();
  const double window = std::chrono::duration<double, std::nano>(now - tuned_).count();
  tuned_ = now;
  copy_work_.clear();
  if (window <= 0) return;
  const std::uint64_t available = AvailableBytes();
  for (auto& [name, entry] : entries_) {
    for (auto& [number, version] : entry.versions) {
      if (version.handle == nullptr || version.handle->copies_are_free()) continue;
      const std::uint64_t busy_ns = BusyNanoseconds(version.handle->stats());
      const std::uint64_t in_window = busy_ns - std::min(busy_ns, version.busy_ns_before);
      version.busy_ns_before = busy_ns;
      const VersionStats& stats = version.handle->stats();
      CopyLoad load;
      load.misses = PerSecond(stats.copy_misses.Get(), &version.misses_before, window);
      load.runs = PerSecond(stats.executions.Get(), &version.runs_before, window);
      load.copies = static_cast<std::uint32_t>(version.handle->copies());
      load.copies_max = options_.workers;
      if (entry.config.copies_max > 0) {
        load.copies_max = std::min(load.copies_max, entry.config.copies_max);
      }
      load.busy = static_cast<double>(in_window) / window;
      load.pending = version.handle->stats().pending.load(std::memory_order_relaxed);
      load.quiet_windows = version.quiet_windows;
      load.copy_bytes = version.handle->info().memory_bytes;
      load.available_bytes = available;
      const CopyDecision decision = DecideCopies(load);
      version.quiet_windows = decision.quiet_windows;
      if (decision.step == CopyStep::kKeep) continue;
      copy_work_.push_back({version.handle, decision.step == CopyStep::kAdd});
    }
  }
}

void Keeper::DoCopyWork() {
  const CopyWork work = std::move(copy_work_.front());
  copy_work_.pop_front();
  const Time started = clock_.Now();
  if (!work.add) {
    if (!work.version->DropCopy()) return;
    malloc_trim(0);  // Or the memory stays with the heap.
  } else if (const Status made = work.version->AddCopy(); !made.ok()) {
    logger_.Warn("model_copy_failed", {{"model", work.version->model()},
                                       {"version", work.version->number_text()},
                                       {"owner", work.version->owner()},
                                       {"error", made.message()}});
    return;
  }
  const double seconds = std::chrono::duration<double>(clock_.Now() - started).count();
  logger_.Info("model_copies", {{"model", work.version->model()},
                                {"version", work.version->number_text()},
                                {"owner", work.version->owner()},
                                {"copies", std::to_string(work.version->copies())},
                                {"ms", fmt::format("{:.1f}", seconds * 1e3)}});
}

}  // namespace brim::serving
