// Server: listening sockets and a fixed number of event loops that carry HTTP/1.1, HTTP/2 and gRPC
// on one port.
//
//   Server server(options, clock, logger, {&http_handler, &grpc_handler});
//   BRIM_RETURN_IF_ERROR(server.Start());   // Binds, starts options.loops threads named
//   "brim-io-N".
//   ...
//   server.Drain(5s);                        // Stops accepting, GOAWAY, waits for calls in flight.
//
// HTTP/2 with prior knowledge is told from HTTP/1.1 by its preface (RFC 9113, section 3.4). A
// request whose content-type starts with application/grpc goes to the GrpcHandler, any other to the
// HttpHandler. Threads: Start, Drain and the destructor from the owner's thread; stats() from any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "io/grpc_call.h"
#include "io/http_call.h"

namespace brim::io {

struct ListenAddress {
  std::string host = "0.0.0.0";  // IPv4 or IPv6 literal, or "localhost".
  std::uint16_t port = 8000;     // 0: the kernel chooses; see Server::ports().
};

struct ServerOptions {
  std::vector<ListenAddress> listen;
  std::uint32_t loops = 1;
  std::uint32_t connections_max = 10000;         // Above: accepted and closed at once, counted.
  std::uint64_t body_bytes_max = 256u << 20;     // Above: 413, or RESOURCE_EXHAUSTED for gRPC.
  std::uint64_t in_flight_bytes_max = 1u << 30;  // Request bodies held by all connections together.
  std::uint32_t header_bytes_max = 64u << 10;    // 431.
  std::uint32_t streams_max = 256;               // Concurrent HTTP/2 streams per connection.
  std::chrono::seconds idle_timeout{600};        // A connection without a call in flight.
  std::chrono::seconds read_timeout{60};         // A request that has begun and stands still.
  std::string tls_certificate;                   // PEM paths; both or neither.
  std::string tls_key;
};

struct ServerHandlers {
  HttpHandler* http = nullptr;  // Required.
  GrpcHandler* grpc = nullptr;  // Null: gRPC is answered UNIMPLEMENTED.
};

struct ServerStats {  // Totals since start, but for the *_now.
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t connections_now = 0;
  std::uint64_t requests = 0;
  std::uint64_t calls_now = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
};

class Server {
 public:
  Server(ServerOptions options, const Clock& clock, const Logger& logger, ServerHandlers handlers);
  // Drains with no patience, then waits until handlers have answered every call: a reply is carried
  // out on its loop. Stop whatever still holds calls first, or let it finish.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // kUnavailable with the address and what to do when it cannot bind.
  Status Start();
  // The ports really bound, in the order of options.listen.
  std::vector<std::uint16_t> ports() const;
  // Stops accepting, lets calls in flight finish, closes connections, joins the loops. True when
  // every call was answered within `patience`. When not, connections are closed, the calls left are
  // cancelled, and the loops run on for their replies until the destructor. Once; then the same.
  bool Drain(std::chrono::milliseconds patience);
  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace brim::io
