// See memory_gears.h. The remembered peak is a sliding-window maximum by a falling queue: each
// sample enters and leaves once, so a step costs O(1) amortised.
#include "planner/rightsize/memory_gears.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace brim::planner {
namespace {
constexpr double kRestingMargin = 1.05;  // On what a resting pod holds now.
constexpr double kFallLeast = 0.95;      // A smaller fall is not worth a change.
}  // namespace

MemoryFollower::MemoryFollower(const MemoryGears& gears, double cap_mib, double active_percent)
    : gears_(gears),
      cap_(cap_mib > 0 ? cap_mib : std::numeric_limits<double>::infinity()),
      active_percent_(active_percent) {
  limit_ = std::min(cap_, gears_.working_mib);
}

void MemoryFollower::Remember(double value) {
  while (peaks_.size() > front_ && peaks_.back().value <= value) peaks_.pop_back();
  peaks_.push_back({slot_, value});
  if (gears_.hold > 0) {
    while (peaks_[front_].slot + gears_.hold <= slot_) ++front_;
  }
  if (front_ > 1024) {  // Forgets what the window left behind.
    peaks_.erase(peaks_.begin(), peaks_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
}

void MemoryFollower::Decide() {
  double next = 0;
  if (resting()) {
    next = std::max(gears_.resting_mib, last_ * kRestingMargin);
  } else {
    const double peak = peaks_.size() > front_ ? peaks_[front_].value : 0;
    next = std::max(gears_.working_mib, peak * (1 + gears_.margin));
  }
  if (gears_.margin < 0) next = gears_.working_mib;
  if (slot_ < bumped_to_) next = std::max(next, bump_);
  next = std::min(next, cap_);
  if (next > limit_ || next < limit_ * kFallLeast) {
    ++changes_;
    limit_ = next;
  }
}

bool MemoryFollower::Observe(float memory_mib, float compute_percent) {
  const bool gap = std::isnan(memory_mib);
  const bool killed = !gap && memory_mib > limit_;
  ++slot_;
  idle_ = std::isnan(compute_percent) || compute_percent > active_percent_ ? 0 : idle_ + 1;
  if (!gap) last_ = memory_mib;
  Remember(last_);
  if (killed) {
    bump_ = std::max(limit_ * gears_.bump, gears_.bump_floor_mib);
    bumped_to_ = gears_.hold > 0 ? slot_ + gears_.hold : std::numeric_limits<std::size_t>::max();
  }
  Decide();
  return killed;
}

}  // namespace brim::planner
