// See engine.h.
#include "engine.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "state.h"

namespace fake {
namespace {

// A wake-up costs about this; what is nearer is waited for by yielding.
constexpr std::int64_t kSpin = 60'000;
// Nobody sleeps longer without looking: another process may have been killed.
constexpr std::int64_t kLookAfter = 20'000'000;

void Pass(std::int64_t until, bool exactly) {
  const std::int64_t now = Now();
  std::int64_t wake = exactly ? until - kSpin : until;
  if (wake > now) {
    if (wake > now + kLookAfter) wake = now + kLookAfter;
    const timespec at{wake / 1'000'000'000, wake % 1'000'000'000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    if (wake < until - kSpin) return;
  }
  while (exactly && Now() < until) sched_yield();
}

class Engine {
 public:
  explicit Engine(int card) : card_(Shared().card[card]), pid_(getpid()) {}

  std::int32_t pid() const { return pid_; }

  std::uint64_t Enqueue(Work work) {
    for (;;) {
      std::uint64_t full = 0;
      {
        const std::lock_guard lock(mutex_);
        if (lane_ < 0 && !Claim()) return 0;
        if (works_.size() < kQueued) {
          Add(std::move(work));
          return all_;
        }
        full = works_.front().number;
      }
      WaitFor(full, true);
    }
  }

  // 0: nothing, or all of it has ended and was seen.
  std::uint64_t LastOf(std::uint64_t stream) {
    const std::lock_guard lock(mutex_);
    if (works_.empty() && !settling_) return 0;
    if (stream == 0) return all_;
    const auto found = last_.find(stream);
    return found == last_.end() ? 0 : found->second;
  }

  // Who cannot be `exactly` back may sleep longer.
  void WaitFor(std::uint64_t number, bool exactly) {
    for (std::int64_t until = Look(number); until > 0; until = Look(number)) Pass(until, exactly);
    Settle();
  }

  bool Done(std::uint64_t number) {
    if (Look(number) > 0) return false;
    Settle();
    return true;
  }

 private:
  struct Pending {
    std::uint64_t number;
    Work work;
  };

  Lane& lane() { return card_.timeline.lane[lane_]; }
  std::int64_t Slice() const { return Shared().settings.time_slice_ns; }

  // Takes a free lane, or one whose process has gone.
  bool Claim() {
    const Locked locked(&card_.lock);
    Advance(&card_.timeline, Now(), Slice());
    for (const bool dead : {false, true}) {
      for (int i = 0; i < kLanes; ++i) {
        Lane& lane = card_.timeline.lane[i];
        const std::int32_t pid = lane.pid;
        if (pid != 0 && (!dead || Alive(pid, lane.start))) continue;
        Drop(&card_.timeline, i);
        lane.start = StartOf(pid_);
        lane.pid = pid_;
        lane_ = i;
        return true;
      }
    }
    return false;
  }

  // Under mutex_, with room.
  void Add(Work work) {
    const bool soon = work.soon;
    std::uint64_t number = 0;
    {
      const Locked locked(&card_.lock);
      Advance(&card_.timeline, Now(), Slice());
      number = Push(&card_.timeline, lane_, work.gpu_ns);
    }
    last_[work.stream] = all_ = number;
    works_.push_back({number, std::move(work)});
    if (!soon) return;
    soon_ = number;
    if (!threaded_) std::thread([this] { DoSoon(); }).detach();
    threaded_ = true;
    more_.notify_one();
  }

  // 0: the launch has ended; else the time before which it does not.
  std::int64_t Look(std::uint64_t number) {
    if (lane().finished.load(std::memory_order_acquire) >= number) return 0;
    const Locked locked(&card_.lock);
    const std::int64_t now = Now();
    DropDead(now);
    Advance(&card_.timeline, now, Slice());
    if (lane().finished >= number) return 0;
    return card_.timeline.clock + Remaining(card_.timeline, lane_, number, Slice());
  }

  void DropDead(std::int64_t now) {
    Timeline& timeline = card_.timeline;
    if (now - timeline.checked_at < kLookAfter) return;
    timeline.checked_at = now;
    for (int i = 0; i < kLanes; ++i) {
      const Lane& lane = timeline.lane[i];
      if (Waits(timeline, i) && lane.pid != 0 && !Alive(lane.pid, lane.start)) Drop(&timeline, i);
    }
  }

  // Does what is due of all that has ended; when it returns, nobody else is still at it.
  void Settle() {
    const std::lock_guard one(settle_);
    for (;;) {
      Pending pending;
      std::int64_t ended_at = 0;
      {
        const std::lock_guard lock(mutex_);
        settling_ = !works_.empty() && works_.front().number <= lane().finished;
        if (!settling_) return;
        pending = std::move(works_.front());
        works_.pop_front();
        ended_at = lane().kernel[(pending.number - 1) % kQueued].ended_at;
      }
      if (pending.work.done) pending.work.done(ended_at);
    }
  }

  void DoSoon() {
    std::uint64_t done = 0;
    for (;;) {
      std::uint64_t number = 0;
      {
        std::unique_lock lock(mutex_);
        more_.wait(lock, [&] { return soon_ > done; });
        number = soon_;
      }
      WaitFor(number, false);
      done = number;
    }
  }

  Card& card_;
  const std::int32_t pid_;
  std::mutex settle_;  // Before mutex_.
  std::mutex mutex_;
  std::condition_variable more_;
  int lane_ = -1;
  std::deque<Pending> works_;
  std::map<std::uint64_t, std::uint64_t> last_;  // Of each stream.
  std::uint64_t all_ = 0, soon_ = 0;
  bool settling_ = false, threaded_ = false;
};

// One per card and process; leaked, since its thread runs until the process ends. A forked child
// starts anew.
Engine& EngineOf(int card) {
  static std::mutex mutex;
  static std::atomic<Engine*> engines[kCards] = {};
  Engine* engine = engines[card].load(std::memory_order_acquire);
  if (engine != nullptr && engine->pid() == getpid()) return *engine;
  const std::lock_guard lock(mutex);
  engine = engines[card].load();
  if (engine == nullptr || engine->pid() != getpid()) {
    engine = new Engine(card);
    engines[card].store(engine, std::memory_order_release);
  }
  return *engine;
}

}  // namespace

std::int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::uint64_t Enqueue(int card, Work work) { return EngineOf(card).Enqueue(std::move(work)); }
void WaitForWork(int card, std::uint64_t number) {
  if (number != 0) EngineOf(card).WaitFor(number, true);
}
bool WorkDone(int card, std::uint64_t number) { return number == 0 || EngineOf(card).Done(number); }
void WaitForStream(int card, std::uint64_t stream) {
  WaitForWork(card, EngineOf(card).LastOf(stream));
}
bool StreamDone(int card, std::uint64_t stream) {
  return WorkDone(card, EngineOf(card).LastOf(stream));
}

}  // namespace fake
