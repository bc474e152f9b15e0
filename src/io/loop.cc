// The event loop. One round: sleep in epoll_wait, deliver readiness, the inbox, due timers, and
// last what was deferred: work, then writes.
//
// Waking: a poster pushes first and then looks whether the loop sleeps; the loop announces its
// sleep first and then looks at the inbox once more. Both orders are sequentially consistent, so at
// least one of the two sees the other, and a busy loop costs its posters no system call. The
// eventfd is watched edge-triggered and never read: each write is a new edge.
//
// Helping: who moves the state from kAsleep owns the loop: its thread when epoll_wait returns, a
// poster that wakes it, or a helper until it puts kAsleep back. A poster that sees a helper on its
// way wakes nobody: the helper looks at the inbox after it is no longer expected, so it sees the
// post or the poster sees that it has gone.
#include "io/loop.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace brim::io {
namespace {

constexpr int kEventsMax = 256;  // Delivered per round; the rest waits in the kernel.
constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};

Status SystemError(const char* what) {
  return Status(Code::kUnavailable, "system_call",
                std::string(what) + " failed: " + std::strerror(errno) +
                    "; check the limit of open files (ulimit -n)");
}

std::uint64_t Token(int fd, std::uint32_t generation) {
  return (static_cast<std::uint64_t>(generation) << 32) | static_cast<std::uint32_t>(fd);
}

}  // namespace

struct Loop::Impl {
  struct Slot {  // Of one file descriptor.
    Watcher* watcher = nullptr;
    std::uint32_t generation = 0;  // Tells a reused descriptor from an older event's.
  };

  explicit Impl(const Clock& c) : clock(c) {}

  const Clock& clock;
  int epoll = -1;
  int wake = -1;
  std::vector<Slot> slots;
  std::vector<Timer*> heap;  // Binary min-heap by due_; a timer knows its place.
  struct List {
    Deferred* first = nullptr;
    Deferred* last = nullptr;
    std::size_t count = 0;
  };
  List work;
  List writes;
  List& ListOf(bool is_work) { return is_work ? work : writes; }
  bool gather = false;

  enum State : int { kAwake, kAsleep, kHelped };

  alignas(64) std::atomic<Posted*> inbox{nullptr};  // Newest first.
  std::atomic<int> state{kAwake};
  std::atomic<int> helpers{0};  // Between ExpectHelp and Help.
  std::atomic<bool> stop{false};
  std::atomic<int> posters{0};  // Threads inside Post or Stop: the destructor waits for them.

  void Deliver(const epoll_event* events, int count) {
    for (int i = 0; i < count; ++i) {
      const std::uint64_t token = events[i].data.u64;
      if (token == kWakeToken) continue;
      const auto fd = static_cast<std::uint32_t>(token);
      const Slot& slot = slots[fd];
      if (slot.watcher == nullptr || slot.generation != static_cast<std::uint32_t>(token >> 32)) {
        continue;
      }
      slot.watcher->OnReady(events[i].events);
    }
  }

  void Place(std::size_t index, Timer* timer) {
    heap[index] = timer;
    timer->heap_index_ = index;
  }
  void SiftUp(std::size_t index) {
    Timer* timer = heap[index];
    while (index > 0 && timer->due_ < heap[(index - 1) / 2]->due_) {
      Place(index, heap[(index - 1) / 2]);
      index = (index - 1) / 2;
    }
    Place(index, timer);
  }
  void SiftDown(std::size_t index) {
    Timer* timer = heap[index];
    for (;;) {
      std::size_t child = 2 * index + 1;
      if (child >= heap.size()) break;
      if (child + 1 < heap.size() && heap[child + 1]->due_ < heap[child]->due_) ++child;
      if (!(heap[child]->due_ < timer->due_)) break;
      Place(index, heap[child]);
      index = child;
    }
    Place(index, timer);
  }
  void Remove(Timer* timer) {
    const std::size_t index = timer->heap_index_;
    Timer* moved = heap.back();
    heap.pop_back();
    timer->loop_ = nullptr;
    if (moved == timer) return;
    Place(index, moved);
    SiftUp(index);
    SiftDown(moved->heap_index_);
  }
  bool Move(int from, int to) {
    return state.compare_exchange_strong(from, to, std::memory_order_seq_cst);
  }
  Time FirstDue() const { return heap.empty() ? Time::max() : heap.front()->due_; }
  void Wake() {
    const std::uint64_t one = 1;
    // Only a full counter can refuse, and then a wake is pending anyway.
    [[maybe_unused]] const ssize_t n = write(wake, &one, sizeof one);
  }
};

Loop::Timer::~Timer() {
  if (loop_ != nullptr) loop_->CancelTimer(this);
}

Loop::Deferred::~Deferred() {
  if (loop_ != nullptr) loop_->Unlink(this);
}

Loop::Loop(const Clock& clock) : impl_(std::make_unique<Impl>(clock)), now_(clock.Now()) {}

Loop::~Loop() {
  while (impl_->posters.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  for (Timer* timer : impl_->heap) timer->loop_ = nullptr;
  while (impl_->work.first != nullptr) Unlink(impl_->work.first);
  while (impl_->writes.first != nullptr) Unlink(impl_->writes.first);
  if (impl_->wake >= 0) close(impl_->wake);
  if (impl_->epoll >= 0) close(impl_->epoll);
}

Status Loop::Open() {
  impl_->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (impl_->epoll < 0) return SystemError("epoll_create1");
  impl_->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl_->wake < 0) return SystemError("eventfd");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = kWakeToken;
  if (epoll_ctl(impl_->epoll, EPOLL_CTL_ADD, impl_->wake, &event) != 0) {
    return SystemError("epoll_ctl");
  }
  return OkStatus();
}

void Loop::Run() {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (!impl_->stop.load(std::memory_order_acquire)) Round(true);
  RunInbox();  // What was posted before Stop() still runs, and what was deferred.
  RunDeferreds(true);
  RunDeferreds(false);
}

void Loop::RunReady() {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  Round(false);
}

void Loop::Stop() {
  impl_->posters.fetch_add(1, std::memory_order_relaxed);
  impl_->stop.store(true, std::memory_order_release);
  impl_->Wake();
  impl_->posters.fetch_sub(1, std::memory_order_release);
}

void Loop::Post(Posted* posted) {
  impl_->posters.fetch_add(1, std::memory_order_relaxed);
  Posted* head = impl_->inbox.load(std::memory_order_relaxed);
  do {
    posted->next_ = head;
  } while (!impl_->inbox.compare_exchange_weak(head, posted, std::memory_order_seq_cst,
                                               std::memory_order_relaxed));
  // From here on `posted` may be gone.
  if (impl_->state.load(std::memory_order_seq_cst) == Impl::kAsleep &&
      impl_->helpers.load(std::memory_order_seq_cst) == 0 &&
      impl_->Move(Impl::kAsleep, Impl::kAwake)) {
    impl_->Wake();
  }
  impl_->posters.fetch_sub(1, std::memory_order_release);
}

void Loop::ExpectHelp() {
  impl_->posters.fetch_add(1, std::memory_order_relaxed);
  impl_->helpers.fetch_add(1, std::memory_order_seq_cst);
}

void Loop::Help() {
  impl_->helpers.fetch_sub(1, std::memory_order_seq_cst);
  bool unfinished = false;
  if (impl_->inbox.load(std::memory_order_seq_cst) != nullptr &&
      impl_->Move(Impl::kAsleep, Impl::kHelped)) {
    const std::thread::id own = thread_.exchange(std::this_thread::get_id());
    const Time due = impl_->FirstDue();
    now_ = impl_->clock.Now();
    RunInbox();
    RunDeferreds(true);
    RunDeferreds(false);
    // Its own thread sleeps until the timer that was first before.
    unfinished =
        impl_->work.first != nullptr || impl_->writes.first != nullptr || impl_->FirstDue() < due;
    thread_.store(own);
    impl_->state.store(Impl::kAsleep, std::memory_order_seq_cst);
    impl_->state.notify_one();
  }
  if ((unfinished || impl_->inbox.load(std::memory_order_seq_cst) != nullptr) &&
      impl_->Move(Impl::kAsleep, Impl::kAwake)) {
    impl_->Wake();
  }
  impl_->posters.fetch_sub(1, std::memory_order_release);
}

bool Loop::IsHelped() const {
  return impl_->state.load(std::memory_order_relaxed) == Impl::kHelped;
}

void Loop::WakeUp() {
  for (;;) {
    const int state = impl_->state.load(std::memory_order_acquire);
    if (state == Impl::kAwake) return;
    if (state == Impl::kHelped) {
      impl_->state.wait(Impl::kHelped);
    } else if (impl_->Move(Impl::kAsleep, Impl::kAwake)) {
      return;
    }
  }
}

Status Loop::Watch(int fd, std::uint32_t epoll_events, Watcher* watcher) {
  BRIM_CHECK(fd >= 0);
  if (static_cast<std::size_t>(fd) >= impl_->slots.size()) impl_->slots.resize(fd + 1);
  Impl::Slot& slot = impl_->slots[fd];
  slot.watcher = watcher;
  ++slot.generation;
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = Token(fd, slot.generation);
  if (epoll_ctl(impl_->epoll, EPOLL_CTL_ADD, fd, &event) == 0) return OkStatus();
  slot.watcher = nullptr;
  return SystemError("epoll_ctl");
}

Status Loop::Rewatch(int fd, std::uint32_t epoll_events, Watcher* watcher) {
  BRIM_CHECK(fd >= 0 && static_cast<std::size_t>(fd) < impl_->slots.size());
  Impl::Slot& slot = impl_->slots[fd];
  slot.watcher = watcher;
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = Token(fd, slot.generation);
  if (epoll_ctl(impl_->epoll, EPOLL_CTL_MOD, fd, &event) == 0) return OkStatus();
  return SystemError("epoll_ctl");
}

void Loop::Unwatch(int fd) {
  if (fd < 0 || static_cast<std::size_t>(fd) >= impl_->slots.size()) return;
  Impl::Slot& slot = impl_->slots[fd];
  if (slot.watcher == nullptr) return;
  slot.watcher = nullptr;
  ++slot.generation;
  epoll_event event{};
  epoll_ctl(impl_->epoll, EPOLL_CTL_DEL, fd, &event);
}

void Loop::SetTimer(Timer* timer, Time due) {
  if (timer->loop_ == nullptr) {
    timer->loop_ = this;
    timer->due_ = due;
    impl_->heap.push_back(timer);
    impl_->SiftUp(impl_->heap.size() - 1);
    return;
  }
  BRIM_CHECK(timer->loop_ == this);
  timer->due_ = due;
  impl_->SiftUp(timer->heap_index_);
  impl_->SiftDown(timer->heap_index_);
}

void Loop::CancelTimer(Timer* timer) {
  if (timer->loop_ == nullptr) return;
  BRIM_CHECK(timer->loop_ == this);
  impl_->Remove(timer);
}

void Loop::Defer(Deferred* deferred) { Append(deferred, false); }

void Loop::DeferWork(Deferred* deferred) { Append(deferred, true); }

void Loop::GatherBeforeWork() { impl_->gather = true; }

void Loop::Append(Deferred* deferred, bool work) {
  if (deferred->loop_ != nullptr) return;
  Impl::List& list = impl_->ListOf(work);
  deferred->loop_ = this;
  deferred->work_ = work;
  deferred->previous_ = list.last;
  deferred->next_ = nullptr;
  (list.last != nullptr ? list.last->next_ : list.first) = deferred;
  list.last = deferred;
  ++list.count;
}

void Loop::Unlink(Deferred* deferred) {
  Deferred* previous = deferred->previous_;
  Deferred* next = deferred->next_;
  Impl::List& list = impl_->ListOf(deferred->work_);
  (previous != nullptr ? previous->next_ : list.first) = next;
  (next != nullptr ? next->previous_ : list.last) = previous;
  deferred->previous_ = nullptr;
  deferred->next_ = nullptr;
  deferred->loop_ = nullptr;
  --list.count;
}

int Loop::WaitMilliseconds() const {
  if (impl_->work.first != nullptr || impl_->writes.first != nullptr) return 0;
  if (impl_->heap.empty()) return -1;
  const Duration left = impl_->heap.front()->due_ - impl_->clock.Now();
  if (left <= Duration::zero()) return 0;
  // Rounded up: waking early would only spin. The bound keeps a timer at Time::max() in range.
  const auto ms = left / std::chrono::milliseconds(1);
  return static_cast<int>(std::min<std::int64_t>(ms, std::numeric_limits<int>::max() - 1) + 1);
}

void Loop::Round(bool wait) {
  RunEvents(wait);
  if (std::exchange(impl_->gather, false)) {
    sched_yield();
    epoll_event events[kEventsMax];
    const int count = epoll_wait(impl_->epoll, events, kEventsMax, 0);
    impl_->Deliver(events, count);  // In the same round's time.
    impl_->gather = false;
  }
  RunInbox();
  RunTimers();
  RunDeferreds(true);
  RunDeferreds(false);
}

void Loop::RunEvents(bool wait) {
  int timeout = wait ? WaitMilliseconds() : 0;
  const bool sleeps = timeout != 0;
  if (sleeps) {
    impl_->state.store(Impl::kAsleep, std::memory_order_seq_cst);
    if (impl_->inbox.load(std::memory_order_seq_cst) != nullptr) timeout = 0;
  }
  epoll_event events[kEventsMax];
  const int count = epoll_wait(impl_->epoll, events, kEventsMax, timeout);
  if (sleeps) WakeUp();
  now_ = impl_->clock.Now();
  impl_->Deliver(events, count);
}

void Loop::RunInbox() {
  if (impl_->inbox.load(std::memory_order_relaxed) == nullptr) return;
  Posted* newest = impl_->inbox.exchange(nullptr, std::memory_order_acquire);
  Posted* oldest = nullptr;
  while (newest != nullptr) {
    Posted* next = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    Posted* next = oldest->next_;  // Read first: running may destroy it or post it again.
    oldest->RunOnLoop();
    oldest = next;
  }
}

void Loop::RunTimers() {
  // At most as many as are set now, so that a timer which sets itself again cannot hold the round.
  for (std::size_t left = impl_->heap.size(); left > 0 && !impl_->heap.empty(); --left) {
    Timer* timer = impl_->heap.front();
    if (timer->due_ > now_) return;
    impl_->Remove(timer);
    timer->OnTimer();
  }
}

void Loop::RunDeferreds(bool work) {
  const Impl::List& list = impl_->ListOf(work);
  for (std::size_t left = list.count; left > 0 && list.first != nullptr; --left) {
    Deferred* deferred = list.first;
    Unlink(deferred);
    deferred->RunDeferred();
  }
}

}  // namespace brim::io
