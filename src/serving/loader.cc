#include "serving/loader.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace brim::serving {
namespace {

constexpr int kNice = 19;

// On Linux a thread's own niceness; threads that it starts inherit it. Failing only costs
// isolation.
void LowerPriority() {
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
}

}  // namespace

void Loader::Inbox::Retire(Retired retired) {
  {
    MutexLock lock(mutex_);
    if (!ended_) {
      retired_.push_back(std::move(retired));
      changed_.NotifyOne();
      return;
    }
  }
  retired.Free();
}

bool Loader::Inbox::Post(Task* task) {
  MutexLock lock(mutex_);
  if (stopping_ || tasks_.size() >= kTasksMax) return false;
  tasks_.push_back(std::move(*task));
  changed_.NotifyOne();
  return true;
}

void Loader::Inbox::Wake() {
  MutexLock lock(mutex_);
  woken_ = true;
  changed_.NotifyOne();
}

void Loader::Start(Step step) {
  thread_ = std::jthread([this, step = std::move(step)] { Run(step); });
}

void Loader::Stop() {
  {
    MutexLock lock(inbox_->mutex_);
    inbox_->stopping_ = true;
    inbox_->changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
  std::vector<Retired> retired;
  std::deque<Task> tasks;
  {
    MutexLock lock(inbox_->mutex_);
    inbox_->ended_ = true;
    retired.swap(inbox_->retired_);
    tasks.swap(inbox_->tasks_);
  }
  for (Task& task : tasks) task(true);
  for (Retired& one : retired) one.Free();
}

void Loader::Run(const Step& step) {
  pthread_setname_np(pthread_self(), "brim-load");
  Inbox& inbox = *inbox_;
  Duration wait{0};
  bool first_round = true;
  for (;;) {
    std::vector<Retired> retired;
    Task task;
    {
      MutexLock lock(inbox.mutex_);
      const bool forever = wait == Duration::max();
      const auto until = std::chrono::steady_clock::now() + (forever ? Duration(0) : wait);
      while (wait > Duration(0) && !inbox.stopping_ && !inbox.woken_ && inbox.retired_.empty() &&
             inbox.tasks_.empty()) {
        if (forever) {
          inbox.changed_.Wait(inbox.mutex_);
        } else if (!inbox.changed_.WaitUntil(inbox.mutex_, until)) {
          break;
        }
      }
      if (inbox.stopping_) return;
      inbox.woken_ = false;
      retired.swap(inbox.retired_);
      if (!inbox.tasks_.empty()) {
        task = std::move(inbox.tasks_.front());
        inbox.tasks_.pop_front();
      }
    }
    if (!retired.empty()) {
      for (Retired& one : retired) one.Free();
      malloc_trim(0);  // Or the memory stays with the heap.
    }
    if (first_round && (task || wait > Duration(0))) {
      first_round = false;
      LowerPriority();
    }
    if (task) task(false);
    wait = step();  // After each task too: whoever keeps posting does not starve the rest.
  }
}

}  // namespace brim::serving
