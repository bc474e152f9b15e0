// Random: the planner's only source of chance: seeded, and the same on every platform (the standard
// library's distributions are not). One thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace brim::planner {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t Next() { return engine_(); }
  // 0 to n-1. REQUIRES: n > 0. Unbiased (Lemire, https://arxiv.org/abs/1805.10941).
  std::uint64_t Below(std::uint64_t n) {
    auto product = static_cast<Wide>(engine_()) * n;
    auto low = static_cast<std::uint64_t>(product);
    if (low < n) {
      for (const std::uint64_t floor = (0 - n) % n; low < floor;) {
        product = static_cast<Wide>(engine_()) * n;
        low = static_cast<std::uint64_t>(product);
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }
  // [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // Mean 1.
  double Exponential() { return -std::log1p(-Uniform()); }
  // Mean 0, deviation 1 (Box and Muller; one value a call).
  double Normal() {
    const double radius = std::sqrt(-2 * std::log1p(-Uniform()));
    return radius * std::cos(6.283185307179586 * Uniform());
  }
  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (std::size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[Below(i)]);
  }

 private:
  __extension__ typedef unsigned __int128 Wide;  // Not ISO C++; GCC and Clang have it.

  std::mt19937_64 engine_;
};

}  // namespace brim::planner
