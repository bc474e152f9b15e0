// ledger_storm: random allocations and frees by several processes on one ledger, with kills, and
// whether a byte was ever held above the limit or counted afterwards.
//
//   ledger_storm --calls N --processes N --kills N --seed N
//
// The parent maps a segment as the agent does, forks the processes, kills one of them now and then
// at a random moment, reaps it, and starts another in its place until the calls are made. Each
// process keeps in shared memory what it really holds, written before a free and after a reserve,
// so that their sum is never more than the truth; any process that reserves looks whether the
// segment's total is above the limit. Prints one JSON object.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "vgpu/ledger/ledger.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kLimit = std::uint64_t{8} << 30;
constexpr std::uint64_t kMost = std::uint64_t{64} << 20;
constexpr int kProcesses = 64;

// What all processes see beside the segment.
struct Board {
  std::atomic<std::uint64_t> calls;  // Made by all.
  std::atomic<std::uint64_t> refused;
  std::atomic<std::uint64_t> over;  // Times that the total stood above the limit.
  std::atomic<std::uint64_t> most;  // The highest total seen, in bytes.
  std::atomic<std::uint64_t> held[kProcesses];
};

struct Shared {
  SliceLimits limits;
  SliceSegment segment;
  Board board;
};

std::int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Look(Shared* shared) {
  const std::uint64_t total = HeldBytes(shared->segment);
  if (total > kLimit) shared->board.over.fetch_add(1);
  std::uint64_t most = shared->board.most.load(std::memory_order_relaxed);
  while (total > most && !shared->board.most.compare_exchange_weak(most, total)) {
  }
}

[[noreturn]] void Work(Shared* shared, int slot, std::uint64_t seed, std::uint64_t calls) {
  Ledger ledger;
  ledger.Attach(&shared->limits, &shared->segment);
  std::mt19937_64 random(seed);
  if (!ledger.Claim(getpid(), seed, 0)) _exit(1);
  std::vector<std::uint64_t> held;
  Board& board = shared->board;
  // Counted in hundreds: the counter is not what is measured.
  for (std::uint64_t i = 1;; ++i) {
    if (i % 100 == 0 && board.calls.fetch_add(100, std::memory_order_relaxed) + 100 >= calls) break;
    if (held.size() < 400 && (held.empty() || random() % 2 == 0)) {
      const std::uint64_t bytes = 1 + random() % kMost;
      if (ledger.Reserve(bytes, MemoryClass::kBuffer) == Answer::kYes) {
        held.push_back(bytes);
        board.held[slot].fetch_add(UnitsOf(bytes) * kUnitBytes, std::memory_order_relaxed);
      } else {
        board.refused.fetch_add(1, std::memory_order_relaxed);
      }
      Look(shared);
    } else {
      std::swap(held[random() % held.size()], held.back());
      const std::uint64_t bytes = held.back();
      held.pop_back();
      board.held[slot].fetch_sub(UnitsOf(bytes) * kUnitBytes, std::memory_order_relaxed);
      ledger.Release(bytes, MemoryClass::kBuffer);
    }
  }
  for (const std::uint64_t bytes : held) {
    board.held[slot].fetch_sub(UnitsOf(bytes) * kUnitBytes, std::memory_order_relaxed);
    ledger.Release(bytes, MemoryClass::kBuffer);
  }
  _exit(0);
}

// Those that this parent has waited for are dead; the others live.
class Children final : public Living {
 public:
  bool Alive(std::int32_t pid, std::uint64_t, std::uint64_t) override {
    for (const auto& [slot, child] : slots) {
      if (child == pid) return true;
    }
    return false;
  }
  std::map<int, pid_t> slots;
};

class Storm {
 public:
  Storm(Shared* shared, int processes, std::uint64_t calls, std::uint64_t kills, std::uint64_t seed)
      : shared_(shared), processes_(processes), calls_(calls), kills_(kills), random_(seed) {}

  void Run() {
    for (int slot = 0; slot < processes_; ++slot) Start(slot);
    const std::uint64_t between = kills_ == 0 ? calls_ + 1 : calls_ / (kills_ + 1);
    std::uint64_t next = between;
    while (!children_.slots.empty()) {
      if (killed_ < kills_ && shared_->board.calls.load() >= next) {
        next += between;
        Kill(static_cast<int>(random_() % static_cast<std::uint64_t>(processes_)));
      }
      int status = 0;
      const pid_t ended = waitpid(-1, &status, WNOHANG);
      if (ended > 0) Ended(ended, status);
      const timespec pause{0, 200'000};
      if (ended == 0) nanosleep(&pause, nullptr);
    }
    Reap();
  }

  std::uint64_t killed() const { return killed_; }
  std::uint64_t reaped() const { return reaped_; }
  std::uint64_t wrong() const { return wrong_; }

 private:
  void Start(int slot) {
    shared_->board.held[slot] = 0;
    const std::uint64_t seed = random_();
    const pid_t child = fork();
    if (child == 0) Work(shared_, slot, seed, calls_);
    children_.slots[slot] = child;
  }

  void Kill(int slot) {
    const auto found = children_.slots.find(slot);
    if (found == children_.slots.end()) return;
    // Somewhere in the next calls, not at the counter.
    const timespec moment{0, static_cast<long>(random_() % 100'000)};
    nanosleep(&moment, nullptr);
    kill(found->second, SIGKILL);
    ++killed_;
  }

  void Ended(pid_t pid, int status) {
    for (const auto& [slot, child] : children_.slots) {
      if (child != pid) continue;
      const int at = slot;
      children_.slots.erase(at);
      Reap();
      if (WIFSIGNALED(status) && shared_->board.calls.load() < calls_) Start(at);
      if (WIFEXITED(status) && WEXITSTATUS(status) != 0) ++wrong_;
      return;
    }
  }

  void Reap() {
    reaped_ += Reaper(&shared_->segment).Reap(&children_);
    Look(shared_);
  }

  Shared* const shared_;
  const int processes_;
  const std::uint64_t calls_;
  const std::uint64_t kills_;
  std::mt19937_64 random_;
  Children children_;
  std::uint64_t killed_ = 0, reaped_ = 0, wrong_ = 0;
};

}  // namespace

int Main(int count, char** words) {
  std::map<std::string, std::uint64_t> options{
      {"--calls", 10'000'000}, {"--processes", 8}, {"--kills", 200}, {"--seed", 1}};
  for (int i = 1; i + 1 < count; i += 2) options[words[i]] = strtoull(words[i + 1], nullptr, 10);
  const auto processes =
      static_cast<int>(std::min<std::uint64_t>(options["--processes"], kProcesses));
  void* const at =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 1;
  auto* const shared = static_cast<Shared*>(at);
  InitSegment(&shared->segment);
  shared->limits.memory_now = shared->limits.memory_soft = shared->limits.memory_hard = kLimit;
  Storm storm(shared, processes, options["--calls"], options["--kills"], options["--seed"]);
  const std::int64_t from = Now();
  storm.Run();
  const double seconds = static_cast<double>(Now() - from) / 1e9;
  const Board& board = shared->board;
  printf(
      "{\"calls\":%llu,\"processes\":%d,\"kills\":%llu,\"reaped\":%llu,\"refused\":%llu,"
      "\"times_over\":%llu,\"most_held\":%llu,\"limit\":%llu,\"drift\":%lld,\"cells\":%lld,"
      "\"wrong_exits\":%llu,\"seed\":%llu,\"seconds\":%.3f}\n",
      static_cast<unsigned long long>(board.calls.load()), processes,
      static_cast<unsigned long long>(storm.killed()),
      static_cast<unsigned long long>(storm.reaped()),
      static_cast<unsigned long long>(board.refused.load()),
      static_cast<unsigned long long>(board.over.load()),
      static_cast<unsigned long long>(board.most.load()), static_cast<unsigned long long>(kLimit),
      static_cast<long long>(HeldBytes(shared->segment)),
      static_cast<long long>(Reaper(&shared->segment).SumOfCells()),
      static_cast<unsigned long long>(storm.wrong()),
      static_cast<unsigned long long>(options["--seed"]), seconds);
  return 0;
}

}  // namespace brim::vgpu

int main(int count, char** words) { return brim::vgpu::Main(count, words); }
