// Session: one connection's protocol (HTTP/1.1 or HTTP/2) as bytes in, calls out, bytes out: no
// socket, no clock.
//
// connection.cc owns the socket and a Session; http1_session.cc and http2_session.cc implement it;
// tests drive them with byte strings. Everything here runs on the connection's loop. Calls made by
// a session may outlive it: when a session dies, each call still in a handler's hands is orphaned
// (cancelled set, reply dropped) and deletes itself on the loop when the handler replies.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/log.h"
#include "io/loop.h"
#include "io/output.h"
#include "io/server.h"

namespace brim::io {

// Counters and bounds that all sessions of a server share. Threads: any.
struct SharedState {
  const ServerOptions& options;
  const Clock& clock;
  const Logger& logger;
  ServerHandlers handlers;
  std::atomic<bool> draining{false};
  std::atomic<std::int64_t> calls_now{0};       // Calls in handlers' hands, orphans included.
  std::atomic<std::int64_t> body_bytes_now{0};  // Against options.in_flight_bytes_max.
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> protocol_errors{0};

  // False when the bound would be passed: refuse the request. Every success is matched by one
  // Release.
  bool ReserveBody(std::uint64_t bytes) {
    const auto held = body_bytes_now.fetch_add(static_cast<std::int64_t>(bytes)) +
                      static_cast<std::int64_t>(bytes);
    if (held <= static_cast<std::int64_t>(options.in_flight_bytes_max)) return true;
    body_bytes_now.fetch_sub(static_cast<std::int64_t>(bytes));
    return false;
  }
  void ReleaseBody(std::uint64_t bytes) {
    body_bytes_now.fetch_sub(static_cast<std::int64_t>(bytes));
  }
};

// The connection as a session sees it.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual Loop& loop() = 0;
  virtual SharedState& shared() = 0;
  virtual std::string_view peer() const = 0;
  // The session has output, or wants to close: Collect will be called at the end of this loop
  // round.
  virtual void WantWrite() = 0;
};

class Session {
 public:
  virtual ~Session() = default;

  // Where the next recv() should land: lets a large body arrive in its final place. Empty: use the
  // host's buffer.
  virtual std::span<std::byte> ReceiveSpace() { return {}; }
  // `n` bytes arrived in the span that ReceiveSpace gave.
  virtual void OnReceivedInPlace(std::size_t n) { static_cast<void>(n); }
  // Bytes arrived in the host's buffer; consumed wholly. Handlers may be called from within.
  virtual void OnReceive(std::span<const std::byte> bytes) = 0;
  // False while enough requests are in flight: the connection leaves further bytes in the socket
  // until a Collect has made it true again. OnReceive is not called meanwhile.
  virtual bool WantRead() const { return true; }
  // Moves what is to be sent now into `out`; called again when it has drained below its high-water
  // mark.
  virtual void Collect(Output* out) = 0;
  // All that will ever be sent has been collected: close when `out` is empty.
  virtual bool Finished() const = 0;
  // No call is in flight and no request has begun: what an idle timeout may close.
  virtual bool Idle() const = 0;
  // Part of a request is there and the rest is awaited: what read_timeout may close.
  virtual bool MidRequest() const = 0;
  // When the head that is being received began; none outside a head. A head that comes byte by
  // byte never stands still, so read_timeout bounds all of it.
  virtual std::optional<Time> HeadSince() const { return std::nullopt; }
  // Answer what is in flight, accept nothing more, then finish (GOAWAY, or Connection: close).
  virtual void StartDrain() = 0;
};

// Both return a session whose calls go to shared().handlers.
std::unique_ptr<Session> NewHttp1Session(SessionHost& host);
std::unique_ptr<Session> NewHttp2Session(SessionHost& host);

}  // namespace brim::io
