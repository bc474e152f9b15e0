// Repository: which models there are, which of their versions serve, and the one thread that loads
// and unloads.
//
// Scans the model directory (TensorFlow Serving, Triton or plain layout, or one model file), asks
// the pure version policy what to do, and does it on its loader thread at low priority. A version
// that fails to load leaves the old one serving. See README.md for the layouts.
//
// Threads: Find and the listings from any, without waiting for a load; Load, Unload and Rescan
// return at once and answer by callback, on the loader thread (which must not wait there), or on
// the caller's when the loader refuses because too much waits or it is stopping. The host, clock
// and logger outlive the last VersionHandle.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "runtimes/host.h"
#include "serving/model_config.h"
#include "serving/version.h"

namespace brim::serving {

// TensorFlow Serving's states; KServe's index shows kStart and kLoading as LOADING, kAvailable as
// READY, kEnd as UNAVAILABLE.
enum class VersionState : std::uint8_t { kStart, kLoading, kAvailable, kUnloading, kEnd };

struct VersionStatus {
  std::int64_t number = 0;
  VersionState state = VersionState::kStart;
  Status status;  // Why it failed; ok otherwise.
};

struct ModelStatus {
  std::string name;
  std::string owner;
  std::vector<VersionStatus> versions;  // Highest first. Empty: nothing loadable was found.
  Status status;  // Why the model as a whole cannot be used (unreadable configuration, no version).
};

// Which version a request means. At most one of number and label is set; neither: the highest
// available.
struct ModelRef {
  std::string_view name;
  std::optional<std::int64_t> number;
  std::string_view label;
};

struct RepositoryOptions {
  std::string path;  // A directory of models, one model's directory, or one model file.
  bool explicit_control = false;           // Load nothing at start; only by Load().
  std::vector<std::string> load_at_start;  // With explicit_control.
  std::chrono::milliseconds poll{1000};    // Zero: do not watch for changes.
  ConfigDefaults defaults;
  std::uint32_t models_max = 10000;
  std::uint32_t workers = 1;  // Upper bound of compiled copies.
};

// Extra for the load API: Triton's `config` parameter and `file:` overrides.
struct LoadOverrides {
  std::string config_json;
  std::vector<std::pair<std::string, std::string>> files;  // "1/model.onnx" -> bytes.
};

class Repository {
 public:
  using Done = std::function<void(const Status&)>;

  Repository(RepositoryOptions options, runtimes::Host& host, const Clock& clock,
             const Logger& logger);
  ~Repository();  // Stops the loader; versions that are still held outlive it until released.
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  // Starts the loader. kNotFound / kFailedPrecondition when the path is unusable, saying what it
  // should hold.
  Status Start();
  // Blocks until what was found at the start has loaded or failed; `progress` is called per
  // finished model.
  void WaitForFirstScan(const std::function<void(const ModelStatus&)>& progress);

  // kNotFound: unknown model, version or label ("Servable not found for request: Latest(name)" is
  // the text TensorFlow Serving's clients match on; api words it). kUnavailable: known but not
  // serving now.
  Result<VersionHandle> Find(const ModelRef& ref) const;

  std::vector<ModelStatus> List() const;
  Result<ModelStatus> Describe(std::string_view name) const;
  // Versions that serve now, for metrics and the status page.
  std::vector<VersionHandle> Serving() const;
  // Every model that was asked for at start is available or has failed at least once.
  bool Ready() const;

  // Loads (or reloads, even when it is loaded) a model; answers when its versions serve or one
  // failed.
  void Load(std::string name, LoadOverrides overrides, Done done);
  void Unload(std::string name, Done done);
  // Rescans now instead of at the next poll.
  void Rescan(Done done);

  struct LoadCount {
    std::string model;
    std::uint64_t ok = 0, failed = 0;
  };
  std::vector<LoadCount> LoadCounts() const;

  // Asks the residency policy for more or fewer copies of busy and idle versions; called by the
  // engine's owner about once a second with the load it saw.
  void TuneCopies();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace brim::serving
