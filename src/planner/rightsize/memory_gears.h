// MemoryFollower: the memory limit of one pod while a rule stays in force, sample by sample.
//
//   MemoryFollower follower(gears, cap_mib);
//   for each sample: if (memory > follower.limit()) kill; follower.Observe(memory, compute);
//
// limit() depends only on what was observed before: what comes later cannot change it. A value;
// one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace brim::planner {

// Two gears, because GPU memory grows with work: a pod at rest holds its weights and caches, and
// its next peak comes with the next requests. Floors are what pods of its service may reach from
// there; on top, what the pod itself held lately.
struct MemoryGears {
  double working_mib = 0;      // Limit's floor while the pod works.
  double resting_mib = 0;      // And once it has rested; at most working_mib.
  std::size_t rest_after = 0;  // Slots without activity until it rests; 0: one gear.
  std::size_t hold = 0;        // Slots for which a peak is remembered; 0: for ever.
  double margin = 0.05;        // On the remembered peak; negative: peaks are not followed.
  double bump = 1.2;           // After a kill, times the limit that was too small,
  double bump_floor_mib = 0;   // and at least this.
};

class MemoryFollower {
 public:
  // cap_mib 0: none.
  MemoryFollower(const MemoryGears& gears, double cap_mib, double active_percent = 0);

  double limit() const { return limit_; }
  bool resting() const { return gears_.rest_after > 0 && idle_ >= gears_.rest_after; }
  // Changes of the limit so far. A limit rises at once, and falls by 5 % or more or not at all.
  std::int64_t changes() const { return changes_; }
  // NaN is a gap: the memory is taken as unchanged, the pod as working. True: it was killed.
  bool Observe(float memory_mib, float compute_percent);

 private:
  struct Peak {
    std::size_t slot;
    double value;
  };
  void Remember(double value);
  void Decide();

  MemoryGears gears_;
  double cap_;
  double active_percent_;
  double limit_ = 0;
  double last_ = 0;  // Latest memory.
  std::size_t slot_ = 0;
  std::size_t idle_ = 0;       // Slots since the last activity.
  std::size_t bumped_to_ = 0;  // The slot until which bump_ holds.
  double bump_ = 0;
  std::int64_t changes_ = 0;
  std::vector<Peak> peaks_;  // Falling values: the front is the largest remembered.
  std::size_t front_ = 0;
};

}  // namespace brim::planner
