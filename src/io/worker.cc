// Connections of one loop; see worker.h.
#include "io/worker.h"

#include <pthread.h>
#include <unistd.h>

#include <utility>

namespace brim::io {

// One accepted socket on its way to another loop.
struct Worker::HandOff final : Loop::Posted {
  HandOff(Worker& w, int f, std::string p) : worker(w), fd(f), peer(std::move(p)) {}
  void RunOnLoop() override {
    std::unique_ptr<HandOff> self(this);
    worker.Add(fd, std::move(peer));
  }
  Worker& worker;
  int fd;
  std::string peer;
};

Worker::Worker(unsigned index, SharedState& shared, const TlsContext* tls)
    : index_(index),
      shared_(shared),
      loop_(shared.clock),
      buffer_(new std::byte[kReceiveBytes]),
      context_{loop_, shared_, tls, {buffer_.get(), kReceiveBytes}} {}

Worker::~Worker() {
  Stop();
  connections_.clear();
}

void Worker::Start() {
  thread_ = std::thread([this] { loop_.Run(); });
  const std::string name = "brim-io-" + std::to_string(index_);
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  loop_.Stop();
  thread_.join();
}

void Worker::Adopt(int fd, std::string peer) {
  open_.fetch_add(1, std::memory_order_relaxed);
  unsettled_.fetch_add(1, std::memory_order_relaxed);
  if (loop_.InThread()) {
    Add(fd, std::move(peer));
  } else {
    loop_.Post(new HandOff(*this, fd, std::move(peer)));
  }
}

void Worker::Add(int fd, std::string peer) {
  auto connection = std::make_unique<Connection>(fd, std::move(peer), context_, *this);
  connection->slot = connections_.size();
  connections_.push_back(std::move(connection));
  Connection& added = *connections_.back();
  const Status status = added.Open();
  if (!status.ok()) {
    shared_.logger.Warn("connection_failed", {{"error", status.message()}});
    OnClosed(added);
  } else if (shared_.draining.load(std::memory_order_relaxed)) {
    added.StartDrain();
  }
}

void Worker::OnSettled(Connection&) { unsettled_.fetch_sub(1, std::memory_order_release); }

void Worker::OnClosed(Connection& connection) {
  const bool settled = connection.settled();
  const std::size_t slot = connection.slot;
  if (slot + 1 != connections_.size()) {
    std::swap(connections_[slot], connections_.back());
    connections_[slot]->slot = slot;
  }
  connections_.pop_back();
  if (!settled) unsettled_.fetch_sub(1, std::memory_order_release);
  open_.fetch_sub(1, std::memory_order_release);
}

void Worker::Drain::RunOnLoop() {
  for (const auto& connection : worker.connections_) connection->StartDrain();
}

void Worker::CloseEach::RunOnLoop() {
  while (!worker.connections_.empty()) worker.OnClosed(*worker.connections_.back());
}

}  // namespace brim::io
