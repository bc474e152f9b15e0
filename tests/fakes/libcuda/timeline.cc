// See timeline.h.
#include "timeline.h"

#include <algorithm>

namespace fake {
namespace {

Kernel& At(Lane* lane, std::uint64_t number) { return lane->kernel[(number - 1) % kQueued]; }

bool OthersWait(const Timeline& timeline, int lane) {
  for (int word = 0; word < kLanes / 64; ++word) {
    std::uint64_t bits = timeline.waiting[word];
    if (lane / 64 == word) bits &= ~(std::uint64_t{1} << (lane % 64));
    if (bits != 0) return true;
  }
  return false;
}

// The next lane with work after the last one that had the card; -1: none.
int Next(const Timeline& timeline) {
  if (!Busy(timeline)) return -1;
  for (int i = 1; i <= kLanes; ++i) {
    const int lane = (timeline.last + i) % kLanes;
    if (Waits(timeline, lane)) return lane;
  }
  return -1;
}

void EndTurn(Timeline* timeline) {
  timeline->last = timeline->current;
  timeline->turn = false;
}

}  // namespace

void Advance(Timeline* timeline, std::int64_t now, std::int64_t time_slice) {
  for (;;) {
    if (!timeline->turn) {
      const int next = Next(*timeline);
      if (next < 0) {
        timeline->clock = std::max(timeline->clock, now);
        return;
      }
      timeline->current = next;
      timeline->turn_began = timeline->clock;
      timeline->turn = true;
    }
    Lane& lane = timeline->lane[timeline->current];
    if (lane.finished >= lane.pushed) {  // Its last launch ended, or it was dropped.
      timeline->waiting[timeline->current / 64] &= ~(std::uint64_t{1} << (timeline->current % 64));
      EndTurn(timeline);
      continue;
    }
    Kernel& kernel = At(&lane, lane.finished + 1);
    std::int64_t part = std::min(kernel.left, std::max<std::int64_t>(now - timeline->clock, 0));
    if (OthersWait(*timeline, timeline->current)) {
      const std::int64_t turn = timeline->turn_began + time_slice - timeline->clock;
      if (turn <= 0 && kernel.left > 0) {
        EndTurn(timeline);
        continue;
      }
      part = std::min(part, std::max<std::int64_t>(turn, 0));
    }
    timeline->clock += part;
    kernel.left -= part;
    if (kernel.left > 0 && timeline->clock >= now) return;
    if (kernel.left > 0) continue;  // The turn is over.
    kernel.ended_at = timeline->clock;
    lane.finished.fetch_add(1, std::memory_order_release);
  }
}

std::uint64_t Push(Timeline* timeline, int index, std::int64_t gpu_ns) {
  Lane& lane = timeline->lane[index];
  At(&lane, lane.pushed + 1) = {gpu_ns, 0};
  timeline->waiting[index / 64] |= std::uint64_t{1} << (index % 64);
  return ++lane.pushed;
}

std::int64_t Remaining(const Timeline& timeline, int index, std::uint64_t number,
                       std::int64_t time_slice) {
  const auto left = [&](const Lane& lane, std::uint64_t until, std::int64_t most) {
    std::int64_t sum = 0;
    for (std::uint64_t n = lane.finished + 1; n <= until && sum < most; ++n) {
      sum += lane.kernel[(n - 1) % kQueued].left;
    }
    return std::min(sum, most);
  };
  const std::int64_t own = left(timeline.lane[index], number, INT64_MAX);
  if (!timeline.turn || timeline.current == index) return own;
  const std::int64_t turn = timeline.turn_began + time_slice - timeline.clock;
  const Lane& other = timeline.lane[timeline.current];
  return own + left(other, other.pushed, std::max<std::int64_t>(turn, 0));
}

void Drop(Timeline* timeline, int lane) {
  timeline->lane[lane].finished = timeline->lane[lane].pushed;
  timeline->lane[lane].pid = 0;
}

bool Busy(const Timeline& timeline) {
  return std::any_of(timeline.waiting, timeline.waiting + kLanes / 64,
                     [](std::uint64_t bits) { return bits != 0; });
}

}  // namespace fake
