// For tests of the engine: a runtime made of C functions, requests that keep their answer, a clock
// that moves only when told to.
//
// Nothing sleeps: runs are held by events. Not for production code.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "serving/engine.h"
#include "serving/lane.h"

namespace brim::serving {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Far in the future of the real clock, so that no wait until a time of this one ends by itself.
class TestClock final : public Clock {
 public:
  Time Now() const override { return Time(Duration(now_.load())); }
  std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::time_point(milliseconds(1700000000123));
  }
  Duration ThreadCpu() const override { return Duration(now_.load()); }
  void Advance(Duration by) { now_.fetch_add(by.count()); }

 private:
  std::atomic<std::int64_t> now_{4'000'000'000'000'000'000};
};

class Event {
 public:
  void Set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    condition_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool set_ = false;
};

using RunFunction = std::function<void(const brim_run&, brim_done, void*)>;

struct FakeModel {
  RunFunction run;
  std::atomic<int> freed{0};
};

inline void FakeRun(brim_instance* instance, const brim_run* run, brim_done done, void* context) {
  reinterpret_cast<FakeModel*>(instance)->run(*run, done, context);
}
inline void FakeFree(brim_instance* instance) { ++reinterpret_cast<FakeModel*>(instance)->freed; }

inline const brim_runtime_api& Api() {
  static const brim_runtime_api api = [] {
    brim_runtime_api table{};
    table.struct_size = sizeof(table);
    table.abi = BRIM_RUNTIME_ABI;
    table.name = "test";
    table.version = "0";
    table.free_instance = FakeFree;
    table.run = FakeRun;
    return table;
  }();
  return api;
}

inline void Identity(const brim_run& run, brim_done done, void* context) {
  brim_tensor output = run.inputs[0];
  output.name = "y";
  done(context, 0, nullptr, &output, 1);
}

inline std::int64_t RowsIn(const brim_run& run) { return run.inputs[0].dims[0]; }
inline std::vector<float> ValuesIn(const brim_run& run) {
  std::vector<float> values(run.inputs[0].bytes / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), run.inputs[0].data, run.inputs[0].bytes);
  return values;
}

inline ModelConfig Config(std::uint32_t rows_max = 1, Duration delay = Duration::zero()) {
  ModelConfig config;
  config.batch.enabled = rows_max > 1;
  config.batch.rows_max = rows_max;
  config.batch.delay_max = std::chrono::duration_cast<microseconds>(delay);
  return config;
}

inline MutableVersionHandle MakeVersion(FakeModel* model, ModelConfig config = Config(),
                                        int copies = 1, std::int64_t width = -1) {
  Version::Parts parts;
  parts.model = "m";
  parts.config = std::move(config);
  model::Signature signature;
  signature.inputs.push_back({"x", model::DType::kFp32, {-1, width}});
  signature.outputs.push_back({"y", model::DType::kFp32, {-1, width}});
  parts.info.signatures.push_back(signature);
  for (int i = 0; i < copies; ++i) {
    parts.instances.push_back(
        std::make_unique<runtimes::Instance>(Api(), reinterpret_cast<brim_instance*>(model)));
  }
  return std::make_shared<Version>(std::move(parts));
}

class TestRequest : public InferRequest {
 public:
  TestRequest(const VersionHandle& handle, std::vector<float> data, std::int64_t rows = 1)
      : values(std::move(data)) {
    version = handle;
    signature = &version->info().Default();
    model::TensorView input;
    input.name = "x";
    input.dtype = model::DType::kFp32;
    input.shape = {rows, rows == 0 ? 1 : static_cast<std::int64_t>(values.size()) / rows};
    input.data = std::as_bytes(std::span(values));
    inputs.push_back(input);
  }

  void OnDone(const Status& result, std::span<const model::TensorView> answers) override {
    status = result;
    thread = std::this_thread::get_id();
    if (!answers.empty()) {
      shape = answers[0].shape;
      answer.resize(answers[0].data.size() / sizeof(float));
      if (!answer.empty())
        std::memcpy(answer.data(), answers[0].data.data(), answers[0].data.size());
    }
    if (then) then();
    done.Set();
  }

  std::vector<float> values;
  Status status;
  model::Shape shape;
  std::vector<float> answer;
  std::thread::id thread;
  std::function<void()> then;
  Event done;
};

class EngineTest : public testing::Test {
 protected:
  void StartEngine(std::uint32_t workers = 1, EngineOptions options = {}) {
    options.workers = workers;
    engine_ = std::make_unique<Engine>(options, clock_, logger_);
    engine_->Start();
  }
  // Outlives the engine, whose worker may be the last to let go of a version.
  FakeModel& NewModel(RunFunction run = {}) {
    models_.push_back(std::make_unique<FakeModel>());
    models_.back()->run = std::move(run);
    return *models_.back();
  }
  void InferAndWait(TestRequest* request) {
    engine_->Infer(request);
    request->done.Wait();
  }
  // Occupies one worker until Free().
  struct Held {
    explicit Held(EngineTest* test) : model(test->NewModel()) {
      model.run = [this](const brim_run& run, brim_done done, void* context) {
        started.Set();
        go.Wait();
        Identity(run, done, context);
      };
      version = MakeVersion(&model);
      request = std::make_unique<TestRequest>(version, std::vector<float>{0});
      test->engine_->Infer(request.get());
      started.Wait();
    }
    void Free() {
      go.Set();
      request->done.Wait();
    }
    Event started, go;
    FakeModel& model;
    VersionHandle version;
    std::unique_ptr<TestRequest> request;
  };
  // Pretends that so many single runs of this cost were measured.
  static void Teach(const VersionHandle& version, Duration cost, int runs = 8) {
    for (int i = 0; i < runs; ++i) {
      version->lane().learnt.CountRun(4, cost);
      version->lane().learnt.ObserveCost(1, cost);
    }
  }
  static std::uint64_t Failures(const VersionHandle& version, FailureKind kind) {
    return version->stats().failure[static_cast<std::size_t>(kind)].Get();
  }

  TestClock clock_;
  Logger logger_{2, LogLevel::kOff, LogFormat::kText, clock_};
  std::vector<std::unique_ptr<FakeModel>> models_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace brim::serving
