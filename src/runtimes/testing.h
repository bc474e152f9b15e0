// For tests of runtimes: a host over the built plugins, tensors that own their data, a run's kept
// result.
//
// Threads: Captured::OnRunDone from any; the rest as its caller.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include "runtimes/host.h"

namespace brim::runtimes {

// Sanitizers keep freed memory: what a test measures then says nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// While one lives, what this thread allocates may leak: for vendors' error paths in libraries that
// are unloaded afterwards, which no suppression can name.
struct LeaksAllowed {
#if defined(__SANITIZE_ADDRESS__)
  __lsan::ScopedDisabler disabler;
#else
  ~LeaksAllowed() {}  // Used by living.
#endif
};

struct Tensor {
  std::string name;
  model::DType dtype = model::DType::kInvalid;
  model::Shape shape;
  std::vector<std::byte> data;

  model::TensorView view() const { return {name, dtype, shape, data}; }
  template <typename T>
  std::vector<T> As() const {
    std::vector<T> values(data.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), data.data(), values.size() * sizeof(T));
    return values;
  }
  std::vector<std::string> Strings() const {
    std::vector<std::string> values;
    model::StringElements elements(data);
    for (std::string_view element; elements.Next(&element);) values.emplace_back(element);
    return values;
  }
};

template <typename T>
Tensor Of(model::DType dtype, model::Shape shape, const std::vector<T>& values) {
  Tensor tensor{"", dtype, shape, std::vector<std::byte>(values.size() * sizeof(T))};
  if (!values.empty()) std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}
inline Tensor Floats(model::Shape shape, const std::vector<float>& values) {
  return Of(model::DType::kFp32, shape, values);
}
// Small repeatable values, as many as the shape says.
inline Tensor Ramp(model::Shape shape) {
  std::vector<float> values(*shape.Elements());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i % 29) / 29.0F - 0.5F;
  return Floats(shape, values);
}
inline Tensor Strings(model::Shape shape, const std::vector<std::string>& values) {
  Tensor tensor{"", model::DType::kBytes, shape, {}};
  for (const std::string& value : values) {
    const auto length = static_cast<std::uint32_t>(value.size());
    const std::size_t at = tensor.data.size();
    tensor.data.resize(at + sizeof length + length);
    std::memcpy(tensor.data.data() + at, &length, sizeof length);
    if (length != 0) std::memcpy(tensor.data.data() + at + sizeof length, value.data(), length);
  }
  return tensor;
}

// Keeps a copy of the answer; Wait() is for runtimes that answer later.
class Captured final : public RunDone {
 public:
  void OnRunDone(const Status& given, std::span<const model::TensorView> views) override {
    const std::lock_guard lock(mutex_);
    ++calls;
    status = given;
    outputs.clear();
    pointers.clear();
    for (const model::TensorView& view : views) {
      outputs.push_back(
          {std::string(view.name), view.dtype, view.shape, {view.data.begin(), view.data.end()}});
      pointers.push_back(view.data.data());
    }
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return calls > 0; });
  }

  int calls = 0;
  Status status;
  std::vector<Tensor> outputs;
  std::vector<const void*> pointers;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Runs once with all outputs of the signature and waits for the answer.
inline void RunAll(const Model& model, Instance& instance, const std::vector<Tensor>& inputs,
                   Captured* captured, std::uint32_t signature = 0) {
  std::vector<model::TensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  std::vector<std::uint32_t> outputs(model.info().signatures.at(signature).outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = static_cast<std::uint32_t>(i);
  instance.Run(signature, views, outputs, captured);
  captured->Wait();
}

// A directory of this test's own, gone afterwards.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "brim-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, std::string_view bytes) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::string path_;
};

inline std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline HostOptions BuiltPlugins() {
  HostOptions options;
  options.plugin_dirs = {BRIM_PLUGIN_DIR};
  options.worker_threads = 2;
  return options;
}

// Threads of this process.
inline std::size_t ThreadCount() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

}  // namespace brim::runtimes
