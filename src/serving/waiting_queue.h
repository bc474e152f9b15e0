// WaitingQueue: the requests of one version that wait, in the order to run in; contiguous, so that
// a policy can be shown a span of it.
//
// Taking from the front is O(1) amortised; so is adding at the back while priorities are equal.
// Bounded by whoever admits. Not for several threads: the scheduler's lock guards it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "serving/batch_policy.h"

namespace brim::serving {

class InferRequest;

struct Queued {
  InferRequest* request = nullptr;
  bool rerun = false;  // It was part of a joined run that failed: it now runs alone.
};

class WaitingQueue {
 public:
  bool empty() const { return head_ == waiting_.size(); }
  std::size_t size() const { return waiting_.size() - head_; }
  const Waiting& front() const { return waiting_[head_]; }
  const Queued& front_queued() const { return queued_[head_]; }
  // The first `max` at most.
  std::span<const Waiting> Front(std::size_t max) const {
    return {waiting_.data() + head_, std::min(max, size())};
  }

  // Behind all of the same or a more urgent priority.
  void Push(const Waiting& waiting, Queued queued) {
    std::size_t at = waiting_.size();
    while (at > head_ && waiting_[at - 1].priority > waiting.priority) --at;
    Insert(at, waiting, queued);
  }
  void PushFront(const Waiting& waiting, Queued queued) {
    if (head_ == 0) return Insert(0, waiting, queued);
    --head_;
    waiting_[head_] = waiting;
    queued_[head_] = queued;
  }
  // REQUIRES: not empty.
  Queued PopFront() {
    const Queued queued = queued_[head_++];
    if (empty()) {
      Clear();
    } else if (head_ >= kCompactMin && head_ * 2 >= waiting_.size()) {
      Compact();
    }
    return queued;
  }

 private:
  static constexpr std::size_t kCompactMin = 64;
  static constexpr std::size_t kKeptMax = 1024;  // Entries whose memory an empty queue keeps.

  void Insert(std::size_t at, const Waiting& waiting, Queued queued) {
    waiting_.insert(waiting_.begin() + static_cast<std::ptrdiff_t>(at), waiting);
    queued_.insert(queued_.begin() + static_cast<std::ptrdiff_t>(at), queued);
  }
  void Compact() {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(head_));
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  void Clear() {
    head_ = 0;
    waiting_.clear();
    queued_.clear();
    if (waiting_.capacity() > kKeptMax) {
      std::vector<Waiting>().swap(waiting_);
      std::vector<Queued>().swap(queued_);
    }
  }

  std::vector<Waiting> waiting_;  // Parallel to queued_; those before head_ are gone.
  std::vector<Queued> queued_;
  std::size_t head_ = 0;
};

}  // namespace brim::serving
