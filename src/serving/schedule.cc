#include "serving/schedule.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "serving/engine.h"
#include "serving/here_policy.h"

namespace brim::serving {
namespace {

// What a first run is charged before anything was measured.
constexpr Duration kUnknownRun = std::chrono::milliseconds(1);

bool IsCancelled(const InferRequest& request) {
  return request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed);
}

}  // namespace

void Job::Clear() {
  version.reset();
  copy = nullptr;
  run.clear();
  refused.clear();
  expected = Duration::zero();
  joinable = false;
  rerun = false;
}

Scheduler::~Scheduler() { BRIM_CHECK(threads_.empty()); }

void Scheduler::Start(std::uint32_t workers, MakeRunner make_runner, void* context) {
  for (std::uint32_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->number = i;
  }
  {
    MutexLock lock(mutex_);
    idle_.reserve(workers);
  }
  for (const auto& worker : workers_) {
    threads_.emplace_back(
        [this, self = worker.get(), make_runner, context] { Work(self, make_runner, context); });
  }
}

std::vector<InferRequest*> Scheduler::Stop() {
  std::vector<InferRequest*> left;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    while (!active_.empty()) {
      Lane& lane = active_.back()->lane();
      while (!lane.queue.empty()) left.push_back(Pop(&lane).request);
      Deactivate(&lane);
    }
    for (const auto& worker : workers_) worker->woken = true;
  }
  for (const auto& worker : workers_) worker->wake.NotifyOne();
  threads_.clear();  // Joins.
  return left;
}

void Scheduler::Promise(const Version& version) {
  MutexLock lock(mutex_);
  ++version.lane().promised;
}

bool Scheduler::TakeHere(const VersionHandle& version, Duration run_max, Time round, Job* job) {
  Lane& lane = version->lane();
  MutexLock lock(mutex_);
  if (lane.active_at == Lane::kNotActive) return false;
  const Time now = clock_.Now();
  if (lane.state == LaneState::kStale || now >= lane.ask_at) Refresh(*version, now);
  if (lane.state == LaneState::kReady) {
    RoundState state;
    state.expected_run = ExpectedNext(*version, now);
    state.run_max = run_max;
    state.late = now - round;
    if (!MayRunAtRoundEnd(state)) return false;
  } else if (lane.state != LaneState::kExpired) {
    return false;
  }
  return TakeFrom(version, now, job);
}

void Scheduler::EndPromise(const Version& version) {
  Lane& lane = version.lane();
  Worker* wake = nullptr;
  {
    MutexLock lock(mutex_);
    --lane.promised;
    if (lane.active_at == Lane::kNotActive) return;
    if (lane.state == LaneState::kStale) Refresh(version, clock_.Now());
    wake = WakeFor(lane);
  }
  Notify(wake);
}

bool Scheduler::Enqueue(InferRequest* request, std::uint32_t rows, Time now) {
  const Version& version = *request->version;
  Lane& lane = version.lane();
  const bool joinable = version.Batches(*request->signature) && !lane.learnt.joining_forbidden();
  Waiting waiting = WaitingFor(*request, rows, now);
  Worker* wake = nullptr;
  {
    MutexLock lock(mutex_);
    if (stopped_) return false;
    if (joinable) waiting.group = lane.groups.GroupOf(*request);
    Add(request, waiting, false);
    if (lane.state == LaneState::kWaiting || now >= lane.ask_at) lane.state = LaneState::kStale;
    // Who promised to take it asks the policy once for all.
    if (lane.promised == 0) {
      if (lane.state == LaneState::kStale) Refresh(version, now);
      wake = WakeFor(lane);
    }
  }
  Notify(wake);
  return true;
}

bool Scheduler::Finished(const Version& version, Duration charged, Duration used,
                         const std::vector<InferRequest*>& rerun, bool on_worker) {
  Lane& lane = version.lane();
  Worker* wake = nullptr;
  {
    MutexLock lock(mutex_);
    --lane.running;
    lane.virtual_ns += (used - charged).count();
    if (!AddReruns(rerun, &lane)) return false;
    if (lane.active_at != Lane::kNotActive) {
      lane.state = LaneState::kStale;
      Refresh(version, clock_.Now());
      if (!on_worker) wake = WakeFor(lane);
    }
  }
  Notify(wake);
  return true;
}

bool Scheduler::AddReruns(const std::vector<InferRequest*>& rerun, Lane* lane) {
  if (rerun.empty()) return true;
  if (stopped_) return false;
  for (auto at = rerun.rbegin(); at != rerun.rend(); ++at) {
    Waiting waiting;
    waiting.enqueued = clock_.Now();
    waiting.expires = (*at)->deadline;
    waiting.priority = 0;
    Add(*at, waiting, true);
  }
  if (lane->reruns_left == 0) lane->rerun_failed = false;
  lane->reruns_left += static_cast<std::uint32_t>(rerun.size());
  return true;
}

bool Scheduler::Rerun(const Version& version, const std::vector<InferRequest*>& rerun) {
  Worker* wake = nullptr;
  {
    MutexLock lock(mutex_);
    if (!AddReruns(rerun, &version.lane())) return false;
    wake = WakeFor(version.lane());
  }
  Notify(wake);
  return true;
}

void Scheduler::CopyReturned(const Version& version) {
  Lane& lane = version.lane();
  Worker* wake = nullptr;
  {
    MutexLock lock(mutex_);
    if (lane.active_at == Lane::kNotActive) return;
    if (lane.state == LaneState::kBlocked) {
      lane.state = LaneState::kStale;
      Refresh(version, clock_.Now());
    }
    wake = WakeFor(lane);
  }
  Notify(wake);
}

bool Scheduler::RerunAnswered(const Version& version, bool ok) {
  Lane& lane = version.lane();
  MutexLock lock(mutex_);
  if (!ok) lane.rerun_failed = true;
  if (lane.reruns_left > 0) --lane.reruns_left;
  return lane.reruns_left == 0 && !lane.rerun_failed;
}

void Scheduler::Work(Worker* self, MakeRunner make_runner, void* context) {
  pthread_setname_np(pthread_self(), ("brim-work-" + std::to_string(self->number % 10000)).c_str());
  const std::unique_ptr<Runner> runner = make_runner(context);
  Job job;
  for (;;) {
    Worker* wake = nullptr;
    {
      MutexLock lock(mutex_);
      Time ask_at = Time::max();
      while (!Take(&job, &ask_at)) {
        if (stopped_) return;
        Park(self, ask_at);
      }
      // More may be ready than this worker can do, or time must be kept: one wakes the next.
      const bool more = std::any_of(active_.begin(), active_.end(), [](const Version* version) {
        const LaneState state = version->lane().state;
        return state == LaneState::kReady || state == LaneState::kExpired;
      });
      if (waking_ == 0 && (more || (keeper_ == nullptr && ask_at != Time::max()))) wake = WakeOne();
    }
    Notify(wake);
    for (InferRequest* request : job.refused) runner->Refuse(request);
    if (job.copy != nullptr) runner->Run(&job);
    job.Clear();
  }
}

bool Scheduler::Take(Job* job, Time* ask_at) {
  *ask_at = Time::max();
  if (active_.empty()) return false;
  const Time now = clock_.Now();
  for (;;) {
    candidates_.clear();
    candidate_versions_.clear();
    const Version* expired = nullptr;
    *ask_at = Time::max();
    for (const Version* version : active_) {
      Lane& lane = version->lane();
      if (lane.state == LaneState::kStale || now >= lane.ask_at) Refresh(*version, now);
      if (lane.state == LaneState::kExpired) expired = version;
      *ask_at = std::min(*ask_at, lane.ask_at);
      if (lane.state != LaneState::kReady) continue;
      const Waiting& front = lane.queue.front();
      candidates_.push_back({lane.virtual_ns, front.enqueued, front.expires,
                             lane.learnt.ExpectedRun(front.rows), front.priority});
      candidate_versions_.push_back(version);
    }
    const Version* next = expired;
    if (next == nullptr) {
      if (candidates_.empty()) return false;
      next = candidate_versions_[PickVersion(candidates_, now)];
    }
    // A handle for the job: the front request's.
    const VersionHandle handle = next->lane().queue.front_queued().request->version;
    if (TakeFrom(handle, now, job)) return true;
  }
}

bool Scheduler::TakeFrom(const VersionHandle& version, Time now, Job* job) {
  Lane& lane = version->lane();
  while (!lane.queue.empty()) {
    const BatchDecision decision = Decide(*version, now);
    if (const Shed* shed = std::get_if<Shed>(&decision)) {
      for (std::size_t i = 0; i < shed->count; ++i) Refuse(Pop(&lane), &lane, job);
      continue;
    }
    const Launch* launch = std::get_if<Launch>(&decision);
    if (launch == nullptr) break;
    if (version->config().batch.preserve_order && lane.running > 0) break;
    Copy* const copy = version->Take();
    if (copy == nullptr) break;
    TakeBatch(version, launch->count, now, job);
    if (!job->run.empty()) {
      job->version = version;
      job->copy = copy;
      break;
    }
    version->Give(copy);  // All of them were cancelled.
  }
  if (lane.queue.empty()) {
    Deactivate(&lane);
  } else {
    Refresh(*version, now);
  }
  return !job->run.empty() || !job->refused.empty();
}

void Scheduler::TakeBatch(const VersionHandle& version, std::size_t count, Time now, Job* job) {
  Lane& lane = version->lane();
  const bool may_join = lane.queue.front().group != 0;
  const bool had_choice = may_join && lane.queue.size() > 1;
  std::uint32_t rows = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Waiting front = lane.queue.front();
    const Queued queued = Pop(&lane);
    queued.request->queue_ns += static_cast<std::uint64_t>((now - front.enqueued).count());
    if (front.expires <= now || IsCancelled(*queued.request)) {
      Refuse(queued, &lane, job);
      continue;
    }
    job->run.push_back(queued.request);
    job->rerun = queued.rerun;
    rows += front.rows;
  }
  if (job->run.empty()) return;
  if (had_choice) lane.choices.fetch_add(1, std::memory_order_relaxed);
  job->joinable = may_join;
  job->expected = lane.learnt.ExpectedRun(rows);
  if (job->expected == Duration::zero()) job->expected = kUnknownRun;
  virtual_clock_ns_ = std::max(virtual_clock_ns_, lane.virtual_ns);
  lane.virtual_ns += job->expected.count();
  ++lane.running;
}

Queued Scheduler::Pop(Lane* lane) {
  const Queued queued = lane->queue.PopFront();
  lane->waiting.fetch_sub(1, std::memory_order_release);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return queued;
}

void Scheduler::Refuse(const Queued& queued, Lane* lane, Job* job) {
  job->refused.push_back(queued.request);
  if (!queued.rerun) return;
  lane->rerun_failed = true;  // Nothing is learnt from this joined run.
  if (lane->reruns_left > 0) --lane->reruns_left;
}

BatchDecision Scheduler::Decide(const Version& version, Time now) {
  const Lane& lane = version.lane();
  const BatchLimits limits = LimitsFor(version, lane.queue.front());
  return DecideBatch(lane.queue.Front(std::size_t{limits.rows_max} + 1), limits, now);
}

Duration Scheduler::ExpectedNext(const Version& version, Time now) {
  const Lane& lane = version.lane();
  const BatchDecision decision = Decide(version, now);
  const Launch* const launch = std::get_if<Launch>(&decision);
  std::uint32_t rows = 0;
  for (const Waiting& waiting : lane.queue.Front(launch == nullptr ? 0 : launch->count)) {
    rows += waiting.rows;
  }
  return lane.learnt.ExpectedRun(rows);
}

void Scheduler::Refresh(const Version& version, Time now) {
  Lane& lane = version.lane();
  lane.ask_at = Time::max();
  const BatchDecision decision = Decide(version, now);
  if (std::holds_alternative<Shed>(decision)) {
    lane.state = LaneState::kExpired;
  } else if (version.copies_free() == 0 ||
             (version.config().batch.preserve_order && lane.running > 0)) {
    lane.state = LaneState::kBlocked;
    lane.ask_at = lane.queue.front().expires;
  } else if (const Wait* wait = std::get_if<Wait>(&decision)) {
    lane.state = LaneState::kWaiting;
    lane.ask_at = wait->until;
  } else {
    lane.state = LaneState::kReady;
  }
}

void Scheduler::Add(InferRequest* request, const Waiting& waiting, bool front) {
  Lane& lane = request->version->lane();
  if (lane.active_at == Lane::kNotActive) Activate(*request, &lane);
  if (front) {
    lane.queue.PushFront(waiting, {request, true});
  } else {
    lane.queue.Push(waiting, {request, false});
  }
  lane.waiting.fetch_add(1, std::memory_order_release);
  waiting_.fetch_add(1, std::memory_order_relaxed);
}

void Scheduler::Activate(const InferRequest& request, Lane* lane) {
  lane->active_at = active_.size();
  active_.push_back(request.version.get());
  lane->virtual_ns = JoinVirtualTime(lane->virtual_ns, virtual_clock_ns_);
  lane->state = LaneState::kStale;
}

void Scheduler::Deactivate(Lane* lane) {
  const std::size_t at = lane->active_at;
  active_[at] = active_.back();
  active_[at]->lane().active_at = at;
  active_.pop_back();
  lane->active_at = Lane::kNotActive;
  lane->state = LaneState::kStale;
  lane->ask_at = Time::max();
}

Scheduler::Worker* Scheduler::WakeFor(const Lane& lane) {
  if (lane.promised > 0) return nullptr;
  switch (lane.state) {
    case LaneState::kStale:
    case LaneState::kReady:
    case LaneState::kExpired:
      return waking_ == 0 ? WakeOne() : nullptr;
    case LaneState::kWaiting:
    case LaneState::kBlocked:
      // Somebody must keep the time.
      return waking_ == 0 && lane.ask_at < keeper_at_ ? WakeOne() : nullptr;
  }
  return nullptr;
}

Scheduler::Worker* Scheduler::WakeOne() {
  if (idle_.empty()) return nullptr;
  // Rather not the one that keeps the time.
  std::size_t at = idle_.size() - 1;
  if (at > 0 && idle_[at] == keeper_) --at;
  Worker* const worker = idle_[at];
  idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(at));
  worker->woken = true;
  ++waking_;
  return worker;
}

void Scheduler::Park(Worker* self, Time until) {
  idle_.push_back(self);
  const bool keeps = until < keeper_at_;
  if (keeps) {
    keeper_ = self;
    keeper_at_ = until;
  }
  bool in_time = true;
  while (!self->woken && in_time) {
    if (keeps && keeper_ == self) {
      in_time = self->wake.WaitUntil(mutex_, until);
    } else {
      self->wake.Wait(mutex_);
    }
  }
  if (self->woken) {
    if (waking_ > 0) --waking_;
    self->woken = false;
  } else {
    idle_.erase(std::find(idle_.begin(), idle_.end(), self));
  }
  if (keeper_ == self) {
    keeper_ = nullptr;
    keeper_at_ = Time::max();
  }
}

}  // namespace brim::serving
