// See metrics_page.h.
#include "api/metrics_page.h"

#include <array>
#include <map>
#include <vector>

#include "metrics/exposition.h"
#include "metrics/rows.h"
#include "serving/stats.h"

namespace brim::api {
namespace {

namespace rows = metrics::rows;
using metrics::Exposition;
using metrics::Histogram;
using serving::Counter;
using serving::TfsStats;
using serving::VersionHandle;
using serving::VersionStats;

constexpr double kNanosecond = 1e-9;

std::string_view OwnerOf(const std::string& owner) {
  return owner.empty() ? kUnowned : std::string_view(owner);
}

class Page {
 public:
  Page(const Services& services, std::string* out)
      : services_(services), page_(out), versions_(services.repository.Serving()) {}

  void Write(const ProcessStats& process) {
    WriteTriton();
    WriteTfs();
    WriteBrim();
    WriteModels();
    WriteServer();
    WriteProcess(process);
  }

 private:
  // One family, one sample a version; value(version) is what is shown.
  template <typename F>
  void ByVersion(const metrics::Row& row, F value) {
    page_.Family(row);
    for (const VersionHandle& version : versions_) {
      page_.Sample({{"model", version->model()}, {"version", version->number_text()}},
                   value(*version));
    }
  }
  template <typename F>
  void ByOwner(const metrics::Row& row, F value) {
    page_.Family(row);
    for (const VersionHandle& version : versions_) {
      page_.Sample({{"model", version->model()},
                    {"version", version->number_text()},
                    {"owner", OwnerOf(version->owner())}},
                   value(*version));
    }
  }
  void Count(const metrics::Row& row, Counter VersionStats::*counter) {
    ByVersion(row, [=](const serving::Version& v) { return (v.stats().*counter).Get(); });
  }
  void Micros(const metrics::Row& row, Counter VersionStats::*counter) {
    ByVersion(row, [=](const serving::Version& v) { return (v.stats().*counter).Get() / 1000; });
  }
  void Single(const metrics::Row& row, std::uint64_t value) {
    page_.Family(row);
    page_.Sample({}, value);
  }

  void WriteTriton() {
    Count(rows::kNvRequestSuccess, &VersionStats::success);
    page_.Family(rows::kNvRequestFailure);
    constexpr std::array<std::string_view, serving::kFailureKinds> kReasons{"REJECTED", "CANCELED",
                                                                            "BACKEND", "OTHER"};
    for (const VersionHandle& version : versions_) {
      for (std::size_t kind = 0; kind < kReasons.size(); ++kind) {
        page_.Sample({{"model", version->model()},
                      {"reason", kReasons[kind]},
                      {"version", version->number_text()}},
                     version->stats().failure[kind].Get());
      }
    }
    Count(rows::kNvInferenceCount, &VersionStats::inferences);
    Count(rows::kNvExecCount, &VersionStats::executions);
    Micros(rows::kNvRequestDuration, &VersionStats::request_ns);
    Micros(rows::kNvQueueDuration, &VersionStats::queue_ns);
    Micros(rows::kNvInputDuration, &VersionStats::input_ns);
    Micros(rows::kNvInferDuration, &VersionStats::infer_ns);
    Micros(rows::kNvOutputDuration, &VersionStats::output_ns);
    ByVersion(rows::kNvPending, [](const serving::Version& v) {
      return static_cast<double>(v.stats().pending.load(std::memory_order_relaxed));
    });
    ByVersion(rows::kNvLoadDuration, [](const serving::Version& v) { return v.load_seconds(); });
  }

  // TensorFlow Serving labels by model alone: versions that serve together are summed.
  struct TfsSums {
    std::array<std::uint64_t, 17> status{};
    std::array<std::array<Histogram::Snapshot, 2>, 3> latency{};
  };

  void WriteTfs() {
    std::map<std::string_view, TfsSums> models;
    for (const VersionHandle& version : versions_) {
      TfsSums& sums = models[version->model()];
      const TfsStats& stats = version->stats().tfs;
      for (std::size_t i = 0; i < sums.status.size(); ++i) sums.status[i] += stats.status[i].Get();
      for (std::size_t api = 0; api < 3; ++api) {
        for (std::size_t entry = 0; entry < 2; ++entry)
          Add(stats.latency[api][entry], &sums.latency[api][entry]);
      }
    }
    page_.Family(rows::kTfsRequestCount);
    for (const auto& [model, sums] : models) {
      for (std::size_t code = 0; code < sums.status.size(); ++code) {
        if (sums.status[code] == 0) continue;
        page_.Sample({{"model_name", model}, {"status", CodeName(static_cast<Code>(code))}},
                     sums.status[code]);
      }
    }
    page_.Family(rows::kTfsRequestLatency);
    // Spelled as TensorFlow Serving spells them.
    constexpr std::string_view kApis[3][2] = {
        {"Predict", "predict"}, {"Classify", "classify"}, {"Regress", "regress"}};
    constexpr std::string_view kEntrypoints[2] = {"GRPC", "REST"};
    for (const auto& [model, sums] : models) {
      for (std::size_t api = 0; api < 3; ++api) {
        for (std::size_t entry = 0; entry < 2; ++entry) {
          if (sums.latency[api][entry].count == 0) continue;
          page_.Sample({{"model_name", model},
                        {"API", kApis[api][entry]},
                        {"entrypoint", kEntrypoints[entry]}},
                       sums.latency[api][entry]);
        }
      }
    }
  }

  static void Add(const Histogram& histogram, Histogram::Snapshot* sum) {
    const Histogram::Snapshot read = histogram.Read();
    for (std::size_t i = 0; i < read.counts.size(); ++i) sum->counts[i] += read.counts[i];
    sum->count += read.count;
    sum->sum_seconds += read.sum_seconds;
  }

  void WriteBrim() {
    ByOwner(rows::kCpuSeconds, [](const serving::Version& v) {
      return static_cast<double>(v.stats().cpu_ns.Get()) * kNanosecond;
    });
    ByOwner(rows::kResidentBytes, [](const serving::Version& v) { return v.info().memory_bytes; });
    ByOwner(rows::kQueueSeconds, [](const serving::Version& v) {
      return static_cast<double>(v.stats().queue_ns.Get()) * kNanosecond;
    });
    ByOwner(rows::kPaddingRows, [](const serving::Version& v) { return v.stats().padding.Get(); });
    ByOwner(rows::kLatency, [](const serving::Version& v) { return v.stats().latency.Read(); });
    page_.Family(rows::kBatchRows);
    for (const VersionHandle& version : versions_) WriteBatchRows(*version);
    ByOwner(rows::kCopies,
            [](const serving::Version& v) { return static_cast<std::uint64_t>(v.copies()); });
    ByOwner(rows::kCopiesFree,
            [](const serving::Version& v) { return static_cast<std::uint64_t>(v.copies_free()); });
  }

  void WriteBatchRows(const serving::Version& version) {
    static constexpr std::array<double, 7> kBounds{1, 2, 4, 8, 16, 32, 64};
    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    const VersionStats& stats = version.stats();
    for (std::size_t size = 1; size < stats.batch.size(); ++size) {
      std::size_t bucket = 0;
      while (bucket < kBounds.size() && static_cast<double>(size) > kBounds[bucket]) ++bucket;
      counts[bucket] += stats.batch[size].executions.Get();
    }
    page_.Sample({{"model", version.model()},
                  {"version", version.number_text()},
                  {"owner", OwnerOf(version.owner())}},
                 metrics::Buckets{kBounds, counts, static_cast<double>(stats.inferences.Get())});
  }

  void WriteModels() {
    page_.Family(rows::kModelState);
    for (const serving::ModelStatus& model : services_.repository.List()) {
      const std::string_view owner = OwnerOf(model.owner);
      if (model.versions.empty()) {
        page_.Sample({{"model", model.name}, {"version", ""}, {"owner", owner}}, std::uint64_t{0});
      }
      for (const serving::VersionStatus& version : model.versions) {
        const bool ready = version.state == serving::VersionState::kAvailable;
        page_.Sample(
            {{"model", model.name}, {"version", std::to_string(version.number)}, {"owner", owner}},
            std::uint64_t{ready ? 1u : 0u});
      }
    }
    page_.Family(rows::kLoads);
    for (const auto& load : services_.repository.LoadCounts()) {
      page_.Sample({{"model", load.model}, {"result", "ok"}}, load.ok);
      page_.Sample({{"model", load.model}, {"result", "failed"}}, load.failed);
    }
  }

  void WriteServer() {
    const io::ServerStats stats =
        services_.server != nullptr ? services_.server->stats() : io::ServerStats();
    Single(rows::kWorkers, services_.engine.workers());
    Single(rows::kLoops, services_.io_loops);
    Single(rows::kConnections, stats.connections_now);
    Single(rows::kConnectionsTotal, stats.connections_accepted);
    Single(rows::kConnectionsRefused, stats.connections_refused);
    Single(rows::kProtocolErrors, stats.protocol_errors);
    Single(rows::kBytesRead, stats.bytes_read);
    Single(rows::kBytesWritten, stats.bytes_written);
  }

  void WriteProcess(const ProcessStats& process) {
    page_.Family(rows::kProcessCpu);
    page_.Sample({}, process.cpu_seconds);
    Single(rows::kProcessResident, process.resident_bytes);
    Single(rows::kProcessThreads, process.threads);
    page_.Family(rows::kProcessStart);
    page_.Sample({}, process.start_unix_seconds);
  }

  const Services& services_;
  Exposition page_;
  const std::vector<VersionHandle> versions_;
};

}  // namespace

std::string MetricsPage(const Services& services, const ProcessStats& process) {
  std::string out;
  Page(services, &out).Write(process);
  return out;
}

}  // namespace brim::api
