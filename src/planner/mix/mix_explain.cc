#include "planner/mix/mix_explain.h"

#include <fmt/core.h>

#include <algorithm>

#include "planner/mix/homes.h"
#include "planner/mix/mix_node.h"

namespace brim::planner {

namespace {

constexpr std::size_t kCardsListed = 8;

class Explainer {
 public:
  Explainer(std::span<const MixModel> models, const MixOptions& options, const MixPlan& plan)
      : context_(models, options), options_(options), plan_(plan) {
    rule_.headroom.assign(models.size(), 1);
    for (const MixModel& model : models) slowed_ = slowed_ || model.interference > 0;
    share_free_.assign(static_cast<std::size_t>(plan.cards), options.card_share());
    memory_free_.assign(static_cast<std::size_t>(plan.cards), options.card_memory_mib);
    for (const Segment& segment : plan.segments) {
      share_free_[static_cast<std::size_t>(segment.card)] -= segment.share;
      memory_free_[static_cast<std::size_t>(segment.card)] -= segment.memory_mib;
    }
  }

  std::vector<std::string> Explain(std::int32_t m) {
    Here(m);
    Cpu(m);
    if (std::find(plan_.on_cpu.begin(), plan_.on_cpu.end(), m) == plan_.on_cpu.end()) OtherCards(m);
    FreeACard();
    return std::move(lines_);
  }

 private:
  const char* unit() const { return options_.slices == Slices::kMig ? "GPCs" : "units"; }
  static bool Holds(const Segment& segment, std::int32_t m) {
    return std::any_of(segment.tenants.begin(), segment.tenants.end(),
                       [&](const Tenant& tenant) { return tenant.model == m; });
  }

  void Here(std::int32_t m) {
    const MixModel& model = context_.model(m);
    for (const MixRefusal& refusal : plan_.refused) {
      if (refusal.model == m) lines_.push_back(fmt::format("refused: {}", refusal.why));
    }
    if (std::find(plan_.on_cpu.begin(), plan_.on_cpu.end(), m) != plan_.on_cpu.end()) {
      lines_.push_back(
          fmt::format("on CPU: {:.4g} ms a request on one core, {:.4g} requests a second",
                      model.cpu_ms, model.rate));
    }
    for (const Segment& segment : plan_.segments) {
      for (const Tenant& tenant : segment.tenants) {
        if (tenant.model == m) Turn(segment, tenant);
      }
    }
    const Outcome& outcome = plan_.outcomes[static_cast<std::size_t>(m)];
    if (outcome.requests > 0) {
      lines_.push_back(fmt::format(
          "simulated: {} of {} requests within {:.4g} ms ({:.2f} %), p99 {:.4g} ms, {} shed",
          outcome.in_slo, outcome.requests, model.slo_ms, 100 * outcome.attainment(),
          outcome.p99_ms, outcome.shed));
    }
  }

  void Turn(const Segment& segment, const Tenant& tenant) {
    const double limit = context_.limit_ms(tenant.model);
    std::string line = fmt::format(
        "here: card {}, {} {} from {}, {:.4g} requests a second in batches of {}, {:.1f} % of the "
        "segment's time",
        segment.card, segment.share, unit(), segment.start, tenant.rate, tenant.batch,
        100 * tenant.busy);
    if (segment.processes > 1) line += fmt::format(", {} processes", segment.processes);
    lines_.push_back(line);
    if (segment.duty_ms <= 0) return;
    const double turn =
        context_.table(tenant.model).Ms(segment.share, tenant.batch) * segment.slowdown +
        (tenant.resident ? 0 : context_.model(tenant.model).load_ms);
    lines_.push_back(fmt::format(
        "  it takes turns with {} others: a turn of {:.4g} ms in a cycle of {:.4g} ms; both "
        "together, {:.4g} ms, "
        "keep the limit of {:.4g} ms ({:.0f} % of the objective){}",
        segment.tenants.size() - 1, turn, segment.duty_ms, turn + segment.duty_ms, limit,
        options_.margin * 100, tenant.resident ? "" : "; its weights are loaded each turn"));
  }

  void Cpu(std::int32_t m) {
    if (plan_.prices.empty()) {
      lines_.push_back(
          "why not CPU: no card price was given (--card-price), so CPUs were not considered");
      return;
    }
    const HomePrice& price = plan_.prices[static_cast<std::size_t>(m)];
    const char* question = price.on_cpu ? "why not a card" : "why not CPU";
    if (!price.cpu_why.empty()) {
      lines_.push_back(fmt::format("{}: {}", question, price.cpu_why));
      return;
    }
    lines_.push_back(fmt::format(
        "{}: it bears {:.4g} cores of the cards' price ({:.4g} for share, {:.4g} for memory); on "
        "CPU it wants {:.4g} cores",
        question, price.card, price.card_share, price.card - price.card_share, price.cpu));
    if (price.on_cpu != (price.cpu < price.card)) {
      lines_.push_back(
          "  prices alone say otherwise, but cards are whole: moving it would cost a card, or free "
          "none");
    }
  }

  // Why its load does not go where another card has room.
  void OtherCards(std::int32_t m) {
    double rate = 0;
    std::vector<bool> mine(static_cast<std::size_t>(plan_.cards), false);
    for (const Segment& segment : plan_.segments) {
      if (!Holds(segment, m)) continue;
      mine[static_cast<std::size_t>(segment.card)] = true;
      for (const Tenant& tenant : segment.tenants) {
        if (tenant.model == m) rate = std::max(rate, tenant.rate);
      }
    }
    if (rate <= 0) return;
    std::size_t listed = 0, others = 0;
    for (std::int32_t card = 0; card < plan_.cards; ++card) {
      if (mine[static_cast<std::size_t>(card)]) continue;
      ++others;
      if (++listed > kCardsListed) continue;
      lines_.push_back(fmt::format("card {}: {}", card, OnCard(card, m, rate)));
    }
    if (others > kCardsListed)
      lines_.push_back(fmt::format("... and {} more cards", others - kCardsListed));
  }

  std::string OnCard(std::int32_t card, std::int32_t m, double rate) {
    const std::size_t at = static_cast<std::size_t>(card);
    MixNode alone;
    alone.items = {{m, rate}};
    const bool served = ResliceNode(context_, rule_, &alone);
    if (served && alone.share <= share_free_[at] && MemoryOf(context_, alone) <= memory_free_[at]) {
      return fmt::format("has room for it ({} {} of {} free): no card would be freed by moving it",
                         alone.share, unit(), share_free_[at]);
    }
    std::string why = fmt::format(
        "{} {} and {:.0f} MiB are free, alone it wants {}", share_free_[at], unit(),
        memory_free_[at],
        served ? fmt::format("{} {} and {:.0f} MiB", alone.share, unit(), MemoryOf(context_, alone))
               : std::string("a measured point of its own"));
    if (!options_.share_processes) return why;
    double least = 0;
    for (const Segment& segment : plan_.segments) {
      if (segment.card != card || segment.processes > 1) continue;
      MixNode with;
      with.share = segment.share;
      with.slowdown = segment.slowdown;
      for (const Tenant& tenant : segment.tenants)
        with.items.push_back({tenant.model, tenant.rate});
      with.items.push_back({m, rate});
      if (FitNode(context_, rule_, &with)) {
        return fmt::format(
            "its segment at {} could take it too (busy {:.2f}): no card would be freed by moving "
            "it",
            segment.start, with.cycle.busy);
      }
      if (with.cycle.busy > 0 && (least == 0 || with.cycle.busy < least)) least = with.cycle.busy;
    }
    if (least > 0) {
      why +=
          fmt::format("; in a process there turns would take {:.2f} of the time, {:.2f} is allowed",
                      least, options_.busy_max);
    } else {
      why += "; no process there has the cycle, the speed or the memory for it";
    }
    return why;
  }

  // The card with the least on it, and what is missing elsewhere for it.
  void FreeACard() {
    if (plan_.cards < 2) {
      if (plan_.cards == 1)
        lines_.push_back(
            "what would free a card: there is one card; it is free when every model on it is on "
            "CPU or gone");
      return;
    }
    const std::size_t least = static_cast<std::size_t>(
        std::max_element(share_free_.begin(), share_free_.end()) - share_free_.begin());
    const int wanted = options_.card_share() - share_free_[least];
    double memory = options_.card_memory_mib - memory_free_[least];
    int free = 0;
    double memory_free = 0;
    for (std::size_t card = 0; card < share_free_.size(); ++card) {
      if (card == least) continue;
      free += share_free_[card];
      memory_free += memory_free_[card];
    }
    std::string names;
    for (const Segment& segment : plan_.segments) {
      if (segment.card != static_cast<std::int32_t>(least)) continue;
      for (const Tenant& tenant : segment.tenants)
        names += (names.empty() ? "" : ", ") + context_.model(tenant.model).name;
    }
    lines_.push_back(fmt::format(
        "what would free a card: card {} has the least, {} {} and {:.0f} MiB ({}); the others have "
        "{} {} and {:.0f} MiB free in all{}",
        least, wanted, unit(), memory, names, free, unit(), memory_free,
        wanted > free
            ? fmt::format(", so {} {} must go, by less traffic, a looser objective or CPU",
                          wanted - free, unit())
        : memory > memory_free ? std::string(", so memory must go, by swapping or smaller weights")
        : slowed_ ? std::string(", but there neighbours would slow each other more than that")
                  : std::string(", but not where and how these segments fit")));
  }

  const MixContext context_;
  const MixOptions& options_;
  const MixPlan& plan_;
  FitRule rule_;
  std::vector<int> share_free_;
  std::vector<double> memory_free_;
  bool slowed_ = false;  // Some model slows its neighbours.
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> ExplainMix(std::span<const MixModel> models, const MixOptions& options,
                                    const MixPlan& plan, std::int32_t model) {
  return Explainer(models, options, plan).Explain(model);
}

}  // namespace brim::planner
