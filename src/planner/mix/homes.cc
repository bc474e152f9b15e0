#include "planner/mix/homes.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

namespace brim::planner {

namespace {

constexpr int kRounds = 8;
constexpr double kWeightStep = 0.5;

struct Parts {  // What one model takes.
  double share = 0;
  double memory_mib = 0;
};

class Chooser {
 public:
  Chooser(const MixContext& context, const FitRule& rule, const std::vector<bool>& may_card,
          const Progress& progress)
      : context_(context), rule_(rule), may_card_(may_card), progress_(progress) {
    for (std::size_t m = 0; m < context.models().size(); ++m) {
      cpu_.push_back(CpuPrice(context, static_cast<std::int32_t>(m)));
    }
    if (context.options().slices == Slices::kUnits) weight_ = 0.5;
  }

  Homes Choose() {
    std::vector<bool> on_cpu(may_card_.size());
    for (std::size_t m = 0; m < on_cpu.size(); ++m) on_cpu[m] = !may_card_[m] && MayCpu(m);
    for (int round = 0; round < kRounds; ++round) {
      if (progress_) progress_("CPU or card", round, kRounds);
      const Homes homes = Price(on_cpu);
      Keep(homes);
      if (!Move(homes, &on_cpu)) break;
    }
    for (std::size_t m = 0; m < on_cpu.size(); ++m) on_cpu[m] = MayCpu(m);
    Keep(Price(on_cpu));
    for (int round = 0; round < kRounds && FreeOneCard(); ++round) {
    }
    return std::move(best_);
  }

 private:
  bool MayCpu(std::size_t m) const { return cpu_[m].cpu_why.empty(); }
  double CpuCost(std::size_t m) const {
    const bool leaves = context_.models()[m].now == Home::kCard;
    return cpu_[m].cpu * (leaves ? 1 + context_.options().hysteresis : 1);
  }

  std::vector<std::int32_t> OnCards(const std::vector<bool>& on_cpu) const {
    std::vector<std::int32_t> models;
    for (std::size_t m = 0; m < on_cpu.size(); ++m) {
      if (!on_cpu[m] && may_card_[m]) models.push_back(static_cast<std::int32_t>(m));
    }
    return models;
  }

  // Packs what is not on CPU and prices everything by that packing.
  Homes Price(const std::vector<bool>& on_cpu) {
    const Draft draft = PackShared(context_, rule_, OnCards(on_cpu));
    const MixOptions& options = context_.options();
    std::vector<Parts> parts(on_cpu.size());
    Parts sum;
    for (const MixNode& node : draft.nodes) Divide(node, &parts, &sum);
    if (options.slices == Slices::kUnits && draft.cards > 0) {
      const double used_share = sum.share / (draft.cards * double{kUnitsPerCard});
      const double used_memory = sum.memory_mib / (draft.cards * options.card_memory_mib);
      weight_ = std::clamp(weight_ + kWeightStep * (used_share - used_memory), 0.0, 1.0);
    }
    Homes homes;
    homes.on_cpu = on_cpu;
    homes.prices = cpu_;
    homes.share_weight = weight_;
    homes.cost_cores = draft.cards * options.card_price_cores;
    cards_ = draft.cards;
    // With no card in use the first one must be bought whole: its price by its whole capacity.
    const double cards = std::max(draft.cards, 1) * options.card_price_cores;
    const double shares = draft.cards > 0 ? sum.share : options.card_share();
    const double memory = draft.cards > 0 ? sum.memory_mib : options.card_memory_mib;
    for (std::size_t m = 0; m < on_cpu.size(); ++m) {
      HomePrice& price = homes.prices[m];
      price.on_cpu = on_cpu[m];
      if (on_cpu[m]) {
        parts[m] = Alone(m);
        homes.cost_cores += CpuCost(m);
      } else if (context_.models()[m].now == Home::kCpu) {
        homes.cost_cores += options.hysteresis * price.cpu;
      }
      price.card_share = cards * weight_ * parts[m].share / std::max(shares, 1e-9);
      price.card =
          price.card_share + cards * (1 - weight_) * parts[m].memory_mib / std::max(memory, 1e-9);
    }
    return homes;
  }

  // A node's share by busy time, its memory by weights and workspace.
  void Divide(const MixNode& node, std::vector<Parts>* parts, Parts* sum) const {
    const double memory = MemoryOf(context_, node);
    sum->share += node.share;
    sum->memory_mib += memory;
    double needs = 0;
    for (const MixItem& item : node.items) needs += Need(item.model);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Parts& part = (*parts)[static_cast<std::size_t>(node.items[i].model)];
      const double even = 1.0 / static_cast<double>(node.items.size());
      const double busy = node.cycle.busy > 0 ? node.cycle.busy_each[i] / node.cycle.busy : even;
      part.share += node.share * busy;
      part.memory_mib += memory * (needs > 0 ? Need(node.items[i].model) / needs : even);
    }
  }
  double Need(std::int32_t m) const {
    return context_.model(m).weights_mib + context_.model(m).workspace_mib;
  }

  // What a model on CPU would take at best.
  Parts Alone(std::size_t m) const {
    const std::int32_t id = static_cast<std::int32_t>(m);
    const double ms = may_card_[m] ? context_.LeastShareMs(id) : 0;
    return {context_.model(id).rate * ms / 1000 / context_.options().busy_max, Need(id)};
  }

  void Keep(const Homes& homes) {
    if (!best_.on_cpu.empty() && homes.cost_cores >= best_.cost_cores - 1e-9) return;
    best_ = homes;
    best_cards_ = cards_;
  }

  // Everyone goes where the prices say it is cheaper; whether anyone went.
  bool Move(const Homes& homes, std::vector<bool>* on_cpu) const {
    bool moved = false;
    for (std::size_t m = 0; m < on_cpu->size(); ++m) {
      if (!MayCpu(m) || !may_card_[m]) continue;
      const bool comes_back = context_.models()[m].now == Home::kCpu;
      const double card =
          homes.prices[m].card * (comes_back ? 1 + context_.options().hysteresis : 1);
      const bool cpu = CpuCost(m) < card;
      moved = moved || cpu != (*on_cpu)[m];
      (*on_cpu)[m] = cpu;
    }
    return moved;
  }

  // The fewest models, cheapest against their price first, whose leaving frees a card.
  bool FreeOneCard() {
    std::vector<std::size_t> order;
    for (std::size_t m = 0; m < may_card_.size(); ++m) {
      if (!best_.on_cpu[m] && may_card_[m] && MayCpu(m)) order.push_back(m);
    }
    const auto ratio = [&](std::size_t m) {
      return CpuCost(m) / std::max(best_.prices[m].card, 1e-9);
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return ratio(a) < ratio(b); });
    const std::int32_t wanted = best_cards_ - 1;
    const auto without = [&](std::size_t count) {
      std::vector<bool> on_cpu = best_.on_cpu;
      for (std::size_t i = 0; i < count; ++i) on_cpu[order[i]] = true;
      return Price(on_cpu);
    };
    std::size_t fails = 0, frees = order.size();
    if (frees == 0) return false;
    Homes homes = without(frees);
    if (cards_ > wanted) return false;
    while (frees - fails > 1) {
      const std::size_t middle = (frees + fails) / 2;
      Homes tried = without(middle);
      if (cards_ > wanted) {
        fails = middle;
      } else {
        frees = middle;
        homes = std::move(tried);
      }
    }
    const double before = best_.cost_cores;
    cards_ = wanted;
    Keep(homes);
    return best_.cost_cores < before;
  }

  const MixContext& context_;
  const FitRule& rule_;
  const std::vector<bool>& may_card_;
  const Progress& progress_;
  std::vector<HomePrice> cpu_;
  double weight_ = 1;
  std::int32_t cards_ = 0;  // Of the last packing.
  Homes best_;
  std::int32_t best_cards_ = 0;
};

}  // namespace

HomePrice CpuPrice(const MixContext& context, std::int32_t m) {
  HomePrice price;
  const MixModel& model = context.model(m);
  if (model.cpu_ms <= 0) {
    price.cpu_why = "it has no CPU profile";
  } else if (2 * model.cpu_ms > context.limit_ms(m)) {
    price.cpu_why = fmt::format(
        "a request takes {:.4g} ms on a core, and half of the objective less its margin is {:.4g} "
        "ms",
        model.cpu_ms, context.limit_ms(m) / 2);
  } else {
    price.cpu = model.rate * model.cpu_ms / 1000 / context.options().cpu_busy_max;
  }
  return price;
}

Homes ChooseHomes(const MixContext& context, const FitRule& rule, const std::vector<bool>& may_card,
                  const Progress& progress) {
  return Chooser(context, rule, may_card, progress).Choose();
}

}  // namespace brim::planner
