#include "planner/mix/mix_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "planner/mix/homes.h"
#include "planner/mix/shared_packing.h"
#include "planner/mix/simulate.h"

namespace brim::planner {

namespace {

constexpr double kCardsMax = 2'000;     // What one model may want; more is a mistake in the input.
constexpr double kHeadroomMost = 1.5;   // Tried in advance where cards have room to spare.
constexpr double kHeadroomStep = 1.01;  // For a model that failed.
constexpr double kHeadroomLimit = 4;    // A model that fails with so much never passes.
constexpr double kBatchStretch = 1.25;  // A burst may run a batch that takes so much longer.
constexpr double kShortPart = 0.1;      // Of the simulated time, while a plan is repaired.
constexpr double kWarmPart = 0.02;      // Of the simulated time; not counted.
constexpr std::uint64_t kConfirmSeed =
    7919;  // A plan that passes is judged again by fresh arrivals.
constexpr std::int64_t kLongRuns = 3;
constexpr std::uint64_t kFreshSeed = 1'000'003;
constexpr int kMoreCardsMax = 8;  // Than the rates alone want, for the exact plan.

// A plan on its way: nodes, and what the simulation said.
struct Candidate {
  Draft draft;
  FitRule rule;
  std::vector<Outcome> outcomes;
  std::vector<std::int32_t> failing;
  std::int64_t repairs = 0;
  std::int32_t first_cards = 0;
  std::int32_t cores = 0;
  double seconds = 0;  // Simulated last.
  bool made = false;
  bool passed() const { return made && failing.empty(); }
};

bool Better(const Candidate& a, const Candidate& b) {
  if (a.made != b.made) return a.made;
  if (a.passed() != b.passed()) return a.passed();
  if (!a.passed() && a.failing.size() != b.failing.size())
    return a.failing.size() < b.failing.size();
  if (a.draft.cards != b.draft.cards) return a.draft.cards < b.draft.cards;
  return TotalShare(a.draft.nodes) < TotalShare(b.draft.nodes);
}

class Planner {
 public:
  Planner(const MixContext& context, const Arrivals& arrivals, const Progress& progress)
      : context_(context),
        arrivals_(arrivals),
        progress_(progress),
        random_(context.options().seed) {}

  MixPlan Plan() {
    Refuse();
    ChooseHome();
    Candidate best = Shared();
    if (context_.options().slices == Slices::kMig) {
      Candidate exact = Exact();
      if (!context_.options().share_processes || Better(exact, best)) best = std::move(exact);
    }
    return Finish(std::move(best));
  }

  MixPlan Judge(std::vector<MixNode> nodes) {
    Candidate candidate;
    for (const MixNode& node : nodes) {
      for (const MixItem& item : node.items) Note(item.model, &on_card_);
      candidate.draft.cards = std::max(candidate.draft.cards, node.card + 1);
    }
    std::sort(on_card_.begin(), on_card_.end());
    candidate.draft.nodes = std::move(nodes);
    candidate.made = true;
    candidate.first_cards = candidate.draft.cards;
    Run(context_.options().seed + kConfirmSeed, 1, &candidate);
    for (std::size_t m = 0; m < context_.models().size(); ++m) {
      const std::int32_t id = static_cast<std::int32_t>(m);
      if (!std::binary_search(on_card_.begin(), on_card_.end(), id))
        plan_.refused.push_back({id, "the placement has no segment for it"});
    }
    return Finish(std::move(candidate));
  }

 private:
  static void Note(std::int32_t model, std::vector<std::int32_t>* models) {
    if (std::find(models->begin(), models->end(), model) == models->end()) models->push_back(model);
  }
  std::vector<double> Even(double headroom) const {
    return std::vector<double>(context_.models().size(), headroom);
  }

  // Who can be on a card, who on CPU, who nowhere.
  void Refuse() {
    const MixOptions& options = context_.options();
    may_card_.assign(context_.models().size(), false);
    for (std::size_t m = 0; m < may_card_.size(); ++m) {
      const std::int32_t id = static_cast<std::int32_t>(m);
      std::optional<std::string> why = context_.WhyNever(id);
      const double cards = why.has_value() ? 0
                                           : context_.model(id).rate / 1000 *
                                                 context_.LeastShareMs(id) / options.card_share();
      if (cards > kCardsMax) {
        why = fmt::format("it wants {:.0f} cards; at most {:.0f} are planned for one model", cards,
                          kCardsMax);
      }
      const bool exact = options.slices == Slices::kMig && !options.share_processes;
      if (!why.has_value() && !exact && !CanStandAlone(context_, id)) {
        why = "no share has both the memory and the speed for it";
      }
      may_card_[m] = !why.has_value();
      if (may_card_[m]) continue;
      const std::string cpu_why = options.card_price_cores > 0
                                      ? CpuPrice(context_, id).cpu_why
                                      : "no card price was given, so CPUs are not considered";
      if (!cpu_why.empty())
        plan_.refused.push_back({id, fmt::format("{}; not on CPU: {}", *why, cpu_why)});
    }
  }

  void ChooseHome() {
    std::vector<bool> on_cpu(may_card_.size(), false);
    if (context_.options().card_price_cores > 0) {
      FitRule rule;
      rule.headroom = Even(1);
      Homes homes = ChooseHomes(context_, rule, may_card_, progress_);
      on_cpu = std::move(homes.on_cpu);
      plan_.prices = std::move(homes.prices);
      plan_.share_weight = homes.share_weight;
      plan_.cost_cores = homes.cost_cores;
    }
    for (std::size_t m = 0; m < on_cpu.size(); ++m) {
      if (on_cpu[m]) {
        plan_.on_cpu.push_back(static_cast<std::int32_t>(m));
        plan_.cpu_cores += plan_.prices[m].cpu;
      } else if (may_card_[m]) {
        on_card_.push_back(static_cast<std::int32_t>(m));
      }
    }
    plan_.cpu_cores = std::ceil(plan_.cpu_cores - 1e-9);
  }

  Candidate Shared() {
    Candidate best;
    if (context_.options().slices == Slices::kMig && !context_.options().share_processes)
      return best;
    const bool swaps = std::any_of(context_.models().begin(), context_.models().end(),
                                   [](const MixModel& model) { return model.load_ms > 0; });
    for (const bool tight : {false, true}) {
      if (tight && (!swaps || context_.options().slices == Slices::kMig)) continue;
      // Packing afresh with more room often beats relieving what was packed too tightly.
      for (const double headroom : {1.0, 1.1, 1.2, 1.35, 1.6}) {
        Candidate candidate;
        candidate.rule.headroom = Even(headroom);
        candidate.rule.tight_memory = tight;
        candidate.draft = PackShared(context_, candidate.rule, on_card_);
        SearchLocally(context_, candidate.rule, context_.options().search_tries, &random_,
                      progress_, &candidate.draft);
        if (best.passed() && candidate.draft.cards > best.draft.cards) break;
        candidate.first_cards = candidate.draft.cards;
        candidate.made = true;
        candidate.cores = static_cast<std::int32_t>(plan_.cpu_cores);
        Repair(best, &candidate);
        Tighten(&candidate);
        const bool at_once = candidate.passed() && candidate.repairs == 0;
        if (Better(candidate, best)) best = std::move(candidate);
        if (at_once) break;
      }
    }
    return best;
  }

  // What was relieved may fit better another way; taken only if it passes too.
  void Tighten(Candidate* candidate) {
    if (!candidate->passed() || candidate->repairs == 0) return;
    Candidate tighter = *candidate;
    SearchLocally(context_, tighter.rule, context_.options().search_tries, &random_, progress_,
                  &tighter.draft);
    if (!Better(tighter, *candidate)) return;
    Confirm(*candidate, &tighter);
    if (tighter.passed()) *candidate = std::move(tighter);
  }

  // Simulates; relieves what failed; until all pass or the rounds are spent.
  void Repair(const Candidate& rival, Candidate* candidate) {
    for (;; ++candidate->repairs) {
      if (progress_)
        progress_("simulation and repair", candidate->repairs, context_.options().repairs_max);
      Confirm(rival, candidate);
      if (!candidate->made || candidate->passed() ||
          candidate->repairs >= context_.options().repairs_max)
        return;
      bool hopeless = true;
      for (const std::int32_t m : candidate->failing) {
        const double before = candidate->rule.headroom[static_cast<std::size_t>(m)];
        if (before < kHeadroomLimit) hopeless = false;
        Raise(m, candidate);
      }
      if (hopeless) return;
      Relieve(context_, candidate->rule, candidate->failing, &candidate->draft);
    }
  }

  // More headroom for the model and for those it shares a process with: any of them may be in its
  // way.
  static void Raise(std::int32_t m, Candidate* candidate) {
    const auto raise = [&](std::int32_t model) {
      double& headroom = candidate->rule.headroom[static_cast<std::size_t>(model)];
      headroom = std::min(headroom * kHeadroomStep, kHeadroomLimit);
    };
    raise(m);
    for (const MixNode& node : candidate->draft.nodes) {
      const bool here = std::any_of(node.items.begin(), node.items.end(),
                                    [&](const MixItem& item) { return item.model == m; });
      if (!here) continue;
      for (const MixItem& item : node.items) raise(item.model);
    }
  }

  std::vector<MigDemand> Demands(const std::vector<double>& headroom) const {
    std::vector<MigDemand> demands;
    for (const std::int32_t m : on_card_)
      demands.push_back(context_.Demand(m, headroom[static_cast<std::size_t>(m)]));
    return demands;
  }

  // MIG, a model a segment: the optimum of the rates, then the fewest cards above it that pass.
  Candidate Exact() {
    Candidate best;
    std::erase_if(on_card_,
                  [&](std::int32_t m) { return !MigCover(context_.Demand(m, 1)).has_value(); });
    const MigOptimum optimum = MigLeastCards(Demands(Even(1)));
    const bool small =
        optimum.cards + kMoreCardsMax <= kMigExactCardsMax && on_card_.size() <= kMigExactModelsMax;
    for (std::int32_t cards = optimum.cards; cards <= optimum.cards + kMoreCardsMax; ++cards) {
      Candidate candidate;
      candidate.first_cards = optimum.cards;
      candidate.repairs = best.repairs;
      candidate.cores = static_cast<std::int32_t>(plan_.cpu_cores);
      const double spare = small ? MigHeadroom(Demands(Even(1)), cards, kHeadroomMost) : 1;
      candidate.rule.headroom = Even(spare);
      if (!small) {
        candidate.rule.headroom = Even(1 + 0.02 * (cards - optimum.cards));
        Build(MigLeastCards(Demands(candidate.rule.headroom)).counts, &candidate);
        Confirm({}, &candidate);
      } else {
        WithinCards(cards, &candidate);
      }
      if (Better(candidate, best)) best = std::move(candidate);
      if (best.passed() || best.repairs >= context_.options().repairs_max) break;
      ++best.repairs;
    }
    return best;
  }

  // Shifts room from models that pass to models that fail, on the same cards.
  void WithinCards(std::int32_t cards, Candidate* best) {
    constexpr int kRounds = 25;
    Candidate next = *best;
    for (int round = 0; round < kRounds; ++round, ++next.repairs) {
      if (progress_) progress_("exact plan and simulation", round, kRounds);
      const std::optional<std::vector<MigCounts>> counts = Squeeze(cards, &next);
      if (!counts.has_value()) break;
      Build(*counts, &next);
      Confirm({}, &next);
      if (Better(next, *best)) *best = next;
      if (best->passed()) return;
      for (const std::int32_t m : next.failing) {
        next.rule.headroom[static_cast<std::size_t>(m)] *= kHeadroomStep;
      }
    }
    best->repairs = next.repairs;
  }

  // Lowers the headroom of those that pass until the rates fit the cards; nothing if they cannot.
  std::optional<std::vector<MigCounts>> Squeeze(std::int32_t cards, Candidate* candidate) const {
    constexpr int kSteps = 6;
    std::vector<double>& headroom = candidate->rule.headroom;
    std::optional<std::vector<MigCounts>> counts = MigFit(Demands(headroom), cards);
    for (int step = 1; step <= kSteps && !counts.has_value(); ++step) {
      for (const std::int32_t m : on_card_) {
        if (std::find(candidate->failing.begin(), candidate->failing.end(), m) !=
            candidate->failing.end())
          continue;
        double& one = headroom[static_cast<std::size_t>(m)];
        one = step == kSteps ? 1 : 1 + (one - 1) / 2;
      }
      counts = MigFit(Demands(headroom), cards);
    }
    return counts;
  }

  void Build(const std::vector<MigCounts>& counts, Candidate* candidate) {
    Draft& draft = candidate->draft;
    draft.nodes.clear();
    for (std::size_t i = 0; i < on_card_.size(); ++i) {
      const std::int32_t m = on_card_[i];
      double capacity = 0;
      const std::size_t first = draft.nodes.size();
      for (std::size_t size = 0; size < kMigSizes.size(); ++size) {
        for (std::int32_t count = 0; count < counts[i][size]; ++count) {
          MixNode node;
          node.share = kMigSizes[size];
          node.point = context_.BestPoint(m, node.share);
          node.items = {{m, RateOf(*node.point)}};
          capacity += node.items.front().rate;
          draft.nodes.push_back(std::move(node));
        }
      }
      for (std::size_t n = first; n < draft.nodes.size(); ++n) {
        draft.nodes[n].items.front().rate *= context_.model(m).rate / capacity;
        FitNode(context_, candidate->rule, &draft.nodes[n]);
      }
    }
    draft.cards = PlaceNodes(context_, candidate->rule, &draft.nodes);
    candidate->made = true;
  }

  // A short run finds what is wrong; who passes it must pass long ones with fresh arrivals, more
  // than one: near its capacity a plan may pass by luck. One that would not beat its rival is
  // dropped.
  void Confirm(const Candidate& rival, Candidate* candidate) {
    const std::uint64_t seed =
        context_.options().seed + static_cast<std::uint64_t>(candidate->repairs * kLongRuns);
    Run(seed, kShortPart, candidate);
    if (candidate->passed() && rival.passed() && !Better(*candidate, rival)) {
      candidate->made = false;
      return;
    }
    for (std::int64_t run = 0; run < kLongRuns && candidate->passed(); ++run) {
      Run(seed + kConfirmSeed + static_cast<std::uint64_t>(run), 1, candidate);
    }
  }

  void Run(std::uint64_t seed, double part, Candidate* candidate) {
    constexpr int kMoreCoresMax = 16;
    const std::vector<SimulatedModel> models = Simulated();
    const bool recorded = !arrivals_.empty();  // A recording is short enough to run whole.
    candidate->seconds = (recorded ? 1 : part) * SimulatedSeconds(models, context_.options());
    for (int more = 0; more <= kMoreCoresMax; ++more) {
      std::vector<SimulatedProcess> processes;
      for (const MixNode& node : candidate->draft.nodes) AddNode(node, &processes);
      AddCpu(candidate->cores, &processes);
      candidate->outcomes = Simulate(
          models, processes, {candidate->seconds, candidate->seconds * kWarmPart}, seed, progress_);
      candidate->failing.clear();
      bool cpu_fails = false;
      for (std::size_t m = 0; m < models.size(); ++m) {
        const Outcome& outcome = candidate->outcomes[m];
        if (outcome.requests == 0 || outcome.attainment() >= context_.options().attainment)
          continue;
        const std::int32_t id = static_cast<std::int32_t>(m);
        candidate->failing.push_back(id);
        cpu_fails = cpu_fails || !std::binary_search(on_card_.begin(), on_card_.end(), id);
      }
      if (!cpu_fails) return;
      ++candidate->cores;  // The pool is too small for its bursts.
    }
  }

  std::vector<SimulatedModel> Simulated() const {
    std::vector<SimulatedModel> models(context_.models().size());
    const auto take = [&](std::int32_t m) {
      const auto recorded = arrivals_.find(m);
      const std::vector<double>* times = recorded == arrivals_.end() ? nullptr : &recorded->second;
      models[static_cast<std::size_t>(m)] = {context_.model(m).rate, context_.model(m).slo_ms,
                                             times};
    };
    for (const std::int32_t m : on_card_) take(m);
    for (const std::int32_t m : plan_.on_cpu) take(m);
    return models;
  }

  void AddNode(const MixNode& node, std::vector<SimulatedProcess>* processes) const {
    SimulatedProcess process;
    process.slowdown = node.slowdown;
    const int copies = node.point != nullptr ? node.point->processes : 1;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::int32_t m = node.items[i].model;
      const std::vector<double>& row = context_.table(m).Row(node.share, copies);
      int batch = node.cycle.batches[i];
      const double planned = row[static_cast<std::size_t>(batch)];
      const bool alone = node.point != nullptr;
      while (!alone && batch + 1 < static_cast<int>(row.size()) &&
             row[static_cast<std::size_t>(batch) + 1] <= planned * kBatchStretch)
        ++batch;
      const double load_ms = node.memory.resident[i] ? 0 : context_.model(m).load_ms;
      process.tenants.push_back({m, &row, batch, load_ms});
    }
    for (int copy = 0; copy < copies; ++copy) processes->push_back(process);
  }

  // The pool of cores: each serves all models on CPU, one request at a time.
  void AddCpu(std::int32_t cores, std::vector<SimulatedProcess>* processes) {
    if (plan_.on_cpu.empty()) return;
    cpu_rows_.clear();
    cpu_rows_.reserve(plan_.on_cpu.size());  // Addresses are kept.
    SimulatedProcess core;
    for (const std::int32_t m : plan_.on_cpu) {
      cpu_rows_.push_back({0, context_.model(m).cpu_ms});
      core.tenants.push_back({m, &cpu_rows_.back(), 1, 0});
    }
    for (std::int32_t i = 0; i < std::max(cores, 1); ++i) processes->push_back(core);
  }

  // The chosen plan before arrivals that had no part in choosing it.
  void JudgeAgain(Candidate candidate) {
    for (std::int64_t i = 0; i < context_.options().fresh_judgements; ++i) {
      Run(context_.options().seed + kFreshSeed + static_cast<std::uint64_t>(i), 1, &candidate);
      for (const Outcome& outcome : candidate.outcomes)
        plan_.fresh_worst = std::min(plan_.fresh_worst, outcome.attainment());
    }
  }

  MixPlan Finish(Candidate best) {
    JudgeAgain(best);
    plan_.cards = best.draft.cards;
    plan_.seconds = best.seconds;
    plan_.cpu_cores = plan_.on_cpu.empty() ? 0 : std::max(best.cores, 1);
    plan_.outcomes = best.outcomes.empty() ? std::vector<Outcome>(context_.models().size())
                                           : std::move(best.outcomes);
    plan_.repairs = best.repairs;
    plan_.first_cards = best.first_cards;
    for (const MixNode& node : best.draft.nodes) plan_.segments.push_back(SegmentOf(node));
    std::stable_sort(plan_.segments.begin(), plan_.segments.end(),
                     [](const Segment& a, const Segment& b) {
                       return a.card != b.card ? a.card < b.card : a.start < b.start;
                     });
    plan_.bounds = MixBounds(context_, on_card_);
    // A placement made elsewhere may hold less than the rates; then no bound speaks of it.
    const bool below = std::any_of(plan_.bounds.begin(), plan_.bounds.end(),
                                   [&](const Bound& bound) { return bound.cards() > plan_.cards; });
    if (!below) plan_.gap = GapTo(plan_.cards, plan_.bounds);
    plan_.accepted = plan_.refused.empty() && best.failing.empty();
    return std::move(plan_);
  }

  Segment SegmentOf(const MixNode& node) const {
    Segment segment;
    segment.card = node.card;
    segment.start = node.start;
    segment.share = node.share;
    segment.processes = node.point != nullptr ? node.point->processes : 1;
    segment.duty_ms = node.point != nullptr ? 0 : node.cycle.duty_ms;
    segment.memory_mib = MemoryOf(context_, node);
    segment.slowdown = node.slowdown;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      segment.tenants.push_back({node.items[i].model, node.items[i].rate, node.cycle.batches[i],
                                 node.cycle.busy_each[i], node.memory.resident[i]});
    }
    return segment;
  }

  const MixContext& context_;
  const Arrivals& arrivals_;
  const Progress& progress_;
  Random random_;
  std::vector<bool> may_card_;
  std::vector<std::int32_t> on_card_;  // Ascending.
  std::vector<std::vector<double>> cpu_rows_;
  MixPlan plan_;
};

}  // namespace

Result<MixPlan> PlanMix(std::span<const MixModel> models, const MixOptions& options,
                        const Arrivals& arrivals, const Progress& progress) {
  BRIM_RETURN_IF_ERROR(CheckMix(models, options));
  const MixContext context(models, options);
  return Planner(context, arrivals, progress).Plan();
}

Result<MixPlan> JudgeMix(std::span<const MixModel> models, const MixOptions& options,
                         std::vector<Segment> segments, const Arrivals& arrivals) {
  BRIM_RETURN_IF_ERROR(CheckMix(models, options));
  const MixContext context(models, options);
  FitRule rule;
  rule.headroom.assign(models.size(), 1);
  std::vector<double> capacity(models.size());
  std::vector<MixNode> nodes;
  for (const Segment& segment : segments) {
    const Tenant& tenant = segment.tenants.front();
    const MixModel& model = models[static_cast<std::size_t>(tenant.model)];
    const auto point =
        std::find_if(model.points.begin(), model.points.end(), [&](const ProfilePoint& p) {
          return p.share == segment.share && p.batch == tenant.batch &&
                 p.processes == segment.processes;
        });
    if (point == model.points.end()) {
      return Status(
          Code::kInvalidArgument, "bad_segment",
          fmt::format("model '{}' has no profile point for size {}, batch {}, {} processes",
                      model.name, segment.share, tenant.batch, segment.processes));
    }
    MixNode node;
    node.share = segment.share;
    node.point = &*point;
    node.items = {{tenant.model, RateOf(*point)}};
    node.card = segment.card;
    node.start = segment.start;
    capacity[static_cast<std::size_t>(tenant.model)] += RateOf(*point);
    nodes.push_back(std::move(node));
  }
  for (MixNode& node : nodes) {
    MixItem& item = node.items.front();
    item.rate *= models[static_cast<std::size_t>(item.model)].rate /
                 capacity[static_cast<std::size_t>(item.model)];
    FitNode(context, rule, &node);
  }
  return Planner(context, arrivals, {}).Judge(std::move(nodes));
}

}  // namespace brim::planner
