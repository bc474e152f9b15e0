// Version: one loaded version of one model, ready to run. VersionHandle keeps it alive while
// anybody uses it.
//
// Immutable but for its statistics and its copies. The repository makes it after load and warm-up
// and drops its handle to retire it; the last handle's destructor only posts the memory's release
// to the loader (see Retire in repository.h), so that a request never pays for an unload. Threads:
// any. Copies are checked out by workers under the version's own lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/signature.h"
#include "runtimes/host.h"
#include "serving/model_config.h"
#include "serving/padding_policy.h"
#include "serving/stats.h"

namespace brim::serving {

class Lane;

// One compiled copy of a version; whoever took it has it alone.
struct Copy {
  std::unique_ptr<runtimes::Instance> instance;
  RowsRun last;
};

class Version {
 public:
  struct Parts {
    std::string model;
    std::int64_t number = 1;
    ModelConfig config;
    model::ModelInfo info;  // Signatures as validated against the config.
    std::unique_ptr<runtimes::Model> loaded;
    std::vector<std::unique_ptr<runtimes::Instance>> instances;  // At least one.
    double load_seconds = 0;
    // Called by the destructor with what must be released; runs elsewhere. May be null in tests.
    std::function<void(std::unique_ptr<runtimes::Model>,
                       std::vector<std::unique_ptr<runtimes::Instance>>)>
        release;
  };
  explicit Version(Parts parts);
  ~Version();
  Version(const Version&) = delete;
  Version& operator=(const Version&) = delete;

  const std::string& model() const { return parts_.model; }
  std::int64_t number() const { return parts_.number; }
  const std::string& number_text() const { return number_text_; }
  const std::string& owner() const { return parts_.config.owner; }
  const ModelConfig& config() const { return parts_.config; }
  const model::ModelInfo& info() const { return parts_.info; }
  double load_seconds() const { return parts_.load_seconds; }
  VersionStats& stats() const { return stats_; }
  // The engine's state of this version (serving/lane.h): its queue and what was learnt. Lives as
  // long as the version.
  Lane& lane() const { return *lane_; }
  // Rows may be joined: config asks for it and the signature allows it.
  bool Batches(const model::Signature& signature) const;

  // Copies. Take() returns null when all are in use.
  Copy* Take() const BRIM_EXCLUDES(mutex_);
  void Give(Copy* copy) const BRIM_EXCLUDES(mutex_);
  std::size_t copies() const BRIM_EXCLUDES(mutex_);
  std::size_t copies_free() const BRIM_EXCLUDES(mutex_);
  // Loader only: makes one more copy (slow) and adds it; or drops a free one, false if none is
  // free.
  Status AddCopy() BRIM_EXCLUDES(mutex_);
  bool DropCopy() BRIM_EXCLUDES(mutex_);
  bool copies_are_free() const {
    return parts_.loaded != nullptr && parts_.loaded->instances_are_free();
  }

 private:
  Parts parts_;  // instances: moved into all_ at construction.
  const std::string number_text_;
  mutable VersionStats stats_;
  const std::unique_ptr<Lane> lane_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Copy>> all_ BRIM_GUARDED_BY(mutex_);
  mutable std::vector<Copy*> free_ BRIM_GUARDED_BY(mutex_);
};

using VersionHandle = std::shared_ptr<const Version>;
using MutableVersionHandle = std::shared_ptr<Version>;

}  // namespace brim::serving
