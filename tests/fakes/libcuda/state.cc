// See state.h.
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "groups.h"

namespace fake {
namespace {

constexpr std::uint64_t kMagic = 0x46414b4543554442;  // "BDUCEKAF"

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "fake libcuda: %s: %s\n", what, strerror(errno));
  _exit(70);
}

std::uint64_t Number(const char* name, std::uint64_t fallback) {
  const char* const text = getenv(name);
  return text == nullptr || *text == '\0' ? fallback : strtoull(text, nullptr, 10);
}

Settings FromEnvironment() {
  Settings s;
  s.cards = static_cast<int>(Number("FAKE_CUDA_CARDS", 1));
  if (s.cards < 0 || s.cards > kCards) s.cards = 1;
  s.memory = Number("FAKE_CUDA_MEMORY_MIB", s.memory >> 20) << 20;
  s.context = Number("FAKE_CUDA_CONTEXT_MIB", s.context >> 20) << 20;
  s.module = Number("FAKE_CUDA_MODULE_MIB", s.module >> 20) << 20;
  s.pool_step = Number("FAKE_CUDA_POOL_STEP_MIB", s.pool_step >> 20) << 20;
  s.grain = Number("FAKE_CUDA_GRAIN", s.grain);
  s.kernel_ns = static_cast<std::int64_t>(Number("FAKE_CUDA_KERNEL_US", 20)) * 1000;
  s.time_slice_ns = static_cast<std::int64_t>(Number("FAKE_CUDA_TIME_SLICE_US", 2000)) * 1000;
  return s;
}

void InitRobust(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
}

State* Open() {
  const char* const told = getenv("FAKE_CUDA_STATE");
  const std::string path =
      told != nullptr && *told != '\0' ? told : "/dev/shm/fake-cuda-" + std::to_string(getuid());
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) Die(path.c_str());
  if (flock(fd, LOCK_EX) != 0) Die("flock");
  if (ftruncate(fd, sizeof(State)) != 0) Die("ftruncate");
  void* const at = mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) Die("mmap");
  auto* const state = static_cast<State*>(at);
  if (state->ready == 0) {
    state->magic = kMagic;
    state->settings = FromEnvironment();
    InitRobust(&state->lock);
    for (Card& card : state->card) InitRobust(&card.lock);
    state->ready = 1;
  }
  if (state->magic != kMagic) Die("the state file is no fake card's");
  flock(fd, LOCK_UN);
  close(fd);
  return state;
}

}  // namespace

Locked::Locked(pthread_mutex_t* mutex) : mutex_(mutex) { LockRobust(mutex); }

// A process that is killed just after it was woken may take the wake with it: nobody sleeps for
// long.
// Locks are held for less than a wake-up takes: before that comes yielding.
void LockRobust(pthread_mutex_t* mutex) {
  for (int i = 0; i < 64; ++i) {
    const int result = pthread_mutex_trylock(mutex);
    if (result == EOWNERDEAD) pthread_mutex_consistent(mutex);
    if (result != EBUSY) return;
    sched_yield();
  }
  for (;;) {
    timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 20'000'000;
    if (until.tv_nsec >= 1'000'000'000) {
      until.tv_nsec -= 1'000'000'000;
      until.tv_sec += 1;
    }
    const int result = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
    if (result == EOWNERDEAD) pthread_mutex_consistent(mutex);
    if (result != ETIMEDOUT) return;
  }
}

std::uint64_t StartOf(std::int32_t pid) {
  char path[64];
  char text[1024];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* at = strrchr(text, ')');
  if (at == nullptr) return 0;
  // A zombie has given its memory back: the driver's file was closed when its last thread ended. Of
  // one whose first thread alone has ended (it was just killed) others may still run.
  const bool zombie = at[2] == 'Z' || at[2] == 'X';
  for (int field = 2; at != nullptr && field < 20; ++field) at = strchr(at + 1, ' ');
  if (at == nullptr || (zombie && strtoull(at + 1, nullptr, 10) <= 1)) return 0;
  for (int field = 20; at != nullptr && field < 22; ++field) at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
}

bool Alive(std::int32_t pid, std::uint64_t start) { return StartOf(pid) == start; }

State& Shared() {
  static State* const state = Open();
  return *state;
}

ProcessEntry& Mine() {
  static std::atomic<ProcessEntry*> mine{nullptr};
  static std::atomic<std::int32_t> owner{0};
  const std::int32_t pid = getpid();
  if (owner.load() == pid) return *mine.load();
  State& state = Shared();
  const Locked locked(&state.lock);
  if (owner.load() == pid) return *mine.load();
  for (std::int32_t i = 0; i < kProcesses; ++i) {
    ProcessEntry& entry = state.process[i];
    const std::int32_t there = entry.pid.load();
    if (there != 0 && Alive(there, entry.start.load())) continue;
    if (i >= state.processes) state.processes = i + 1;
    for (auto& used : entry.used) used = 0;
    entry.changing = 0;
    entry.start = StartOf(pid);
    entry.pid = pid;
    mine = &entry;
    owner = pid;
    return entry;
  }
  Die("too many processes");
}

namespace {

enum class Outcome { kDone, kFull, kClosed };

// While it is alive, a closed counter waits for this thread.
class Changing {
 public:
  explicit Changing(ProcessEntry* entry) : entry_(entry) { entry_->changing += 1; }
  ~Changing() { entry_->changing -= 1; }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  ProcessEntry* entry_;
};

// Counter first, then the entry; and the other way round when giving: the entries together are
// never more than the counter.
Outcome TryTake(int card, ProcessEntry* mine, std::uint64_t bytes) {
  const Changing changing(mine);
  const std::uint64_t memory = Shared().settings.memory;
  std::atomic<std::uint64_t>& taken = Shared().card[card].taken;
  std::uint64_t now = taken.load();
  for (;;) {
    if ((now & kClosed) != 0) return Outcome::kClosed;
    if (bytes > memory || now > memory - bytes) return Outcome::kFull;
    if (taken.compare_exchange_weak(now, now + bytes)) break;
  }
  mine->used[card] += bytes;
  return Outcome::kDone;
}

// What the entry does not hold (it may be a forked child's, who has its parent's handles) stays.
Outcome TryGive(int card, ProcessEntry* mine, std::uint64_t bytes) {
  const Changing changing(mine);
  std::atomic<std::uint64_t>& taken = Shared().card[card].taken;
  if ((taken.load() & kClosed) != 0) return Outcome::kClosed;
  std::atomic<std::uint64_t>& used = mine->used[card];
  std::uint64_t held = used.load();
  std::uint64_t less = 0;
  do {
    less = bytes < held ? bytes : held;
  } while (!used.compare_exchange_weak(held, held - less));
  std::uint64_t now = taken.load();
  for (;;) {
    if ((now & kClosed) != 0) {
      used += less;
      return Outcome::kClosed;
    }
    if (taken.compare_exchange_weak(now, now - less)) return Outcome::kDone;
  }
}

// REQUIRES: the state's lock. If this process is killed here, the counter stays closed until the
// next one has the lock, and that one counts anew. Who lives is asked while the counter is closed:
// nobody can meanwhile take what one had who is counted and dies.
std::uint64_t Recount(int card) {
  State& state = Shared();
  state.card[card].taken |= kClosed;
  std::uint64_t sum = 0;
  for (std::int32_t i = 0; i < state.processes; ++i) {
    const ProcessEntry& entry = state.process[i];
    const std::int32_t pid = entry.pid;
    for (int round = 0; entry.changing != 0; ++round) {
      if (round % 64 == 2 && !Alive(pid, entry.start)) break;
      sched_yield();
    }
    if (entry.used[card] == 0) continue;
    if (pid == getpid() || Alive(pid, entry.start)) sum += entry.used[card];
  }
  if (sum > state.settings.memory) state.card[card].over += 1;
  state.card[card].taken = sum;
  return sum;
}

// Until whoever counts anew has done so; if he was killed, in his place.
void WaitUntilOpen(int card) {
  const Locked locked(&Shared().lock);
  if ((Shared().card[card].taken & kClosed) != 0) Recount(card);
}

}  // namespace

std::uint64_t UsedOn(int card) {
  const Locked locked(&Shared().lock);
  return Recount(card);
}

bool Take(int card, std::uint64_t bytes) {
  ProcessEntry& mine = Mine();
  if (Shared().limits == 0) {
    Outcome outcome = TryTake(card, &mine, bytes);
    for (; outcome == Outcome::kClosed; outcome = TryTake(card, &mine, bytes)) WaitUntilOpen(card);
    if (outcome == Outcome::kDone) return true;
  }
  // Groups with limits look at each other's entries: one process at a time.
  const Locked locked(&Shared().lock);
  if (!FitsGroups(card, bytes)) return false;
  if (TryTake(card, &mine, bytes) == Outcome::kDone) return true;
  Recount(card);
  return TryTake(card, &mine, bytes) == Outcome::kDone;
}

void Give(int card, std::uint64_t bytes) {
  ProcessEntry& mine = Mine();
  while (TryGive(card, &mine, bytes) == Outcome::kClosed) WaitUntilOpen(card);
}

}  // namespace fake
