// tenant loop, start: time on the card, and time until there is a context.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tenant.h"

namespace tenant {
namespace {

// In a graph; fewer of the longest, so that a run of seconds holds tens of graphs.
int GraphKernels(std::int64_t kernel_ns) { return kernel_ns < 50'000'000 ? 20 : 2; }
// Launched and not yet waited for; a real driver lets about a thousand pass before it blocks.
constexpr std::int64_t kAheadNs = 50'000'000;

struct Work {
  Work(const Options& options)
      : kernel_ns(static_cast<std::int64_t>(options.Number("kernel-us", 1000)) * 1000),
        pattern(options.Text("pattern", "async")),
        kernel(kernel_ns) {
    Check("cuStreamCreate", BRIM_CALL(cuStreamCreate)(&stream, CU_STREAM_NON_BLOCKING));
    if (pattern == "graph") Capture();
  }

  void Capture() {
    CUgraph graph = nullptr;
    Check("cuStreamBeginCapture",
          BRIM_CALL(cuStreamBeginCapture_v2)(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (int i = 0; i < GraphKernels(kernel_ns); ++i) kernel.Launch(stream);
    Check("cuStreamEndCapture", BRIM_CALL(cuStreamEndCapture)(stream, &graph));
    Check("cuGraphInstantiate", BRIM_CALL(cuGraphInstantiateWithFlags)(&exec, graph, 0));
    per_step = GraphKernels(kernel_ns);
  }

  void Step() {
    static const auto graph_launch = BRIM_CALL(cuGraphLaunch);
    if (exec != nullptr) {
      Check("cuGraphLaunch", graph_launch(exec, stream));
    } else {
      kernel.Launch(stream);
    }
  }

  void Wait() {
    static const auto synchronize = BRIM_CALL(cuStreamSynchronize);
    Check("cuStreamSynchronize", synchronize(stream));
  }

  std::int64_t kernel_ns;
  std::string pattern;
  Kernel kernel;
  CUstream stream = nullptr;
  CUgraphExec exec = nullptr;
  int per_step = 1;
};

// Completed kernels are counted by events in a ring: the stream is never run dry by counting.
class Counter {
 public:
  explicit Counter(const Work& work)
      : ahead_(std::clamp<std::int64_t>(kAheadNs / (work.kernel_ns * work.per_step), 2, 512)) {
    events_.resize(static_cast<std::size_t>(ahead_));
    for (CUevent& event : events_) {
      Check("cuEventCreate", BRIM_CALL(cuEventCreate)(&event, CU_EVENT_DISABLE_TIMING));
    }
  }

  // Marks a step; waits when too many are under way.
  void Launched(CUstream stream) {
    static const auto record = BRIM_CALL(cuEventRecord);
    Check("cuEventRecord", record(At(launched_++), stream));
    while (launched_ - done_ >= ahead_) WaitOldest();
    Poll();
  }
  void Poll() {
    static const auto query = BRIM_CALL(cuEventQuery);
    while (done_ < launched_ && query(At(done_)) == CUDA_SUCCESS) ++done_;
  }
  // How many have ended by now; for another thread.
  std::int64_t Ended() const {
    static const auto query = BRIM_CALL(cuEventQuery);
    for (;;) {
      const std::int64_t seen = done_;
      std::int64_t ended = seen;
      while (ended < launched_ && query(At(ended)) == CUDA_SUCCESS) ++ended;
      if (seen == done_) return ended;  // No event was used again meanwhile.
    }
  }

 private:
  CUevent At(std::int64_t i) const { return events_[static_cast<std::size_t>(i % ahead_)]; }
  void WaitOldest() {
    static const auto wait = BRIM_CALL(cuEventSynchronize);
    Check("cuEventSynchronize", wait(At(done_)));
    ++done_;
  }

  std::int64_t ahead_;
  std::vector<CUevent> events_;
  std::atomic<std::int64_t> launched_{0}, done_{0};
};

std::int64_t At(const std::vector<std::int64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(part * static_cast<double>(sorted.size()));
  return sorted[std::min(index, sorted.size() - 1)];
}

void Print(const char* name, std::vector<std::int64_t> times) {
  std::sort(times.begin(), times.end());
  printf("\"%s\":{\"median\":%lld,\"p90\":%lld,\"p99\":%lld,\"most\":%lld,\"calls\":%zu}", name,
         static_cast<long long>(At(times, 0.5)), static_cast<long long>(At(times, 0.9)),
         static_cast<long long>(At(times, 0.99)),
         static_cast<long long>(times.empty() ? 0 : times.back()), times.size());
}

// Groups of kernels, each group waited for, with a pause between: what a server of requests does.
int Requests(const Options& options, Work* work, std::int64_t from, std::int64_t until) {
  const int each = static_cast<int>(options.Number("request", 20));
  const auto idle = static_cast<std::int64_t>(options.Number("idle-us", 5000)) * 1000;
  std::vector<std::int64_t> latency;
  for (std::int64_t at = Now(); at < until; at = Now()) {
    for (int i = 0; i < each; ++i) work->Step();
    work->Wait();
    if (at >= from) latency.push_back(Now() - at);
    SleepUntil(Now() + idle);
  }
  printf("{");
  Print("latency_ns", std::move(latency));
  printf("}\n");
  return 0;
}

// Nanoseconds that the process's threads were ready to run and no core took them: what the host,
// and not the card, keeps a program waiting.
std::int64_t HostWait() {
  std::int64_t sum = 0;
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return 0;
  while (const dirent* const task = readdir(tasks)) {
    if (task->d_name[0] == '.') continue;
    const std::string path = std::string("/proc/self/task/") + task->d_name + "/schedstat";
    FILE* const file = fopen(path.c_str(), "r");
    if (file == nullptr) continue;
    long long ran = 0, waited = 0;
    if (fscanf(file, "%lld %lld", &ran, &waited) == 2) sum += waited;
    fclose(file);
  }
  closedir(tasks);
  return sum;
}

// What was done at two times, noted by a thread of its own: the one that launches may be held back
// across them.
class Window {
 public:
  struct Note {
    std::int64_t at = 0, done = 0, host_wait = 0;
  };
  template <typename Done>
  Window(const Card& card, std::int64_t from, std::int64_t until, Done done) {
    thread_ = std::thread([this, &card, from, until, done] {
      Check("cuCtxSetCurrent", BRIM_CALL(cuCtxSetCurrent)(card.context));
      Take(from, done, &first_);
      Take(until, done, &last_);
    });
  }
  void Print(std::int64_t each, std::int64_t kernel_ns) {
    thread_.join();
    const std::int64_t kernels = (last_.done - first_.done) * each;
    printf("{\"kernels\":%lld,\"gpu_ns\":%lld,\"window_ns\":%lld,\"host_wait_ns\":%lld}\n",
           static_cast<long long>(kernels), static_cast<long long>(kernels * kernel_ns),
           static_cast<long long>(last_.at - first_.at),
           static_cast<long long>(last_.host_wait - first_.host_wait));
  }

 private:
  template <typename Done>
  static void Take(std::int64_t when, Done done, Note* note) {
    SleepUntil(when);
    note->done = done();
    note->at = Now();
    note->host_wait = HostWait();
  }

  Note first_, last_;
  std::thread thread_;
};

}  // namespace

// Counts kernels that ended between --start plus --settle and --seconds later, so that tenants that
// are given the same --start count in the same window.
int Loop(const Options& options) {
  const Card card;
  Work work(options);
  // Code is loaded and costs are learned before the window.
  work.Step();
  work.Wait();
  printf("ready\n");
  fflush(stdout);
  char line[64];
  if (fgets(line, sizeof(line), stdin) == nullptr) return 0;
  const std::int64_t start = strtoll(line, nullptr, 10);
  const auto settle = static_cast<std::int64_t>(options.Number("settle", 0.5) * 1e9);
  const auto length = static_cast<std::int64_t>(options.Number("seconds", 5) * 1e9);
  const std::int64_t from = start + settle;
  const std::int64_t until = from + length;
  SleepUntil(start);
  if (options.Number("request", 0) > 0) return Requests(options, &work, from, until);
  Counter counter(work);
  std::atomic<std::int64_t> waited{0};
  const bool sync = work.pattern == "sync";
  Window window(card, from, until, [&] { return sync ? waited.load() : counter.Ended(); });
  while (Now() < until) {
    work.Step();
    if (sync) {
      work.Wait();
      ++waited;
    } else {
      counter.Launched(work.stream);
    }
  }
  window.Print(work.per_step, work.kernel_ns);
  work.Wait();
  return 0;
}

int Start(const Options&) {
  const std::int64_t from = Now();
  const Card card;
  const std::int64_t took = Now() - from;
  printf("{\"start_ns\":%lld}\n", static_cast<long long>(took));
  fflush(stdout);
  // Until the parent closes our input: what starts beside us meets us.
  while (getchar() != EOF) {
  }
  return 0;
}

}  // namespace tenant
