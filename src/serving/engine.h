// Engine: takes a validated request for a version, runs it on one of a fixed number of workers,
// calls back once.
//
//   engine.Infer(&request);  // request lives until its OnDone returns.
//
// Per version a bounded queue; the pure admission policy refuses early, the pure batch policy joins
// requests, the pure schedule policy says which version a free worker runs next. When nothing waits
// and the model is known to be quick, Infer may run it on the calling thread (a loop) and call
// OnDone before it returns, or at the end of the loop's round.
// Threads: Infer from any; OnDone on a worker, on Infer's caller, or on the own thread of a runtime
// that answers later; never under a lock of the engine. Loops end before the engine does.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "io/loop.h"
#include "model/tensor.h"
#include "serving/version.h"

namespace brim::serving {

class InferRequest {
 public:
  virtual ~InferRequest() = default;
  // Exactly once. On success outputs are in the order of `outputs` (or of the signature) and valid
  // only during the call: encode them here. On failure outputs is empty. The request may delete
  // itself.
  virtual void OnDone(const Status& status, std::span<const model::TensorView> outputs_values) = 0;

  VersionHandle version;
  const model::Signature* signature = nullptr;  // One of version->info().signatures.
  std::vector<model::TensorView> inputs;        // Any order; data outlives OnDone.
  std::vector<std::uint32_t> outputs;           // Indexes into signature->outputs; empty: all.
  Time received{};                              // Arrival, for latency and queue time.
  Time deadline = Time::max();
  std::uint32_t priority = 0;  // 0: default; 1 highest, larger is lower (as Triton).
  const std::atomic<bool>* cancelled = nullptr;  // May be null.
  bool may_run_here = false;                     // The caller's thread may run it.
  // Where may_run_here: the caller's loop. What one round of it brings for a model that joins is
  // run, joined, at the end of the round. Null: none is at hand.
  io::Loop* loop = nullptr;

  // Written by the engine before OnDone, for access logs: nanoseconds.
  std::uint64_t queue_ns = 0;
  std::uint64_t infer_ns = 0;
  std::uint32_t batch_rows = 0;
  // kResourceExhausted/kUnavailable refusals: when to try again; zero otherwise.
  Duration retry_delay{0};

 protected:
  // As new, but for the memory of `inputs` and `outputs`, for a request that is used again.
  void Clear();
};

struct EngineOptions {
  std::uint32_t workers = 1;
  std::uint32_t queued_requests_max = 65536;  // All versions together.
  std::chrono::microseconds run_here_max{
      250};  // Models whose usual run is longer never run on a loop.
};

class Engine {
 public:
  Engine(EngineOptions options, const Clock& clock, const Logger& logger);
  ~Engine();  // Answers what waits with kUnavailable, joins the workers.
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void Start();
  // Validates against the signature, admits, runs. Every failure comes by OnDone.
  void Infer(InferRequest* request);
  // No new requests are admitted (kUnavailable); those inside are finished. Returns when none is
  // left or at `until`.
  bool Drain(Time until);

  std::uint32_t workers() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace brim::serving
