// Loop: one epoll event loop on one thread: readiness, timers, and work posted from other threads.
//
// While its thread sleeps, another one that has just posted may drive it for a moment (Help): a
// worker that made an answer of a megabyte writes it itself, so that no thread need wake up for it
// and none that infers is put off its core.
//
// Threads: Post, ExpectHelp, Help, Stop and InThread from any; everything else on the thread that
// drives the loop, or before Run(). Work is intrusive (no allocation per post). The inbox is
// bounded by its users: each call or connection has at most one node in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/status.h"
#include "io/block_pool.h"

namespace brim::io {

class Loop {
 public:
  // Something that runs once on the loop. Owned by its poster until RunOnLoop is called.
  class Posted {
   public:
    virtual ~Posted() = default;
    virtual void RunOnLoop() = 0;

   private:
    friend class Loop;
    Posted* next_ = nullptr;
  };
  class Watcher {  // A file descriptor's owner.
   public:
    virtual ~Watcher() = default;
    virtual void OnReady(std::uint32_t epoll_events) = 0;
  };
  class Timer {
   public:
    virtual ~Timer();  // Cancels itself. REQUIRES: on the loop's thread, or the loop has ended.
    virtual void OnTimer() = 0;

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    std::size_t heap_index_ = 0;
    Time due_{};
  };
  // Runs after all events of one epoll_wait were handled, once per Defer or DeferWork: sessions
  // flush their output here, so that one write answers everything that one read brought. It may
  // destroy itself.
  class Deferred {
   public:
    virtual ~Deferred();  // Leaves the list.
    virtual void RunDeferred() = 0;

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    bool work_ = false;  // Deferred by DeferWork.
    Deferred* previous_ = nullptr;
    Deferred* next_ = nullptr;
  };

  explicit Loop(const Clock& clock);
  ~Loop();  // REQUIRES: Run() has returned. Waits for a Post that is just returning.
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Status Open();  // Creates epoll and eventfd.
  void Run();     // Until Stop(); the calling thread becomes the loop's.
  void Stop();    // From any thread.
  // One round over what is ready now, without waiting; the calling thread becomes the loop's. For
  // tests that drive sessions by hand.
  void RunReady();

  bool InThread() const {
    return std::this_thread::get_id() == thread_.load(std::memory_order_relaxed);
  }
  void Post(Posted* posted);  // From any thread; wakes the loop if it sleeps.
  // Between the two, which a thread calls in pairs and shortly one after the other, posts do not
  // wake the loop. Help then runs what was posted, by whomever, and writes what it answered, on the
  // calling thread if the loop sleeps. REQUIRES: the caller is not on the loop's thread and has
  // nothing of it on its stack.
  void ExpectHelp();
  void Help();
  // Its own thread sleeps and a helper drives it. On the driving thread.
  bool IsHelped() const;

  // A watcher may unwatch itself, and any other, from OnReady.
  Status Watch(int fd, std::uint32_t epoll_events, Watcher* watcher);
  Status Rewatch(int fd, std::uint32_t epoll_events, Watcher* watcher);
  void Unwatch(int fd);  // Also drops events of this round that are not yet delivered.

  void SetTimer(Timer* timer, Time due);  // Moves it if set.
  void CancelTimer(Timer* timer);
  // No-op if already deferred. What is deferred while these run comes in the next round.
  void Defer(Deferred* deferred);
  // The same for work that makes answers: runs before all that Defer deferred, so that what it
  // answers is written in the same round.
  void DeferWork(Deferred* deferred);
  // Before this round's work runs, gives up the core once and reads what has come since: where
  // clients share the cores, they send what they have ready. For work that costs less together.
  void GatherBeforeWork();

  Time Now() const { return now_; }  // Read once per round.
  BlockPool& pool() { return pool_; }

 private:
  struct Impl;

  void Round(bool wait);
  void RunEvents(bool wait);
  void WakeUp();
  void RunInbox();
  void RunTimers();
  void RunDeferreds(bool work);
  void Append(Deferred* deferred, bool work);
  int WaitMilliseconds() const;
  void Unlink(Deferred* deferred);

  BlockPool pool_;
  std::unique_ptr<Impl> impl_;
  std::atomic<std::thread::id> thread_{};
  Time now_{};
};

}  // namespace brim::io
