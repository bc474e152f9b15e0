// Execution: one run of a version for one request or a joined batch, from the inputs to every
// request's answer.
//
// Reused run after run, so that the steady state allocates nothing. The runtime may call back
// before Run() returns or later from a thread of its own; whichever of the two comes last gives the
// copy back, so that a copy is never handed out while a call into it is still on a stack.
// Threads: one run at a time; OnRunDone on any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/loop.h"
#include "model/tensor.h"
#include "runtimes/host.h"
#include "serving/gate.h"
#include "serving/schedule.h"
#include "serving/stats.h"
#include "serving/version.h"

namespace brim::serving {

class InferRequest;

// Counts a request as failed, and answers it. `pending`: it had been counted as pending.
void FailRequest(InferRequest* request, const Status& status, FailureKind kind, bool pending,
                 Time now);
// Rows that a request counts for: its first dimension where that is the batch, else 1.
std::uint32_t RowsOf(const InferRequest& request);
std::uint64_t InputBytes(const InferRequest& request);

class Execution final : public runtimes::RunDone {
 public:
  struct Owner {
    const Clock& clock;
    const Logger& logger;
    Scheduler& scheduler;
    Gate& gate;
  };
  Execution() = default;
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  // Runs the requests, all of one version, as one on the calling thread, with a copy that was taken
  // for them. True: it is over, and this may be used again. False: the runtime will answer later,
  // and this deletes itself then. `may_pad`: rows may be added to them, as others might be joined.
  bool RunHere(const Owner& owner, std::span<InferRequest* const> requests, Copy* copy,
               bool may_pad, Time taken);
  // The same for a Job, whose answers the calling thread then also writes where it can. Swaps
  // job->run.
  bool RunJob(const Owner& owner, Job* job);

  void OnRunDone(const Status& status, std::span<const model::TensorView> outputs) override;

 private:
  bool Run(Time taken);
  void ChoosePadding();
  void PrepareInputs();
  void Learn(bool ok);
  void AnswerAll(const Status& status, std::span<const model::TensorView> outputs);
  void ExpectHelp();
  std::int64_t WallMs();  // Unix milliseconds of done_.
  void AnswerOne(std::size_t index, std::span<const model::TensorView> outputs);
  void FailAll(const Status& status);
  Status Split(const Status& run, std::span<const model::TensorView> outputs);
  void LogFailedBatch(const Status& why);
  void Release();

  const Owner* owner_ = nullptr;  // Of this run.
  VersionHandle version_;
  Copy* copy_ = nullptr;
  std::vector<InferRequest*> requests_;
  bool is_job_ = false;     // Which the scheduler charged for.
  bool rerun_ = false;      // Its one request was part of a joined run that failed.
  bool rerun_all_ = false;  // The joined or padded run failed: each request is to run as it is.
  bool may_pad_ = false;
  Duration charged_{0};

  Time taken_;
  Time started_;
  Time done_;
  Time answered_at_;  // The last answer was encoded.
  Time wall_read_{};  // When wall_offset_ was measured.
  Duration wall_offset_{0};
  Duration cpu_started_{0};
  Duration cost_{0};  // CPU, or wall time where the runtime answered from another thread.
  bool measures_cpu_ = false;
  std::thread::id thread_;
  std::atomic<int> parties_{0};  // Of the caller of Run and the callback, those still to come.
  std::uint32_t answered_ = 0;
  // Loops to help once the answers are made: those of the first few requests.
  std::array<io::Loop*, 4> loops_{};

  std::uint32_t total_rows_ = 0;
  std::uint32_t padding_ = 0;  // Rows that were added.
  bool changed_ = false;       // The copy's run before had other rows.
  bool as_it_is_ = true;       // One request, not padded.
  std::vector<std::uint32_t> rows_;
  std::vector<std::span<const model::TensorView>> parts_;
  ByteBuffer scratch_;
  std::vector<model::TensorView> joined_;
  std::vector<model::TensorView> pieces_;
};

}  // namespace brim::serving
