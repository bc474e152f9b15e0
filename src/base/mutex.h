// Mutex, MutexLock and CondVar with Clang's thread-safety annotations.
//
// Every locked member says which mutex guards it; `cmake --preset clang` proves it. Never call out
// of a module while holding a lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define BRIM_ANNOTATE(x) __attribute__((x))
#else
#define BRIM_ANNOTATE(x)
#endif
#define BRIM_GUARDED_BY(x) BRIM_ANNOTATE(guarded_by(x))
#define BRIM_REQUIRES(...) BRIM_ANNOTATE(requires_capability(__VA_ARGS__))
#define BRIM_EXCLUDES(...) BRIM_ANNOTATE(locks_excluded(__VA_ARGS__))

namespace brim {

class BRIM_ANNOTATE(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() BRIM_ANNOTATE(acquire_capability()) { mutex_.lock(); }
  void Unlock() BRIM_ANNOTATE(release_capability()) { mutex_.unlock(); }
  bool TryLock() BRIM_ANNOTATE(try_acquire_capability(true)) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class BRIM_ANNOTATE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) BRIM_ANNOTATE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() BRIM_ANNOTATE(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  // REQUIRES: mutex is held; it is held again on return. Wakes may be spurious: loop.
  void Wait(Mutex& mutex) BRIM_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Returns false when `until` passed first.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point until) BRIM_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool woken = condition_.wait_until(lock, until) == std::cv_status::no_timeout;
    lock.release();
    return woken;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace brim
