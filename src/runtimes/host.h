// The host's side of runtimes/runtime.h: plugins, loaded models and instances as C++ values.
//
// A Host opens plugins (libbrim_runtime_<name>.so) on first use and keeps them until it dies.
// Threads: Host and Runtime::Load from the loader's one thread at a time (List and Find from any);
// Model::info from any; an Instance from one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/signature.h"
#include "model/tensor.h"
#include "runtimes/runtime.h"

namespace brim::runtimes {

// Receives a run's result, exactly once. Outputs are in the order wanted and valid only during the
// call.
class RunDone {
 public:
  virtual ~RunDone() = default;
  virtual void OnRunDone(const Status& status, std::span<const model::TensorView> outputs) = 0;
};

class Instance {
 public:
  Instance(const brim_runtime_api& api, brim_instance* handle) : api_(api), handle_(handle) {}
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // REQUIRES: inputs are in signature order and valid for it (serving/validate.h); at most
  // kTensorsMax of each. `done` outlives the call to it. For caller-runs runtimes done is called
  // before Run returns.
  static constexpr std::size_t kTensorsMax = 1024;
  void Run(std::uint32_t signature, std::span<const model::TensorView> inputs,
           std::span<const std::uint32_t> outputs, RunDone* done);

 private:
  const brim_runtime_api& api_;
  brim_instance* const handle_;
};

class Model {
 public:
  Model(const brim_runtime_api& api, brim_model* handle, model::ModelInfo info,
        bool free_instances);
  ~Model();  // REQUIRES: every Instance of it is gone.
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const model::ModelInfo& info() const { return info_; }
  bool instances_are_free() const { return instances_are_free_; }
  Result<std::unique_ptr<Instance>> NewInstance();

 private:
  const brim_runtime_api& api_;
  brim_model* const handle_;
  const model::ModelInfo info_;
  const bool instances_are_free_;
};

struct LoadOptions {
  std::string path;
  std::string device;     // Empty: CPU.
  std::string precision;  // Empty: f32.
  std::uint32_t width = 1;
  std::vector<std::pair<std::string, std::string>> options;
};

// How much of what lies at a path a runtime can serve; kPart: e.g. one signature of several.
enum class Reading : std::uint8_t { kNone, kPart, kAll };

class Runtime {
 public:
  ~Runtime();
  std::string_view name() const { return api_.name; }
  std::string_view version() const { return api_.version; }
  std::vector<std::string> Devices() const;
  Reading Reads(const std::string& path) const;
  // Unknown device: kInvalidArgument with the list of those that exist.
  Result<std::unique_ptr<Model>> Load(const LoadOptions& options);

 private:
  friend class Host;
  Runtime(const brim_runtime_api& api, brim_runtime* handle) : api_(api), handle_(handle) {}
  const brim_runtime_api& api_;
  brim_runtime* const handle_;
};

struct HostOptions {
  std::vector<std::string> plugin_dirs;  // Searched in order for libbrim_runtime_NAME.so.
  // Where each runtime's vendor libraries lie, by runtime name; missing: as linked (rpath).
  std::map<std::string, std::string> library_dirs;
  std::uint32_t worker_threads = 1;
};

class Host {
 public:
  explicit Host(HostOptions options);
  ~Host();

  // Names of the plugins found in plugin_dirs, whether opened or not, sorted.
  std::vector<std::string> List() const;
  // Opens it if need be. kNotFound names the runtimes that exist; kFailedPrecondition says what is
  // missing (e.g. the vendor's library) and what to type.
  Result<Runtime*> Get(const std::string& name);
  // The runtime for this path: `wanted` if not empty or "auto"; else the first that reads all of
  // it, else the first that reads part of it; openvino goes first, then tensorflow, then the others
  // by name.
  Result<Runtime*> Choose(const std::string& path, const std::string& wanted);
  // Chooses and loads. Where the choice was free and the chosen runtime lacks something that the
  // model needs (kUnimplemented: an operation, strings), the others that read it are tried; the
  // status then names the runtimes that failed.
  Result<std::unique_ptr<Model>> Load(const LoadOptions& options, const std::string& wanted);

 private:
  struct Opened;
  std::vector<std::string> InOrderOfChoice() const;
  HostOptions options_;
  std::map<std::string, std::unique_ptr<Opened>> opened_;
};

}  // namespace brim::runtimes
