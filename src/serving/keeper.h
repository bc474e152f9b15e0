// Keeper: the inside of the Repository. Scans, asks the version policy, loads and unloads,
// publishes.
//
// Threads: those marked "any" from any; the rest on the loader's thread, which alone owns the
// entries.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "runtimes/host.h"
#include "serving/loader.h"
#include "serving/model_entry.h"
#include "serving/repository.h"
#include "serving/serving_table.h"

namespace brim::serving {

class Keeper {
 public:
  Keeper(RepositoryOptions options, runtimes::Host& host, const Clock& clock, const Logger& logger);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Any thread.
  Status Start();  // Once.
  void WaitForFirstRound(const std::function<void(const ModelStatus&)>& progress)
      BRIM_EXCLUDES(mutex_);
  const ServingTable& table() const { return table_; }
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  std::vector<Repository::LoadCount> LoadCounts() const BRIM_EXCLUDES(mutex_);
  // Runs `work` on the loader and hands `done` its status; at once, with a refusal, when the loader
  // has too much to do or has stopped.
  void Post(std::function<Status()> work, Repository::Done done);
  void TuneCopies();

  // Loader.
  Status LoadNow(const std::string& name, LoadOverrides overrides);
  Status UnloadNow(const std::string& name);
  Status RescanNow();

 private:
  Duration Step();
  void BeginFirstRound();
  bool StepFirstRound();
  void Report(ModelEntry* entry);
  void EndFirstRound();

  Status Scan(bool at_once);
  void TakeIn(const ModelOnDisk& disk, const LookOptions& look);
  void RefreshConfig(ModelEntry* entry);
  void WarnOnce(const std::vector<std::string>& warnings);
  Result<ModelOnDisk> LookFor(const std::string& name);
  Duration ScanDelay() const;

  void Enqueue(ModelEntry* entry);
  // True when it did something: there may be more.
  bool Advance(ModelEntry* entry, Status* failure);
  void LoadVersionOf(ModelEntry* entry, std::int64_t number, Status* failure);
  void UnloadVersionOf(ModelEntry* entry, std::int64_t number);
  void Settle(ModelEntry* entry);
  void Forget(const std::string& name) BRIM_EXCLUDES(mutex_);
  void WarnOfLabels(ModelEntry* entry);
  void Publish(const ModelEntry& entry) { table_.Publish(entry.Served()); }
  void Count(const std::string& name, bool ok) BRIM_EXCLUDES(mutex_);
  void LoadFailed(const ModelEntry& entry, const Status& status);
  void LogWarnings(const ModelEntry& entry);

  void PlanCopies();
  void DoCopyWork();

  const RepositoryOptions options_;
  runtimes::Host& host_;
  const Clock& clock_;
  const Logger& logger_;

  ServingTable table_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> tune_{false};
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<ModelStatus> reported_
      BRIM_GUARDED_BY(mutex_);  // Bounded by the models of the first round.
  bool first_round_over_ BRIM_GUARDED_BY(mutex_) = false;
  struct Counts {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
  };
  std::map<std::string, Counts> counts_ BRIM_GUARDED_BY(mutex_);

  // The loader's alone from here on.
  enum class Round : std::uint8_t { kNotBegun, kRunning, kOver };
  Round first_round_ = Round::kNotBegun;
  std::deque<std::string> load_at_start_;
  std::map<std::string, ModelEntry> entries_;
  std::deque<std::string> queue_;  // Each model at most once.
  std::vector<std::string> warned_;
  std::string scan_failure_;
  Time scanned_{};
  Duration scan_cost_{0};  // CPU time of the last scan.
  struct CopyWork {
    MutableVersionHandle version;
    bool add = true;
  };
  std::deque<CopyWork> copy_work_;  // At most one per version.
  Time tuned_{};

  Loader loader_;  // Last: joined before anything above goes.
};

}  // namespace brim::serving
