// Clock: where time comes from. Passed by constructor, so that tests own it.
#pragma once

#include <chrono>
#include <ctime>

namespace brim {

using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time Now() const = 0;                                       // Monotonic.
  virtual std::chrono::system_clock::time_point WallNow() const = 0;  // For logs and APIs.
  // CPU time that the calling thread has used.
  virtual Duration ThreadCpu() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time Now() const override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::now();
  }
  Duration ThreadCpu() const override {
    timespec ts{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
  }
};

// A clock that moves only when told to. Not for several threads.
class FakeClock final : public Clock {
 public:
  Time Now() const override { return now_; }
  std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch()));
  }
  Duration ThreadCpu() const override { return now_.time_since_epoch(); }
  void Advance(Duration by) { now_ += by; }

 private:
  Time now_{std::chrono::hours(1)};
};

}  // namespace brim
