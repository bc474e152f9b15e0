// PodTypes and PodMix: pods that ask for the same are one type; a mix says how often each is asked
// for. Names, owners and times do not count. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "planner/cluster/cluster.h"

namespace brim::planner {

class PodTypes {
 public:
  // The pod's type, made when new. Types are numbered from 0 in order of first sight.
  std::int32_t IdOf(const Pod& pod);

  std::int32_t size() const { return static_cast<std::int32_t>(pods_.size()); }
  const Pod& pod(std::int32_t type) const { return pods_[type]; }  // Name, owner, times empty.

 private:
  struct Key {
    std::int64_t cpu_milli, memory_mib, card_memory_mib;
    std::int32_t cards, card_milli;
    std::uint64_t card_models;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };

  std::unordered_map<Key, std::int32_t, KeyHash> ids_;
  std::vector<Pod> pods_;
};

// What arrives, as shares: the knowledge that fragmentation-aware policies work with.
struct PodMix {
  struct Entry {
    Pod pod;                 // Name, owner and times empty.
    std::int64_t count = 0;  // How many of them in the sample.
  };
  std::vector<Entry> entries;  // Commonest first; among equals the larger demand.
  std::int64_t total = 0;      // Sum of the counts.
};

PodMix MixOf(const std::vector<Pod>& pods);
// The mix with memory and card memory left out: types that differ only in these are one.
PodMix WithoutMemory(const PodMix& mix);
// The commonest entries that together reach `share` of the pods, at most `entries_max` of them.
PodMix Commonest(const PodMix& mix, double share, std::size_t entries_max);

}  // namespace brim::planner
