// Worker: one loop, its thread and the connections that live on it.
//
// Threads: Start, Stop and Join from the server's owner; Adopt from the accepting loop; the
// counters from any; the rest on the loop.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/connection.h"
#include "io/loop.h"
#include "io/session.h"

namespace brim::io {

class Worker final : public ConnectionOwner {
 public:
  // Large enough that one receive answers a window of small pipelined requests.
  static constexpr std::size_t kReceiveBytes = 64u << 10;

  Worker(unsigned index, SharedState& shared, const TlsContext* tls);
  ~Worker() override;

  Status Open() { return loop_.Open(); }
  void Start();
  void Stop();  // Ends the loop and joins its thread. Connections go with the worker.
  Loop& loop() { return loop_; }

  // Takes an accepted socket over; it counts as a connection from here on.
  void Adopt(int fd, std::string peer);
  // Each once.
  void StartDrain() { loop_.Post(&drain_); }
  void CloseAll() { loop_.Post(&close_); }

  std::int64_t connections_now() const { return open_.load(std::memory_order_acquire); }
  // Connections that still have something to say.
  std::int64_t unsettled_now() const { return unsettled_.load(std::memory_order_acquire); }
  std::uint64_t bytes_read() const { return context_.bytes_read.load(std::memory_order_relaxed); }
  std::uint64_t bytes_written() const {
    return context_.bytes_written.load(std::memory_order_relaxed);
  }

 private:
  struct HandOff;
  struct Drain final : Loop::Posted {
    explicit Drain(Worker& w) : worker(w) {}
    void RunOnLoop() override;
    Worker& worker;
  };
  struct CloseEach final : Loop::Posted {
    explicit CloseEach(Worker& w) : worker(w) {}
    void RunOnLoop() override;
    Worker& worker;
  };

  void OnSettled(Connection& connection) override;
  void OnClosed(Connection& connection) override;
  void Add(int fd, std::string peer);

  const unsigned index_;
  SharedState& shared_;
  Loop loop_;
  std::unique_ptr<std::byte[]> buffer_;
  ConnectionContext context_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<std::int64_t> open_{0};
  std::atomic<std::int64_t> unsettled_{0};
  Drain drain_{*this};
  CloseEach close_{*this};
  std::thread thread_;
};

}  // namespace brim::io
