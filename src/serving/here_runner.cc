#include "serving/here_runner.h"

#include <algorithm>
#include <utility>

#include "serving/engine.h"
#include "serving/here_policy.h"

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

std::uint32_t HereRunner::collected(const Version& version) const {
  for (std::size_t i = version_count_; i-- > 0;) {
    if (versions_[i].version.get() == &version) {
      return static_cast<std::uint32_t>(versions_[i].queue.size());
    }
  }
  return 0;
}

void HereRunner::Run(const Execution::Owner& owner, InferRequest* request, Copy* copy, Time now) {
  busy_ = true;
  if (!Ready().RunHere(owner, {&request, 1}, copy, false, now)) {
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
  const Version& version = *request->version;
  std::size_t at = version_count_;
  while (at > 0 && versions_[at - 1].version.get() != &version) --at;
  if (at == 0) {
    if (version_count_ == versions_.size()) versions_.emplace_back();
    at = ++version_count_;
    versions_[at - 1].version = request->version;
  }
  Collected& collected = versions_[at - 1];
  Waiting waiting = WaitingFor(*request, rows, now);
  if (version.Batches(*request->signature) && !version.lane().learnt.joining_forbidden()) {
    waiting.group = collected.groups.GroupOf(*request);
    if (ShouldGather(version.lane().learnt.burst())) loop_->GatherBeforeWork();
  }
  collected.queue.Push(waiting, {request, false});
  ++waiting_;
  return true;
}

void HereRunner::RunDeferred() {
  const Execution::Owner& owner = *owner_;
  const Time round = loop_->Now();
  running_.swap(versions_);
  const std::size_t count = std::exchange(version_count_, 0);
  waiting_ = 0;
  // What an answer's doing adds is for the next round.
  owner_ = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    RunCollected(owner, round, &running_[i]);
    running_[i].version.reset();
  }
  owner.gate.LeaveForeign(1);  // This thread may outlive the engine.
}

void HereRunner::RunCollected(const Execution::Owner& owner, Time round, Collected* collected) {
  while (!collected->queue.empty()) {
    if (RunNext(owner, round, collected)) continue;
    return HandOver(owner, round, collected);
  }
}

bool HereRunner::RunNext(const Execution::Owner& owner, Time round, Collected* collected) {
  const Version& version = *collected->version;
  Lane& lane = version.lane();
  WaitingQueue& queue = collected->queue;
  if (lane.waiting.load(std::memory_order_acquire) > 0) return false;  // They go first.
  const Time now = owner.clock.Now();
  const BatchLimits limits = LimitsFor(version, queue.front());
  const auto waiting = queue.Front(std::size_t{limits.rows_max} + 1);
  const BatchDecision decision = DecideBatch(waiting, limits, now);
  if (const Shed* const shed = std::get_if<Shed>(&decision)) {
    for (std::size_t i = 0; i < shed->count; ++i) RefuseWaiting(owner, queue.PopFront().request);
    return true;
  }
  const Launch* const launch = std::get_if<Launch>(&decision);
  if (launch == nullptr) return false;
  std::uint32_t rows = 0;
  for (const Waiting& next : waiting.first(launch->count)) rows += next.rows;
  if (!MayRunAtRoundEnd({lane.learnt.ExpectedRun(rows), run_max_, now - round})) return false;
  Copy* const copy = version.Take();
  if (copy == nullptr) {
    version.stats().copy_misses.Add(1);
    return false;
  }
  const bool joins = queue.front().group != 0;
  if (joins && queue.size() > 1) {
    lane.choices.fetch_add(1, std::memory_order_relaxed);
  }
  batch_.clear();
  for (std::size_t left = launch->count; left > 0; --left) {
    const Time enqueued = queue.front().enqueued;
    InferRequest* const request = queue.PopFront().request;
    if (request->cancelled != nullptr && request->cancelled->load(std::memory_order_relaxed)) {
      RefuseWaiting(owner, request);
      continue;
    }
    request->queue_ns += static_cast<std::uint64_t>((now - enqueued).count());
    batch_.push_back(request);
  }
  if (batch_.empty()) {
    version.Give(copy);
    return true;
  }
  busy_ = true;
  if (!Ready().RunHere(owner, batch_, copy, joins, now)) {
    static_cast<void>(execution_.release());  // It deletes itself.
  }
  busy_ = false;
  return true;
}

void HereRunner::HandOver(const Execution::Owner& owner, Time round, Collected* collected) {
  const VersionHandle& version = collected->version;
  WaitingQueue& queue = collected->queue;
  owner.scheduler.Promise(*version);
  while (!queue.empty()) {
    const Waiting waiting = queue.front();
    InferRequest* const request = queue.PopFront().request;
    if (owner.scheduler.Enqueue(request, waiting.rows, waiting.enqueued)) continue;
    const Status stopping(Code::kUnavailable, "server_stopping", "the server is stopping");
    FailRequest(request, stopping, FailureKind::kRejected, true, waiting.enqueued);
    owner.gate.Leave(1);
  }
  // Those that waited before may leave time for these.
  while (owner.scheduler.TakeHere(version, run_max_, round, &job_)) {
    for (InferRequest* request : job_.refused) RefuseWaiting(owner, request);
    if (job_.copy != nullptr) {
      busy_ = true;
      if (!Ready().RunJob(owner, &job_)) {
        static_cast<void>(execution_.release());  // It deletes itself.
      }
      busy_ = false;
    }
    job_.Clear();
  }
  owner.scheduler.EndPromise(*version);
}

}  // namespace brim::serving
