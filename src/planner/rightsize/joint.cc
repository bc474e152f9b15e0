// Packing by elimination. From first-fit decreasing, again and again: take one card away and put
// its pods into a pool; insert a pod from the pool where it fits, or where it fits once one or two
// pods that were easier to place so far are ejected into the pool; shake the layout by a few random
// moves; until the pool is empty (a card is saved) or the tries are spent (the last whole plan
// stands). "How hard to place" is the number of times a pod had no place: the ejection search of
// Nagata and Braysy for fewest vehicles (Operations Research Letters 37, 2009). A card is tested by
// its summed series, O(steps); memory and the ejection count are tested first and refuse most.
#include "planner/rightsize/joint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "base/check.h"
#include "planner/cluster/random.h"
#include "planner/rightsize/joint_fit.h"

namespace brim::planner {

JointFit::JointFit(const std::vector<JointPod>& pods, const JointOptions& options,
                   std::size_t full_max)
    : pods_(&pods),
      options_(&options),
      steps_(pods.empty() ? 0 : pods.front().compute.size()),
      full_max_(full_max) {
  over_max_ = static_cast<std::size_t>((1 - options.quantile) * static_cast<double>(steps_) + 1e-9);
}

bool JointFit::SeriesFits(const float* sum, std::size_t add,
                          std::span<const std::size_t> out) const {
  const auto limit = static_cast<float>(options_->compute_percent);
  const float* plus = series(add);
  const float* less = out.empty() ? nullptr : series(out[0]);
  const float* also = out.size() < 2 ? nullptr : series(out[1]);
  std::size_t over = 0, full = 0;
  constexpr std::size_t kBlock = 128;  // Gives up early where it is clear.
  for (std::size_t from = 0; from < steps_ && over <= over_max_ && full <= full_max_;
       from += kBlock) {
    const std::size_t to = std::min(steps_, from + kBlock);
    unsigned above = 0, whole = 0;
    for (std::size_t t = from; t < to; ++t) {
      float value = sum[t] + plus[t];
      if (less != nullptr) value -= less[t];
      if (also != nullptr) value -= also[t];
      above += value > limit ? 1U : 0U;
      whole += value > 100 ? 1U : 0U;
    }
    over += above;
    full += whole;
  }
  return over <= over_max_ && full <= full_max_;
}

bool JointFit::Together(std::span<const std::size_t> pods) const {
  if (pods.size() <= 1) return true;
  double held = 0, floors = 0;
  for (const std::size_t pod : pods) {
    held += memory(pod);
    floors += floor(pod);
  }
  if (!MemoryFits(held) || !FloorFits(floors)) return false;
  std::vector<float> sum(steps_);
  for (const std::size_t pod : pods.subspan(1)) {
    for (std::size_t t = 0; t < steps_; ++t) sum[t] += series(pod)[t];
  }
  return SeriesFits(sum.data(), pods[0], {});
}

namespace {

struct Card {
  std::vector<std::size_t> pods;
  std::vector<float> sum;
  double memory = 0;
  double floors = 0;
};

class Search {
 public:
  Search(const std::vector<JointPod>& pods, const JointFit& fit, const JointOptions& options)
      : fit_(fit), options_(options), random_(options.seed), hard_(pods.size(), 1) {}

  void FirstFit(const std::vector<std::size_t>& order) {
    cards_.clear();
    for (const std::size_t pod : order) {
      Card* home = nullptr;
      for (Card& card : cards_) {
        if (Fits(card, pod, {})) {
          home = &card;
          break;
        }
      }
      if (home == nullptr) home = &cards_.emplace_back();
      Put(home, pod);
    }
  }

  std::size_t cards() const { return cards_.size(); }
  std::vector<std::vector<std::size_t>> plan() const {
    std::vector<std::vector<std::size_t>> out;
    for (const Card& card : cards_) out.push_back(card.pods);
    return out;
  }

  // Saves one card, or leaves all as it was.
  bool Eliminate() {
    const std::vector<Card> before = cards_;
    const auto victim =
        std::min_element(cards_.begin(), cards_.end(), [](const Card& a, const Card& b) {
          return a.pods.size() != b.pods.size() ? a.pods.size() < b.pods.size()
                                                : a.memory < b.memory;
        });
    std::vector<std::size_t> pool = victim->pods;
    cards_.erase(victim);
    std::fill(hard_.begin(), hard_.end(), 1);
    for (std::int64_t tries = 0; tries < options_.tries_max && !pool.empty(); ++tries) {
      const std::size_t pod = pool.back();
      pool.pop_back();
      if (Insert(pod)) continue;
      ++hard_[pod];
      if (!InsertEjecting(pod, &pool)) pool.push_back(pod);
      if (pool.size() > 1) std::swap(pool.back(), pool[random_.Below(pool.size())]);
      for (int i = 0; i < 10; ++i) Shake();
    }
    if (pool.empty()) return true;
    cards_ = before;
    return false;
  }

 private:
  bool Fits(const Card& card, std::size_t pod, std::span<const std::size_t> out) const {
    double memory = card.memory + fit_.memory(pod);
    double floors = card.floors + fit_.floor(pod);
    for (const std::size_t one : out) {
      memory -= fit_.memory(one);
      floors -= fit_.floor(one);
    }
    if (!fit_.MemoryFits(memory)) return false;
    if (card.pods.size() == out.size()) return true;  // Alone.
    return fit_.FloorFits(floors) && fit_.SeriesFits(card.sum.data(), pod, out);
  }

  void Put(Card* card, std::size_t pod) {
    card->pods.push_back(pod);
    Refresh(card);
  }

  void Take(Card* card, std::size_t pod) {
    card->pods.erase(std::find(card->pods.begin(), card->pods.end(), pod));
    Refresh(card);
  }

  // From scratch, in order, so that no rounding is left behind.
  void Refresh(Card* card) {
    card->sum.assign(fit_.steps(), 0);
    card->memory = card->floors = 0;
    std::sort(card->pods.begin(), card->pods.end());
    for (const std::size_t pod : card->pods) {
      card->memory += fit_.memory(pod);
      card->floors += fit_.floor(pod);
      const float* series = fit_.series(pod);
      for (std::size_t t = 0; t < card->sum.size(); ++t) card->sum[t] += series[t];
    }
  }

  // Where it fits, one of the cards at random (first one met after a random start).
  bool Insert(std::size_t pod) {
    const std::size_t start = cards_.empty() ? 0 : random_.Below(cards_.size());
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      Card& card = cards_[(start + i) % cards_.size()];
      if (!Fits(card, pod, {})) continue;
      Put(&card, pod);
      return true;
    }
    return false;
  }

  bool InsertEjecting(std::size_t pod, std::vector<std::size_t>* pool) {
    struct Choice {
      std::size_t card = 0;
      std::array<std::size_t, 2> out{};
      std::size_t count = 0;
    };
    std::optional<Choice> best;
    std::int64_t least = hard_[pod];  // Ejecting what is harder to place leads nowhere.
    const std::size_t start = random_.Below(cards_.size());
    const auto consider = [&](std::size_t c, std::array<std::size_t, 2> out, std::size_t count) {
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < count; ++i) sum += hard_[out[i]];
      if (sum >= least + (best ? 0 : 1)) return;
      if (!Fits(cards_[c], pod, std::span(out).first(count))) return;
      least = sum;
      best = Choice{c, out, count};
    };
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      const std::size_t c = (start + i) % cards_.size();
      const std::vector<std::size_t>& members = cards_[c].pods;
      for (std::size_t a = 0; a < members.size(); ++a) {
        consider(c, {members[a], 0}, 1);
        for (std::size_t b = a + 1; b < members.size(); ++b) {
          consider(c, {members[a], members[b]}, 2);
        }
      }
    }
    if (!best) return false;
    Card& card = cards_[best->card];
    for (std::size_t i = 0; i < best->count; ++i) {
      Take(&card, best->out[i]);
      pool->push_back(best->out[i]);
    }
    Put(&card, pod);
    return true;
  }

  // One random move, or swap of two pods, that keeps every card within its limits.
  void Shake() {
    if (cards_.size() < 2) return;
    Card& a = cards_[random_.Below(cards_.size())];
    Card& b = cards_[random_.Below(cards_.size())];
    if (&a == &b || a.pods.empty()) return;
    const std::size_t from = a.pods[random_.Below(a.pods.size())];
    if (b.pods.empty() || random_.Below(2) == 0) {
      // A card is never emptied: an empty one would be a place that ejection forgets.
      if (a.pods.size() < 2 || !Fits(b, from, {})) return;
      Take(&a, from);
      Put(&b, from);
      return;
    }
    const std::size_t to = b.pods[random_.Below(b.pods.size())];
    if (!Fits(b, from, std::array{to}) || !Fits(a, to, std::array{from})) return;
    Take(&a, from);
    Take(&b, to);
    Put(&b, from);
    Put(&a, to);
  }

  const JointFit& fit_;
  const JointOptions& options_;
  Random random_;
  std::vector<Card> cards_;
  std::vector<std::int64_t> hard_;
};

// By memory, then by work, each falling.
std::vector<std::vector<std::size_t>> Orders(const std::vector<JointPod>& pods) {
  std::vector<std::size_t> by_memory(pods.size());
  std::iota(by_memory.begin(), by_memory.end(), std::size_t{0});
  std::vector<std::size_t> by_work = by_memory;
  std::vector<double> work;
  for (const JointPod& pod : pods) {
    work.push_back(std::accumulate(pod.compute.begin(), pod.compute.end(), 0.0));
  }
  std::stable_sort(by_memory.begin(), by_memory.end(), [&](std::size_t a, std::size_t b) {
    return pods[a].memory_mib > pods[b].memory_mib;
  });
  std::stable_sort(by_work.begin(), by_work.end(),
                   [&](std::size_t a, std::size_t b) { return work[a] > work[b]; });
  return {by_memory, by_work};
}

Status Check(const std::vector<JointPod>& pods, const JointOptions& options) {
  for (const JointPod& pod : pods) {
    if (pod.memory_mib > options.card_memory_mib) {
      return Status(Code::kInvalidArgument, "pod_too_large",
                    fmt::format("pod '{}' holds {:.0f} MiB, a card {:.0f}; use larger cards or "
                                "leave the pod out",
                                pod.name, pod.memory_mib, options.card_memory_mib));
    }
    if (pod.compute.size() != pods.front().compute.size()) {
      return Status(Code::kInvalidArgument, "series_differ",
                    fmt::format("pod '{}' has {} steps, '{}' has {}", pod.name, pod.compute.size(),
                                pods.front().name, pods.front().compute.size()));
    }
  }
  return OkStatus();
}

JointPlan PackWithin(const std::vector<JointPod>& pods, const JointFit& fit,
                     const JointOptions& options, std::int64_t least, JointPlan plan) {
  const std::vector<std::vector<std::size_t>> orders = Orders(pods);
  Search search(pods, fit, options);
  search.FirstFit(orders[1]);
  const std::size_t by_work = search.cards();
  search.FirstFit(orders[0]);
  plan.first_fit = std::min(search.cards(), by_work);
  if (by_work < search.cards()) search.FirstFit(orders[1]);
  const auto first = static_cast<std::int64_t>(search.cards());
  while (static_cast<std::int64_t>(search.cards()) > least) {
    if (options.progress) {
      options.progress("packing", first - static_cast<std::int64_t>(search.cards()), first - least);
    }
    if (!search.Eliminate()) break;
  }
  plan.cards = search.plan();
  return plan;
}

}  // namespace

Result<JointPlan> PackJointly(const std::vector<JointPod>& pods, const JointOptions& options) {
  BRIM_RETURN_IF_ERROR(Check(pods, options));
  JointPlan plan;
  if (pods.empty()) return plan;
  const JointFit fit(pods, options);
  BRIM_ASSIGN_OR_RETURN(plan.bounds, JointBounds(pods, options, fit));
  std::int64_t least = 0;
  for (const Bound& bound : plan.bounds) least = std::max(least, bound.cards());

  const std::size_t none = std::numeric_limits<std::size_t>::max();
  for (const std::size_t full_max :
       {none, std::size_t{4}, std::size_t{3}, std::size_t{2}, std::size_t{1}, std::size_t{0}}) {
    plan = PackWithin(pods, JointFit(pods, options, full_max), options, least, std::move(plan));
    plan.overload_met = Overload(pods, plan.cards).time_share <= options.overload_max;
    if (plan.overload_met) break;
  }
  plan.gap = GapTo(static_cast<std::int64_t>(plan.cards.size()), plan.bounds);
  return plan;
}

JointOverload Overload(const std::vector<JointPod>& pods,
                       const std::vector<std::vector<std::size_t>>& cards) {
  JointOverload out;
  double time = 0, over = 0, work = 0, lost = 0;
  for (const std::vector<std::size_t>& card : cards) {
    if (card.empty()) continue;
    const std::size_t steps = pods[card[0]].compute.size();
    std::size_t own = 0;
    for (std::size_t t = 0; t < steps; ++t) {
      double sum = 0;
      for (const std::size_t pod : card) sum += pods[pod].compute[t];
      work += sum;
      if (sum > 100) {
        ++own;
        lost += sum - 100;
      }
    }
    time += static_cast<double>(steps);
    over += static_cast<double>(own);
    const auto length = static_cast<double>(std::max<std::size_t>(1, steps));
    out.worst_card = std::max(out.worst_card, static_cast<double>(own) / length);
  }
  out.time_share = time > 0 ? over / time : 0;
  out.work_share = work > 0 ? lost / work : 0;
  out.mean_percent = time > 0 ? work / time : 0;
  return out;
}

}  // namespace brim::planner
