// Loader: the one thread that loads and unloads, and the bounded inbox of what it is asked to do.
//
// Until it has first run out of work, so while a starting server loads what it found, it runs as
// any thread: nobody is served yet who could be disturbed, and a busy machine would starve it. Then
// it runs at nice 19, and so do the threads that a runtime starts from it to compile. Each turn it
// gives back memory of retired versions, runs one posted task, and then one piece of background
// work, so that neither tasks nor background work starve.
// Threads: what Inbox does from any.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "runtimes/host.h"

namespace brim::serving {

struct Retired {  // What a version leaves behind. Instances go before the model.
  std::unique_ptr<runtimes::Model> model;
  std::vector<std::unique_ptr<runtimes::Instance>> instances;

  void Free() {
    instances.clear();
    model.reset();
  }
};

class Loader {
 public:
  // `stopping`: the loader ends; only answer.
  using Task = std::function<void(bool stopping)>;
  // One piece of background work. Returns how long to wait for the next: zero when there is more to
  // do, Duration::max() to wait for a task or a wake.
  using Step = std::function<Duration()>;

  // Outlives the loader in the hands of versions that are still in use.
  class Inbox {
   public:
    static constexpr std::size_t kTasksMax = 4096;

    // Frees on the loader, or at once after it has ended. Bounded by the versions that exist.
    void Retire(Retired retired) BRIM_EXCLUDES(mutex_);
    // False (and untouched) when full or stopping.
    bool Post(Task* task) BRIM_EXCLUDES(mutex_);
    void Wake() BRIM_EXCLUDES(mutex_);

   private:
    friend class Loader;
    Mutex mutex_;
    CondVar changed_;
    std::vector<Retired> retired_ BRIM_GUARDED_BY(mutex_);
    std::deque<Task> tasks_ BRIM_GUARDED_BY(mutex_);
    bool woken_ BRIM_GUARDED_BY(mutex_) = false;
    bool stopping_ BRIM_GUARDED_BY(mutex_) = false;
    bool ended_ BRIM_GUARDED_BY(mutex_) = false;
  };

  Loader() : inbox_(std::make_shared<Inbox>()) {}
  ~Loader() { Stop(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  void Start(Step step);
  // Finishes the task or step at hand, answers what waits with `stopping`, joins.
  void Stop();
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

 private:
  void Run(const Step& step);

  const std::shared_ptr<Inbox> inbox_;
  std::jthread thread_;
};

}  // namespace brim::serving
