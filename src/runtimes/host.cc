#include "runtimes/host.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "runtimes/memory.h"

namespace brim::runtimes {
namespace {

constexpr std::string_view kPrefix = "libbrim_runtime_";
constexpr std::string_view kSuffix = ".so";
// A vendor's library may itself miss others; each is looked for once.
constexpr int kMissingLibrariesMax = 16;
constexpr std::size_t kSignaturesMax = 1024;

// The C ABI repeats DType's numbers so that a plugin needs no header of model/.
static_assert(BRIM_BOOL == static_cast<int>(model::DType::kBool) &&
              BRIM_UINT8 == static_cast<int>(model::DType::kUint8) &&
              BRIM_UINT16 == static_cast<int>(model::DType::kUint16) &&
              BRIM_UINT32 == static_cast<int>(model::DType::kUint32) &&
              BRIM_UINT64 == static_cast<int>(model::DType::kUint64) &&
              BRIM_INT8 == static_cast<int>(model::DType::kInt8) &&
              BRIM_INT16 == static_cast<int>(model::DType::kInt16) &&
              BRIM_INT32 == static_cast<int>(model::DType::kInt32) &&
              BRIM_INT64 == static_cast<int>(model::DType::kInt64) &&
              BRIM_FP16 == static_cast<int>(model::DType::kFp16) &&
              BRIM_FP32 == static_cast<int>(model::DType::kFp32) &&
              BRIM_FP64 == static_cast<int>(model::DType::kFp64) &&
              BRIM_BYTES == static_cast<int>(model::DType::kBytes) &&
              BRIM_BF16 == static_cast<int>(model::DType::kBf16));

// A plugin's code may be anything: what is not canonical is an internal error.
Code ToCode(brim_code code) {
  if (code <= 0 || code > static_cast<int>(Code::kUnauthenticated)) return Code::kInternal;
  return static_cast<Code>(code);
}

std::optional<model::DType> ToDType(std::int32_t dtype) {
  if (dtype < BRIM_BOOL || dtype > BRIM_BF16) return std::nullopt;
  return static_cast<model::DType>(dtype);
}

std::string_view View(const char* text) { return text == nullptr ? std::string_view() : text; }

Result<model::TensorSpec> ToSpec(const brim_tensor& tensor) {
  model::TensorSpec spec;
  spec.name = View(tensor.name);
  const auto dtype = ToDType(tensor.dtype);
  std::optional<model::Shape> shape;
  if (tensor.rank >= 0) {
    shape = model::Shape::Of({tensor.dims, static_cast<std::size_t>(tensor.rank)});
  } else {
    shape = model::Shape();
    spec.rank_known = false;
  }
  if (!dtype || !shape) {
    return Status(
        Code::kUnimplemented, "tensor_unsupported",
        fmt::format(
            "tensor '{}' has an element type or a rank ({}; at most {}) that cannot be served",
            spec.name, tensor.rank, model::kRankMax));
  }
  spec.dtype = *dtype;
  spec.shape = *shape;
  return spec;
}

Status ToSpecs(const brim_tensor* tensors, std::uint32_t count,
               std::vector<model::TensorSpec>* specs) {
  if (count > Instance::kTensorsMax) {
    return Status(Code::kUnimplemented, "tensors_too_many",
                  fmt::format("{} tensors; at most {}", count, Instance::kTensorsMax));
  }
  specs->reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    BRIM_ASSIGN_OR_RETURN(model::TensorSpec spec, ToSpec(tensors[i]));
    specs->push_back(std::move(spec));
  }
  return OkStatus();
}

Result<model::ModelInfo> ToInfo(const brim_model_info& from, std::string_view runtime) {
  model::ModelInfo info;
  info.platform = View(from.platform);
  info.runtime = runtime;
  info.precision = View(from.precision);
  info.device = View(from.device);
  info.note = View(from.note);
  if (from.signature_count == 0 || from.signature_count > kSignaturesMax) {
    return Status(Code::kUnimplemented, "signatures_unsupported",
                  fmt::format("the model has {} signatures; from 1 to {} can be served",
                              from.signature_count, kSignaturesMax));
  }
  for (std::uint32_t i = 0; i < from.signature_count; ++i) {
    const brim_signature& s = from.signatures[i];
    model::Signature signature;
    signature.name = View(s.name);
    signature.method_name = View(s.method_name);
    const std::string context = fmt::format("signature '{}'", signature.name);
    BRIM_RETURN_IF_ERROR(ToSpecs(s.inputs, s.input_count, &signature.inputs).WithContext(context));
    BRIM_RETURN_IF_ERROR(
        ToSpecs(s.outputs, s.output_count, &signature.outputs).WithContext(context));
    info.signatures.push_back(std::move(signature));
  }
  return info;
}

// Space for a run's tensors: on the stack for the usual few.
template <typename T, std::size_t kHere = 16>
class Few {
 public:
  explicit Few(std::size_t count) : count_(count) {
    if (count > kHere) many_.resize(count);
  }
  T* data() { return count_ > kHere ? many_.data() : here_.data(); }

 private:
  const std::size_t count_;
  std::array<T, kHere> here_;
  std::vector<T> many_;
};

// The brim_done of every run; context is the RunDone.
void Finish(void* context, brim_code code, const char* text, const brim_tensor* outputs,
            std::uint32_t count) {
  auto* done = static_cast<RunDone*>(context);
  if (code != 0) {
    const char* reason = ToCode(code) == Code::kInvalidArgument ? "input_refused" : "run_failed";
    done->OnRunDone(Status(ToCode(code), reason, std::string(View(text))), {});
    return;
  }
  if (count > Instance::kTensorsMax) {
    done->OnRunDone(
        Status(Code::kInternal, "run_failed", "the runtime answered with too many tensors"), {});
    return;
  }
  Few<model::TensorView, 4> views(count);  // A view is 170 bytes, and is cleared.
  for (std::uint32_t i = 0; i < count; ++i) {
    const brim_tensor& from = outputs[i];
    const auto dtype = ToDType(from.dtype);
    const auto shape = from.rank < 0
                           ? std::nullopt
                           : model::Shape::Of({from.dims, static_cast<std::size_t>(from.rank)});
    if (!dtype || !shape) {
      done->OnRunDone(
          Status(Code::kInternal, "run_failed",
                 fmt::format("the runtime gave output '{}' an unknown type or a rank above {}",
                             View(from.name), model::kRankMax)),
          {});
      return;
    }
    views.data()[i] = {
        View(from.name), *dtype, *shape, {static_cast<const std::byte*>(from.data), from.bytes}};
  }
  done->OnRunDone(OkStatus(), {views.data(), count});
}

bool IsPluginName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// "libfoo.so.1" of dlerror's "libfoo.so.1: cannot open shared object file: ...", else nothing.
std::string MissingLibrary(std::string_view error) {
  const std::size_t colon = error.find(": cannot open shared object file");
  return std::string(colon == std::string_view::npos ? std::string_view() : error.substr(0, colon));
}

Result<void*> OpenPlugin(const std::string& name, const std::string& path,
                         const std::string& library_dir) {
  for (int attempt = 0;; ++attempt) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
    const std::string why(View(dlerror()));
    const std::string missing = MissingLibrary(why);
    if (missing.empty() || missing == path) {
      return Status(Code::kFailedPrecondition, "runtime_unusable",
                    fmt::format("runtime '{}' cannot be loaded: {}", name, why));
    }
    // A library that is already loaded satisfies the plugin's need for it by its name.
    if (!library_dir.empty() && attempt < kMissingLibrariesMax &&
        dlopen((library_dir + "/" + missing).c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) {
      continue;
    }
    const std::string beside = std::filesystem::path(path).parent_path() / name;
    return Status(
        Code::kFailedPrecondition, "runtime_library_missing",
        fmt::format(
            "runtime '{}' needs {}, which is neither in {}{}{} nor among the system's libraries; "
            "put the vendor's libraries there",
            name, missing, beside, library_dir.empty() ? "" : " nor in ", library_dir));
  }
}

bool IsFree(const std::string& wanted) { return wanted.empty() || wanted == "auto"; }

std::string Joined(const std::vector<std::string>& words) {
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

Instance::~Instance() { api_.free_instance(handle_); }

void Instance::Run(std::uint32_t signature, std::span<const model::TensorView> inputs,
                   std::span<const std::uint32_t> outputs, RunDone* done) {
  if (inputs.size() > kTensorsMax || outputs.size() > kTensorsMax) {
    done->OnRunDone(Status(Code::kInvalidArgument, "tensors_too_many",
                           fmt::format("a run takes at most {} inputs and outputs", kTensorsMax)),
                    {});
    return;
  }
  Few<brim_tensor> tensors(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const model::TensorView& from = inputs[i];
    tensors.data()[i] = {nullptr,
                         static_cast<std::int32_t>(from.dtype),
                         static_cast<std::int32_t>(from.shape.rank()),
                         from.shape.dims().data(),
                         from.data.data(),
                         from.data.size()};
  }
  brim_run run{};
  run.struct_size = sizeof run;
  run.signature = signature;
  run.inputs = tensors.data();
  run.input_count = static_cast<std::uint32_t>(inputs.size());
  run.outputs = outputs.data();
  run.output_count = static_cast<std::uint32_t>(outputs.size());
  api_.run(handle_, &run, &Finish, done);
}

Model::Model(const brim_runtime_api& api, brim_model* handle, model::ModelInfo info,
             bool free_instances)
    : api_(api), handle_(handle), info_(std::move(info)), instances_are_free_(free_instances) {}

Model::~Model() { api_.unload(handle_); }

Result<std::unique_ptr<Instance>> Model::NewInstance() {
  brim_instance* instance = nullptr;
  brim_error error{};
  const brim_code code = api_.new_instance(handle_, &instance, &error);
  if (code != 0) return Status(ToCode(code), "instance_failed", error.text);
  return std::make_unique<Instance>(api_, instance);
}

Runtime::~Runtime() { api_.close(handle_); }

std::vector<std::string> Runtime::Devices() const {
  std::vector<std::string> devices;
  for (std::string_view rest = View(api_.devices(handle_)); !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma > 0) devices.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return devices;
}

Reading Runtime::Reads(const std::string& path) const {
  const std::uint32_t answer = api_.reads(handle_, path.c_str());
  return answer == 0 ? Reading::kNone : answer == 1 ? Reading::kPart : Reading::kAll;
}

Result<std::unique_ptr<Model>> Runtime::Load(const LoadOptions& options) {
  const std::vector<std::string> devices = Devices();
  if (!options.device.empty() &&
      std::find(devices.begin(), devices.end(), options.device) == devices.end()) {
    return Status(Code::kInvalidArgument, "device_unknown",
                  fmt::format("runtime '{}' has no device '{}'; it has: {}", name(), options.device,
                              Joined(devices)));
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : options.options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  brim_load_options raw{};
  raw.struct_size = sizeof raw;
  raw.path = options.path.c_str();
  raw.device = options.device.c_str();
  raw.precision = options.precision.c_str();
  raw.width = options.width;
  raw.option_keys = keys.data();
  raw.option_values = values.data();
  raw.option_count = static_cast<std::uint32_t>(keys.size());

  brim_error error{};
  if (api_.prepare != nullptr) {
    if (const brim_code code = api_.prepare(handle_, &error); code != 0) {
      return Status(ToCode(code), "runtime_unusable", error.text);
    }
  }
  const std::uint64_t before = ResidentBytes();
  brim_model* handle = nullptr;
  const brim_code code = api_.load(handle_, &raw, &handle, &error);
  if (code != 0) return Status(ToCode(code), "load_failed", error.text);
  const brim_model_info& raw_info = *api_.info(handle);
  Result<model::ModelInfo> info = ToInfo(raw_info, name());
  if (!info.ok()) {
    api_.unload(handle);
    return info.status();
  }
  const std::uint64_t after = ResidentBytes();
  info->memory_bytes = after > before ? after - before : 0;
  return std::make_unique<Model>(api_, handle, std::move(*info), raw_info.instances_are_free != 0);
}

struct Host::Opened {
  std::unique_ptr<Runtime> runtime;
};

Host::Host(HostOptions options) : options_(std::move(options)) {}

// Plugins stay mapped: the vendors' libraries do not survive dlclose.
Host::~Host() = default;

std::vector<std::string> Host::List() const {
  std::vector<std::string> names;
  for (const std::string& dir : options_.plugin_dirs) {
    std::error_code error;
    for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
         it.increment(error)) {
      const std::string file = it->path().filename();
      const std::string_view view = file;
      if (view.size() <= kPrefix.size() + kSuffix.size() || !view.starts_with(kPrefix) ||
          !view.ends_with(kSuffix)) {
        continue;
      }
      const std::string_view name =
          view.substr(kPrefix.size(), view.size() - kPrefix.size() - kSuffix.size());
      if (IsPluginName(name)) names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<Runtime*> Host::Get(const std::string& name) {
  if (const auto it = opened_.find(name); it != opened_.end()) return it->second->runtime.get();
  std::string path;
  if (IsPluginName(name)) {
    for (const std::string& dir : options_.plugin_dirs) {
      const std::string candidate = fmt::format("{}/{}{}{}", dir, kPrefix, name, kSuffix);
      std::error_code error;
      if (std::filesystem::exists(candidate, error)) {
        path = candidate;
        break;
      }
    }
  }
  if (path.empty()) {
    return Status(
        Code::kNotFound, "runtime_unknown",
        fmt::format("there is no runtime '{}'; those found are: {} (looked for {}NAME{} in: {})",
                    name, Joined(List()), kPrefix, kSuffix, Joined(options_.plugin_dirs)));
  }
  const auto dir = options_.library_dirs.find(name);
  const std::string library_dir = dir == options_.library_dirs.end() ? "" : dir->second;
  BRIM_ASSIGN_OR_RETURN(void* library, OpenPlugin(name, path, library_dir));
  const auto entry = reinterpret_cast<brim_runtime_entry_fn>(dlsym(library, BRIM_RUNTIME_ENTRY));
  const brim_runtime_api* api = entry == nullptr ? nullptr : entry(BRIM_RUNTIME_ABI);
  if (api == nullptr || api->struct_size < sizeof(brim_runtime_api) ||
      api->abi != BRIM_RUNTIME_ABI || View(api->name) != name) {
    return Status(
        Code::kFailedPrecondition, "runtime_abi",
        fmt::format("{} is not a runtime named '{}' of ABI {}; use the one built with this server",
                    path, name, BRIM_RUNTIME_ABI));
  }
  brim_open_options raw{};
  raw.struct_size = sizeof raw;
  raw.library_dir = library_dir.empty() ? nullptr : library_dir.c_str();
  raw.worker_threads = options_.worker_threads;
  brim_runtime* handle = nullptr;
  brim_error error{};
  const brim_code code = api->open(&raw, &handle, &error);
  if (code != 0) return Status(ToCode(code), "runtime_unusable", error.text);
  auto opened = std::make_unique<Opened>();
  opened->runtime.reset(new Runtime(*api, handle));
  Runtime* runtime = opened->runtime.get();
  opened_.emplace(name, std::move(opened));
  return runtime;
}

std::vector<std::string> Host::InOrderOfChoice() const {
  std::vector<std::string> names = List();
  const auto rank = [](const std::string& name) {
    return name == "openvino" ? 0 : name == "tensorflow" ? 1 : 2;
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  return names;
}

Result<Runtime*> Host::Choose(const std::string& path, const std::string& wanted) {
  if (!IsFree(wanted)) return Get(wanted);
  const std::vector<std::string> names = InOrderOfChoice();
  Runtime* part = nullptr;
  Status unusable;
  // In this order, so that a vendor's library is not loaded before it is needed.
  for (const std::string& name : names) {
    Result<Runtime*> runtime = Get(name);
    if (!runtime.ok()) {
      if (unusable.ok()) unusable = runtime.status();
      continue;
    }
    const Reading reading = (*runtime)->Reads(path);
    if (reading == Reading::kAll) return *runtime;
    if (reading == Reading::kPart && part == nullptr) part = *runtime;
  }
  if (part != nullptr) return part;
  if (!unusable.ok())
    return unusable.WithContext(fmt::format("'{}' cannot be read by any usable runtime", path));
  return Status(Code::kInvalidArgument, "model_format_unknown",
                fmt::format("no runtime reads '{}'; there are: {}", path, Joined(List())));
}

Result<std::unique_ptr<Model>> Host::Load(const LoadOptions& options, const std::string& wanted) {
  BRIM_ASSIGN_OR_RETURN(Runtime * chosen, Choose(options.path, wanted));
  Result<std::unique_ptr<Model>> model = chosen->Load(options);
  if (model.ok() || !IsFree(wanted) || model.status().code() != Code::kUnimplemented) return model;
  std::string failures = model.status().message();
  for (const std::string& name : InOrderOfChoice()) {
    if (name == chosen->name()) continue;
    const Result<Runtime*> other = Get(name);
    if (!other.ok()) {
      failures += fmt::format("; {}", other.status().message());
      continue;
    }
    if ((*other)->Reads(options.path) == Reading::kNone) continue;
    Result<std::unique_ptr<Model>> tried = (*other)->Load(options);
    if (tried.ok()) return tried;
    failures += fmt::format("; {}", tried.status().message());
  }
  return Status(Code::kUnimplemented, "load_failed", failures);
}

}  // namespace brim::runtimes
