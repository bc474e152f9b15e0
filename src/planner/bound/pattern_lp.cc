// The cutting-stock problem: shares of cards, at most 20 to 100 sizes, thousands of shares.
//
// A pattern is a set of shares that one card holds. The LP chooses how many cards get each pattern
// so that every share has a place, with as few cards as possible. There are far too many patterns
// to list, so they are generated: the LP over the patterns known so far has a dual price per size;
// the pattern worth most at these prices is a bounded knapsack over a card's cells
// (card_knapsack.h); if it is worth more than a card, the LP is better off with it, else the LP is
// solved over all patterns. (Gilmore and Gomory, Operations Research 9 and 11, 1961 and 1963.)
//
// The proof is Farley's (Operations Research 38, 1990): the prices are rounded down to integers,
// the knapsack is solved again with these, exactly, and gives the most that any card's shares are
// worth. Then every card of every plan holds at most card_price, the shares are worth sum(count *
// price) together, so no plan has fewer than their quotient. It needs nothing from the solver to be
// right, so it also holds, a little lower, when the generation is cut short.
//
// Cost: a round is one warm-started LP of as many rows as sizes, and a knapsack of
// O(cells * sum of log copies). 20 sizes need about 60 rounds, 100 sizes a few hundred.
#include "planner/bound/pattern_lp.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <utility>

#include "base/check.h"
#include "planner/bound/linear_program.h"
#include "planner/cluster/cluster.h"

namespace brim::planner {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kPriceOne = std::int64_t{1} << 32;  // The price of a card, before proof.
constexpr std::int32_t kRoundsMax = 20'000;

std::vector<LpEntry> Entries(const Pattern& pattern) {
  std::vector<LpEntry> entries;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] > 0) entries.push_back({static_cast<int>(i), static_cast<double>(pattern[i])});
  }
  return entries;
}

std::vector<std::int64_t> RoundedPrices(const std::vector<double>& duals) {
  std::vector<std::int64_t> prices(duals.size());
  for (std::size_t i = 0; i < duals.size(); ++i) {
    // A share is never worth more than the card it stands on.
    const double price = std::clamp(duals[i], 0.0, 1.0);
    prices[i] = static_cast<std::int64_t>(price * static_cast<double>(kPriceOne));
  }
  return prices;
}

CardKnapsack Knapsack(std::span<const SizeCount> sizes) {
  std::vector<std::int32_t> milli(sizes.size());
  std::vector<std::int64_t> copies(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    milli[i] = sizes[i].milli;
    copies[i] = sizes[i].count;
  }
  return CardKnapsack(milli, copies);
}

// Keeps the prices if they prove more than the ones before.
void Prove(const std::vector<std::int64_t>& prices, std::int64_t card_price, PatternLp* lp) {
  Wide worth = 0;
  for (std::size_t i = 0; i < prices.size(); ++i) worth += Wide{prices[i]} * lp->sizes[i].count;
  if (worth <= 0) return;
  // The whole cards exactly, the rest to 53 bits.
  const double value = static_cast<double>(worth / card_price) +
                       static_cast<double>(worth % card_price) / static_cast<double>(card_price);
  if (value <= lp->value) return;
  lp->value = value;
  lp->prices = prices;
  lp->card_price = card_price;
}

// Cards by how much each has free, with the tightest fit found in 16 words.
class CardsByFree {
 public:
  void Add(std::int32_t free, std::int32_t card) {
    cards_[free].push_back(card);
    words_[free / 64] |= std::uint64_t{1} << (free % 64);
  }
  // The least free that is at least `size`; -1 without.
  std::int32_t Tightest(std::int32_t size) const {
    std::uint64_t word = words_[size / 64] & (~std::uint64_t{0} << (size % 64));
    for (std::size_t i = size / 64;;) {
      if (word != 0) return static_cast<std::int32_t>(i * 64) + std::countr_zero(word);
      if (++i == words_.size()) return -1;
      word = words_[i];
    }
  }
  std::int32_t Take(std::int32_t free) {
    const std::int32_t card = cards_[free].back();
    cards_[free].pop_back();
    if (cards_[free].empty()) words_[free / 64] &= ~(std::uint64_t{1} << (free % 64));
    return card;
  }

 private:
  std::array<std::vector<std::int32_t>, kCardMilli + 1> cards_;
  std::array<std::uint64_t, kCardMilli / 64 + 1> words_{};
};

// Best-fit decreasing of counts per size: each card's filling.
std::vector<Pattern> PackCounts(std::span<const SizeCount> sizes,
                                const std::vector<std::int64_t>& counts) {
  std::vector<Pattern> cards;
  CardsByFree by_free;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    const std::int32_t size = sizes[i].milli;
    for (std::int64_t n = 0; n < counts[i]; ++n) {
      std::int32_t free = by_free.Tightest(size);
      if (free < 0) {
        free = kCardMilli;
        by_free.Add(free, static_cast<std::int32_t>(cards.size()));
        cards.emplace_back(sizes.size(), 0);
      }
      const std::int32_t card = by_free.Take(free);
      by_free.Add(free - size, card);
      ++cards[card][i];
    }
  }
  return cards;
}

void AddToPlan(const Pattern& pattern, std::int64_t cards, PatternPlan* plan) {
  if (cards == 0) return;
  plan->total += cards;
  const auto same = std::find(plan->patterns.begin(), plan->patterns.end(), pattern);
  if (same != plan->patterns.end()) {
    plan->cards[same - plan->patterns.begin()] += cards;
    return;
  }
  plan->patterns.push_back(pattern);
  plan->cards.push_back(cards);
}

// Takes as many cards of the pattern as there are shares left to fill them, up to `cards`.
std::int64_t Take(const Pattern& pattern, std::int64_t cards, std::vector<std::int64_t>* left,
                  PatternPlan* plan) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] > 0) cards = std::min(cards, (*left)[i] / pattern[i]);
  }
  for (std::size_t i = 0; i < pattern.size(); ++i) (*left)[i] -= cards * pattern[i];
  AddToPlan(pattern, cards, plan);
  return cards;
}

std::vector<SizeCount> WithCounts(std::span<const SizeCount> sizes,
                                  const std::vector<std::int64_t>& counts) {
  std::vector<SizeCount> result(sizes.begin(), sizes.end());
  for (std::size_t i = 0; i < result.size(); ++i) result[i].count = counts[i];
  return result;
}

// A pattern over `from`, written over `to`, which has all of its sizes.
Pattern Rewritten(const Pattern& pattern, std::span<const SizeCount> from,
                  std::span<const SizeCount> to) {
  Pattern result(to.size(), 0);
  for (std::size_t i = 0, j = 0; i < from.size(); ++i) {
    while (to[j].milli != from[i].milli) ++j;
    result[j] = pattern[i];
  }
  return result;
}

// The plan so far and the rest packed best-fit decreasing.
PatternPlan Completed(std::span<const SizeCount> sizes, const std::vector<std::int64_t>& left,
                      PatternPlan plan) {
  for (const Pattern& card : PackCounts(sizes, left)) AddToPlan(card, 1, &plan);
  return plan;
}

// One dive: the LP's cards rounded down, or, where that is none, its fullest fraction as one card.
void Dive(const PatternLp& lp, std::span<const SizeCount> sizes, std::vector<std::int64_t>* left,
          PatternPlan* plan) {
  std::int64_t taken = 0;
  std::size_t fullest = 0;
  for (std::size_t i = 0; i < lp.patterns.size(); ++i) {
    const auto whole = static_cast<std::int64_t>(std::floor(lp.use[i] + 1e-6));
    if (whole > 0) taken += Take(Rewritten(lp.patterns[i], lp.sizes, sizes), whole, left, plan);
    if (lp.use[i] > lp.use[fullest]) fullest = i;
  }
  if (taken > 0 || lp.patterns.empty()) return;
  // It may hold more than is left of a size; then it holds what is left.
  Pattern pattern = Rewritten(lp.patterns[fullest], lp.sizes, sizes);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    pattern[i] = static_cast<std::int32_t>(std::min<std::int64_t>(pattern[i], (*left)[i]));
  }
  Take(pattern, 1, left, plan);
}

}  // namespace

std::vector<SizeCount> Merged(std::span<const SizeCount> sizes) {
  std::map<std::int32_t, std::int64_t> counts;
  for (const SizeCount& size : sizes) {
    if (size.count > 0) counts[size.milli] += size.count;
  }
  std::vector<SizeCount> merged;
  for (const auto& [milli, count] : counts) merged.push_back({milli, count});
  return merged;
}

Result<PatternLp> SolvePatternLp(std::span<const SizeCount> sizes, std::int64_t iterations_max) {
  PatternLp lp;
  lp.sizes = Merged(sizes);
  lp.prices.assign(lp.sizes.size(), 0);
  if (lp.sizes.empty()) return lp;

  LinearProgram program;
  for (const SizeCount& size : lp.sizes) {
    program.AddRow(static_cast<double>(size.count), kLpInfinity);
  }
  const auto add = [&](Pattern pattern) {
    program.AddColumn(1, 0, kLpInfinity, Entries(pattern));
    lp.patterns.push_back(std::move(pattern));
  };
  CardKnapsack knapsack = Knapsack(lp.sizes);
  // As many of one size as fit, so that the first LP has a solution; and what packing makes.
  for (std::size_t i = 0; i < lp.sizes.size(); ++i) {
    Pattern pattern(lp.sizes.size(), 0);
    pattern[i] = static_cast<std::int32_t>(
        std::min<std::int64_t>(lp.sizes[i].count, kCardMilli / lp.sizes[i].milli));
    add(std::move(pattern));
  }
  for (const Pattern& pattern : BestFitDecreasing(lp.sizes).patterns) add(pattern);

  for (lp.rounds = 1; lp.rounds <= kRoundsMax; ++lp.rounds) {
    BRIM_ASSIGN_OR_RETURN(LpSolution solution, program.Minimise(iterations_max));
    lp.objective = solution.objective;
    lp.use = std::move(solution.columns);
    const std::vector<std::int64_t> prices = RoundedPrices(solution.duals);
    const std::int64_t card_price = std::max(knapsack.Solve(prices), std::int64_t{1});
    Prove(prices, card_price, &lp);
    // A card worth 1e-9 more than its price is the solver's tolerance, not a better pattern.
    if (card_price <= kPriceOne + 4) break;
    add(knapsack.Best());
  }
  lp.use.resize(lp.patterns.size(), 0.0);
  return lp;
}

PatternPlan BestFitDecreasing(std::span<const SizeCount> sizes) {
  const std::vector<SizeCount> merged = Merged(sizes);
  std::vector<std::int64_t> counts(merged.size());
  PatternPlan plan;
  for (std::size_t i = 0; i < merged.size(); ++i) {
    counts[i] = merged[i].count;
    // More than these are not packed one by one: most of them fill cards of their own.
    constexpr std::int64_t kOneByOne = 100'000;
    const std::int64_t per_card = kCardMilli / merged[i].milli;
    if (counts[i] <= kOneByOne) continue;
    Pattern full(merged.size(), 0);
    full[i] = static_cast<std::int32_t>(per_card);
    const std::int64_t cards = (counts[i] - kOneByOne) / per_card;
    counts[i] -= cards * per_card;
    AddToPlan(full, cards, &plan);
  }
  return Completed(merged, counts, std::move(plan));
}

Result<PatternPlan> RoundPatterns(const PatternLp& lp, std::int32_t dives) {
  const std::span<const SizeCount> sizes = lp.sizes;
  PatternPlan best = BestFitDecreasing(sizes);
  const auto bound = static_cast<std::int64_t>(std::ceil(lp.value - 1e-6));
  std::vector<std::int64_t> left(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) left[i] = sizes[i].count;
  PatternPlan plan;
  PatternLp rest = lp;
  for (std::int32_t dive = 0; dive < dives && best.total > bound; ++dive) {
    Dive(rest, sizes, &left, &plan);
    PatternPlan whole = Completed(sizes, left, plan);
    if (whole.total < best.total) best = std::move(whole);
    BRIM_ASSIGN_OR_RETURN(rest, SolvePatternLp(WithCounts(sizes, left)));
    if (rest.sizes.empty()) break;
  }
  return best;
}

}  // namespace brim::planner
