#include "serving/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "serving/admission_policy.h"
#include "serving/execution.h"
#include "serving/gate.h"
#include "serving/here_policy.h"
#include "serving/here_runner.h"
#include "serving/lane.h"
#include "serving/schedule.h"
#include "serving/validate.h"

namespace brim::serving {
namespace {

// The longest silence that counts as an interval between arrivals, where no delay is configured.
constexpr Duration kIntervalCap = std::chrono::milliseconds(100);

// Of each thread that may run requests itself.
thread_local HereRunner here_runner;

bool IsCancelled(const InferRequest& request) {
  return request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed);
}

Status CancelledStatus() {
  return Status(Code::kCancelled, "cancelled", "the request was cancelled");
}

Status DeadlineStatus() {
  return Status(Code::kDeadlineExceeded, "deadline_exceeded",
                "the request's deadline passed before it ran");
}

Status CheckRequest(InferRequest* request) {
  const Version& version = *request->version;
  const auto& signatures = version.info().signatures;
  const model::Signature* const signature = request->signature;
  if (signature == nullptr || signature < signatures.data() ||
      signature >= signatures.data() + signatures.size()) {
    return Status(Code::kInternal, "signature_foreign",
                  "the request's signature is not one of its version's");
  }
  const ModelConfig& config = version.config();
  const bool batches =
      signature->Batchable() && (config.batch.enabled || config.max_batch_size > 0);
  BRIM_RETURN_IF_ERROR(ValidateInputs(*signature, batches, &request->inputs));
  BRIM_RETURN_IF_ERROR(ValidateOutputs(*signature, &request->outputs));
  const auto rows_max = static_cast<std::uint32_t>(std::max(config.max_batch_size, 0));
  if (rows_max > 0 && RowsOf(*request) > rows_max) {
    return Status(Code::kInvalidArgument, "batch_too_large",
                  fmt::format("inference request batch-size must be <= {} for '{}', got {}",
                              rows_max, version.model(), RowsOf(*request)));
  }
  return OkStatus();
}

Status RefusalStatus(const AdmissionDecision& decision, const InferRequest& request,
                     const EngineOptions& options) {
  const auto retry_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(decision.retry_delay).count();
  const Version& version = *request.version;
  switch (decision.admission) {
    case Admission::kAdmit:
      break;
    case Admission::kDraining:
      return Status(Code::kUnavailable, "server_draining",
                    "the server is shutting down; use another one");
    case Admission::kExpired:
      return DeadlineStatus();
    case Admission::kQueueFull:
      return Status(Code::kUnavailable, "queue_full",
                    fmt::format("Exceeds maximum queue size: {} requests of model '{}' wait "
                                "already; try again in {} ms",
                                version.config().queue.requests_max, version.model(), retry_ms));
    case Admission::kServerFull:
      return Status(
          Code::kResourceExhausted, "server_full",
          fmt::format("{} requests wait in this server, as many as it holds; try again in {} ms",
                      options.queued_requests_max, retry_ms));
    case Admission::kHopeless:
      return Status(
          Code::kUnavailable, "deadline_hopeless",
          fmt::format(
              "the requests of model '{}' that wait already take longer than this one's deadline "
              "leaves; try again in {} ms",
              version.model(), retry_ms));
  }
  return Status(Code::kInternal, "refusal_unknown", "refused");
}

}  // namespace

void InferRequest::Clear() {
  version.reset();
  signature = nullptr;
  inputs.clear();
  outputs.clear();
  received = Time{};
  deadline = Time::max();
  priority = 0;
  cancelled = nullptr;
  may_run_here = false;
  loop = nullptr;
  queue_ns = 0;
  infer_ns = 0;
  batch_rows = 0;
  retry_delay = Duration::zero();
}

struct Engine::Impl {
  Impl(const EngineOptions& engine_options, const Clock& engine_clock, const Logger& logger)
      : options(engine_options),
        clock(engine_clock),
        scheduler(engine_clock),
        owner{engine_clock, logger, scheduler, gate} {}

  AdmissionDecision Admit(const InferRequest& request, std::uint32_t rows, Time now) const;
  Here DecideWhere(const InferRequest& request, std::uint32_t rows, Time now) const;
  bool TryRunHere(InferRequest* request, Time now);

  const EngineOptions options;
  const Clock& clock;
  Gate gate;
  Scheduler scheduler;
  Execution::Owner owner;
};

namespace {

class WorkerRunner final : public Scheduler::Runner {
 public:
  explicit WorkerRunner(const Execution::Owner& owner) : owner_(owner) {}

  void Run(Job* job) override {
    if (execution_ == nullptr) execution_ = std::make_unique<Execution>();
    if (!execution_->RunJob(owner_, job))
      static_cast<void>(execution_.release());  // It deletes itself.
  }

  void Refuse(InferRequest* request) override { RefuseWaiting(owner_, request); }

 private:
  const Execution::Owner& owner_;
  std::unique_ptr<Execution> execution_;
};

std::unique_ptr<Scheduler::Runner> MakeWorkerRunner(void* owner) {
  return std::make_unique<WorkerRunner>(*static_cast<Execution::Owner*>(owner));
}

}  // namespace

AdmissionDecision Engine::Impl::Admit(const InferRequest& request, std::uint32_t rows,
                                      Time now) const {
  const Version& version = *request.version;
  const Lane& lane = version.lane();
  AdmissionState state;
  state.draining = gate.closed();
  state.waiting = lane.waiting.load(std::memory_order_relaxed) + here_runner.collected(version);
  state.waiting_max = version.config().queue.requests_max;
  state.all_waiting = scheduler.waiting() + here_runner.collected();
  state.all_waiting_max = options.queued_requests_max;
  if (state.waiting > 0) {
    state.usual_run = lane.learnt.UsualCost(rows);
    state.parallel = std::min(static_cast<std::uint32_t>(version.copies()), options.workers);
  }
  state.now = now;
  state.deadline = request.deadline;
  return DecideAdmission(state);
}

Here Engine::Impl::DecideWhere(const InferRequest& request, std::uint32_t rows, Time now) const {
  if (!request.may_run_here) return Here::kHandOver;
  // The thread that drives the loop now is a worker that helps it, and the loop waits for it.
  if (request.loop != nullptr && request.loop->IsHelped()) return Here::kHandOver;
  const Version& version = *request.version;
  const Lane& lane = version.lane();
  HereState state;
  state.caller_allows = true;
  state.has_round = request.loop != nullptr;
  state.preserve_order = version.config().batch.preserve_order;
  state.waiting = lane.waiting.load(std::memory_order_acquire);
  state.runs = lane.learnt.runs();
  state.expected_run = std::max(lane.learnt.ExpectedRun(rows), lane.learnt.usual_wall());
  state.run_max = options.run_here_max;
  state.late = now - request.received;
  state.bytes = InputBytes(request);
  state.usual_bytes = lane.learnt.usual_bytes();
  state.batches = version.Batches(*request.signature) && !lane.learnt.joining_forbidden();
  state.gain = lane.learnt.gain();
  state.delay_max = version.config().batch.delay_max;
  state.arrival_interval = lane.learnt.arrival_interval();
  state.burst = lane.learnt.burst();
  return DecideHere(state);
}

bool Engine::Impl::TryRunHere(InferRequest* request, Time now) {
  // A request that comes while another one's answer is written on this thread would nest without
  // bound.
  if (here_runner.busy()) return false;
  Copy* const copy = request->version->Take();
  if (copy == nullptr) {
    request->version->stats().copy_misses.Add(1);
    return false;
  }
  here_runner.Run(owner, request, copy, now);
  return true;
}

Engine::Engine(EngineOptions options, const Clock& clock, const Logger& logger) {
  options.workers = std::max(options.workers, 1u);
  impl_ = std::make_unique<Impl>(options, clock, logger);
}

Engine::~Engine() {
  impl_->gate.Close();
  const Status stopping(Code::kUnavailable, "server_stopping", "the server is stopping");
  for (InferRequest* request : impl_->scheduler.Stop()) {
    FailRequest(request, stopping, FailureKind::kRejected, true, impl_->clock.Now());
    impl_->gate.Leave(1);
  }
  impl_->gate.WaitEmpty(Time::max());  // Runs that a runtime has not answered yet.
}

void Engine::Start() {
  impl_->scheduler.Start(impl_->options.workers, MakeWorkerRunner, &impl_->owner);
}

void Engine::Infer(InferRequest* request) {
  request->queue_ns = 0;
  const Status status = CheckRequest(request);
  const Time now = impl_->clock.Now();
  if (request->received == Time{}) request->received = now;
  if (!status.ok()) return FailRequest(request, status, FailureKind::kOther, false, now);
  if (IsCancelled(*request)) {
    return FailRequest(request, CancelledStatus(), FailureKind::kCancelled, false, now);
  }
  const std::uint32_t rows = RowsOf(*request);
  const Version& version = *request->version;
  Lane& lane = version.lane();
  if (version.config().batch.enabled) {
    const Duration delay = version.config().batch.delay_max;
    lane.learnt.ObserveArrival(now, request->received,
                               delay > Duration::zero() ? 2 * delay : kIntervalCap);
  }
  impl_->gate.Enter();
  const AdmissionDecision decision = impl_->Admit(*request, rows, now);
  if (decision.admission != Admission::kAdmit) {
    request->retry_delay = decision.retry_delay;
    FailRequest(request, RefusalStatus(decision, *request, impl_->options), FailureKind::kRejected,
                false, now);
    return impl_->gate.Leave(1);
  }
  version.stats().pending.fetch_add(1, std::memory_order_relaxed);
  const Here where = impl_->DecideWhere(*request, rows, now);
  if (where == Here::kNow && impl_->TryRunHere(request, now)) return;
  if (where != Here::kHandOver && request->loop != nullptr &&
      here_runner.Collect(impl_->owner, impl_->options.run_here_max, request, rows, now)) {
    return;
  }
  if (impl_->scheduler.Enqueue(request, rows, now)) return;
  const Status stopping(Code::kUnavailable, "server_stopping", "the server is stopping");
  FailRequest(request, stopping, FailureKind::kRejected, true, now);
  impl_->gate.Leave(1);
}

bool Engine::Drain(Time until) {
  impl_->gate.Close();
  return impl_->gate.WaitEmpty(until);
}

std::uint32_t Engine::workers() const { return impl_->options.workers; }

}  // namespace brim::serving
