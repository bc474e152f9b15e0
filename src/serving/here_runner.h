// HereRunner: what one loop's thread runs itself, at once or at the end of its round.
//
// What a round collects stays in this thread's own queues: no lock is taken for it, no other thread
// takes it, and so every answer is written by the loop that read its request. At the round's end it
// is run in batches while the here policy agrees (so for a millisecond or so at most, whatever
// comes) and a copy is free; what is left then goes to the scheduler, where it waits among those of
// all loops. So it does at once where older requests of its version wait there, or its owner asks
// to wait for company.
// One lives in each thread that brings requests. Threads: its own.
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
  // Requests collected this round: of one version, and in all.
  std::uint32_t collected(const Version& version) const;
  std::uint32_t collected() const { return waiting_; }
  // REQUIRES: not busy; `copy` was taken of the request's version.
  void Run(const Execution::Owner& owner, InferRequest* request, Copy* copy, Time now);
  // Queues the request (of request->loop, which is this thread's) until the end of the round.
  // Whoever admits bounds how many. False: it is not taken.
  bool Collect(const Execution::Owner& owner, Duration run_max, InferRequest* request,
               std::uint32_t rows, Time now);

 private:
  struct Collected {
    VersionHandle version;
    WaitingQueue queue;
    JoinGroups groups;
  };

  void RunDeferred() override;
  void RunCollected(const Execution::Owner& owner, Time round, Collected* collected);
  // Runs the next batch or refuses what expired; false: the rest is not to run here.
  bool RunNext(const Execution::Owner& owner, Time round, Collected* collected);
  void HandOver(const Execution::Owner& owner, Time round, Collected* collected);
  Execution& Ready();

  std::unique_ptr<Execution> execution_;
  bool busy_ = false;

  // While collecting.
  const Execution::Owner* owner_ = nullptr;
  io::Loop* loop_ = nullptr;
  Duration run_max_{0};
  std::vector<Collected> versions_;  // The first version_count_ are this round's.
  std::size_t version_count_ = 0;
  std::uint32_t waiting_ = 0;
  std::vector<Collected> running_;  // Those of the round that ends.
  std::vector<InferRequest*> batch_;
  Job job_;
};

}  // namespace brim::serving
