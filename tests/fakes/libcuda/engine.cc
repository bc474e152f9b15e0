// See engine.h.
#include "engine.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
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

// As the cards' own queues: a launch beyond it waits.
constexpr std::size_t kQueued = 1024;

class Engine {
 public:
  explicit Engine(int card) : card_(card), pid_(getpid()) {
    std::thread([this] { Run(); }).detach();
  }

  std::int32_t pid() const { return pid_; }

  void Enqueue(Work work) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return queue_.size() < kQueued; });
    ++enqueued_[work.stream];
    ++all_;
    queue_.push_back(std::move(work));
    more_.notify_one();
  }

  void Wait(std::uint64_t stream) {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = stream == 0 ? all_ : enqueued_[stream];
    done_.wait(lock, [&] { return (stream == 0 ? finished_all_ : finished_[stream]) >= target; });
  }

  bool Done(std::uint64_t stream) {
    const std::lock_guard lock(mutex_);
    return stream == 0 ? finished_all_ == all_ : finished_[stream] == enqueued_[stream];
  }

 private:
  void Run() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        more_.wait(lock, [&] { return !queue_.empty(); });
      }
      Card& card = Shared().card[card_];
      TakeTurn(&card);
      Turn(&card);
      pthread_mutex_unlock(&card.turn);
    }
  }

  // A card goes round the processes that have work. A lock is not fair by itself: who had the last
  // turn would often have it again before one that sleeps for it is awake. So that one lets the
  // others come first.
  void TakeTurn(Card* card) {
    constexpr std::int64_t kAwake = 2'000'000;
    std::atomic<std::int32_t>* place = nullptr;
    for (std::atomic<std::int32_t>& free : card->line) {
      std::int32_t nobody = 0;
      if (!free.compare_exchange_strong(nobody, pid_)) continue;
      place = &free;
      break;
    }
    const std::int64_t until = Now() + kAwake;
    while (card->last.load() == pid_ && SomeoneWaits(*card, pid_)) {
      if (Now() > until) {
        LeaveForDead(card);
        break;
      }
      sched_yield();
    }
    LockRobust(&card->turn);
    card->last.store(pid_);
    if (place != nullptr) place->store(0);
  }

  // Takes out of the line who was killed in it.
  static void LeaveForDead(Card* card) {
    for (std::atomic<std::int32_t>& place : card->line) {
      std::int32_t pid = place.load();
      if (pid == 0 || kill(pid, 0) == 0 || errno != ESRCH) continue;
      place.compare_exchange_strong(pid, 0);
    }
  }

  // Runs the queue until it is empty, or the time slice is over and somebody waits. A kernel that
  // does not fit is cut: the rest comes in the next turn.
  void Turn(Card* card) {
    std::int64_t clock = Now();
    const std::int64_t slice_end = clock + Shared().settings.time_slice_ns;
    for (;;) {
      Work* work = nullptr;
      {
        const std::lock_guard lock(mutex_);
        if (queue_.empty()) return;
        work = &queue_.front();
      }
      const bool contended = SomeoneWaits(*card, pid_);
      if (contended && clock >= slice_end) return;
      std::int64_t part = work->gpu_ns;
      if (contended && clock + part > slice_end) part = slice_end - clock;
      // Without company a long kernel is still looked at once a slice.
      if (part > Shared().settings.time_slice_ns) part = Shared().settings.time_slice_ns;
      clock += part;
      Pass(clock);
      work->gpu_ns -= part;
      card->busy_ns += static_cast<std::uint64_t>(part);
      Mine().busy_ns[card_] += static_cast<std::uint64_t>(part);
      if (work->gpu_ns > 0) continue;
      if (work->done) work->done(clock);
      const std::lock_guard lock(mutex_);
      ++finished_[work->stream];
      ++finished_all_;
      queue_.pop_front();
      done_.notify_all();
    }
  }

  // What ran ahead of the clock by less than this is slept for together with what follows.
  static void Pass(std::int64_t until) {
    constexpr std::int64_t kSpin = 60'000;
    if (until - Now() > kSpin) {
      const std::int64_t wake = until - kSpin;
      const timespec at{wake / 1'000'000'000, wake % 1'000'000'000};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    }
    while (Now() < until) sched_yield();
  }

  const int card_;
  const std::int32_t pid_;
  std::mutex mutex_;
  std::condition_variable more_, done_;
  std::deque<Work> queue_;
  std::map<std::uint64_t, std::uint64_t> enqueued_, finished_;
  std::uint64_t all_ = 0, finished_all_ = 0;
};

// One per card and process; leaked, since its thread runs until the process ends. A forked child
// starts anew.
Engine& EngineOf(int card) {
  static std::mutex mutex;
  static Engine* engines[kCards] = {};
  const std::lock_guard lock(mutex);
  if (engines[card] == nullptr || engines[card]->pid() != getpid())
    engines[card] = new Engine(card);
  return *engines[card];
}

}  // namespace

std::int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Enqueue(int card, Work work) { EngineOf(card).Enqueue(std::move(work)); }
void WaitForStream(int card, std::uint64_t stream) { EngineOf(card).Wait(stream); }
bool StreamDone(int card, std::uint64_t stream) { return EngineOf(card).Done(stream); }

}  // namespace fake
