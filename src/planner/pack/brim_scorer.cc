// The default policy: usable space, weighted by scarcity.
//
// Problem: a pod that lands badly strands what is left of the node: cards without cores, holes that
// no share fills, an eight-card node broken by a small share, the last nodes with many cores taken
// by pods that would fit anywhere. Fragmentation gradient (fgd) sees the holes: it asks whether one
// expected pod fits and then counts all free units as usable. It does not see that six free cards
// with the cores for two are two cards, nor that some hosts run out long before others.
//
// Idea: for each expected type t, usable_t(node) is the free units on cards that could take its
// share, times min(1, copies the cores and memory allow / copies the cards allow). The value of a
// node is the sum of weight_t x usable_t; a score is what a placement takes from it, in steps of
// kStepMilli so that near-equals tie and the first node wins, which fills nodes one after another.
// Two more parts:
//   - The copies that cores allow are counted generously (one copy needs only kNeedPercent of its
//     cores): in a mix, light pods follow heavy ones onto the same node.
//   - Pods without cards count cores as worth kCpuPercent of an average card's.
//
// The weight is where the future enters: weight_t = share of t among the expected pods x (free
// units of the cluster / units that t could use if it came alone) ^ 2, at most kScarcityMax. A type
// whose hosts run out weighs more and more, so others leave its hosts alone: the price of a host
// rises as in a bid-price control, without solving an LP. A type with no host left weighs nothing.
// Weights are made anew each tenth of the cluster, and after as many changes as there are cards:
// all scores are void then, a bounded number of times while a cluster fills.
//
// The constants were chosen by inflation runs on the open traces; docs/planner.md has figures for
// seeds and a trace that took no part in that. Weights are made in doubles once a learning, all
// else is in integers. Cost of a score: O(types + groups x cards); of new weights: that for each
// node.
#include "planner/pack/brim_scorer.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <tuple>

#include "planner/pack/card_choice.h"

namespace brim::planner {
namespace {

constexpr std::int64_t kWeights = 1 << 16;  // Sum of the weights.
constexpr std::int64_t kStepMilli = 20;
constexpr std::int64_t kUnusedNodeMilli = 10;  // What opening a node costs.
constexpr std::uint64_t kNeedPercent = 40;
constexpr std::int64_t kCpuPercent = 50;
constexpr double kScarcityMax = 100;
constexpr std::int64_t kLearnings = 10;  // While an empty cluster fills.

std::uint64_t Inverse(std::int64_t need) {
  return (std::uint64_t{1} << 32) * 100 /
         (kNeedPercent * static_cast<std::uint64_t>(std::max<std::int64_t>(1, need)));
}

}  // namespace

BrimScorer::BrimScorer(const Occupancy& occupancy, const PodMix& expected)
    : occupancy_(occupancy),
      capacity_milli_(occupancy.cluster().cards() * kCardMilli),
      usable_(occupancy.cluster().nodes.size(), -1) {
  // Types differ in cards, share, models and cores; one that merges several memory demands has
  // their mean.
  std::map<std::tuple<std::int32_t, std::int32_t, std::uint64_t>,
           std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>>>
      grouped;
  const std::size_t entries = std::min(expected.entries.size(), kTypesMax);
  for (std::size_t i = 0; i < entries; ++i) {
    const Pod& pod = expected.entries[i].pod;
    const std::uint64_t models = pod.cards == 0 ? 0 : pod.card_models;
    auto& [count, memory] = grouped[{pod.cards, pod.card_milli, models}][pod.cpu_milli];
    count += expected.entries[i].count;
    memory += expected.entries[i].count * pod.memory_mib;
  }
  for (const auto& [key, types] : grouped) {
    Group group;
    std::tie(group.cards, group.card_milli, group.card_models) = key;
    if (group.cards > 0) {
      const auto milli = static_cast<std::uint32_t>(group.card_milli);
      group.inverse = ((1u << 20) + milli - 1) / milli;
    }
    group.first = static_cast<std::int32_t>(types_.size());
    for (const auto& [cpu, sums] : types) {
      const std::int64_t memory = sums.second / sums.first;
      types_.push_back({0, cpu, memory, Inverse(cpu), Inverse(memory), sums.first});
    }
    group.last = static_cast<std::int32_t>(types_.size());
    groups_.push_back(group);
  }
  std::int64_t cpu = 0;
  for (const Node& node : occupancy.cluster().nodes) cpu += node.cpu_milli;
  cpu_worth_ = capacity_milli_ * kWeights * kCpuPercent / 100 / std::max<std::int64_t>(1, cpu);
  spaces_.resize(groups_.size());
  after_.resize(groups_.size());
}

bool BrimScorer::Admits(const Group& group, std::int32_t card_model) const {
  return group.card_models == 0 || (card_model >= 0 && (group.card_models >> card_model & 1) != 0);
}

void BrimScorer::Measure(const FreeNode& free) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[i];
    Space space;
    if (group.cards == 0 || !Admits(group, free.card_model)) {
      spaces_[i] = space;
      continue;
    }
    if (group.cards > 1) {
      space.copies = free.whole_cards / group.cards;
      space.milli = space.copies * group.cards * kCardMilli;
    } else {
      for (const std::int32_t milli : free.card_milli) {
        const std::int32_t copies = CopiesOn(group, milli);
        space.copies += copies;
        space.milli += copies > 0 ? milli : 0;
      }
    }
    spaces_[i] = space;
  }
}

std::int64_t BrimScorer::Usable(const std::vector<Space>& spaces, std::int64_t cpu_milli,
                                std::int64_t memory_mib) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[i];
    const Space& space = spaces[i];
    if (group.cards == 0) {
      for (std::int32_t t = group.first; t < group.last; ++t) {
        const Type& type = types_[t];
        if (cpu_milli < type.cpu_milli) break;  // Ascending.
        if (memory_mib >= type.memory_mib) sum += type.weight * (cpu_milli * cpu_worth_ / kWeights);
      }
      continue;
    }
    if (space.copies == 0) continue;
    const auto copies = static_cast<std::uint64_t>(space.copies);
    for (std::int32_t t = group.first; t < group.last; ++t) {
      const Type& type = types_[t];
      if (cpu_milli < type.cpu_milli) break;
      if (memory_mib < type.memory_mib) continue;
      const std::uint64_t allowed = std::max<std::uint64_t>(
          1, std::min(static_cast<std::uint64_t>(cpu_milli) * type.cpu_inverse,
                      static_cast<std::uint64_t>(memory_mib) * type.memory_inverse) >>
                 32);
      if (allowed >= copies) {
        sum += type.weight * space.milli;
      } else {
        sum += type.weight * static_cast<std::int64_t>(static_cast<std::uint64_t>(space.milli) *
                                                       allowed / copies);
      }
    }
  }
  return sum;
}

std::int64_t BrimScorer::UsableNow(std::int32_t node) {
  if (usable_[node] < 0) {
    const FreeNode& free = occupancy_.free(node);
    usable_[node] = Usable(spaces_, free.cpu_milli, free.memory_mib);
  }
  return usable_[node];
}

BrimScorer::Scored BrimScorer::Best(const Pod& pod, std::int32_t node) {
  const FreeNode& free = occupancy_.free(node);
  Measure(free);
  const std::int64_t before = UsableNow(node);
  const std::int64_t opening = free.used() ? 0 : kUnusedNodeMilli * kWeights;
  const std::int64_t cpu = free.cpu_milli - pod.cpu_milli;
  const std::int64_t memory = free.memory_mib - pod.memory_mib;
  const auto scored = [&](std::int32_t card) {
    const std::int64_t usable = Usable(after_, cpu, memory);
    const std::int64_t cost = before - usable + opening;
    constexpr std::int64_t kStep = kStepMilli * kWeights;
    // Rounded up, also below zero: a cost of less than a step is a step.
    const std::int64_t steps = cost >= 0 ? (cost + kStep - 1) / kStep : -(-cost / kStep);
    return Scored{static_cast<std::int32_t>(-steps), card, usable};
  };
  const bool share = pod.cards == 1 && pod.card_milli < kCardMilli;
  if (!share) {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Group& group = groups_[i];
      after_[i] = spaces_[i];
      if (pod.cards == 0 || spaces_[i].copies == 0) continue;
      if (group.cards > 1) {
        after_[i].copies = (free.whole_cards - pod.cards) / group.cards;
        after_[i].milli = after_[i].copies * group.cards * kCardMilli;
      } else {
        after_[i].copies -= pod.cards * CopiesOn(group, kCardMilli);
        after_[i].milli -= pod.cards * kCardMilli;
      }
    }
    return scored(-1);
  }
  Scored best;
  bool found = false;
  std::int32_t last = -1;
  for (std::int32_t card = 0; card < static_cast<std::int32_t>(free.card_milli.size()); ++card) {
    const std::int32_t milli = free.card_milli[card];
    if (milli == last || !occupancy_.FitsCard(pod, node, card)) continue;
    last = milli;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Group& group = groups_[i];
      after_[i] = spaces_[i];
      if (spaces_[i].copies == 0) continue;
      if (group.cards > 1) {
        after_[i].copies = (free.whole_cards - (milli == kCardMilli ? 1 : 0)) / group.cards;
        after_[i].milli = after_[i].copies * group.cards * kCardMilli;
        continue;
      }
      const std::int32_t had = CopiesOn(group, milli);
      const std::int32_t has = CopiesOn(group, milli - pod.card_milli);
      after_[i].copies += has - had;
      after_[i].milli += (has > 0 ? milli - pod.card_milli : 0) - (had > 0 ? milli : 0);
    }
    const Scored candidate = scored(card);
    if (!found || candidate.usable > best.usable) best = candidate;
    found = true;
  }
  return best;
}

std::uint64_t BrimScorer::Cards(const Pod& pod, std::int32_t node) {
  const std::int32_t card = Best(pod, node).card;
  return card < 0 ? FirstCards(occupancy_, pod, node) : CardBit(card);
}

void BrimScorer::Changed(std::int32_t node) {
  usable_[node] = -1;
  ++changes_;
}

bool BrimScorer::Learn() {
  const std::int64_t placed = occupancy_.placed_milli();
  const bool due = weighed_at_milli_ < 0 ||
                   std::abs(placed - weighed_at_milli_) * kLearnings >=
                       std::max<std::int64_t>(1, capacity_milli_) ||
                   changes_ >= std::max<std::int64_t>(64, capacity_milli_ / kCardMilli);
  if (!due) return false;
  weighed_at_milli_ = placed;
  changes_ = 0;
  Weigh();
  std::fill(usable_.begin(), usable_.end(), -1);
  return true;
}

void BrimScorer::Weigh() {
  std::vector<double> alone(types_.size(), 0);  // Milli-cards, or milli-cores without cards.
  double free_milli = 0;
  double free_cpu = 0;
  for (std::int32_t node = 0; node < occupancy_.nodes(); ++node) {
    const FreeNode& free = occupancy_.free(node);
    free_milli += static_cast<double>(free.card_milli_sum);
    free_cpu += static_cast<double>(free.cpu_milli);
    Measure(free);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Group& group = groups_[i];
      const std::int64_t on_cards =
          group.cards == 0 ? std::numeric_limits<std::int64_t>::max() : spaces_[i].copies;
      if (on_cards == 0) continue;
      for (std::int32_t t = group.first; t < group.last; ++t) {
        const Type& type = types_[t];
        if (free.cpu_milli < type.cpu_milli) break;
        std::int64_t copies = on_cards;
        if (type.cpu_milli > 0) copies = std::min(copies, free.cpu_milli / type.cpu_milli);
        if (type.memory_mib > 0) copies = std::min(copies, free.memory_mib / type.memory_mib);
        const std::int64_t size = group.cards == 0 ? std::max<std::int64_t>(1, type.cpu_milli)
                                                   : std::int64_t{group.cards} * group.card_milli;
        if (group.cards == 0) copies = std::min(copies, free.cpu_milli / size);
        alone[t] += static_cast<double>(copies * size);
      }
    }
  }
  double sum = 0;
  std::vector<double> weights(types_.size(), 0);
  for (const Group& group : groups_) {
    for (std::int32_t t = group.first; t < group.last; ++t) {
      if (alone[t] <= 0) continue;
      const double scarcity = (group.cards == 0 ? free_cpu : free_milli) / alone[t];
      weights[t] =
          static_cast<double>(types_[t].count) * std::min(kScarcityMax, scarcity * scarcity);
      sum += weights[t];
    }
  }
  for (std::size_t t = 0; t < types_.size(); ++t) {
    types_[t].weight =
        sum > 0 ? static_cast<std::int64_t>(weights[t] / sum * static_cast<double>(kWeights)) : 0;
  }
}

std::vector<ScoreTerm> BrimScorer::Terms(const Pod& pod, std::int32_t node) {
  const Scored best = Best(pod, node);
  const std::int64_t opening = occupancy_.free(node).used() ? 0 : kUnusedNodeMilli;
  const double lost =
      static_cast<double>(usable_[node] - best.usable) / static_cast<double>(kWeights * kStepMilli);
  const double opened = static_cast<double>(opening) / static_cast<double>(kStepMilli);
  return {{"usable_lost", -lost},
          {"node_opened", -opened},
          {"rounding", static_cast<double>(best.score) + lost + opened}};
}

}  // namespace brim::planner
