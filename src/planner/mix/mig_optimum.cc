#include "planner/mix/mig_optimum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace brim::planner {

namespace {

constexpr std::int32_t kNone = std::numeric_limits<std::int32_t>::max();
constexpr double kRounding =
    1e-9;  // Of a capacity: sums of equal doubles differ in the last digits.

// A dense box over the first three sums.
class Box {
 public:
  explicit Box(std::int32_t cards)
      : cards_(cards),
        wide_(3 * cards + 1),
        least_(static_cast<std::size_t>((cards + 1) * (cards + 1) * wide_), kNone) {}

  std::size_t At(std::int32_t a, std::int32_t b, std::int32_t c) const {
    return static_cast<std::size_t>((a * (cards_ + 1) + b) * wide_ + c);
  }
  std::vector<std::int32_t>& least() { return least_; }

  // Calls keep(a, b, c, at) for every entry that no other one dominates.
  template <typename Keep>
  void Undominated(const Keep& keep) const {
    std::vector<std::int32_t> below(least_);  // The least of all entries at or below.
    for (std::int32_t a = 0; a <= cards_; ++a) {
      for (std::int32_t b = 0; b <= cards_; ++b) {
        for (std::int32_t c = 0; c < wide_; ++c) {
          std::int32_t before = kNone;
          if (a > 0) before = std::min(before, below[At(a - 1, b, c)]);
          if (b > 0) before = std::min(before, below[At(a, b - 1, c)]);
          if (c > 0) before = std::min(before, below[At(a, b, c - 1)]);
          const std::size_t at = At(a, b, c);
          if (least_[at] < before) keep(a, b, c, at);
          below[at] = std::min(below[at], before);
        }
      }
    }
  }

 private:
  std::int32_t cards_;
  std::int32_t wide_;
  std::vector<std::int32_t> least_;
};

struct Choice {
  MigUse use{};
  MigCounts counts{};
};

// Tries every count of 7, 4, 3 and 2; what is left needs so many 1s.
class Enumeration {
 public:
  Enumeration(const MigDemand& demand, std::int32_t cards)
      : demand_(demand), cards_(cards), box_(cards), counts_(box_.least().size()) {}

  std::vector<Choice> Choices() {
    MigCounts counts{};
    Try(0, demand_.rate, &counts);
    std::vector<Choice> choices;
    box_.Undominated([&](std::int32_t, std::int32_t, std::int32_t, std::size_t at) {
      choices.push_back({UseOf(counts_[at]), counts_[at]});
    });
    return choices;
  }

 private:
  bool Inside(const MigUse& use) const {
    for (std::size_t sum = 0; sum < use.size(); ++sum) {
      if (use[sum] > kMigCard[sum] * cards_) return false;
    }
    return true;
  }

  void Try(std::size_t size, double rest, MigCounts* counts) {
    const bool last = size + 1 == kMigSizes.size();
    const double capacity = demand_.capacity[size];
    const bool covered = rest <= demand_.rate * kRounding;
    if (covered || last) {
      if (!covered && capacity <= 0) return;
      const double ones = covered ? 0 : std::ceil(rest / capacity - kRounding);
      if (ones > SizeMax()) return;
      (*counts)[kMigSizes.size() - 1] = static_cast<std::int32_t>(ones);
      Note(*counts);
      (*counts)[kMigSizes.size() - 1] = 0;
      return;
    }
    for (std::int32_t count = 0;; ++count) {
      (*counts)[size] = count;
      const double left = rest - count * capacity;
      if (!Inside(UseOf(*counts))) break;
      Try(size + 1, left, counts);
      if (capacity <= 0 || left <= demand_.rate * kRounding) break;
    }
    (*counts)[size] = 0;
  }

  double SizeMax() const { return 7.0 * cards_; }

  void Note(const MigCounts& counts) {
    const MigUse use = UseOf(counts);
    if (!Inside(use)) return;
    const std::size_t at = box_.At(use[0], use[1], use[2]);
    if (use[3] >= box_.least()[at]) return;
    box_.least()[at] = use[3];
    counts_[at] = counts;
  }

  const MigDemand& demand_;
  std::int32_t cards_;
  Box box_;
  std::vector<MigCounts> counts_;
};

struct State {
  MigUse use{};
  std::uint32_t parent = 0;  // In the layer before.
  std::uint32_t choice = 0;
};

// One more model: every state with every choice.
std::vector<State> Next(const std::vector<State>& layer, const std::vector<Choice>& choices,
                        std::int32_t cards, std::int32_t rest_size) {
  Box box(cards);
  std::vector<State> by_box(box.least().size());
  for (std::uint32_t s = 0; s < layer.size(); ++s) {
    for (std::uint32_t c = 0; c < choices.size(); ++c) {
      MigUse use = layer[s].use;
      bool inside = true;
      for (std::size_t sum = 0; sum < use.size(); ++sum) {
        use[sum] += choices[c].use[sum];
        const std::int32_t still = sum == 3 ? rest_size : 0;
        inside = inside && use[sum] + still <= kMigCard[sum] * cards;
      }
      if (!inside) continue;
      const std::size_t at = box.At(use[0], use[1], use[2]);
      if (use[3] >= box.least()[at]) continue;
      box.least()[at] = use[3];
      by_box[at] = {use, s, c};
    }
  }
  std::vector<State> next;
  box.Undominated([&](std::int32_t, std::int32_t, std::int32_t, std::size_t at) {
    next.push_back(by_box[at]);
  });
  return next;
}

std::vector<MigDemand> Scaled(std::span<const MigDemand> demands, double factor) {
  std::vector<MigDemand> scaled(demands.begin(), demands.end());
  for (MigDemand& demand : scaled) demand.rate *= factor;
  return scaled;
}

}  // namespace

std::optional<std::vector<MigCounts>> MigFit(std::span<const MigDemand> demands,
                                             std::int32_t cards) {
  BRIM_CHECK(cards <= kMigExactCardsMax);
  if (cards <= 0) return demands.empty() ? std::optional(std::vector<MigCounts>()) : std::nullopt;
  std::vector<std::vector<Choice>> choices;
  std::vector<std::int32_t> least;
  for (const MigDemand& demand : demands) {
    choices.push_back(Enumeration(demand, cards).Choices());
    if (choices.back().empty()) return std::nullopt;
    std::int32_t size = kNone;
    for (const Choice& choice : choices.back()) size = std::min(size, choice.use[3]);
    least.push_back(size);
  }
  std::int32_t rest = 0;
  for (const std::int32_t size : least) rest += size;
  if (rest > kMigCard[3] * cards) return std::nullopt;

  std::vector<std::vector<State>> layers = {{State{}}};
  for (std::size_t m = 0; m < demands.size(); ++m) {
    rest -= least[m];
    layers.push_back(Next(layers.back(), choices[m], cards, rest));
    if (layers.back().empty()) return std::nullopt;
  }
  const auto best =
      std::min_element(layers.back().begin(), layers.back().end(),
                       [](const State& a, const State& b) { return a.use[3] < b.use[3]; });
  std::vector<MigCounts> counts(demands.size());
  std::size_t at = static_cast<std::size_t>(best - layers.back().begin());
  for (std::size_t m = demands.size(); m > 0; --m) {
    const State& state = layers[m][at];
    counts[m - 1] = choices[m - 1][state.choice].counts;
    at = state.parent;
  }
  return counts;
}

std::optional<MigCounts> MigCover(const MigDemand& demand) {
  constexpr std::size_t kTotalMax = 7 * 20'000;
  std::vector<double> most = {0};
  std::vector<std::size_t> last = {0};
  const double wanted = demand.rate * (1 - kRounding);
  while (most.back() < wanted) {
    const std::size_t total = most.size();
    double best = most.back();
    std::size_t by = kMigSizes.size();  // Nothing added: one placement stays empty.
    for (std::size_t size = 0; size < kMigSizes.size(); ++size) {
      const std::size_t wide = static_cast<std::size_t>(kMigSizes[size]);
      if (wide > total || demand.capacity[size] <= 0) continue;
      const double sum = most[total - wide] + demand.capacity[size];
      if (sum > best) best = sum, by = size;
    }
    if (total > kTotalMax || (total >= 7 && best <= 0)) return std::nullopt;
    most.push_back(best);
    last.push_back(by);
  }
  MigCounts counts{};
  for (std::size_t total = most.size() - 1; total > 0;) {
    const std::size_t size = last[total];
    if (size == kMigSizes.size()) {
      --total;
    } else {
      ++counts[size];
      total -= static_cast<std::size_t>(kMigSizes[size]);
    }
  }
  return counts;
}

MigOptimum MigLeastCards(std::span<const MigDemand> demands) {
  MigOptimum optimum;
  MigCounts sum{};
  for (const MigDemand& demand : demands) {
    const std::optional<MigCounts> cover = MigCover(demand);
    BRIM_CHECK(cover.has_value());
    optimum.counts.push_back(*cover);
    for (std::size_t size = 0; size < sum.size(); ++size) sum[size] += (*cover)[size];
  }
  optimum.cards = MigCards(sum);
  // The covers' total size is the least there is, so no plan has fewer cards than this.
  const std::int32_t least = (UseOf(sum)[3] + kMigCard[3] - 1) / kMigCard[3];
  optimum.proven = optimum.cards == least;
  if (optimum.proven || least > kMigExactCardsMax || demands.size() > kMigExactModelsMax)
    return optimum;
  for (std::int32_t cards = least; cards <= kMigExactCardsMax; ++cards) {
    if (cards == optimum.cards) {
      optimum.proven = true;
      return optimum;
    }
    std::optional<std::vector<MigCounts>> counts = MigFit(demands, cards);
    if (!counts.has_value()) continue;
    optimum = {cards, std::move(*counts), true};
    return optimum;
  }
  return optimum;
}

double MigHeadroom(std::span<const MigDemand> demands, std::int32_t cards, double most) {
  if (cards > kMigExactCardsMax || demands.size() > kMigExactModelsMax) return 1;
  double fits = 1, fails = most;
  if (MigFit(Scaled(demands, most), cards).has_value()) return most;
  while (fails - fits > 0.001) {
    const double factor = (fits + fails) / 2;
    (MigFit(Scaled(demands, factor), cards).has_value() ? fits : fails) = factor;
  }
  return fits;
}

}  // namespace brim::planner
