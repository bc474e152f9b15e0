// HereRunner: what one loop's thread runs itself, at once or at the end of its round.
//
// At the round's end the versions that were collected run their next batches on this thread, as a
// worker would, while the here policy agrees (so for a millisecond or so at most, whatever comes);
// what is left then goes to the workers. One lives in each thread that brings requests.
// Threads: its own.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "io/loop.h"
#include "serving/execution.h"
#include "serving/schedule.h"
#include "serving/version.h"

namespace brim::serving {

// A request that was cancelled or expired while it waited.
void RefuseWaiting(const Execution::Owner& owner, InferRequest* request);

class HereRunner final : private io::Loop::Deferred {
 public:
  HereRunner() = default;
  HereRunner(const HereRunner&) = delete;
  HereRunner& operator=(const HereRunner&) = delete;

  // A run is on the stack: another would nest without bound.
  bool busy() const { return busy_; }
  // REQUIRES: not busy; `instance` was taken for the request's version.
  void Run(const Execution::Owner& owner, InferRequest* request, runtimes::Instance* instance,
           Time now);
  // Queues the request (of request->loop, which is this thread's) until the end of the round.
  // False: it is not taken.
  bool Collect(const Execution::Owner& owner, Duration run_max, InferRequest* request,
               std::uint32_t rows, Time now);

 private:
  void RunDeferred() override;
  void RunCollected(const Execution::Owner& owner, const VersionHandle& version, Time round);
  Execution& Ready();

  std::unique_ptr<Execution> execution_;
  bool busy_ = false;

  // While collecting.
  const Execution::Owner* owner_ = nullptr;
  io::Loop* loop_ = nullptr;
  Duration run_max_{0};
  std::vector<VersionHandle> versions_;
  std::vector<VersionHandle> running_;  // Those of the round that ends.
  Job job_;
};

}  // namespace brim::serving
