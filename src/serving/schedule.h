// Scheduler: holds the requests that wait, and the workers that run them.
//
// A fixed number of worker threads serve the lanes of all versions. A free worker asks the batch
// policy of every lane whose answer may have changed, asks the schedule policy which of the ready
// ones is next, takes its batch and a copy, and runs it with no lock held. One lock guards all
// lanes; it is held for less than a microsecond at a time, never while calling out. Idle workers
// are parked on a condition each, last parked first woken; at most one of them keeps the time for
// lanes that wait for company.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "serving/lane.h"
#include "serving/schedule_policy.h"
#include "serving/version.h"

namespace brim::serving {

class InferRequest;

// What a worker takes: a batch with the copy to run it, and requests to refuse.
struct Job {
  VersionHandle version;
  Copy* copy = nullptr;  // Null: nothing to run.
  std::vector<InferRequest*> run;
  std::vector<InferRequest*> refused;  // Cancelled or expired while they waited.
  Duration expected{0};                // What the run was charged.
  bool joinable = false;               // More such requests might have been joined.
  bool rerun = false;                  // One request of a joined run that failed.

  void Clear();
};

class Scheduler {
 public:
  class Runner {
   public:
    virtual ~Runner() = default;
    // On a worker, with no lock held. May swap the job's vectors with others.
    virtual void Run(Job* job) = 0;
    virtual void Refuse(InferRequest* request) = 0;  // One of `refused`.
  };

  explicit Scheduler(const Clock& clock) : clock_(clock) {}
  ~Scheduler();  // REQUIRES: Stop() was called if Start() was.
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // `make_runner` is called once on each worker's own thread before it runs anything.
  using MakeRunner = std::unique_ptr<Runner> (*)(void* context);
  void Start(std::uint32_t workers, MakeRunner make_runner, void* context);
  // Ends the workers after what they run. Returns the requests that still wait.
  std::vector<InferRequest*> Stop() BRIM_EXCLUDES(mutex_);

  // A loop will call TakeHere and EndPromise at the end of its round: until then no worker is woken
  // for the version.
  void Promise(const Version& version) BRIM_EXCLUDES(mutex_);
  // Fills *job with the version's next batch, or what is to be refused, for the calling thread to
  // deal with as a worker would. False when there is none that may run now and that the here policy
  // lets run on a loop, whose round began at `round`.
  bool TakeHere(const VersionHandle& version, Duration run_max, Time round, Job* job)
      BRIM_EXCLUDES(mutex_);
  // Wakes a worker for what the loop leaves.
  void EndPromise(const Version& version) BRIM_EXCLUDES(mutex_);

  // False when stopped: the request is not taken.
  bool Enqueue(InferRequest* request, std::uint32_t rows, Time now) BRIM_EXCLUDES(mutex_);
  // After a run of a Job, when its copy has been given back. `rerun` requests wait again, each to
  // run alone, before all others; false when stopped: they are not taken. `on_worker`: the caller
  // is a worker, which asks for more itself.
  bool Finished(const Version& version, Duration charged, Duration used,
                const std::vector<InferRequest*>& rerun, bool on_worker) BRIM_EXCLUDES(mutex_);
  // The same for a joined run that was no Job's.
  bool Rerun(const Version& version, const std::vector<InferRequest*>& rerun) BRIM_EXCLUDES(mutex_);
  // A copy was given back that no Job held.
  void CopyReturned(const Version& version) BRIM_EXCLUDES(mutex_);
  // A rerun request was answered. True when all of its batch have run alone and none failed: then
  // it was the joining that failed.
  bool RerunAnswered(const Version& version, bool ok) BRIM_EXCLUDES(mutex_);

  std::uint64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  struct Worker {
    std::uint32_t number = 0;
    bool woken = false;  // Guarded by mutex_.
    CondVar wake;
  };

  void Work(Worker* self, MakeRunner make_runner, void* context);
  // Fills *job; false when there is nothing to do before *ask_at.
  bool Take(Job* job, Time* ask_at) BRIM_REQUIRES(mutex_);
  bool TakeFrom(const VersionHandle& version, Time now, Job* job) BRIM_REQUIRES(mutex_);
  void TakeBatch(const VersionHandle& version, std::size_t count, Time now, Job* job)
      BRIM_REQUIRES(mutex_);
  Queued Pop(Lane* lane) BRIM_REQUIRES(mutex_);
  void Refuse(const Queued& queued, Lane* lane, Job* job) BRIM_REQUIRES(mutex_);
  BatchDecision Decide(const Version& version, Time now) BRIM_REQUIRES(mutex_);
  Duration ExpectedNext(const Version& version, Time now) BRIM_REQUIRES(mutex_);
  void Refresh(const Version& version, Time now) BRIM_REQUIRES(mutex_);
  void Activate(const InferRequest& request, Lane* lane) BRIM_REQUIRES(mutex_);
  void Deactivate(Lane* lane) BRIM_REQUIRES(mutex_);
  void Add(InferRequest* request, const Waiting& waiting, bool front) BRIM_REQUIRES(mutex_);
  bool AddReruns(const std::vector<InferRequest*>& rerun, Lane* lane) BRIM_REQUIRES(mutex_);
  // The worker to notify after unlocking, or null.
  Worker* WakeFor(const Lane& lane) BRIM_REQUIRES(mutex_);
  Worker* WakeOne() BRIM_REQUIRES(mutex_);
  void Park(Worker* self, Time until) BRIM_REQUIRES(mutex_);
  static void Notify(Worker* worker) {
    if (worker != nullptr) worker->wake.NotifyOne();
  }

  const Clock& clock_;
  std::atomic<std::uint64_t> waiting_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::jthread> threads_;

  Mutex mutex_;
  bool stopped_ BRIM_GUARDED_BY(mutex_) = false;
  std::vector<const Version*> active_
      BRIM_GUARDED_BY(mutex_);  // Those with waiting requests, which keep them alive.
  std::vector<Candidate> candidates_ BRIM_GUARDED_BY(mutex_);  // Reused by Take.
  std::vector<const Version*> candidate_versions_ BRIM_GUARDED_BY(mutex_);
  std::int64_t virtual_clock_ns_ BRIM_GUARDED_BY(mutex_) = 0;
  std::vector<Worker*> idle_ BRIM_GUARDED_BY(mutex_);  // Last parked last.
  Worker* keeper_ BRIM_GUARDED_BY(mutex_) =
      nullptr;  // The idle one that wakes by itself at keeper_at_.
  Time keeper_at_ BRIM_GUARDED_BY(mutex_) = Time::max();
  std::uint32_t waking_ BRIM_GUARDED_BY(mutex_) = 0;  // Woken, and not yet at work.
};

}  // namespace brim::serving
