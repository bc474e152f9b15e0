// Gate: counts the requests inside the engine, and closes for good when the server drains.
//
// Threads: any. Entering and leaving cost one atomic add each.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"

namespace brim::serving {

class Gate {
 public:
  // Counts one in, closed or not: each Enter is matched by a Leave. False when closed.
  bool Enter() {
    inside_.fetch_add(1);
    return !closed_.load();
  }
  // REQUIRES: the caller's thread ends before the gate does.
  void Leave(std::uint32_t count) {
    if (inside_.fetch_sub(count) == count && closed_.load()) {
      MutexLock lock(mutex_);
      empty_.NotifyAll();
    }
  }
  // For threads of a runtime's own, which may outlive the gate: it is not touched after WaitEmpty
  // can return.
  void LeaveForeign(std::uint32_t count) BRIM_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    inside_.fetch_sub(count);
    empty_.NotifyAll();
  }
  void Close() { closed_.store(true); }
  bool closed() const { return closed_.load(std::memory_order_relaxed); }
  // Waits in real time, whatever clock made `until`. False when somebody is still inside.
  bool WaitEmpty(Time until) BRIM_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (inside_.load() != 0) {
      if (until == Time::max()) {
        empty_.Wait(mutex_);
      } else if (!empty_.WaitUntil(mutex_, until)) {
        return inside_.load() == 0;
      }
    }
    return true;
  }

 private:
  std::atomic<std::uint64_t> inside_{0};
  std::atomic<bool> closed_{false};
  Mutex mutex_;
  CondVar empty_;
};

}  // namespace brim::serving
