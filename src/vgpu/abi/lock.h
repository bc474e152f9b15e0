// A lock between the threads of one process: three states on a futex (U. Drepper, "Futexes Are
// Tricky", 2011, mutex 2). It is in the process's own memory, so it dies with it; a forked child
// calls Reset(). Libc only.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace brim::vgpu {

class ThreadLock {
 public:
  void Lock() {
    std::uint32_t state = 0;
    if (state_.compare_exchange_strong(state, 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
      return;
    }
    if (state != 2) state = state_.exchange(2, std::memory_order_acquire);
    while (state != 0) {
      Futex(FUTEX_WAIT_PRIVATE, 2);
      state = state_.exchange(2, std::memory_order_acquire);
    }
  }
  void Unlock() {
    if (state_.exchange(0, std::memory_order_release) == 2) Futex(FUTEX_WAKE_PRIVATE, 1);
  }
  void Reset() { state_.store(0, std::memory_order_relaxed); }

 private:
  void Futex(int operation, std::uint32_t value) {
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&state_), operation, value, nullptr,
            nullptr, 0);
  }

  std::atomic<std::uint32_t> state_{0};  // 0 free, 1 taken, 2 taken and somebody waits.
};

class ThreadLocked {
 public:
  explicit ThreadLocked(ThreadLock* lock) : lock_(lock) { lock_->Lock(); }
  ~ThreadLocked() { lock_->Unlock(); }
  ThreadLocked(const ThreadLocked&) = delete;
  ThreadLocked& operator=(const ThreadLocked&) = delete;

 private:
  ThreadLock* lock_;
};

}  // namespace brim::vgpu
