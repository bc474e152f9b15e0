// The fake runtime: models that do what their text file says (model_file.h).
//
// Threads: as runtime.h demands. A runtime owns one thread, started by the first run of an `async`
// model; its inbox is bounded by kAsyncRunsMax.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "runtimes/fake/model_file.h"
#include "runtimes/plugin/parts.h"

namespace brim::runtimes {
namespace {

constexpr std::size_t kAsyncRunsMax = 4096;

// Answers `async` runs in order.
class Answerer {
 public:
  Answerer() : thread_([this](std::stop_token stop) { Serve(stop); }) {}

  bool Post(std::function<void()> answer) {
    const std::lock_guard lock(mutex_);
    if (inbox_.size() == kAsyncRunsMax) return false;
    inbox_.push_back(std::move(answer));
    changed_.notify_one();
    return true;
  }

 private:
  void Serve(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !inbox_.empty(); })) {
      const std::function<void()> answer = std::move(inbox_.front());
      inbox_.pop_front();
      lock.unlock();
      answer();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> inbox_;
  std::jthread thread_;  // Last: it uses the others.
};

void Sleep(std::uint64_t ms) {
  timespec left{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

void Burn(std::uint64_t us) {
  if (us == 0) return;
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1000000000 +
           static_cast<std::uint64_t>(t.tv_nsec);
  };
  for (const std::uint64_t end = now() + us * 1000; now() < end;) {
  }
}

// False when the gate cannot be read.
bool Pass(const std::string& gate) {
  if (gate.empty()) return true;
  const int fd = open(gate.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char byte = 0;
  ssize_t got = 0;
  do {
    got = read(fd, &byte, 1);
  } while (got < 0 && errno == EINTR);
  close(fd);
  return got == 1;
}

std::unique_ptr<std::byte[]> Touched(std::uint64_t bytes) {
  auto block = std::make_unique<std::byte[]>(bytes);  // Zero-filled: every page is written.
  return block;
}

template <typename T>
void AddAs(const void* a, const void* b, std::uint64_t count, std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    T x;
    T y;
    std::memcpy(&x, static_cast<const std::byte*>(a) + i * sizeof(T), sizeof(T));
    std::memcpy(&y, static_cast<const std::byte*>(b) + i * sizeof(T), sizeof(T));
    const T sum = static_cast<T>(x + y);
    std::memcpy(out + i * sizeof(T), &sum, sizeof(T));
  }
}

template <typename T>
void FillAs(double value, std::uint64_t count, std::byte* out) {
  const T element = static_cast<T>(value);
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(out + i * sizeof(T), &element, sizeof(T));
}

// Calls f<T>() for the C++ type of a numeric dtype; half types are stored as their bits' integer.
template <template <typename> class F, typename... Args>
void ForType(std::int32_t dtype, Args... args) {
  switch (dtype) {
    case BRIM_BOOL:
    case BRIM_UINT8:
      return F<std::uint8_t>::Do(args...);
    case BRIM_UINT16:
    case BRIM_FP16:
    case BRIM_BF16:
      return F<std::uint16_t>::Do(args...);
    case BRIM_UINT32:
      return F<std::uint32_t>::Do(args...);
    case BRIM_UINT64:
      return F<std::uint64_t>::Do(args...);
    case BRIM_INT8:
      return F<std::int8_t>::Do(args...);
    case BRIM_INT16:
      return F<std::int16_t>::Do(args...);
    case BRIM_INT32:
      return F<std::int32_t>::Do(args...);
    case BRIM_INT64:
      return F<std::int64_t>::Do(args...);
    case BRIM_FP32:
      return F<float>::Do(args...);
    case BRIM_FP64:
      return F<double>::Do(args...);
    default:
      return;
  }
}
template <typename T>
struct Add {
  static void Do(const void* a, const void* b, std::uint64_t count, std::byte* out) {
    AddAs<T>(a, b, count, out);
  }
};
template <typename T>
struct Fill {
  static void Do(double value, std::uint64_t count, std::byte* out) {
    FillAs<T>(value, count, out);
  }
};

struct Output {
  std::vector<std::int64_t> dims;
  std::vector<std::byte> data;
};

}  // namespace
}  // namespace brim::runtimes

struct brim_runtime {
  std::mutex mutex;
  std::unique_ptr<brim::runtimes::Answerer> answerer;

  brim::runtimes::Answerer& async() {
    const std::lock_guard lock(mutex);
    if (answerer == nullptr) answerer = std::make_unique<brim::runtimes::Answerer>();
    return *answerer;
  }
};

struct brim_model {
  brim_runtime& runtime;
  const brim::runtimes::ModelFile file;
  const std::string device;
  const brim::runtimes::InfoTable table;
  const std::unique_ptr<std::byte[]> memory;
  std::atomic<std::uint64_t> runs{0};
  std::atomic<std::int64_t> instances{0};

  brim_model(brim_runtime& r, brim::runtimes::ModelFile f, std::string precision, std::string d)
      : runtime(r),
        file(std::move(f)),
        device(std::move(d)),
        table(file.platform, std::move(precision), device, file.signatures, file.free_instances),
        memory(brim::runtimes::Touched(file.memory_bytes)) {}
};

struct brim_instance {
  brim_model& model;
  const std::int64_t number;
  const std::unique_ptr<std::byte[]> memory;
  std::vector<brim::runtimes::Output> outputs;
  std::vector<brim_tensor> answer;
};

namespace brim::runtimes {
namespace {

const Failure* FailureOf(brim_model& model, const brim_run& run) {
  const std::uint64_t count = ++model.runs;
  const ModelFile& file = model.file;
  if (file.run_fail.code != kOk) return &file.run_fail;
  if (file.run_fail_period != 0 && count % file.run_fail_period == 0) return &file.run_fail_every;
  if (file.run_fail_above.code != kOk && run.input_count > 0 && run.inputs[0].rank > 0 &&
      run.inputs[0].dims[0] > static_cast<std::int64_t>(file.run_fail_rows)) {
    return &file.run_fail_above;
  }
  return nullptr;
}

// The declared dimensions, with the first input's where they are dynamic.
std::vector<std::int64_t> ResolveDims(const TensorDeclaration& declared, const brim_run& run) {
  std::vector<std::int64_t> dims = declared.dims;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= 0) continue;
    const bool given = run.input_count > 0 && static_cast<std::int32_t>(i) < run.inputs[0].rank;
    dims[i] = given ? run.inputs[0].dims[i] : 1;
  }
  return dims;
}

brim_code Compute(brim_instance& instance, const brim_run& run, const OutputRule& rule,
                  const TensorDeclaration& declared, Output* space, brim_tensor* out,
                  std::string* why) {
  *out = {declared.name.c_str(), declared.dtype, 0, nullptr, nullptr, 0};
  if (rule.function == Function::kIdentity || rule.function == Function::kAdd) {
    const brim_tensor& a = run.inputs[rule.first];
    out->rank = a.rank;
    out->dims = a.dims;
    out->data = a.data;
    out->bytes = a.bytes;
    if (rule.function == Function::kIdentity) return kOk;
    const brim_tensor& b = run.inputs[rule.second];
    const std::uint64_t count = ElementCount(a.dims, a.rank);
    if (a.bytes != b.bytes || a.bytes != count * ElementBytes(declared.dtype)) {
      *why = "cannot add tensors of different size";
      return kInvalidArgument;
    }
    space->data.resize(a.bytes);
    ForType<Add>(declared.dtype, a.data, b.data, count, space->data.data());
  } else {
    space->dims = ResolveDims(declared, run);
    out->rank = static_cast<std::int32_t>(space->dims.size());
    out->dims = space->dims.data();
    const std::uint64_t count = ElementCount(out->dims, out->rank);
    if (declared.dtype == BRIM_BYTES) {
      space->data.clear();
      for (std::uint64_t i = 0; i < count; ++i) AppendString(rule.text, &space->data);
    } else {
      double value = rule.value;
      if (rule.function == Function::kInstance) value = static_cast<double>(instance.number);
      if (rule.function == Function::kRows) {
        const bool given = run.input_count > 0 && run.inputs[0].rank > 0;
        value = given ? static_cast<double>(run.inputs[0].dims[0]) : 1;
      }
      space->data.resize(count * ElementBytes(declared.dtype));
      ForType<Fill>(declared.dtype, value, count, space->data.data());
    }
  }
  out->data = space->data.data();
  out->bytes = space->data.size();
  return kOk;
}

void RunHere(brim_instance& instance, const brim_run& run, brim_done done, void* context) {
  brim_model& model = instance.model;
  if (!Pass(model.file.run_gate)) {
    return done(context, kInternal, "the run's gate cannot be read", nullptr, 0);
  }
  Burn(model.file.run_us);
  if (const Failure* failure = FailureOf(model, run)) {
    return done(context, failure->code, failure->text.c_str(), nullptr, 0);
  }
  const SignatureDeclaration& signature = model.table.signatures()[run.signature];
  instance.answer.resize(run.output_count);
  if (instance.outputs.size() < run.output_count) instance.outputs.resize(run.output_count);
  for (std::uint32_t i = 0; i < run.output_count; ++i) {
    const std::uint32_t index = run.outputs[i];
    std::string why;
    const brim_code code =
        Compute(instance, run, model.file.rules[run.signature][index], signature.outputs[index],
                &instance.outputs[i], &instance.answer[i], &why);
    if (code != kOk) return done(context, code, why.c_str(), nullptr, 0);
  }
  done(context, kOk, "", instance.answer.data(), run.output_count);
}

// A run whose structs outlive run(); the data stay the caller's.
struct KeptRun {
  std::vector<brim_tensor> inputs;
  std::vector<std::vector<std::int64_t>> dims;
  std::vector<std::uint32_t> outputs;
  brim_run run;

  explicit KeptRun(const brim_run& from)
      : inputs(from.inputs, from.inputs + from.input_count),
        outputs(from.outputs, from.outputs + from.output_count),
        run(from) {
    dims.reserve(inputs.size());
    for (brim_tensor& tensor : inputs) {
      dims.emplace_back(tensor.dims, tensor.dims + tensor.rank);
      tensor.dims = dims.back().data();
    }
    run.inputs = inputs.data();
    run.outputs = outputs.data();
  }
  KeptRun(const KeptRun&) = delete;
};

brim_code Open(const brim_open_options*, brim_runtime** runtime, brim_error*) {
  *runtime = new brim_runtime;
  return kOk;
}
void Close(brim_runtime* runtime) { delete runtime; }
const char* Devices(brim_runtime*) { return "CPU,FAKE.1"; }
std::uint32_t Reads(brim_runtime*, const char* path) { return IsModelFile(path) ? 2 : 0; }

brim_code Load(brim_runtime* runtime, const brim_load_options* options, brim_model** model,
               brim_error* error) {
  ModelFile file;
  if (const brim_code code = ReadModelFile(options->path, &file, error); code != kOk) return code;
  for (std::uint32_t i = 0; i < options->option_count; ++i) {
    if (std::strcmp(options->option_keys[i], "load_fail_if") == 0) {
      return Fail(error, kFailedPrecondition, options->option_values[i]);
    }
  }
  if (!Pass(file.load_gate)) return Fail(error, kInternal, "the load's gate cannot be read");
  Sleep(file.load_ms);
  if (file.load_fail.code != kOk) return Fail(error, file.load_fail.code, file.load_fail.text);
  const auto given = [](const char* text, const char* otherwise) {
    return std::string(text == nullptr || *text == '\0' ? otherwise : text);
  };
  *model = new brim_model(*runtime, std::move(file), given(options->precision, "f32"),
                          given(options->device, "CPU"));
  return kOk;
}
void Unload(brim_model* model) { delete model; }
const brim_model_info* Info(brim_model* model) { return &model->table.info(); }

brim_code NewInstance(brim_model* model, brim_instance** instance, brim_error* error) {
  const std::int64_t number = model->instances++;
  if (number > 0 && model->file.instance_fail.code != kOk) {
    return Fail(error, model->file.instance_fail.code, model->file.instance_fail.text);
  }
  *instance = new brim_instance{*model, number, Touched(model->file.instance_bytes), {}, {}};
  return kOk;
}
void FreeInstance(brim_instance* instance) { delete instance; }

void Run(brim_instance* instance, const brim_run* run, brim_done done, void* context) {
  if (!instance->model.file.async) return RunHere(*instance, *run, done, context);
  auto kept = std::make_shared<KeptRun>(*run);
  const bool posted = instance->model.runtime.async().Post(
      [instance, kept, done, context] { RunHere(*instance, kept->run, done, context); });
  if (!posted) done(context, kResourceExhausted, "too many runs wait", nullptr, 0);
}

constexpr brim_runtime_api kApi = {sizeof(brim_runtime_api),
                                   BRIM_RUNTIME_ABI,
                                   "fake",
                                   "1",
                                   &Open,
                                   &Close,
                                   &Devices,
                                   &Reads,
                                   &Load,
                                   &Unload,
                                   &Info,
                                   &NewInstance,
                                   &FreeInstance,
                                   &Run,
                                   nullptr};

}  // namespace
}  // namespace brim::runtimes

extern "C" __attribute__((visibility("default"))) const brim_runtime_api* brim_runtime_entry(
    std::uint32_t host_abi) {
  return host_abi == BRIM_RUNTIME_ABI ? &brim::runtimes::kApi : nullptr;
}
