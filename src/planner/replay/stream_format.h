// Reads recorded requests and measured load times from text:
//
//   requests  ours (t_s, model, service_s; CSV or JSON), lora_request_trace of GenTD26 (2026)
//   loads     ours (load_s; CSV or JSON), GenTD26's *_update_latency (value in milliseconds)
//
// Told apart by their columns. Everything wrong is `file:line: what, and what was expected`.
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "planner/replay/model_replay.h"

namespace brim::planner {

struct StreamInput {
  RequestStream stream;  // Sorted by time; models in order of first use.
  std::string format;
  std::int64_t not_ended = 0;      // Requests that failed or never ended: left out.
  std::int64_t without_model = 0;  // Requests that name no model: left out.
};

Result<StreamInput> ReadRequests(const std::string& file, std::string_view text);
Result<std::vector<double>> ReadLoadTimes(const std::string& file, std::string_view text);

// "2024-11-15 16:57:50" as seconds since 1970 without leap seconds or zones; negative: not a time.
double SecondsOf(std::string_view text);

}  // namespace brim::planner
