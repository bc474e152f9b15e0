// tenant hooks: what the calls cost their caller.
//
// Turns: each line of input is a turn, and each turn is answered by one line; so several programs
// take turns natively and in a slice, and each pair of turns meets the same machine. Calls come in
// groups of 32; before and after each group the kernel is asked how often it took the processor
// from this thread, or this thread gave it away. A group without either is quiet: its times are the
// calls' own, even where many programs share few cores.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <map>

#include "tenant.h"

namespace tenant {
namespace {

constexpr int kGroup = 32;

// Counts of times: exact below 256 ns, then 128 steps to each power of two (0.8 %).
class Times {
 public:
  void Add(std::int64_t ns) { ++counts_[Low(ns < 0 ? 0 : ns)]; }
  void Print() const {
    const char* comma = "";
    printf("{");
    for (const auto& [low, count] : counts_) {
      printf("%s\"%lld\":%lld", comma, static_cast<long long>(low), static_cast<long long>(count));
      comma = ",";
    }
    printf("}");
  }

 private:
  static std::int64_t Low(std::int64_t ns) {
    int shift = 0;
    while (ns >> shift >= 256) ++shift;
    return ns >> shift << shift;
  }
  std::map<std::int64_t, std::int64_t> counts_;
};

// How often this thread lost the processor so far.
struct Switches {
  long taken = 0;
  long given = 0;
};
Switches Count() {
  rusage use;
  getrusage(RUSAGE_THREAD, &use);
  return {use.ru_nivcsw, use.ru_nvcsw};
}

// One kind of call over a turn.
class Calls {
 public:
  void Begin() { before_ = Count(); }
  void Add(std::int64_t ns) { group_[count_++] = ns; }
  void End() {
    const Switches now = Count();
    taken_ += now.taken - before_.taken;
    given_ += now.given - before_.given;
    const bool quiet = now.taken == before_.taken && now.given == before_.given;
    for (int i = 0; i < count_; ++i) (quiet ? quiet_ : disturbed_).Add(group_[i]);
    count_ = 0;
    ++groups_;
    quiet_groups_ += quiet;
  }
  void Print(const char* name) const {
    printf("\"%s\":{\"groups\":%ld,\"quiet_groups\":%ld,\"taken\":%ld,\"given\":%ld,\"quiet\":",
           name, groups_, quiet_groups_, taken_, given_);
    quiet_.Print();
    printf(",\"disturbed\":");
    disturbed_.Print();
    printf("}");
  }

 private:
  std::int64_t group_[kGroup];
  int count_ = 0;
  Switches before_;
  long groups_ = 0, quiet_groups_ = 0, taken_ = 0, given_ = 0;
  Times quiet_, disturbed_;
};

template <typename Call>
void Timed(Calls* calls, Call call) {
  const std::int64_t from = Now();
  call();
  calls->Add(Now() - from);
}

}  // namespace

// Launches come in groups, each emptied and followed by a pause, so that no call waits for room in
// a queue or for the card's time: what is measured is the call.
int Hooks(const Options& options) {
  const Card card;
  const auto kernel_ns = static_cast<std::int64_t>(options.Number("kernel-us", 0)) * 1000;
  Kernel kernel(kernel_ns);
  const auto wait = BRIM_CALL(cuCtxSynchronize);
  const auto allocate = BRIM_CALL(cuMemAlloc_v2);
  const auto release = BRIM_CALL(cuMemFree_v2);
  for (int i = 0; i < 2000; ++i) kernel.Launch(nullptr);  // Learned, and warm.
  Check("cuCtxSynchronize", wait());
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof(line), stdin) != nullptr) {
    const int groups = static_cast<int>(strtol(line, nullptr, 10)) / kGroup;
    Calls launches, allocations, frees;
    for (int i = 0; i < groups; ++i) {
      const std::int64_t group = Now();
      kernel.Launch(nullptr);  // The first after a sleep finds cold caches: not counted.
      launches.Begin();
      for (int k = 0; k < kGroup; ++k) Timed(&launches, [&] { kernel.Launch(nullptr); });
      launches.End();
      Check("cuCtxSynchronize", wait());
      SleepUntil(group + kGroup * (20'000 + kernel_ns));
    }
    for (int i = 0; i < groups; ++i) {
      CUdeviceptr at[kGroup];
      allocations.Begin();
      for (CUdeviceptr& one : at) {
        Timed(&allocations, [&] { Check("cuMemAlloc", allocate(&one, 4096)); });
      }
      allocations.End();
      frees.Begin();
      for (const CUdeviceptr one : at) Timed(&frees, [&] { Check("cuMemFree", release(one)); });
      frees.End();
    }
    printf("{");
    launches.Print("launch_ns");
    printf(",");
    allocations.Print("alloc_ns");
    printf(",");
    frees.Print("free_ns");
    printf("}\n");
    fflush(stdout);
  }
  return 0;
}

}  // namespace tenant
