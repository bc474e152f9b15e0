// PodTypes and PodMix: grouping pods by what they ask for. One thread.
#include "planner/pack/pod_types.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace brim::planner {
namespace {

Pod Bare(const Pod& pod) {
  Pod bare;
  bare.cpu_milli = pod.cpu_milli;
  bare.memory_mib = pod.memory_mib;
  bare.cards = pod.cards;
  bare.card_milli = pod.card_milli;
  bare.card_memory_mib = pod.card_memory_mib;
  bare.card_models = pod.card_models;
  return bare;
}

// Among equally common ones the larger come first: a cut of the mix then keeps the pods that are
// hardest to place.
auto Order(const PodMix::Entry& entry) {
  const Pod& pod = entry.pod;
  return std::tuple(entry.count, pod.cpu_milli, pod.card_milli, pod.cards, pod.card_models,
                    pod.memory_mib, pod.card_memory_mib);
}

void Count(const Pod& pod, std::int64_t count, PodTypes* types, PodMix* mix) {
  const std::int32_t type = types->IdOf(pod);
  if (type == static_cast<std::int32_t>(mix->entries.size())) {
    mix->entries.push_back({types->pod(type), 0});
  }
  mix->entries[type].count += count;
  mix->total += count;
}

void Sort(PodMix* mix) {
  std::sort(mix->entries.begin(), mix->entries.end(),
            [](const auto& a, const auto& b) { return Order(a) > Order(b); });
}

}  // namespace

std::size_t PodTypes::KeyHash::operator()(const Key& key) const {
  std::uint64_t hash = 0;
  const auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio.
    hash ^= hash >> 29;
  };
  mix(static_cast<std::uint64_t>(key.cpu_milli));
  mix(static_cast<std::uint64_t>(key.memory_mib));
  mix(static_cast<std::uint64_t>(key.card_memory_mib));
  mix(static_cast<std::uint64_t>(key.cards) << 32 | static_cast<std::uint32_t>(key.card_milli));
  mix(key.card_models);
  return hash;
}

std::int32_t PodTypes::IdOf(const Pod& pod) {
  const Key key{pod.cpu_milli, pod.memory_mib, pod.card_memory_mib,
                pod.cards,     pod.card_milli, pod.card_models};
  const auto [entry, fresh] = ids_.try_emplace(key, size());
  if (fresh) pods_.push_back(Bare(pod));
  return entry->second;
}

PodMix MixOf(const std::vector<Pod>& pods) {
  PodTypes types;
  PodMix mix;
  for (const Pod& pod : pods) Count(pod, 1, &types, &mix);
  Sort(&mix);
  return mix;
}

PodMix WithoutMemory(const PodMix& mix) {
  PodTypes types;
  PodMix merged;
  for (const PodMix::Entry& entry : mix.entries) {
    Pod pod = entry.pod;
    pod.memory_mib = pod.card_memory_mib = 0;
    Count(pod, entry.count, &types, &merged);
  }
  Sort(&merged);
  return merged;
}

PodMix Commonest(const PodMix& mix, double share, std::size_t entries_max) {
  PodMix cut;
  for (const PodMix::Entry& entry : mix.entries) {
    if (cut.entries.size() >= entries_max) break;
    if (static_cast<double>(cut.total) >= share * static_cast<double>(mix.total)) break;
    cut.entries.push_back(entry);
    cut.total += entry.count;
  }
  return cut;
}

}  // namespace brim::planner
