// The server: listeners on the first loop hand each connection to the loop that has fewest.
//
// SO_REUSEPORT was not taken: it spreads connections by a hash, and a few busy ones (a gRPC client
// has one) may then all meet on one loop while another sleeps.
//
// Ending: draining is set, listeners close, each session finishes and closes its connection. After
// the patience, connections are closed by force and their calls become orphans. Loops run until the
// last orphan was answered, because a reply is carried out on its loop.
#include "io/server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "io/listener.h"
#include "io/session.h"
#include "io/tls.h"
#include "io/worker.h"

namespace brim::io {
namespace {

using namespace std::chrono_literals;

// Drain looks this often whether it is over; it is nobody's hot path.
constexpr auto kDrainPoll = 2ms;
constexpr auto kWaitWarning = 5s;

}  // namespace

struct Server::Impl {
  Impl(ServerOptions o, const Clock& clock, const Logger& logger, ServerHandlers handlers)
      : options(std::move(o)), shared{options, clock, logger, handlers} {}

  struct CloseListeners final : Loop::Posted {
    explicit CloseListeners(Impl& i) : impl(i) {}
    void RunOnLoop() override {
      for (const auto& listener : impl.listeners) listener->Close();
      impl.listening.store(false, std::memory_order_release);
    }
    Impl& impl;
  };

  const ServerOptions options;
  SharedState shared;
  std::unique_ptr<TlsContext> tls;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Listener>> listeners;
  CloseListeners close_listeners{*this};
  std::atomic<bool> listening{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::size_t next_worker = 0;  // The accepting loop's.
  bool drain_answered = false;
  enum class Phase { kNew, kRunning, kDrained, kStopped } phase = Phase::kNew;

  std::int64_t Connections() const {
    std::int64_t sum = 0;
    for (const auto& worker : workers) sum += worker->connections_now();
    return sum;
  }
  std::int64_t Unsettled() const {
    std::int64_t sum = 0;
    for (const auto& worker : workers) sum += worker->unsettled_now();
    return sum;
  }
  bool CallsLeft() const { return shared.calls_now.load(std::memory_order_acquire) != 0; }

  Status Open();
  void OnAccepted(int fd, std::string peer);
  void StopWorkers();
};

namespace {

// Waits until `done` or the time is over; returns done().
template <typename Done>
bool WaitFor(std::chrono::steady_clock::time_point until, Done done) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  while (!done()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return false;
    never.WaitUntil(mutex, std::min(until, now + kDrainPoll));
  }
  return true;
}

}  // namespace

Server::Server(ServerOptions options, const Clock& clock, const Logger& logger,
               ServerHandlers handlers)
    : impl_(std::make_unique<Impl>(std::move(options), clock, logger, handlers)) {}

Server::~Server() {
  Drain(0ms);
  while (!WaitFor(std::chrono::steady_clock::now() + kWaitWarning,
                  [this] { return !impl_->CallsLeft(); })) {
    impl_->shared.logger.Warn("server_waits",
                              {{"calls", std::to_string(impl_->shared.calls_now.load())},
                               {"advice", "handlers have not answered these calls yet"}});
  }
  impl_->StopWorkers();
}

Status Server::Impl::Open() {
  if (shared.handlers.http == nullptr || options.loops == 0 || options.listen.empty()) {
    return Status(Code::kInvalidArgument, "server_options",
                  "a server needs an HTTP handler, at least one loop and one listen address");
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Status(Code::kInvalidArgument, "tls_options",
                  "TLS needs both a certificate and a key: one of them is missing");
  }
  if (!options.tls_certificate.empty()) {
    auto loaded = TlsContext::Load(options.tls_certificate, options.tls_key);
    if (!loaded.ok()) return loaded.status();
    tls = std::move(loaded).value();
  }
  for (unsigned i = 0; i < options.loops; ++i) {
    workers.push_back(std::make_unique<Worker>(i, shared, tls.get()));
    BRIM_RETURN_IF_ERROR(workers.back()->Open());
  }
  for (const ListenAddress& address : options.listen) {
    listeners.push_back(std::make_unique<Listener>(
        workers.front()->loop(), shared.logger,
        [this](int fd, std::string peer) { OnAccepted(fd, std::move(peer)); }));
    BRIM_RETURN_IF_ERROR(listeners.back()->Open(address));
    BRIM_RETURN_IF_ERROR(listeners.back()->Watch());
  }
  return OkStatus();
}

Status Server::Start() {
  BRIM_CHECK(impl_->phase == Impl::Phase::kNew);
  BRIM_RETURN_IF_ERROR(impl_->Open());
  impl_->listening.store(true, std::memory_order_relaxed);
  impl_->phase = Impl::Phase::kRunning;
  for (const auto& worker : impl_->workers) worker->Start();
  return OkStatus();
}

void Server::Impl::OnAccepted(int fd, std::string peer) {
  accepted.fetch_add(1, std::memory_order_relaxed);
  if (Connections() >= static_cast<std::int64_t>(options.connections_max)) {
    refused.fetch_add(1, std::memory_order_relaxed);
    close(fd);
    return;
  }
  // Fewest connections first; among equals, in turn.
  std::size_t best = next_worker;
  for (std::size_t i = 1; i < workers.size(); ++i) {
    const std::size_t candidate = (next_worker + i) % workers.size();
    if (workers[candidate]->connections_now() < workers[best]->connections_now()) best = candidate;
  }
  next_worker = (best + 1) % workers.size();
  workers[best]->Adopt(fd, std::move(peer));
}

std::vector<std::uint16_t> Server::ports() const {
  std::vector<std::uint16_t> ports;
  for (const auto& listener : impl_->listeners) ports.push_back(listener->port());
  return ports;
}

bool Server::Drain(std::chrono::milliseconds patience) {
  Impl& impl = *impl_;
  if (impl.phase != Impl::Phase::kRunning) return impl.drain_answered;
  impl.phase = Impl::Phase::kDrained;
  const auto until = std::chrono::steady_clock::now() + patience;
  impl.shared.draining.store(true, std::memory_order_release);
  impl.workers.front()->loop().Post(&impl.close_listeners);
  for (const auto& worker : impl.workers) worker->StartDrain();
  impl.drain_answered = WaitFor(until, [&impl] {
    return !impl.listening.load(std::memory_order_acquire) && impl.Unsettled() == 0 &&
           !impl.CallsLeft();
  });
  for (const auto& worker : impl.workers) worker->CloseAll();
  WaitFor(std::chrono::steady_clock::time_point::max(), [&impl] {
    return !impl.listening.load(std::memory_order_acquire) && impl.Connections() == 0;
  });
  if (!impl.CallsLeft()) impl.StopWorkers();
  return impl.drain_answered;
}

void Server::Impl::StopWorkers() {
  for (const auto& worker : workers) worker->Stop();
  phase = Phase::kStopped;
}

ServerStats Server::stats() const {
  const SharedState& shared = impl_->shared;
  ServerStats stats;
  stats.connections_accepted = impl_->accepted.load(std::memory_order_relaxed);
  stats.connections_refused = impl_->refused.load(std::memory_order_relaxed);
  stats.connections_now =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, impl_->Connections()));
  stats.requests = shared.requests.load(std::memory_order_relaxed);
  stats.calls_now = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, shared.calls_now.load(std::memory_order_relaxed)));
  stats.protocol_errors = shared.protocol_errors.load(std::memory_order_relaxed);
  for (const auto& worker : impl_->workers) {
    stats.bytes_read += worker->bytes_read();
    stats.bytes_written += worker->bytes_written();
  }
  return stats;
}

}  // namespace brim::io
