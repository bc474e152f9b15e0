#include "serving/here_runner.h"

#include <algorithm>
#include <utility>

#include "serving/engine.h"

namespace brim::serving {

void RefuseWaiting(const Execution::Owner& owner, InferRequest* request) {
  const Time now = owner.clock.Now();
  if (request->cancelled != nullptr && request->cancelled->load(std::memory_order_relaxed)) {
    const Status status(Code::kCancelled, "cancelled", "the request was cancelled");
    FailRequest(request, status, FailureKind::kCancelled, true, now);
  } else if (request->deadline <= now) {
    const Status status(Code::kDeadlineExceeded, "deadline_exceeded",
                        "the request's deadline passed before it ran");
    FailRequest(request, status, FailureKind::kRejected, true, now);
  } else {
    const Status status(Code::kUnavailable, "queue_timeout", "Request timeout expired");
    FailRequest(request, status, FailureKind::kRejected, true, now);
  }
  owner.gate.Leave(1);
}

Execution& HereRunner::Ready() {
  if (execution_ == nullptr) execution_ = std::make_unique<Execution>();
  return *execution_;
}

void HereRunner::Run(const Execution::Owner& owner, InferRequest* request,
                     runtimes::Instance* instance, Time now) {
  busy_ = true;
  if (!Ready().RunHere(owner, request, instance, now)) {
    static_cast<void>(execution_.release());  // It deletes itself.
  }
  busy_ = false;
}

bool HereRunner::Collect(const Execution::Owner& owner, Duration run_max, InferRequest* request,
                         std::uint32_t rows, Time now) {
  if (owner_ == nullptr) {
    owner_ = &owner;
    loop_ = request->loop;
    run_max_ = run_max;
    owner.gate.Enter();  // The engine stays until the round has ended.
    loop_->DeferWork(this);
  } else if (owner_ != &owner) {
    return false;  // Another engine's round: only tests have two.
  }
  const bool known = std::any_of(
      versions_.rbegin(), versions_.rend(),
      [&](const VersionHandle& version) { return version.get() == request->version.get(); });
  if (!known) {
    versions_.push_back(request->version);
    owner.scheduler.Promise(*request->version);
  }
  return owner.scheduler.Enqueue(request, rows, now);
}

void HereRunner::RunDeferred() {
  const Execution::Owner& owner = *owner_;
  const Time round = loop_->Now();
  running_.swap(versions_);
  // What an answer's doing adds to these versions may still be taken; others wait for the next
  // round.
  owner_ = nullptr;
  for (VersionHandle& version : running_) {
    RunCollected(owner, version, round);
    version.reset();
  }
  running_.clear();
  owner.gate.LeaveForeign(1);  // This thread may outlive the engine.
}

void HereRunner::RunCollected(const Execution::Owner& owner, const VersionHandle& version,
                              Time round) {
  while (owner.scheduler.TakeHere(version, run_max_, round, &job_)) {
    for (InferRequest* request : job_.refused) RefuseWaiting(owner, request);
    if (job_.instance != nullptr) {
      busy_ = true;
      if (!Ready().RunJob(owner, &job_)) {
        static_cast<void>(execution_.release());  // It deletes itself.
      }
      busy_ = false;
    }
    job_.Clear();
  }
  if (version->lane().waiting.load(std::memory_order_relaxed) > 0 && version->copies_free() == 0) {
    version->stats().copy_misses.Add(1);
  }
  owner.scheduler.EndPromise(*version);
}

}  // namespace brim::serving
