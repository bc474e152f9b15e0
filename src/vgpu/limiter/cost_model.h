// CostModel: what a kernel with this geometry, or a graph, has taken on the card; for one process.
//
// A launch is charged what its like took before. A sample is the time between two events around a
// launch; it is clean when nobody else wanted the card meanwhile, else it may hold others' time and
// counts only when it is less than what is believed. So the estimate falls at once and rises only
// by clean samples, or by the least of kStale contended ones in a row (the data may have grown).
//
// Before the first sample of a key nothing is known, and a program may launch hundreds of 100 ms
// kernels in that time. So each such launch is charged more than the one before, until the limiter
// holds the program back, and the first sample tells what all of them are owed.
//
// A fixed table of kEntries keys; a new key takes the place of an old one of its bucket. Any
// thread; no lock: an entry's fields are apart, and a lost update is one sample less. Nothing here
// allocates, throws, or needs more than libc.
#pragma once

#include <atomic>
#include <cstdint>

#include "vgpu/limiter/arbiter_policy.h"

namespace brim::vgpu {

struct Prediction {
  Ns cost = 0;
  bool known = false;
  bool sample = false;  // Put events around this launch.
};

// A hash of what makes two launches alike. `function` is a kernel's or a graph's handle.
std::uint64_t LaunchKey(std::uint64_t function, std::uint64_t blocks, std::uint32_t block_threads,
                        std::uint32_t shared_bytes);

class CostModel {
 public:
  static constexpr std::uint32_t kEntries = 4096;
  static constexpr std::uint32_t kProbes = 8;
  static constexpr Ns kUnknown = 20 * kUs;  // Charged before anything is known; every second time
  static constexpr std::uint32_t kDoublings = 12;  // twice as much, so often.
  static constexpr Ns kSampleEvery = 500 * kUs;    // Two events cost about 2 us: under 0.5 %.
  static constexpr Ns kSampleNewEvery = 20 * kUs;
  static constexpr std::uint32_t kNew = 4;  // Samples until a key is no longer new.
  static constexpr std::uint32_t kStale = 16;

  Prediction Predict(std::uint64_t key, Ns now);
  // Returns, for a key's first sample, what the launches before it took above what was charged for
  // them (may be negative), all of them taken to be like this one; for the second, what that was
  // wrong by; else 0.
  Ns Sample(std::uint64_t key, Ns measured, bool clean);

 private:
  struct Entry {
    std::atomic<std::uint64_t> key{0};
    std::atomic<Ns> cost{0};
    std::atomic<std::uint32_t> samples{0};
    std::atomic<std::uint32_t> contended{0};  // In a row, above the estimate,
    std::atomic<Ns> least{0};                 // and the least of them.
    std::atomic<std::uint32_t> blind{0};      // Launches before the first sample,
    std::atomic<Ns> charged{0};               // and what was charged for them.
    std::atomic<std::uint32_t> settled{0};    // Those that the first sample settled.
  };
  Entry* Find(std::uint64_t key);
  static void Believe(Entry* entry, Ns cost, Ns measured, std::uint32_t samples);

  Entry entries_[kEntries];
  std::atomic<Ns> sampled_at_{0};
};

}  // namespace brim::vgpu
