// Lower bounds on the cards of a joint packing.
//
//  memory area   all memory over a card's.
//  memory L2     Martello and Toth: pods above half a card stand alone; the rest must go beside
//                them or apart.
//  fluid         in each step the fleet's sum needs cards, except that each card may be over its
//                limit in a few steps, and then by no more than its pods can do.
//  joint pattern LP: each pod is covered by cards, a card being any set of pods that fit together
//                by memory and by their summed series. A subset of a set that fits fits too, so the
//                sets are enumerated by growing them; the LP is solved over a growing part of them
//                (column generation). Its dual prices y bound any plan by sum(y) / max over all
//                sets of y(S): checked over every set, so a tolerance of the solver cannot make it
//                false. Left out (and said so) where there are more than 3 million sets.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "planner/bound/linear_program.h"
#include "planner/rightsize/joint_fit.h"

namespace brim::planner {
namespace {

constexpr std::size_t kSetsMax = 3'000'000;
constexpr std::size_t kSetSizeMax = 12;
constexpr int kRoundsMax = 200;
constexpr std::size_t kColumnsARound = 200;
constexpr std::int64_t kIterationsMax = 2'000'000;

Bound MemoryArea(const JointFit& fit, std::size_t pods) {
  double sum = 0;
  for (std::size_t i = 0; i < pods; ++i) sum += fit.memory(i);
  return {"memory area", sum / fit.memory_max(), "all memory over a card's, as if it were a fluid"};
}

// For each threshold k: pods above max - k stand alone, pods between max / 2 and that leave room,
// pods from k to max / 2 must use that room or new cards.
Bound MemoryL2(const JointFit& fit, std::size_t pods) {
  const double max = fit.memory_max();
  double best = 0;
  for (std::size_t pivot = 0; pivot < pods; ++pivot) {
    const double k = fit.memory(pivot);
    if (k > max / 2) continue;
    double alone = 0, large = 0, room = 0, small = 0;
    for (std::size_t i = 0; i < pods; ++i) {
      const double held = fit.memory(i);
      if (held > max - k) {
        alone += 1;
      } else if (held > max / 2) {
        large += 1;
        room += max - held;
      } else if (held >= k) {
        small += held;
      }
    }
    best = std::max(best, alone + large + std::max(0.0, std::ceil((small - room) / max - 1e-9)));
  }
  double large = 0;
  for (std::size_t i = 0; i < pods; ++i) large += fit.memory(i) > max / 2 ? 1 : 0;
  return {"memory L2", std::max(best, large), "pods above half a card's memory never share"};
}

// The least number of cards whose steps over the limit can cover the fleet's.
Bound Fluid(const JointFit& fit, const std::vector<JointPod>& pods, const JointOptions& options) {
  std::vector<double> memory;
  for (std::size_t i = 0; i < pods.size(); ++i) memory.push_back(fit.memory(i));
  std::sort(memory.begin(), memory.end());
  double held = 0, most = 0;  // Pods that a card can hold at most.
  for (const double one : memory) {
    held += one;
    if (!fit.MemoryFits(held)) break;
    most += 1;
  }
  double sample_max = 0;
  std::vector<double> total(fit.steps());
  for (const JointPod& pod : pods) {
    for (std::size_t t = 0; t < total.size(); ++t) {
      total[t] += pod.compute[t];
      sample_max = std::max(sample_max, double{pod.compute[t]});
    }
  }
  const double limit = options.compute_percent;
  const double extra = std::max(1e-9, std::max(1.0, most) * sample_max - limit);
  std::size_t cards = 1;
  for (; cards < pods.size(); ++cards) {
    const double all = static_cast<double>(cards) * limit;
    double wanted = 0;
    for (const double sum : total) wanted += std::ceil(std::max(0.0, sum - all) / extra - 1e-9);
    if (wanted <= static_cast<double>(cards * fit.over_max())) break;
  }
  return {"fluid", static_cast<double>(cards),
          "the fleet's sum in each step, less what cards may be over their limit"};
}

using Set = std::vector<std::uint32_t>;

// Every set of two or more pods that fits together; false: too many.
class Enumerator {
 public:
  Enumerator(const JointFit& fit, std::size_t pods, std::vector<Set>* sets)
      : fit_(fit), pods_(pods), sets_(sets) {}

  bool Run() {
    std::vector<std::vector<float>> sums(kSetSizeMax + 1, std::vector<float>(fit_.steps()));
    sums_ = std::move(sums);
    for (std::size_t i = 0; i < pods_; ++i) {
      std::copy_n(fit_.series(i), fit_.steps(), sums_[1].begin());
      Set set{static_cast<std::uint32_t>(i)};
      if (!Grow(&set, fit_.memory(i), fit_.floor(i))) return false;
    }
    return true;
  }

 private:
  bool Grow(Set* set, double memory, double floors) {
    if (set->size() >= kSetSizeMax) return false;
    const std::size_t depth = set->size();
    for (std::size_t next = set->back() + 1; next < pods_; ++next) {
      const double held = memory + fit_.memory(next);
      const double floor = floors + fit_.floor(next);
      if (!fit_.MemoryFits(held) || !fit_.FloorFits(floor)) continue;
      if (!fit_.SeriesFits(sums_[depth].data(), next, {})) continue;
      for (std::size_t t = 0; t < fit_.steps(); ++t) {
        sums_[depth + 1][t] = sums_[depth][t] + fit_.series(next)[t];
      }
      set->push_back(static_cast<std::uint32_t>(next));
      sets_->push_back(*set);
      if (sets_->size() > kSetsMax || !Grow(set, held, floor)) return false;
      set->pop_back();
    }
    return true;
  }

  const JointFit& fit_;
  std::size_t pods_;
  std::vector<Set>* sets_;
  std::vector<std::vector<float>> sums_;  // By depth.
};

double Price(const Set& set, const std::vector<double>& y) {
  double sum = 0;
  for (const std::uint32_t pod : set) sum += y[pod];
  return sum;
}

// The dual prices' bound: valid for any y >= 0.
double Certified(const std::vector<Set>& sets, const std::vector<double>& y) {
  double most = 0, sum = 0;
  for (const double one : y) {
    most = std::max(most, one);  // A pod alone is a set too.
    sum += one;
  }
  for (const Set& set : sets) most = std::max(most, Price(set, y));
  return most > 0 ? sum / most : 0;
}

Result<double> PatternBound(std::size_t pods, const std::vector<Set>& sets) {
  LinearProgram lp;
  for (std::size_t i = 0; i < pods; ++i) {
    const int row = lp.AddRow(1, kLpInfinity);
    const LpEntry entry{row, 1};
    lp.AddColumn(1, 0, kLpInfinity, {&entry, 1});
  }
  double best = 0;
  for (int round = 0; round < kRoundsMax; ++round) {
    BRIM_ASSIGN_OR_RETURN(const LpSolution solution, lp.Minimise(kIterationsMax));
    std::vector<double> y = solution.duals;
    for (double& one : y) one = std::max(0.0, one);
    best = std::max(best, Certified(sets, y));
    std::vector<std::pair<double, const Set*>> cut;
    for (const Set& set : sets) {
      const double price = Price(set, y);
      if (price > 1 + 1e-7) cut.push_back({price, &set});
    }
    if (cut.empty()) break;
    const auto end =
        cut.begin() + static_cast<std::ptrdiff_t>(std::min(kColumnsARound, cut.size()));
    std::partial_sort(cut.begin(), end, cut.end(),
                      [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto it = cut.begin(); it != end; ++it) {
      std::vector<LpEntry> entries;
      for (const std::uint32_t pod : *it->second) entries.push_back({static_cast<int>(pod), 1});
      lp.AddColumn(1, 0, kLpInfinity, entries);
    }
  }
  return best;
}

}  // namespace

Result<std::vector<Bound>> JointBounds(const std::vector<JointPod>& pods,
                                       const JointOptions& options, const JointFit& fit) {
  std::vector<Bound> bounds = {MemoryArea(fit, pods.size()), MemoryL2(fit, pods.size()),
                               Fluid(fit, pods, options)};
  std::vector<Set> sets;
  Enumerator enumerator(fit, pods.size(), &sets);
  if (enumerator.Run()) {
    BRIM_ASSIGN_OR_RETURN(const double value, PatternBound(pods.size(), sets));
    bounds.push_back({"joint pattern LP", value,
                      "fractions of cards, each holding pods that really fit together"});
  }
  return bounds;
}

}  // namespace brim::planner
