// Generator: one run of load against a KServe v2 server on this machine, closed or open loop.
//
// Closed: each connection keeps its streams full. Open: Poisson arrivals of a fixed seed, whatever
// the server does; latency counts from the arrival, so waiting for a connection is in it. Every
// answer is checked: the protocol's success and the size of the first. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "load_connection.h"
#include "load_request.h"
#include "load_shared.h"

namespace brim::bench {

struct LoadOptions {
  std::uint16_t port = 0;
  bool grpc = false;
  std::size_t connections = 1;
  std::size_t streams = 1;  // gRPC: concurrent calls of each connection.
  double seconds = 3;
  double warmup = 0.5;
  double rate = 0;  // Requests per second; 0: closed loop.
  std::uint64_t seed = 1;
  RequestShape request;
  std::size_t models = 0;        // 0: request.model itself; N: request.model_000 and so on.
  double zipf = 1.1;             // Exponent over the models.
  std::size_t answer_bytes = 1;  // Least size of an answer's body.
  int pid = 0;                   // Whose CPU clock is read; 0: nobody's.
  int nice = 0;
  std::string dump;  // Write the gRPC frame there and stop.
};

// What one run found. Times in microseconds.
struct LoadReport {
  double wall_s = 0;
  std::uint64_t answers = 0;  // That came within the window, right ones alone.
  std::uint64_t errors = 0;   // Wrong, lost or not sent, of the whole run.
  std::string first_error;
  std::size_t answer_bytes = 0;
  std::optional<double> cpu_us;  // The server's, per answer.
  double own_cpu_us = 0;         // This process's, per answer.
  std::vector<float> latency_us;
  std::vector<float> lag_us;  // Open loop: how late the generator itself was.
};

class Generator final : public AnswerSink {
 public:
  explicit Generator(LoadOptions options);
  ~Generator() override;
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // False when the server cannot be reached or answers the first request of a model wrongly; then
  // report().first_error says why.
  bool Run();
  LoadReport& report() { return report_; }
  void OnAnswer(const Answer& answer) override;

 private:
  struct Slot {
    std::int64_t since_ns = 0;  // Arrival (open) or sending (closed).
    std::size_t connection = 0;
    bool open = false;
  };
  struct Peer {
    std::unique_ptr<Connection> connection;
    bool dirty = false;    // Has something to flush.
    bool writing = false;  // Waits for EPOLLOUT.
    bool over = false;
  };

  bool Connect();
  bool Probe();
  void Fill();
  void Arrive(std::int64_t due_ns);
  void SendOn(std::size_t connection, std::size_t model, std::int64_t since_ns);
  std::size_t PickModel();
  void Poll(std::int64_t until_ns);
  void HandleEvent(std::uint32_t events, std::size_t connection);
  void FlushDirty();
  void Lose(std::size_t connection);
  void Fail(const std::string& why);
  void RunWindow();

  const LoadOptions options_;
  LoadReport report_;
  int poller_ = -1;
  std::unique_ptr<SharedTensors> shared_;
  std::vector<std::string> requests_;  // By model; with shared memory by connection.
  std::vector<Peer> peers_;
  std::vector<std::size_t> dirty_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::deque<std::pair<std::int64_t, std::size_t>> backlog_;  // Arrival, model; kBacklogMax.
  std::mt19937_64 random_;
  std::vector<double> model_share_;  // Cumulative.
  std::size_t turn_ = 0;
  std::uint64_t open_ = 0;
  std::uint64_t probed_ = 0;
  std::int64_t window_start_ns_ = 0, window_end_ns_ = 0;
  bool sending_ = false;  // Closed loop: an answer is followed by the next request.
};

}  // namespace brim::bench
