// See cost_model.h.
#include "vgpu/limiter/cost_model.h"

namespace brim::vgpu {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

Ns Min(Ns a, Ns b) { return a < b ? a : b; }

// The finaliser of SplitMix64 (S. Vigna, public domain).
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

std::uint64_t LaunchKey(std::uint64_t function, std::uint64_t blocks, std::uint32_t block_threads,
                        std::uint32_t shared_bytes) {
  std::uint64_t key = Mix(function + 0x9e3779b97f4a7c15);
  key = Mix(key ^ blocks);
  key = Mix(key ^ (std::uint64_t{block_threads} << 32 | shared_bytes));
  return key == 0 ? 1 : key;
}

CostModel::Entry* CostModel::Find(std::uint64_t key) {
  static_assert((kEntries & (kEntries - 1)) == 0);
  Entry* fewest = nullptr;
  for (std::uint32_t i = 0; i < kProbes; ++i) {
    Entry& entry = entries_[(key + i) & (kEntries - 1)];
    const std::uint64_t there = entry.key.load(kRelaxed);
    if (there == key) return &entry;
    if (there == 0) {
      std::uint64_t none = 0;
      if (entry.key.compare_exchange_strong(none, key, kRelaxed) || none == key) return &entry;
    }
    if (fewest == nullptr || entry.samples.load(kRelaxed) < fewest->samples.load(kRelaxed)) {
      fewest = &entry;
    }
  }
  fewest->samples.store(0, kRelaxed);
  fewest->contended.store(0, kRelaxed);
  fewest->blind.store(0, kRelaxed);
  fewest->charged.store(0, kRelaxed);
  fewest->settled.store(0, kRelaxed);
  fewest->cost.store(0, kRelaxed);
  fewest->key.store(key, kRelaxed);
  return fewest;
}

Prediction CostModel::Predict(std::uint64_t key, Ns now) {
  Entry* const entry = Find(key);
  Prediction prediction;
  const std::uint32_t samples = entry->samples.load(kRelaxed);
  prediction.known = samples > 0;
  if (prediction.known) {
    prediction.cost = entry->cost.load(kRelaxed);
  } else {
    const std::uint32_t doublings = entry->blind.fetch_add(1, kRelaxed) / 2;
    prediction.cost = kUnknown << (doublings < kDoublings ? doublings : kDoublings);
    entry->charged.fetch_add(prediction.cost, kRelaxed);
  }
  Ns last = sampled_at_.load(kRelaxed);
  if (now - last >= (samples < kNew ? kSampleNewEvery : kSampleEvery)) {
    prediction.sample = sampled_at_.compare_exchange_strong(last, now, kRelaxed);
  }
  return prediction;
}

// An eighth, but the first few at once: the very first sample may hold the loading of code.
void CostModel::Believe(Entry* entry, Ns cost, Ns measured, std::uint32_t samples) {
  const Ns early = measured < cost ? measured : (cost + measured) / 2;
  entry->cost.store(samples < kNew ? early : cost + (measured - cost) / 8, kRelaxed);
  entry->contended.store(0, kRelaxed);
}

Ns CostModel::Sample(std::uint64_t key, Ns measured, bool clean) {
  if (measured < 0) return 0;
  Entry* const entry = Find(key);
  const std::uint32_t samples = entry->samples.load(kRelaxed);
  const Ns cost = entry->cost.load(kRelaxed);
  if (samples <= 1) {
    entry->cost.store(measured, kRelaxed);
  } else if (clean || measured <= cost) {
    Believe(entry, cost, measured, samples);
  } else {
    const std::uint32_t before = entry->contended.fetch_add(1, kRelaxed);
    const Ns least = before == 0 ? measured : Min(entry->least.load(kRelaxed), measured);
    entry->least.store(least, kRelaxed);
    if (before + 1 >= kStale) Believe(entry, cost, least, samples);
  }
  if (samples < UINT32_MAX) entry->samples.store(samples + 1, kRelaxed);
  if (samples == 1)
    return entry->settled.exchange(0, kRelaxed) * (entry->cost.load(kRelaxed) - cost);
  if (samples > 0) return 0;
  const std::uint32_t blind = entry->blind.exchange(0, kRelaxed);
  entry->settled.store(blind, kRelaxed);
  return blind * measured - entry->charged.exchange(0, kRelaxed);
}

}  // namespace brim::vgpu
