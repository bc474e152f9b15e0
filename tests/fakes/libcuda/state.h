// The fake cards: one file in memory that all processes share, as the kernel's driver is shared.
//
// Every process has an entry with what it holds on each card, to the byte; the card's use is the
// sum over entries of processes that live, so a killed process frees its memory as it would on a
// real card. A robust lock guards the rest. The card's time is a timeline (see timeline.h).
//
// Memory is taken and given without a lock: each card has a counter, moved by compare-and-swap,
// which is the sum of all entries while nobody was killed and never less. Who does not find room in
// it counts anew (Recount() in state.cc): under the lock the counter is closed, who is between
// counter and entry is waited for, and the sum over the living becomes the counter.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "timeline.h"

namespace fake {

inline constexpr int kCards = 8;
inline constexpr int kProcesses = 2048;

// From the environment of whoever creates the state file; README.md lists the variables.
struct Settings {
  int cards = 1;
  std::uint64_t memory = std::uint64_t{16} << 30;
  std::uint64_t context = std::uint64_t{256} << 20;
  std::uint64_t module = std::uint64_t{2} << 20;
  std::uint64_t pool_step = std::uint64_t{32} << 20;
  std::uint64_t grain = 512;        // Allocations are rounded up to this.
  std::int64_t kernel_ns = 20'000;  // Of a kernel whose name says nothing.
  std::int64_t time_slice_ns = 2'000'000;
};

struct alignas(64) ProcessEntry {
  std::atomic<std::int32_t> pid;       // 0: free.
  std::atomic<std::int32_t> changing;  // Threads between a card's counter and `used`.
  std::atomic<std::uint64_t> start;    // /proc/PID/stat field 22: a pid that came again is another.
  std::atomic<std::uint64_t> used[kCards];
};

struct Card {
  pthread_mutex_t lock;             // Robust; of the timeline.
  Timeline timeline;
  std::atomic<std::uint64_t> over;        // Times that use was found above the card's memory.
  // Bytes that are taken, by the dead too until they are counted out; kClosed while that is done.
  alignas(64) std::atomic<std::uint64_t> taken;
};
inline constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;

// A memory limit of a control group, as nvmlDeviceSetMemoryLimits_v1 sets it.
inline constexpr int kLimits = 128;
struct GroupLimit {
  std::atomic<std::uint64_t> inode;  // Of the group's folder; 0: free. One made again has another.
  int card;
  std::uint64_t soft;
  std::uint64_t hard;
  char path[512];
};

struct State {
  std::uint64_t magic;
  std::uint32_t ready;
  Settings settings;
  pthread_mutex_t lock;
  Card card[kCards];
  std::atomic<std::int32_t> processes;  // Entries that were ever used.
  ProcessEntry process[kProcesses];
  std::atomic<std::uint32_t> limits;  // Entries that were ever used.
  GroupLimit limit[kLimits];
};

// Maps the file that FAKE_CUDA_STATE names (default /dev/shm/fake-cuda-UID), made on first use, and
// takes an entry for this process. Ends the process with a message when that fails: it is a test.
State& Shared();
// This process's entry; again after fork().
ProcessEntry& Mine();

// Bytes in use on the card by living processes at one instant; takes dead ones out.
// REQUIRES: not the state's lock.
std::uint64_t UsedOn(int card);
// Adds to what this process holds if the card has room, to the byte.
bool Take(int card, std::uint64_t bytes);
void Give(int card, std::uint64_t bytes);

void LockRobust(pthread_mutex_t* mutex);

class Locked {
 public:
  explicit Locked(pthread_mutex_t* mutex);
  ~Locked() { pthread_mutex_unlock(mutex_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  pthread_mutex_t* mutex_;
};

bool Alive(std::int32_t pid, std::uint64_t start);
std::uint64_t StartOf(std::int32_t pid);

}  // namespace fake
