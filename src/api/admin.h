// What is neither protocol: "/" for a browser, /metrics (and /monitoring/prometheus/metrics) for
// Prometheus, /v1/brim/status as JSON, /favicon.ico.
//
// Threads: Handle on loop threads, several at once; the board has its own lock.
#pragma once

#include "api/protocol.h"
#include "api/status_page.h"

namespace brim::api {

class Admin final : public HttpProtocol {
 public:
  explicit Admin(const Services& services) : services_(services), board_(services) {}
  bool Handle(io::HttpCall& call) override;

 private:
  const Services& services_;
  StatusBoard board_;
};

}  // namespace brim::api
