// The status of all models as a person wants it: read once, shown as a web page or as JSON.
//
// StatusBoard remembers two earlier readings, so that rates and quantiles are of the last half
// minute or so when somebody keeps looking, and of the time since the server started when nobody
// has. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/process_stats.h"
#include "api/protocol.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "metrics/histogram.h"

namespace brim::api {

struct StatusRow {
  std::string model;
  std::string version;  // Empty: the model has none.
  std::string state;    // "AVAILABLE", "LOADING", …; "FAILED" with the reason.
  std::string reason;   // Or, while it serves, what its runtime has to say of it.
  std::string owner;
  bool serves = false;  // The rest is set.
  std::string runtime, precision, device, platform;
  double rate = 0;            // Requests a second, answered or failed.
  double window_seconds = 0;  // What rate and quantiles are of.
  bool since_start = false;   // The window is the server's whole life.
  double p50_seconds = 0, p99_seconds = 0;
  std::uint64_t requests = 0, failures = 0;  // Since load.
  double cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t copies = 0;
  std::int64_t pending = 0;
};

struct StatusView {
  std::string server_name, server_version;
  bool ready = false;
  double uptime_seconds = 0;
  ProcessStats process;
  std::uint32_t workers = 0;
  std::vector<StatusRow> rows;
  std::string example_model;    // A model that serves, for the lines to type.
  std::string example_request;  // JSON of a predict request for it; empty when that would be long.
};

class StatusBoard {
 public:
  explicit StatusBoard(const Services& services)
      : services_(services), started_(services.clock.Now()) {}
  StatusView Read() BRIM_EXCLUDES(mutex_);

 private:
  struct Sample {
    std::uint64_t requests = 0;
    metrics::Histogram::Snapshot latency;
  };
  struct Reading {
    Time at{};
    std::map<std::string, Sample> samples;  // By "model/version"; as many as serve.
    bool empty() const { return samples.empty(); }
  };
  // Fills in rate and quantiles of what serves now, and keeps the reading.
  void Compare(Reading now, std::vector<StatusRow>* rows) BRIM_EXCLUDES(mutex_);

  const Services& services_;
  const Time started_;
  Mutex mutex_;
  Reading older_ BRIM_GUARDED_BY(mutex_);
  Reading newer_ BRIM_GUARDED_BY(mutex_);
};

// `base` is the URL that the browser called us by, for the lines to type; `refresh` makes the page
// load itself again.
std::string StatusHtml(const StatusView& view, std::string_view base, bool refresh);
std::string StatusJson(const StatusView& view);

}  // namespace brim::api
