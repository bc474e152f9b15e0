// The guide: how a pattern plan and a cluster's balance steer pods that arrive one by one.
//
// Problem: an online placement loses cards in three ways. Shares stand together in sets that leave
// holes; free cards stand where the cores or the memory have gone; and the few hosts that some pods
// must have are filled with pods that could stand anywhere. Fragmentation gradient (fgd) asks, per
// expected pod, whether one would still fit; it sees the first a little, the other two hardly.
//
// Idea: a node is worth what the expected pods can still make of it, and a pod goes where it takes
// the least.
//
//   Worth of a card with r free: the pattern LP over the expected shares has a dual price per size;
//   V(r) is the most that a set of shares of at most r is worth at these prices, V(1000) = 1 card.
//   A share placed so that V falls by just its price loses nothing: it stays on an optimal pattern.
//   (Linear-programming duals as bid prices: Talluri and van Ryzin, Management Science 44, 1998.)
//
//   Worth of a node: G = sum of V over its cards, if its cores c and memory m keep up:
//     U = G / (1 + (cpu_per_card G / c)^4 + (memory_per_card G / m)^4)^(1/4),
//   a smooth minimum of the three. Where cores abound a light pod costs a whole card and a heavy
//   one hardly more; where they are just enough a heavy one costs more than its card. So heavy pods
//   meet rich nodes without being told which those are.
//
//   Room for what runs out: C_t is how many pods of kind t the whole cluster still holds, one kind
//   at a time; need_t how many are expected until it is full, with one deviation and, for pods of
//   several cards, four more in hand for each kind that competes for their hosts. rho = need / C. A
//   node's room is the sum over the kinds of weight * copies it holds, with weight = 10 * cards_t *
//   rho^4 (one refused for want of a host costs all its cards) + a fifth of a log barrier (p_t /
//   C_t), which settles what is equal otherwise.
//
// The constants were chosen on the open traces, with some of the seeds that the benches use: fresh
// seeds are the fairer test. Weights are learnt anew as the cluster fills, each time an eighth of
// what is left has gone and at least each half percent: about 40 times. Only + - * / and square
// roots, so the same on every platform; scores are rounded to 1/65536 of a card. Cost of a score:
// O(kinds) for each distinct card of the node.
#include "planner/pack/guide_scorer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "planner/bound/card_knapsack.h"
#include "planner/bound/pattern_lp.h"
#include "planner/pack/card_choice.h"

namespace brim::planner {
namespace {

constexpr double kScarce = 10;  // Cards per card that is refused.
constexpr double kRhoMax = 1.5;
constexpr double kInHand = 4;  // Hosts kept per kind of several cards.
constexpr double kBarrier = 0.2;
constexpr double kLearnShare = 8;     // Learn when 1/8 of what was left has gone ...
constexpr double kLearnStep = 0.005;  // ... but at most each half percent of the cluster.
constexpr double kScoreUnit = 65536;  // Score steps in a card.
constexpr double kAlike = 1.02;       // Cores within this factor are one kind.
constexpr std::int64_t kIterationsMax = 200'000;
constexpr double kAnyNumber = 1e9;

}  // namespace

GuideScorer::GuideScorer(const Occupancy& occupancy, const PodMix& expected)
    : occupancy_(occupancy),
      capacity_milli_(static_cast<double>(occupancy.cluster().cards()) * kCardMilli),
      now_(occupancy.cluster().nodes.size()),
      slots_(occupancy.cluster().nodes.size()) {
  PodMix mix = expected;
  if (mix.entries.size() > kEntriesMax) mix.entries.resize(kEntriesMax);
  mix.total = 0;
  for (const PodMix::Entry& entry : mix.entries) mix.total += entry.count;
  MakeWorth(mix);
  MakeKinds(mix);
}

void GuideScorer::MakeWorth(const PodMix& expected) {
  std::vector<SizeCount> shares;
  double whole = 0, cpu = 0, memory = 0, all_cpu = 0, all_memory = 0;
  for (const PodMix::Entry& entry : expected.entries) {
    const Pod& pod = entry.pod;
    const auto count = static_cast<double>(entry.count);
    all_cpu += count * static_cast<double>(pod.cpu_milli);
    all_memory += count * static_cast<double>(pod.memory_mib);
    if (pod.cards == 0) continue;
    cpu += count * static_cast<double>(pod.cpu_milli);
    memory += count * static_cast<double>(pod.memory_mib);
    if (pod.whole()) {
      whole += count * pod.cards;
    } else {
      shares.push_back({pod.card_milli, entry.count});
    }
  }
  for (std::int32_t milli = 0; milli <= kCardMilli; ++milli) {
    worth_[milli] = static_cast<double>(milli) / kCardMilli;
  }
  double cards = whole;
  const Result<PatternLp> lp = SolvePatternLp(shares, kIterationsMax);
  if (lp.ok() && lp->value > 0) {
    std::vector<std::int32_t> sizes;
    for (const SizeCount& size : lp->sizes) sizes.push_back(size.milli);
    CardKnapsack card(sizes, std::vector<std::int64_t>(sizes.size(), kCardMilli));
    const auto full = static_cast<double>(card.Solve(lp->prices));
    for (std::int32_t milli = 0; milli <= kCardMilli; ++milli) {
      worth_[milli] = static_cast<double>(card.Worth(milli)) / full;
    }
    cards += lp->value;
  }
  const auto pods = static_cast<double>(std::max<std::int64_t>(1, expected.total));
  if (cards > 0) {
    cpu_per_card_ = cpu / cards;
    memory_per_card_ = memory / cards;
  }
  cards_per_pod_ = cards / pods;
  cpu_per_pod_ = all_cpu / pods;
  memory_per_pod_ = all_memory / pods;
}

void GuideScorer::MakeKinds(const PodMix& expected) {
  struct Sum {
    double count = 0, cpu = 0, memory = 0;
  };
  std::map<std::tuple<std::int32_t, std::int32_t, std::uint64_t, std::int32_t>, Sum> sums;
  for (const PodMix::Entry& entry : expected.entries) {
    const Pod& pod = entry.pod;
    // Cores by powers of kAlike.
    std::int32_t level = 0;
    for (double cores = 250; cores < static_cast<double>(pod.cpu_milli); cores *= kAlike) ++level;
    Sum& sum = sums[{pod.cards, pod.card_milli, pod.cards > 0 ? pod.card_models : 0, level}];
    const auto count = static_cast<double>(entry.count);
    sum.count += count;
    sum.cpu += count * static_cast<double>(pod.cpu_milli);
    sum.memory += count * static_cast<double>(pod.memory_mib);
  }
  const auto pods = static_cast<double>(std::max<std::int64_t>(1, expected.total));
  for (const auto& [key, sum] : sums) {
    Kind kind;
    kind.cards = std::get<0>(key);
    kind.card_milli = std::get<1>(key);
    kind.card_models = std::get<2>(key);
    kind.share = sum.count / pods;
    if (sum.cpu > 0) kind.cpu_inverse = sum.count / sum.cpu;
    if (sum.memory > 0) kind.memory_inverse = sum.count / sum.memory;
    kind.size = static_cast<double>(kind.cards) * kind.card_milli / kCardMilli;
    if (kind.cards == 0 && cpu_per_card_ > 0) kind.size = sum.cpu / sum.count / cpu_per_card_;
    const auto same = std::find_if(demands_.begin(), demands_.end(), [&](const Demand& demand) {
      return demand.cards == kind.cards && demand.card_milli == kind.card_milli;
    });
    kind.slot = static_cast<std::int32_t>(same - demands_.begin());
    if (same == demands_.end()) demands_.push_back({kind.cards, kind.card_milli});
    kinds_.push_back(kind);
  }
}

double GuideScorer::Value(double cards, std::int64_t cpu_milli, std::int64_t memory_mib) const {
  if (cards <= 0) return 0;
  const double cpu = cpu_per_card_ * cards, memory = memory_per_card_ * cards;
  if ((cpu > 0 && cpu_milli <= 0) || (memory > 0 && memory_mib <= 0)) return 0;
  const double a = cpu > 0 ? cpu / static_cast<double>(cpu_milli) : 0;
  const double b = memory > 0 ? memory / static_cast<double>(memory_mib) : 0;
  return cards / std::sqrt(std::sqrt(1 + a * a * a * a + b * b * b * b));
}

void GuideScorer::Count(const FreeNode& free, Slots* slots) const {
  slots->resize(demands_.size());
  for (std::size_t i = 0; i < demands_.size(); ++i) {
    const Demand& demand = demands_[i];
    std::int32_t copies = 0;
    if (demand.cards == 0) {
      copies = static_cast<std::int32_t>(kAnyNumber);
    } else if (demand.card_milli == kCardMilli) {
      copies = free.whole_cards / demand.cards;
    } else {
      for (const std::int32_t milli : free.card_milli) copies += milli / demand.card_milli;
    }
    (*slots)[i] = copies;
  }
}

double GuideScorer::Copies(const Kind& kind, const Slots& slots, const FreeNode& free,
                           std::int64_t cpu_milli, std::int64_t memory_mib) const {
  const std::int32_t on_cards = slots[kind.slot];
  if (on_cards == 0) return 0;
  if (kind.card_models != 0 &&
      (free.card_model < 0 || (kind.card_models >> free.card_model & 1) == 0)) {
    return 0;
  }
  double copies = on_cards;
  if (kind.cpu_inverse > 0) {
    copies = std::min(copies, static_cast<double>(cpu_milli) * kind.cpu_inverse);
  }
  if (kind.memory_inverse > 0) {
    copies = std::min(copies, static_cast<double>(memory_mib) * kind.memory_inverse);
  }
  return copies < 1 ? 0 : copies;
}

double GuideScorer::Room(const Slots& slots, const FreeNode& free, std::int64_t cpu_milli,
                         std::int64_t memory_mib) const {
  double room = 0;
  for (const Kind& kind : kinds_) {
    room += kind.weight * Copies(kind, slots, free, cpu_milli, memory_mib);
  }
  return room;
}

const GuideScorer::NodeValue& GuideScorer::Now(std::int32_t node) {
  NodeValue& now = now_[node];
  if (now.cards >= 0) return now;
  const FreeNode& free = occupancy_.free(node);
  Count(free, &slots_[node]);
  now.cards = 0;
  for (const std::int32_t milli : free.card_milli) now.cards += worth_[milli];
  now.value = Value(now.cards, free.cpu_milli, free.memory_mib);
  now.room = Room(slots_[node], free, free.cpu_milli, free.memory_mib);
  return now;
}

GuideScorer::Best GuideScorer::Cheapest(const Pod& pod, std::int32_t node) {
  const NodeValue now = Now(node);
  const FreeNode& free = occupancy_.free(node);
  const Slots& slots = slots_[node];
  const std::int64_t cpu = free.cpu_milli - pod.cpu_milli;
  const std::int64_t memory = free.memory_mib - pod.memory_mib;
  const auto lost = [&](double cards, std::int32_t card) {
    return Best{now.value - Value(now.cards - cards, cpu, memory),
                now.room - Room(after_, free, cpu, memory), card};
  };
  // Slots after `cards` cards with `milli` free each have `left` free.
  const auto take = [&](std::int32_t cards, std::int32_t milli, std::int32_t left) {
    after_ = slots;
    for (std::size_t i = 0; i < demands_.size() && cards > 0; ++i) {
      const Demand& demand = demands_[i];
      if (demand.cards == 0) continue;
      if (demand.card_milli == kCardMilli) {
        if (milli < kCardMilli) continue;
        after_[i] = (free.whole_cards - cards) / demand.cards;
      } else {
        after_[i] -= cards * (milli / demand.card_milli - left / demand.card_milli);
      }
    }
  };
  if (pod.cards != 1 || pod.whole()) {
    take(pod.cards, kCardMilli, 0);
    return lost(static_cast<double>(pod.cards), -1);
  }
  Best best;
  const auto cards = static_cast<std::int32_t>(free.card_milli.size());
  for (std::int32_t card = 0; card < cards; ++card) {
    const std::int32_t milli = free.card_milli[card];
    if (!occupancy_.FitsCard(pod, node, card)) continue;
    // A card like one before it costs the same; the first stands.
    bool seen = false;
    for (std::int32_t other = 0; other < card && free.card_memory_mib.empty(); ++other) {
      seen = seen || free.card_milli[other] == milli;
    }
    if (seen) continue;
    const std::int32_t left = milli - pod.card_milli;
    take(1, milli, left);
    const Best candidate = lost(worth_[milli] - worth_[left], card);
    if (best.card < 0 || candidate.cost() < best.cost()) best = candidate;
  }
  return best;
}

std::int32_t GuideScorer::Score(const Pod& pod, std::int32_t node) {
  constexpr double kMost = 1 << 30;
  const double steps = -Cheapest(pod, node).cost() * kScoreUnit;
  return static_cast<std::int32_t>(std::floor(std::clamp(steps, -kMost, kMost) + 0.5));
}

std::uint64_t GuideScorer::Cards(const Pod& pod, std::int32_t node) {
  const std::int32_t card = Cheapest(pod, node).card;
  return card < 0 ? FirstCards(occupancy_, pod, node) : CardBit(card);
}

std::vector<ScoreTerm> GuideScorer::Terms(const Pod& pod, std::int32_t node) {
  const Best best = Cheapest(pod, node);
  const double value = -best.value_lost * kScoreUnit, room = -best.room_lost * kScoreUnit;
  return {{"value_lost", value},
          {"scarce_room_lost", room},
          {"rounding", static_cast<double>(Score(pod, node)) - value - room}};
}

void GuideScorer::Changed(std::int32_t node) {
  now_[node].cards = -1;
  ++changes_;
}

bool GuideScorer::Learn() {
  const auto placed = static_cast<double>(occupancy_.placed_milli());
  const double step =
      std::max((capacity_milli_ - learnt_at_milli_) / kLearnShare, capacity_milli_ * kLearnStep);
  const bool due =
      learnt_at_milli_ < 0 || std::abs(placed - learnt_at_milli_) >= step ||
      static_cast<double>(changes_) * kCardMilli >= std::max(capacity_milli_, 64.0 * kCardMilli);
  if (!due) return false;
  learnt_at_milli_ = placed;
  changes_ = 0;
  Weigh();
  for (NodeValue& now : now_) now.cards = -1;
  return true;
}

void GuideScorer::Weigh() {
  std::vector<double> copies(kinds_.size(), 0);
  double cards = 0, cpu = 0, memory = 0;
  Slots slots;
  for (std::int32_t node = 0; node < occupancy_.nodes(); ++node) {
    const FreeNode& free = occupancy_.free(node);
    for (const std::int32_t milli : free.card_milli) cards += worth_[milli];
    cpu += static_cast<double>(free.cpu_milli);
    memory += static_cast<double>(free.memory_mib);
    Count(free, &slots);
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      copies[i] += Copies(kinds_[i], slots, free, free.cpu_milli, free.memory_mib);
    }
  }
  // Arrivals expected until cards, cores or memory are gone.
  double arrivals = kAnyNumber;
  if (cards_per_pod_ > 0) arrivals = std::min(arrivals, cards / cards_per_pod_);
  if (cpu_per_pod_ > 0) arrivals = std::min(arrivals, cpu / cpu_per_pod_);
  if (memory_per_pod_ > 0) arrivals = std::min(arrivals, memory / memory_per_pod_);
  arrivals = std::max(arrivals, 1.0);

  double barrier = 0;  // What the log barrier takes for one card.
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    const Kind& kind = kinds_[i];
    if (kind.cards == 0) continue;
    const double per_card = kind.card_milli < kCardMilli
                                ? static_cast<double>(kCardMilli / kind.card_milli)
                                : 1.0 / kind.cards;
    barrier += kind.share / std::max(copies[i], 1.0) * per_card;
  }
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    Kind& kind = kinds_[i];
    const double need = arrivals * kind.share;
    // Kinds of several cards compete for whole nodes with those that have fewer of them to go to.
    double rivals = need, in_hand = kind.cards > 1 ? kInHand : 0;
    for (std::size_t j = 0; j < kinds_.size() && kind.cards > 1; ++j) {
      if (j == i || kinds_[j].cards < kind.cards || copies[j] > copies[i]) continue;
      rivals += arrivals * kinds_[j].share;
      in_hand += kInHand;
    }
    const double wanted = need + std::sqrt(rivals) + in_hand;
    const double rho = std::min(wanted / std::max(copies[i], 0.5), kRhoMax);
    kind.weight = kScarce * kind.size * rho * rho * rho * rho;
    if (barrier > 0) {
      kind.weight += kBarrier * kind.share / std::max(copies[i], 1.0) / barrier;
    }
  }
}

}  // namespace brim::planner
