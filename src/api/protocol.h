// What each protocol of the API needs, and what the routers need of each protocol.
//
// One class per protocol and transport implements HttpProtocol or GrpcProtocol; http_router.h and
// grpc_router.h are the handlers that io calls. Threads: all functions on loop threads, several at
// once; implementations hold no state of their own beyond references.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "api/shared_regions.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/grpc_call.h"
#include "io/http_call.h"
#include "io/server.h"
#include "serving/engine.h"
#include "serving/repository.h"

namespace brim::api {

struct Services {
  serving::Engine& engine;
  serving::Repository& repository;
  const Clock& clock;
  const Logger& logger;                // Events.
  const Logger& access_log;            // One line per request when enabled at kInfo.
  std::string server_name;             // "brim"
  std::string server_version;          // "0.1.0"
  const io::Server* server = nullptr;  // For its statistics; null in tests.
  bool tls = false;                    // Every port speaks TLS; for the page's lines to type.
  std::uint32_t io_loops = 1;          // As the server was told; for its metric.
  std::uint32_t json_depth_max = 100;
  std::uint32_t tensors_max = 1024;  // Inputs or outputs of one request.
  // Off unless the server was told otherwise.
  std::shared_ptr<SharedRegions> shared_regions = std::make_shared<SharedRegions>("", 0);
};

class HttpProtocol {
 public:
  virtual ~HttpProtocol() = default;
  // Answers the call (now or later) and returns true, or returns false untouched: the path is not
  // this protocol's.
  virtual bool Handle(io::HttpCall& call) = 0;
};

class GrpcProtocol {
 public:
  virtual ~GrpcProtocol() = default;
  virtual io::GrpcHandler::Kind Lookup(std::string_view method) const = 0;
  virtual void OnUnary(io::GrpcCall& call) = 0;
  virtual void OnStreamStart(io::GrpcCall& call) { static_cast<void>(call); }
  virtual void OnStreamMessage(io::GrpcCall& call) { static_cast<void>(call); }
  virtual void OnStreamHalfClose(io::GrpcCall& call) { static_cast<void>(call); }
  virtual void OnStreamCancel(io::GrpcCall& call) { static_cast<void>(call); }
};

}  // namespace brim::api
