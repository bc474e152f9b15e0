// The reading half of status_page.h.
#include <chrono>
#include <unordered_map>
#include <utility>

#include "api/metrics_page.h"
#include "api/status_page.h"
#include "api/tfs_json.h"
#include "base/json.h"

namespace brim::api {
namespace {

// A reading is compared with one that is at least this old once there is one, and never with one
// much older.
constexpr std::chrono::seconds kReadingAge{30};
constexpr std::chrono::seconds kReadingAgeMax{120};
// Of a shorter time nothing can be said: two looked at once.
constexpr std::chrono::seconds kWindowMin{1};
constexpr std::int64_t kExampleElementsMax = 32;

std::string_view StateWord(serving::VersionState state, bool failed) {
  switch (state) {
    case serving::VersionState::kStart:
      return "WAITING";
    case serving::VersionState::kLoading:
      return "LOADING";
    case serving::VersionState::kAvailable:
      return "AVAILABLE";
    case serving::VersionState::kUnloading:
      return "UNLOADING";
    case serving::VersionState::kEnd:
      break;
  }
  return failed ? "FAILED" : "UNLOADED";
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::uint64_t Failures(const serving::VersionStats& stats) {
  std::uint64_t sum = 0;
  for (const serving::Counter& counter : stats.failure) sum += counter.Get();
  return sum;
}

std::string Key(const std::string& model, const std::string& version) {
  return model + "/" + version;
}

void Describe(const serving::Version& version, StatusRow* row) {
  const serving::VersionStats& stats = version.stats();
  row->serves = true;
  if (row->reason.empty()) row->reason = version.info().note;
  row->runtime = version.info().runtime;
  row->precision = version.info().precision;
  row->device = version.info().device;
  row->platform = version.info().platform;
  row->failures = Failures(stats);
  row->requests = stats.success.Get() + row->failures;
  row->cpu_seconds = static_cast<double>(stats.cpu_ns.Get()) * 1e-9;
  row->memory_bytes = version.info().memory_bytes;
  row->copies = version.copies();
  row->pending = stats.pending.load(std::memory_order_relaxed);
}

void WriteZeros(const model::TensorSpec& tensor, std::size_t axis, JsonWriter* w) {
  if (axis == tensor.shape.rank()) {
    if (tensor.dtype == model::DType::kBytes) {
      w->String("text");
    } else if (tensor.dtype == model::DType::kBool) {
      w->Bool(false);
    } else if (tensor.dtype == model::DType::kFp32 || tensor.dtype == model::DType::kFp64) {
      w->Double(0);
    } else {
      w->Int(0);
    }
    return;
  }
  w->BeginArray();
  const std::int64_t size = tensor.shape[axis] < 0 ? 1 : tensor.shape[axis];
  for (std::int64_t i = 0; i < size; ++i) WriteZeros(tensor, axis + 1, w);
  w->EndArray();
}

// A predict request of zeros for one row; empty when it would be long, cannot be said in JSON, or
// the model might refuse it.
std::string ExampleRequest(const model::Signature& signature) {
  std::int64_t elements = 0;
  for (const model::TensorSpec& tensor : signature.inputs) {
    const bool unsaid = tensor.dtype == model::DType::kFp16 ||
                        tensor.dtype == model::DType::kBf16 ||
                        tensor.dtype == model::DType::kUint16;
    if (!tensor.rank_known || unsaid) return "";
    std::int64_t product = 1;
    for (std::size_t axis = 0; axis < tensor.shape.rank(); ++axis) {
      const std::int64_t dim = tensor.shape[axis];
      // Only the model knows the bounds of a dynamic dimension that is not the batch's.
      if (dim < 0 && axis > 0) return "";
      product *= dim < 0 ? 1 : dim;
      if (product > kExampleElementsMax) return "";
    }
    elements += product;
  }
  if (elements > kExampleElementsMax || signature.inputs.empty()) return "";
  std::string json;
  JsonWriter w(&json);
  w.BeginObject().Key("inputs").BeginObject();
  for (const model::TensorSpec& tensor : signature.inputs) {
    w.Key(tensor.name);
    WriteZeros(tensor, 0, &w);
  }
  w.EndObject().EndObject();
  return json;
}

}  // namespace

StatusView StatusBoard::Read() {
  StatusView view;
  view.server_name = services_.server_name;
  view.server_version = services_.server_version;
  view.ready = services_.repository.Ready();
  view.process = ReadProcessStats(services_.clock);
  view.workers = services_.engine.workers();
  Reading now;
  now.at = services_.clock.Now();
  view.uptime_seconds = Seconds(now.at - started_);
  std::unordered_map<std::string, serving::VersionHandle> serving;
  for (const serving::VersionHandle& version : services_.repository.Serving()) {
    const std::string key = Key(version->model(), version->number_text());
    now.samples[key] = {version->stats().success.Get() + Failures(version->stats()),
                        version->stats().latency.Read()};
    if (view.example_request.empty()) {
      view.example_request = ExampleRequest(version->info().Default());
      const bool better = !view.example_request.empty();
      if (better || view.example_model.empty()) view.example_model = version->model();
    }
    serving.emplace(key, version);
  }
  for (const serving::ModelStatus& model : services_.repository.List()) {
    StatusRow row;
    row.model = model.name;
    row.owner = model.owner.empty() ? std::string(kUnowned) : model.owner;
    if (model.versions.empty()) {
      row.state = model.status.ok() ? "WAITING" : "FAILED";
      if (!model.status.ok()) row.reason = model.status.message();
      view.rows.push_back(std::move(row));
      continue;
    }
    for (const serving::VersionStatus& version : model.versions) {
      StatusRow& one = view.rows.emplace_back(row);
      one.version = std::to_string(version.number);
      one.state = StateWord(version.state, !version.status.ok());
      if (!version.status.ok()) one.reason = version.status.message();
      // It serves as before: what was put beside it is refused.
      const bool serves = version.state == serving::VersionState::kAvailable;
      if (serves && one.reason.empty() && !model.status.ok()) one.reason = model.status.message();
      const auto found = serving.find(Key(one.model, one.version));
      if (found != serving.end()) Describe(*found->second, &one);
    }
  }
  Compare(std::move(now), &view.rows);
  return view;
}

void StatusBoard::Compare(Reading now, std::vector<StatusRow>* rows) {
  const MutexLock lock(mutex_);
  if (now.at - newer_.at > kReadingAgeMax) newer_ = {};
  if (now.at - older_.at > kReadingAgeMax) older_ = {};
  const Reading& base = older_.empty() ? newer_ : older_;
  for (StatusRow& row : *rows) {
    const auto current = now.samples.find(Key(row.model, row.version));
    if (!row.serves || current == now.samples.end()) continue;
    metrics::Histogram::Snapshot latency = current->second.latency;
    std::uint64_t requests = current->second.requests;
    const auto before = base.samples.find(current->first);
    // Fewer than before: the version was loaded anew in between.
    if (before != base.samples.end() && before->second.requests <= requests &&
        now.at - base.at >= kWindowMin) {
      requests -= before->second.requests;
      latency = latency.Since(before->second.latency);
      row.window_seconds = Seconds(now.at - base.at);
    } else {
      row.window_seconds = Seconds(now.at - started_);
      row.since_start = true;
    }
    if (row.window_seconds > 0) row.rate = static_cast<double>(requests) / row.window_seconds;
    row.p50_seconds = latency.Quantile(0.5);
    row.p99_seconds = latency.Quantile(0.99);
  }
  if (newer_.empty() || now.at - newer_.at >= kReadingAge) {
    older_ = std::move(newer_);
    newer_ = std::move(now);
  }
}

}  // namespace brim::api
