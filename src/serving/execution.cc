#include "serving/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "serving/batch.h"
#include "serving/engine.h"

namespace brim::serving {
namespace {

// Joined inputs larger than this are not kept between runs.
constexpr std::size_t kScratchKeptMax = 4u << 20;
// How long the distance between the two clocks is believed: each read costs a hundredth of a quick
// request.
constexpr Duration kWallEvery = std::chrono::seconds(1);

std::uint64_t Nanoseconds(Duration duration) {
  return duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0;
}

}  // namespace

void FailRequest(InferRequest* request, const Status& status, FailureKind kind, bool pending,
                 Time now) {
  VersionStats& stats = request->version->stats();
  stats.failure[static_cast<std::size_t>(kind)].Add(1);
  stats.failure_ns.Add(Nanoseconds(now - request->received));
  if (pending) stats.pending.fetch_sub(1, std::memory_order_relaxed);
  request->OnDone(status, {});
}

std::uint64_t InputBytes(const InferRequest& request) {
  std::uint64_t bytes = 0;
  for (const model::TensorView& input : request.inputs) bytes += input.data.size();
  return bytes;
}

std::uint32_t RowsOf(const InferRequest& request) {
  if (request.inputs.empty() || request.inputs[0].shape.rank() == 0) return 1;
  const bool has_rows =
      request.version->config().max_batch_size > 0 || request.signature->Batchable();
  if (!has_rows) return 1;
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(request.inputs[0].shape[0], 0, UINT32_MAX));
}

bool Execution::RunHere(const Owner& owner, std::span<InferRequest* const> requests, Copy* copy,
                        bool may_pad, Time taken) {
  owner_ = &owner;
  requests_.assign(requests.begin(), requests.end());
  version_ = requests_.front()->version;
  copy_ = copy;
  may_pad_ = may_pad;
  is_job_ = false;
  rerun_ = false;
  charged_ = Duration::zero();
  return Run(taken);
}

bool Execution::RunJob(const Owner& owner, Job* job) {
  owner_ = &owner;
  requests_.swap(job->run);
  version_ = std::move(job->version);
  copy_ = job->copy;
  may_pad_ = job->joinable && !job->rerun;
  is_job_ = true;
  rerun_ = job->rerun;
  charged_ = job->expected;
  loops_ = {};
  if (!Run(owner_->clock.Now())) return false;
  for (io::Loop* const loop : loops_) {
    if (loop != nullptr) loop->Help();
  }
  return true;
}

void Execution::ExpectHelp() {
  if (!is_job_ || std::this_thread::get_id() != thread_) return;
  for (const InferRequest* request : requests_) {
    if (request->loop == nullptr) continue;
    const auto slot = std::find_if(loops_.begin(), loops_.end(), [&](const io::Loop* loop) {
      return loop == nullptr || loop == request->loop;
    });
    if (slot == loops_.end()) return;
    if (*slot == nullptr) (*slot = request->loop)->ExpectHelp();
  }
}

bool Execution::Run(Time taken) {
  taken_ = taken;
  rerun_all_ = false;
  answered_ = 0;
  thread_ = std::this_thread::get_id();
  parties_.store(2, std::memory_order_relaxed);
  rows_.clear();
  total_rows_ = 0;
  for (const InferRequest* request : requests_) {
    rows_.push_back(RowsOf(*request));
    total_rows_ += rows_.back();
  }
  ChoosePadding();
  measures_cpu_ = total_rows_ + padding_ > 1 || changed_ || version_->lane().learnt.WantsCpu();
  if (measures_cpu_) cpu_started_ = owner_->clock.ThreadCpu();
  PrepareInputs();
  const InferRequest& first = *requests_.front();
  const auto signature =
      static_cast<std::uint32_t>(first.signature - version_->info().signatures.data());
  // For one request nothing was done in between.
  started_ = is_job_ || !as_it_is_ ? owner_->clock.Now() : taken_;
  copy_->instance->Run(signature,
                       as_it_is_ ? std::span<const model::TensorView>(first.inputs) : joined_,
                       first.outputs, this);
  // From here on a runtime that answers later may be done with this object.
  if (parties_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  Release();
  return true;
}

void Execution::ChoosePadding() {
  const Learnt& learnt = version_->lane().learnt;
  padding_ = 0;
  changed_ = false;
  // Where nothing is joined there is nothing to keep: many cold models must not pay for the look.
  if (version_->config().batch.enabled && requests_.front()->signature->OnlyRowsVary()) {
    RowsRun& last = copy_->last;
    PaddingState state;
    state.rows = total_rows_;
    state.rows_max = total_rows_;
    if (may_pad_ && total_rows_ > 0 && !learnt.joining_forbidden()) {
      state.rows_max = RowsMax(version_->config());
    }
    state.costs = learnt.costs();
    state.change = learnt.change();
    const std::uint32_t before = last.rows;
    padding_ = ChooseRows(state, &last) - total_rows_;
    changed_ = last.rows != before;
  }
  as_it_is_ = requests_.size() == 1 && padding_ == 0;
}

void Execution::PrepareInputs() {
  if (as_it_is_) return;
  parts_.clear();
  for (const InferRequest* request : requests_) parts_.push_back(request->inputs);
  JoinInputs(parts_, padding_, &scratch_, &joined_);
}

void Execution::OnRunDone(const Status& status, std::span<const model::TensorView> outputs) {
  done_ = owner_->clock.Now();
  Learn(status.ok());
  AnswerAll(status, outputs);
  if (parties_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Release();
  delete this;  // Run() has returned false and let go.
}

void Execution::Learn(bool ok) {
  Learnt& learnt = version_->lane().learnt;
  const std::uint32_t rows = total_rows_ + padding_;
  VersionStats& stats = version_->stats();
  Duration cpu{0};
  if (std::this_thread::get_id() != thread_) {
    cost_ = done_ - started_;
    if (ok) learnt.ObserveCost(rows, cost_, changed_);
  } else if (measures_cpu_) {
    cost_ = cpu = owner_->clock.ThreadCpu() - cpu_started_;
    if (ok) learnt.ObserveCost(rows, cost_, changed_);
  } else {
    // Not measured this time: what the measured ones took.
    cost_ = cpu = learnt.ExpectedRun(rows);
  }
  if (ok) learnt.CountRun(InputBytes(*requests_.front()), done_ - started_);
  stats.cpu_ns.Add(Nanoseconds(cpu));
}

void Execution::AnswerAll(const Status& status, std::span<const model::TensorView> outputs) {
  const std::size_t wanted = requests_.front()->outputs.size();
  if (status.ok() && outputs.size() != wanted) {
    return AnswerAll(
        Status(Code::kInternal, "run_failed",
               fmt::format("the runtime gave {} outputs instead of {}", outputs.size(), wanted)),
        {});
  }
  if (!status.ok() && as_it_is_) return FailAll(status);
  const Status joined = as_it_is_ ? OkStatus() : Split(status, outputs);
  if (!joined.ok()) {
    // The fault may be one request's or the joining's own, so each runs again, alone: see
    // Release().
    rerun_all_ = true;
    return LogFailedBatch(joined);
  }
  VersionStats& stats = version_->stats();
  stats.executions.Add(1);
  stats.inferences.Add(total_rows_);
  stats.padding.Add(padding_);
  stats.last_inference_ms.store(WallMs(), std::memory_order_relaxed);
  if (rerun_ && owner_->scheduler.RerunAnswered(*version_, true) &&
      version_->lane().learnt.ForbidJoining()) {
    owner_->logger.Warn("batching_off", {{"model", version_->model()},
                                         {"version", version_->number_text()},
                                         {"owner", version_->owner()},
                                         {"why", "joined requests failed that succeed alone"}});
  }
  ExpectHelp();
  if (as_it_is_) {
    AnswerOne(0, outputs);
  } else {
    const std::size_t per_request = outputs.size();
    const std::span<const model::TensorView> pieces(pieces_);
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      AnswerOne(i, pieces.subspan(i * per_request, per_request));
    }
  }
  BatchSizeStats& batch = stats.batch[std::clamp<std::size_t>(total_rows_, 1, kBatchSizesMax)];
  batch.executions.Add(1);
  batch.input_ns.Add(Nanoseconds(started_ - taken_));
  batch.infer_ns.Add(Nanoseconds(done_ - started_));
  batch.output_ns.Add(Nanoseconds(answered_at_ - done_));
}

std::int64_t Execution::WallMs() {
  if (done_ - wall_read_ > kWallEvery || wall_read_ == Time{}) {
    wall_offset_ = owner_->clock.WallNow().time_since_epoch() - done_.time_since_epoch();
    wall_read_ = done_;
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(done_.time_since_epoch() +
                                                               wall_offset_)
      .count();
}

void Execution::AnswerOne(std::size_t index, std::span<const model::TensorView> outputs) {
  InferRequest* const request = requests_[index];
  VersionStats& stats = version_->stats();
  const Time received = request->received;
  request->infer_ns = Nanoseconds(done_ - started_);
  request->batch_rows = total_rows_;
  // What a caller may look at as soon as it has its answer is counted before; the durations that
  // include the encoding, after.
  stats.success.Add(1);
  stats.queue_ns.Add(request->queue_ns);
  stats.input_ns.Add(Nanoseconds(started_ - taken_));
  stats.infer_ns.Add(request->infer_ns);
  stats.pending.fetch_sub(1, std::memory_order_relaxed);
  ++answered_;
  request->OnDone(OkStatus(), outputs);
  const Time now = answered_at_ = owner_->clock.Now();
  stats.output_ns.Add(Nanoseconds(now - done_));
  stats.request_ns.Add(Nanoseconds(now - received));
  stats.latency.Observe(now - received);
}

void Execution::FailAll(const Status& status) {
  if (rerun_ && version_ != nullptr) owner_->scheduler.RerunAnswered(*version_, false);
  const FailureKind kind =
      status.code() == Code::kCancelled ? FailureKind::kCancelled : FailureKind::kBackend;
  for (InferRequest* request : requests_) {
    ++answered_;
    FailRequest(request, status, kind, true, done_);
  }
}

Status Execution::Split(const Status& run, std::span<const model::TensorView> outputs) {
  if (!run.ok()) return run;
  const Status status = SplitOutputs(outputs, rows_, padding_, &pieces_);
  if (!status.ok()) version_->lane().learnt.ForbidJoining();
  return status;
}

void Execution::LogFailedBatch(const Status& why) {
  owner_->logger.Warn("batch_failed", {{"model", version_->model()},
                                       {"version", version_->number_text()},
                                       {"owner", version_->owner()},
                                       {"requests", std::to_string(requests_.size())},
                                       {"error", why.ToString()}});
}

void Execution::Release() {
  if (scratch_.size() > kScratchKeptMax) scratch_ = ByteBuffer();
  const bool foreign = std::this_thread::get_id() != thread_;
  VersionHandle version = std::move(version_);
  version->Give(copy_);
  copy_ = nullptr;
  if (!rerun_all_) requests_.clear();
  bool taken = true;  // What must run again waits again.
  if (is_job_) {
    taken = owner_->scheduler.Finished(*version, charged_, cost_, requests_, !foreign);
  } else if (rerun_all_) {
    taken = owner_->scheduler.Rerun(*version, requests_);
  } else if (version->lane().waiting.load(std::memory_order_acquire) > 0) {
    owner_->scheduler.CopyReturned(*version);
  }
  if (!taken) {
    version_ = version;
    FailAll(Status(Code::kUnavailable, "server_stopping", "the server is stopping"));
    version_.reset();
  }
  requests_.clear();
  version.reset();  // Before the gate lets the engine go.
  if (answered_ == 0) return;
  if (foreign) {
    owner_->gate.LeaveForeign(answered_);
  } else {
    owner_->gate.Leave(answered_);
  }
}

}  // namespace brim::serving
