// See state.h.
#include "state.h"

#include <errno.h>
#include <fcntl.h>
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

constexpr std::uint64_t kMagic = 0x46414b4543554441;  // "ADUCEKAF"

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
    for (Card& card : state->card) InitRobust(&card.turn);
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
void LockRobust(pthread_mutex_t* mutex) {
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

bool SomeoneWaits(const Card& card, std::int32_t pid) {
  for (const std::atomic<std::int32_t>& place : card.line) {
    const std::int32_t there = place.load(std::memory_order_relaxed);
    if (there != 0 && there != pid) return true;
  }
  return false;
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
  // A zombie has given its memory back: the driver's file was closed when it ended.
  if (at != nullptr && at[2] == 'Z') return 0;
  for (int field = 2; at != nullptr && field < 22; ++field) at = strchr(at + 1, ' ');
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
  for (ProcessEntry& entry : state.process) {
    const std::int32_t there = entry.pid.load();
    if (there != 0 && Alive(there, entry.start.load())) continue;
    for (auto& used : entry.used) used = 0;
    for (auto& busy : entry.busy_ns) busy = 0;
    entry.start = StartOf(pid);
    entry.pid = pid;
    mine = &entry;
    owner = pid;
    return entry;
  }
  Die("too many processes");
}

std::uint64_t UsedOn(int card) {
  std::uint64_t sum = 0;
  for (ProcessEntry& entry : Shared().process) {
    const std::int32_t pid = entry.pid.load();
    if (pid == 0 || entry.used[card].load() == 0) continue;
    if (pid == getpid() || Alive(pid, entry.start.load())) {
      sum += entry.used[card].load();
    }
  }
  return sum;
}

bool Take(int card, std::uint64_t bytes) {
  ProcessEntry& mine = Mine();
  const Locked locked(&Shared().lock);
  const std::uint64_t used = UsedOn(card);
  const std::uint64_t memory = Shared().settings.memory;
  if (used > memory) Shared().card[card].over += 1;
  if (bytes > memory || used > memory - bytes) return false;
  if (!FitsGroups(card, bytes)) return false;
  mine.used[card] += bytes;
  return true;
}

void Give(int card, std::uint64_t bytes) { Mine().used[card] -= bytes; }

}  // namespace fake
