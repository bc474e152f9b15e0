// One structured line per inference request, for any protocol.
//
// Nothing is formatted unless the access log is enabled at kInfo: ask AccessLogEnabled() before
// gathering what is not at hand. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/protocol.h"
#include "base/clock.h"
#include "base/status.h"
#include "serving/engine.h"

namespace brim::api {

struct AccessRecord {
  std::string_view request_id;  // The client's; empty: one is made of peer and time.
  std::string_view
      protocol;  // "kserve_rest", "kserve_grpc", "kserve_stream", "tfs_rest", "tfs_grpc"
  std::string_view peer;
  std::string_view model;  // As asked for; the version's own name when one was found.
  const serving::InferRequest* request =
      nullptr;  // For version, owner, queue, infer, rows; may be null.
  Time received{};
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

inline bool AccessLogEnabled(const Services& services) {
  return services.access_log.Enabled(LogLevel::kInfo);
}

// Writes event "request"; a no-op when disabled.
void LogAccess(const Services& services, const AccessRecord& record, const Status& status);

// The request id to show and to log: header x-request-id if given, else the protocol's own id.
std::string_view RequestIdOf(std::string_view header, std::string_view protocol_id);

}  // namespace brim::api
