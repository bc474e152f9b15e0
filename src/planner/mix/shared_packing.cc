#include "planner/mix/shared_packing.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace brim::planner {

namespace {

constexpr std::size_t kManyItems = 400;  // Above, only every fourth node share is tried.

// What a segment of one model alone does, and how it is built.
struct Solo {
  int share = 0;
  double rate = 0;  // Requests a second, headroom included.
  const ProfilePoint* point = nullptr;
};

Solo BestSolo(const MixContext& context, std::int32_t m) {
  Solo best;
  double best_cost = kNeverMs;
  const auto offer = [&](const Solo& solo) {
    if (solo.rate <= 0 || solo.share / solo.rate >= best_cost) return;
    best_cost = solo.share / solo.rate;
    best = solo;
  };
  for (const int share : context.shares()) {
    int batch = 0;
    const double rate =
        SoloRate(context.table(m), context.limit_ms(m), share, context.options().busy_max, &batch);
    offer({share, rate, nullptr});
    if (context.options().slices != Slices::kMig) continue;
    const ProfilePoint* point = context.BestPoint(m, share);
    if (point != nullptr) offer({share, RateOf(*point) * context.options().busy_max, point});
  }
  return best;
}

// A node that holds this much of one model alone; share 0 if none does.
MixNode Alone(const MixContext& context, const FitRule& rule, const MixItem& item) {
  MixNode node;
  node.items = {item};
  if (ResliceNode(context, rule, &node)) return node;
  const double rate = item.rate * rule.headroom[static_cast<std::size_t>(item.model)];
  node = {};
  for (auto size = kMigSizes.rbegin(); size != kMigSizes.rend(); ++size) {
    const ProfilePoint* point = context.BestPoint(item.model, *size);
    if (point == nullptr || RateOf(*point) * context.options().busy_max < rate) continue;
    node.share = *size;
    node.point = point;
    node.items = {item};
    FitNode(context, rule, &node);
    break;
  }
  return node;
}

// Splits a model's rate into full nodes and what is left.
void Split(const MixContext& context, const FitRule& rule, std::int32_t m,
           std::vector<MixNode>* full, std::vector<MixItem>* rest) {
  const Solo solo = BestSolo(context, m);
  double rate = context.model(m).rate;
  const double headroom = rule.headroom[static_cast<std::size_t>(m)];
  // A segment's rate, a hair under what fits, so that the fit's own rounding cannot refuse it.
  double each = solo.rate / headroom * (1 - 1e-9);
  if (solo.rate <= 0) each = rate;  // Alone() decides.
  while (rate > each) {
    MixNode node;
    node.share = solo.share;
    node.point = solo.point;
    node.items = {{m, each}};
    if (!FitNode(context, rule, &node)) node = Alone(context, rule, {m, each});
    if (node.share == 0) {  // A cycle wants whole batches: less than the ideal fits.
      each *= 0.95;
      BRIM_CHECK(each > 1e-9);
      continue;
    }
    full->push_back(std::move(node));
    rate -= each;
  }
  while (Alone(context, rule, {m, rate}).share == 0) {
    rate /= 2;
    BRIM_CHECK(rate > 1e-9);
    rest->push_back({m, rate});
  }
  rest->push_back({m, rate});
}

double WorkOf(const MixContext& context, const MixItem& item) {
  return item.rate * context.LeastShareMs(item.model);
}

// One pass of step 2 for one node share and one order.
std::vector<MixNode> Fill(const MixContext& context, const FitRule& rule, int share,
                          const std::vector<MixItem>& items) {
  std::vector<MixNode> nodes;
  std::vector<std::size_t> order;  // By falling busy time.
  for (const MixItem& item : items) {
    bool placed = false;
    if (context.options().share_processes && context.LeastMs(item.model, share) < kNeverMs) {
      for (const std::size_t n : order) {
        MixNode tried = nodes[n];
        if (tried.share != share || tried.point != nullptr) continue;
        tried.items.push_back(item);
        if (!FitNode(context, rule, &tried)) continue;
        nodes[n] = std::move(tried);
        placed = true;
        break;
      }
    }
    if (!placed) {
      MixNode node;
      node.share = share;
      node.items = {item};
      if (!FitNode(context, rule, &node)) node = Alone(context, rule, item);
      BRIM_CHECK(node.share > 0);
      order.push_back(nodes.size());
      nodes.push_back(std::move(node));
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return nodes[a].cycle.busy > nodes[b].cycle.busy;
    });
  }
  for (MixNode& node : nodes) ResliceNode(context, rule, &node);
  return nodes;
}

bool Better(const Draft& a, const Draft& b) {
  if (a.cards != b.cards) return a.cards < b.cards;
  return TotalShare(a.nodes) < TotalShare(b.nodes);
}

// One try of the local search on a copy of two nodes; true if it made sense.
class Step {
 public:
  Step(const MixContext& context, const FitRule& rule, Random* random)
      : context_(context), rule_(rule), random_(random) {}

  // `to` null: a new node. Changes the nodes, which keep fitting; false: leave them.
  bool Move(MixNode* from, MixNode* to) {
    const std::size_t i = random_->Below(from->items.size());
    to->items.push_back(from->items[i]);
    from->items.erase(from->items.begin() + static_cast<std::ptrdiff_t>(i));
    return Fits(from) && Fits(to);
  }
  bool Swap(MixNode* a, MixNode* b) {
    std::swap(a->items[random_->Below(a->items.size())], b->items[random_->Below(b->items.size())]);
    return Fits(a) && Fits(b);
  }
  bool Merge(MixNode* from, MixNode* to) {
    to->items.insert(to->items.end(), from->items.begin(), from->items.end());
    from->items.clear();
    return Fits(to);
  }

 private:
  bool Fits(MixNode* node) {
    node->slowdown = 1;
    return node->items.empty() || ResliceNode(context_, rule_, node);
  }

  const MixContext& context_;
  const FitRule& rule_;
  Random* random_;
};

void DropEmpty(std::vector<MixNode>* nodes) {
  std::erase_if(*nodes, [](const MixNode& node) { return node.items.empty(); });
}

bool FitsStill(const MixContext& context, const FitRule& rule, MixNode* node) {
  if (node->point == nullptr) return ResliceNode(context, rule, node);
  const MixItem& item = node->items.front();
  return item.rate * rule.headroom[static_cast<std::size_t>(item.model)] <=
         RateOf(*node->point) * context.options().busy_max;
}

// A larger share; or the busiest models out, one by one; or one model in two halves. Leaves the
// node as it is if nothing of that fits.
void RelieveOne(const MixContext& context, const FitRule& rule, MixNode* node,
                std::vector<MixNode>* added) {
  MixNode relieved = *node;
  relieved.slowdown = 1;
  std::vector<MixNode> out;
  bool fits = FitsStill(context, rule, &relieved);
  while (!fits && relieved.items.size() > 1) {
    std::size_t busiest = 0;
    for (std::size_t i = 1; i < relieved.items.size(); ++i) {
      if (WorkOf(context, relieved.items[i]) > WorkOf(context, relieved.items[busiest]))
        busiest = i;
    }
    out.push_back(Alone(context, rule, relieved.items[busiest]));
    if (out.back().share == 0) return;
    relieved.items.erase(relieved.items.begin() + static_cast<std::ptrdiff_t>(busiest));
    fits = FitsStill(context, rule, &relieved);
  }
  if (!fits) {
    MixItem half = relieved.items.front();
    half.rate /= 2;
    relieved = Alone(context, rule, half);
    if (relieved.share == 0) return;
    out.push_back(relieved);
  }
  *node = std::move(relieved);
  added->insert(added->end(), out.begin(), out.end());
}

}  // namespace

bool CanStandAlone(const MixContext& context, std::int32_t m) {
  FitRule rule;
  rule.headroom.assign(context.models().size(), 1);
  return Alone(context, rule, {m, 1e-6}).share > 0;
}

std::int64_t TotalShare(const std::vector<MixNode>& nodes) {
  std::int64_t sum = 0;
  for (const MixNode& node : nodes) sum += node.share;
  return sum;
}

Draft PackShared(const MixContext& context, const FitRule& rule,
                 std::span<const std::int32_t> models) {
  std::vector<MixNode> full;
  std::vector<MixItem> rest;
  for (const std::int32_t m : models) Split(context, rule, m, &full, &rest);
  std::vector<MixItem> by_work = rest, by_limit = rest;
  std::stable_sort(by_work.begin(), by_work.end(), [&](const MixItem& a, const MixItem& b) {
    return WorkOf(context, a) > WorkOf(context, b);
  });
  std::stable_sort(by_limit.begin(), by_limit.end(), [&](const MixItem& a, const MixItem& b) {
    return context.limit_ms(a.model) < context.limit_ms(b.model);
  });
  Draft best;
  const std::vector<int>& shares = context.shares();
  for (std::size_t s = 0; s < shares.size(); ++s) {
    if (rest.size() > kManyItems && shares.size() > 8 && s % 4 != 3) continue;
    for (const std::vector<MixItem>* items : {&by_work, &by_limit}) {
      Draft draft;
      draft.nodes = full;
      std::vector<MixNode> filled = Fill(context, rule, shares[s], *items);
      draft.nodes.insert(draft.nodes.end(), filled.begin(), filled.end());
      draft.cards = PlaceNodes(context, rule, &draft.nodes);
      if (best.nodes.empty() || Better(draft, best)) best = std::move(draft);
    }
  }
  return best;
}

void SearchLocally(const MixContext& context, const FitRule& rule, std::int64_t tries,
                   Random* random, const Progress& progress, Draft* draft) {
  if (!context.options().share_processes) return;
  Step step(context, rule, random);
  for (std::int64_t tried = 0; tried < tries; ++tried) {
    if (progress && tried % 64 == 0) progress("local search", tried, tries);
    if (draft->nodes.empty()) return;
    std::vector<MixNode>& nodes = draft->nodes;
    const std::size_t a = random->Below(nodes.size());
    const std::size_t b = random->Below(nodes.size() + 1);  // The last: a new node.
    const std::uint64_t kind = random->Below(4);
    if (a == b || nodes[a].point != nullptr) continue;
    if (b < nodes.size() && nodes[b].point != nullptr) continue;
    if (b == nodes.size() && (kind != 0 || nodes[a].items.size() < 2)) continue;
    MixNode from = nodes[a], to = b < nodes.size() ? nodes[b] : MixNode();
    const bool fits = kind <= 1   ? step.Move(&from, &to)
                      : kind == 2 ? step.Swap(&from, &to)
                                  : step.Merge(&from, &to);
    if (!fits) continue;
    const int before = nodes[a].share + (b < nodes.size() ? nodes[b].share : 0);
    const int after = (from.items.empty() ? 0 : from.share) + to.share;
    // In units more share in all never saves a card; on MIG's grid another mix of sizes may.
    if (after > before && context.options().slices != Slices::kMig) continue;
    Draft changed;
    changed.nodes = nodes;
    changed.nodes[a] = std::move(from);
    if (b < nodes.size()) {
      changed.nodes[b] = std::move(to);
    } else {
      changed.nodes.push_back(std::move(to));
    }
    DropEmpty(&changed.nodes);
    changed.cards = PlaceNodes(context, rule, &changed.nodes);
    if (!Better(*draft, changed)) *draft = std::move(changed);
  }
}

void Relieve(const MixContext& context, const FitRule& rule, std::span<const std::int32_t> models,
             Draft* draft) {
  std::vector<MixNode> added;
  for (MixNode& node : draft->nodes) {
    const bool concerned =
        std::any_of(node.items.begin(), node.items.end(), [&](const MixItem& item) {
          return std::find(models.begin(), models.end(), item.model) != models.end();
        });
    if (concerned) RelieveOne(context, rule, &node, &added);
  }
  draft->nodes.insert(draft->nodes.end(), added.begin(), added.end());
  draft->cards = PlaceNodes(context, rule, &draft->nodes);
}

}  // namespace brim::planner
