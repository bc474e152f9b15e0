// What `brim plan pack` prints and draws: values into tables, nothing decided here.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/plan_pack.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::kCardMilli;
using planner::Misfit;
using planner::Report;
using planner::ReportCell;
using planner::ReportTable;

constexpr std::string_view kMisfitColumns[] = {"fits",        "card_model", "cards",
                                               "card_memory", "cpu",        "memory"};

double Percent(double share) { return 100 * share; }

ReportCell Name(std::string_view text) { return std::string(text); }

// In place: GCC 12 sees an uninitialised string in a moved cell that holds a number.
void AddCount(std::int64_t value, std::vector<ReportCell>* cells) {
  cells->emplace_back(std::in_place_type<std::int64_t>, value);
}
// Nothing for an empty text.
ReportCell TextOrNothing(std::string text) {
  ReportCell cell;
  if (!text.empty()) cell = std::move(text);
  return cell;
}

std::string CardList(std::uint64_t mask) {
  std::string text;
  for (int card = 0; card < planner::kCardsPerNodeMax; ++card) {
    if (mask >> card & 1) text += fmt::format("{}{}", text.empty() ? "" : "|", card);
  }
  return text;
}

struct Spread {
  double mean = 0, least = 0, most = 0;
};
template <typename Values>
Spread SpreadOf(const Values& values) {
  Spread spread;
  if (values.empty()) return spread;
  spread.least = *std::min_element(values.begin(), values.end());
  spread.most = *std::max_element(values.begin(), values.end());
  for (const double value : values) spread.mean += value;
  spread.mean /= static_cast<double>(values.size());
  return spread;
}

void RefusedTable(const planner::PlanInput& input, const PlacedPolicy& plan, Report* report) {
  if (plan.packing.refusals.empty()) return;
  std::vector<planner::ReportColumn> columns = {{"pod"}, {"owner"}, {"reason"}};
  for (std::size_t i = 1; i < std::size(kMisfitColumns); ++i) {
    columns.push_back({"lack_" + std::string(kMisfitColumns[i]), "nodes"});
  }
  ReportTable& table = report->Table(
      "refused", columns, "Pods that were placed nowhere: what the nearest nodes lacked, and all.");
  for (const planner::Refusal& refusal : plan.packing.refusals) {
    const planner::Pod& pod = input.pods[refusal.pod];
    std::string reason(planner::MisfitText(refusal.nearest));
    if (refusal.never) reason = "larger than every node: " + reason + ", even when all are empty";
    std::vector<ReportCell> cells = {pod.name, pod.owner, reason};
    for (std::size_t i = 1; i < std::size(kMisfitColumns); ++i) {
      AddCount(refusal.misfits[i], &cells);
    }
    table.Row(std::move(cells));
  }
}

}  // namespace

void ReportPlaced(const planner::PlanInput& input, const std::vector<PlacedPolicy>& plans,
                  Report* report) {
  const std::int64_t cards = input.cluster.cards();
  const double capacity = static_cast<double>(std::max<std::int64_t>(1, cards)) * kCardMilli;
  report->Count("pods", static_cast<std::int64_t>(input.pods.size()), "pods");
  report->Count("nodes", static_cast<std::int64_t>(input.cluster.nodes.size()), "nodes");
  report->Count("cards", cards, "cards", "in the cluster");
  if (plans.size() == 1) {
    const planner::Packing& packing = plans.front().packing;
    const planner::Gap gap = planner::GapTo(packing.used_cards, plans.front().bounds);
    report->Text("policy", std::string(plans.front().policy.name));
    report->Number("allocation", Percent(static_cast<double>(packing.declared_milli) / capacity),
                   "%", "declared card share of the placed pods over all cards");
    report->Count("refused", static_cast<std::int64_t>(packing.refusals.size()), "pods");
    report->Count("used_cards", packing.used_cards, "cards", "with anything on them");
    report->Count("gap", gap.cards, "cards",
                  fmt::format("above the tightest bound for the placed pods ({})", gap.bound));
    report->Number("gap_percent", Percent(gap.share), "%");
  }
  ReportTable& table = report->Table("policies",
                                     {{"policy"},
                                      {"placed", "pods"},
                                      {"refused", "pods"},
                                      {"allocation", "%"},
                                      {"used_cards", "cards"},
                                      {"bound", "cards"},
                                      {"gap", "cards"},
                                      {"gap_percent", "%"},
                                      {"used_nodes", "nodes"},
                                      {"cards_of_used_nodes", "cards"},
                                      {"tied", "choices"},
                                      {"placement_seconds", "s"}},
                                     "The bound is on the cards that the placed pods need.");
  for (const PlacedPolicy& plan : plans) {
    const planner::Packing& packing = plan.packing;
    const planner::Gap gap = planner::GapTo(packing.used_cards, plan.bounds);
    const auto refused = static_cast<std::int64_t>(packing.refusals.size());
    table.Row({Name(plan.policy.name), static_cast<std::int64_t>(input.pods.size()) - refused,
               refused, Percent(static_cast<double>(packing.declared_milli) / capacity),
               packing.used_cards, packing.used_cards - gap.cards, gap.cards, Percent(gap.share),
               packing.used_nodes, packing.used_node_cards, packing.tied, plan.seconds});
  }
  if (plans.size() == 1) RefusedTable(input, plans.front(), report);
}

std::vector<double> MeanCurve(const InflateOutcome& outcome, std::string_view policy) {
  std::vector<double> mean;
  double runs = 0;
  for (const InflatedPolicy& run : outcome.runs) {
    if (run.policy.name != policy) continue;
    mean.resize(run.inflation.curve.size(), 0);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += run.inflation.curve[i];
    ++runs;
  }
  for (double& value : mean) value /= runs;
  return mean;
}

namespace {

std::vector<std::string_view> PolicyNames(const InflateOutcome& outcome) {
  std::vector<std::string_view> names;
  for (const InflatedPolicy& run : outcome.runs) {
    if (names.empty() || names.back() != run.policy.name) names.push_back(run.policy.name);
  }
  return names;
}

const planner::Ceiling* Lowest(const std::vector<planner::Ceiling>& ceilings) {
  const auto lowest = std::min_element(
      ceilings.begin(), ceilings.end(),
      [](const planner::Ceiling& a, const planner::Ceiling& b) { return a.share < b.share; });
  return lowest == ceilings.end() ? nullptr : &*lowest;
}

void RunsTable(const InflateOutcome& outcome, Report* report) {
  std::vector<planner::ReportColumn> columns = {{"policy"},
                                                {"seed"},
                                                {"arrivals", "pods"},
                                                {"refused", "pods"},
                                                {"refused_cards", "cards"},
                                                {"allocation", "%"},
                                                {"first_refusal", "%"},
                                                {"first_refusal_bound", "%"},
                                                {"used_cards", "cards"},
                                                {"tied", "choices"},
                                                {"placement_seconds", "s"}};
  for (std::size_t i = 1; i < std::size(kMisfitColumns); ++i) {
    columns.push_back({"lacked_" + std::string(kMisfitColumns[i]), "pods"});
  }
  ReportTable& table =
      report->Table("runs", columns,
                    "Refused pods by what the nearest nodes lacked; the bound is that stream's.");
  for (const InflatedPolicy& run : outcome.runs) {
    const planner::Inflation& one = run.inflation;
    double bound = 0;
    for (const InflatedStream& stream : outcome.streams) {
      if (stream.seed == run.seed) bound = stream.first_refusal_max;
    }
    std::vector<ReportCell> cells = {Name(run.policy.name),
                                     static_cast<std::int64_t>(run.seed),
                                     one.arrivals,
                                     one.refused,
                                     static_cast<double>(one.refused_milli) / kCardMilli,
                                     Percent(one.allocation),
                                     Percent(one.first_refusal),
                                     Percent(bound),
                                     one.used_cards,
                                     one.tied,
                                     run.seconds};
    for (std::size_t i = 1; i < std::size(kMisfitColumns); ++i) {
      AddCount(one.refused_by[i], &cells);
    }
    table.Row(std::move(cells));
  }
}

}  // namespace

void ReportInflated(const planner::PlanInput& input, const InflateOutcome& outcome,
                    Report* report) {
  report->Count("cards", input.cluster.cards(), "cards", "in the cluster");
  report->Number("demand", Percent(outcome.demand), "%", "of the cards, asked for in the end");
  std::vector<double> proven;
  for (const InflatedStream& stream : outcome.streams) proven.push_back(stream.first_refusal_max);
  const Spread bound = SpreadOf(proven);
  report->Number("first_refusal_bound", Percent(bound.mean), "%",
                 "proven: no scheduler allocates more of these streams before its first refusal");
  if (const planner::Ceiling* ceiling = Lowest(outcome.ceilings); ceiling != nullptr) {
    report->Number(
        "ceiling", Percent(ceiling->share), "%",
        fmt::format("the same for pods in exactly these proportions ({})", ceiling->name));
  }
  ReportTable& table = report->Table("policies",
                                     {{"policy"},
                                      {"allocation", "%"},
                                      {"allocation_min", "%"},
                                      {"allocation_max", "%"},
                                      {"first_refusal", "%"},
                                      {"first_refusal_min", "%"},
                                      {"gap", "points"},
                                      {"refused", "pods"},
                                      {"tied", "choices"},
                                      {"placement_seconds", "s"}},
                                     "Means of the runs. Allocation at the end, and when the first "
                                     "pod was refused; the gap is from that to the bound.");
  for (const std::string_view name : PolicyNames(outcome)) {
    std::vector<double> allocation, first, refused, tied, seconds;
    for (const InflatedPolicy& run : outcome.runs) {
      if (run.policy.name != name) continue;
      allocation.push_back(Percent(run.inflation.allocation));
      first.push_back(Percent(run.inflation.first_refusal));
      refused.push_back(static_cast<double>(run.inflation.refused));
      tied.push_back(static_cast<double>(run.inflation.tied));
      seconds.push_back(run.seconds);
    }
    const Spread end = SpreadOf(allocation);
    table.Row({Name(name), end.mean, end.least, end.most, SpreadOf(first).mean,
               SpreadOf(first).least, Percent(bound.mean) - SpreadOf(first).mean,
               SpreadOf(refused).mean, SpreadOf(tied).mean, SpreadOf(seconds).mean});
  }
  ReportTable& curve = report->Table("curve", {{"policy"}, {"demand", "%"}, {"allocation", "%"}},
                                     "Allocation when so much was asked for, mean of the runs.");
  for (const std::string_view name : PolicyNames(outcome)) {
    const std::vector<double> mean = MeanCurve(outcome, name);
    for (std::size_t percent = 0; percent < mean.size(); ++percent) {
      if (percent % 5 != 0 && percent + 1 != mean.size()) continue;
      curve.Row({Name(name), static_cast<std::int64_t>(percent), mean[percent]});
    }
  }
  RunsTable(outcome, report);
}

void ReportCompacted(const std::vector<CompactedPolicy>& runs, Report* report) {
  ReportTable& table =
      report->Table("runs",
                    {{"policy"},
                     {"seed"},
                     {"pods", "pods"},
                     {"demand", "cards"},
                     {"nodes", "nodes"},
                     {"cards", "cards"},
                     {"bound", "cards"},
                     {"bound_name"},
                     {"gap", "cards"},
                     {"gap_percent", "%"},
                     {"seconds", "s"}},
                    "The smallest part of the nodes, in a random order, that holds "
                    "the pods drawn; the bound holds for any choice of nodes.");
  std::map<std::string_view, std::vector<double>> cards, gaps;
  for (const CompactedPolicy& run : runs) {
    const planner::Compaction& one = run.compaction;
    std::vector<ReportCell> cells = {Name(run.policy.name), static_cast<std::int64_t>(run.seed),
                                     one.pods, static_cast<double>(one.pod_milli) / kCardMilli};
    if (one.held) {
      const planner::Gap gap = planner::GapTo(one.cards, run.bounds);
      for (const std::int64_t value : {one.nodes, one.cards, one.cards - gap.cards}) {
        cells.emplace_back(value);
      }
      cells.emplace_back(gap.bound);
      cells.emplace_back(gap.cards);
      cells.emplace_back(Percent(gap.share));
      cards[run.policy.name].push_back(static_cast<double>(one.cards));
      gaps[run.policy.name].push_back(Percent(gap.share));
    } else {
      cells.resize(10);  // Not even all nodes hold the pods.
    }
    cells.emplace_back(run.seconds);
    table.Row(std::move(cells));
  }
  ReportTable& means = report->Table(
      "policies", {{"policy"}, {"held", "runs"}, {"cards", "cards"}, {"gap_percent", "%"}},
      "Means of the runs in which all nodes held the pods.");
  for (const CompactedPolicy& run : runs) {
    if (&run != &runs.front() && (&run)[-1].policy.name == run.policy.name) continue;
    const std::string_view name = run.policy.name;
    if (!cards.contains(name)) {
      std::vector<ReportCell> none(4);
      none[0] = std::string(name);
      none[1] = std::int64_t{0};
      means.Row(std::move(none));
      continue;
    }
    means.Row({Name(name), static_cast<std::int64_t>(cards[name].size()),
               SpreadOf(cards[name]).mean, SpreadOf(gaps[name]).mean});
  }
}

namespace {

void TermsTable(const planner::PlanInput& input, const planner::Explanation& why, Report* report) {
  ReportTable& table = report->Table("scores", {{"node"}, {"what"}, {"term"}, {"value"}},
                                     "Higher is better; the terms sum to the score.");
  const auto add = [&](const planner::ScoredNode& scored, const char* what) {
    if (scored.node < 0) return;
    const std::string& node = input.cluster.nodes[scored.node].name;
    for (const planner::ScoreTerm& term : scored.terms) {
      table.Row({node, Name(what), Name(term.name), term.value});
    }
    table.Row({node, Name(what), Name("score"), static_cast<double>(scored.score)});
  };
  add(why.chosen, "chosen");
  add(why.runner_up, "runner-up");
}

void ClassesTable(const planner::PlanInput& input, const planner::Explanation& why,
                  Report* report) {
  std::vector<planner::ReportColumn> columns = {
      {"like"}, {"cpu", "milli-cores"}, {"cards"}, {"card_model"}, {"nodes"}};
  for (const std::string_view name : kMisfitColumns) {
    columns.push_back({name == "fits" ? std::string(name) : "lack_" + std::string(name), "nodes"});
  }
  ReportTable& table = report->Table("node_classes", columns,
                                     "Nodes of equal capacity as they stood when the pod came.");
  std::vector<std::int64_t> sums(std::size(kMisfitColumns) + 1, 0);
  for (const planner::NodeClass& one : why.classes) {
    const std::int32_t model = one.node.card_model;
    std::vector<ReportCell> cells = {
        one.node.name, one.node.cpu_milli, std::int64_t{one.node.cards},
        TextOrNothing(model < 0 ? std::string() : input.cluster.card_models[model]),
        std::int64_t{one.nodes}};
    sums[0] += one.nodes;
    for (std::size_t i = 0; i < one.by_misfit.size(); ++i) {
      cells.emplace_back(std::int64_t{one.by_misfit[i]});
      sums[i + 1] += one.by_misfit[i];
    }
    table.Row(std::move(cells));
  }
  std::vector<ReportCell> total(4);
  total.front() = std::string("all");
  for (const std::int64_t sum : sums) total.emplace_back(sum);
  table.Row(std::move(total));
}

void MoversTable(const planner::PlanInput& input, const std::vector<planner::Pod>& pods,
                 const planner::Explanation& why, Report* report) {
  const bool placed = why.choice.spot.placed();
  if (why.free_node < 0) {
    if (!placed) report->Note("No node would take it even empty: no eviction helps.");
    return;
  }
  const std::string& node = input.cluster.nodes[why.free_node].name;
  ReportTable& table = report->Table(
      "movers", {{"pod"}, {"share", "milli-cards"}, {"to_node"}, {"to_card"}},
      placed ? fmt::format("What stands on card {} of {} in the end, and where else it fits.",
                           why.free_card, node)
             : fmt::format("What would have to leave {} for the pod to fit.", node));
  for (const planner::Mover& mover : why.movers) {
    const planner::Pod& pod = pods[mover.pod];
    const bool moves = mover.to.placed();
    table.Row({pod.name, pod.demand_milli(),
               TextOrNothing(moves ? input.cluster.nodes[mover.to.node].name : std::string()),
               TextOrNothing(CardList(mover.to.cards))});
  }
  if (!placed) return;
  report->Note(why.frees
                   ? fmt::format("Moving these frees card {} of {}.", why.free_card, node)
                   : fmt::format("Card {} of {} cannot be freed: no other card in use has room for "
                                 "all of these.",
                                 why.free_card, node));
}

}  // namespace

void ReportExplanation(const planner::PlanInput& input, const std::vector<planner::Pod>& pods,
                       std::size_t pod, const planner::PolicyInfo& policy,
                       const planner::Explanation& why, Report* report) {
  const planner::Pod& one = pods[pod];
  report->Text("pod", one.name);
  report->Text("policy", std::string(policy.name), std::string(policy.says));
  report->Text("asks", fmt::format("{} milli-cores, {} MiB, {} x {} milli-cards", one.cpu_milli,
                                   one.memory_mib, one.cards, one.card_milli));
  std::int64_t nodes = 0;
  std::int64_t fits = 0;
  for (const planner::NodeClass& node : why.classes) {
    nodes += node.nodes;
    fits += node.by_misfit[0];
  }
  report->Count("nodes", nodes, "nodes");
  report->Count("fitting", fits, "nodes");
  if (why.choice.spot.placed()) {
    report->Text("node", input.cluster.nodes[why.choice.spot.node].name);
    report->Text("node_cards", CardList(why.choice.spot.cards), "index of each card taken");
    report->Count("equally_good", why.choice.equals, "nodes", "with this score, it included");
  } else {
    report->Text("refused", std::string(planner::MisfitText(why.choice.nearest())),
                 "what the nearest nodes lacked");
  }
  TermsTable(input, why, report);
  ClassesTable(input, why, report);
  MoversTable(input, pods, why, report);
}

std::string PlacedPicture(const planner::PlanInput& input, const PlacedPolicy& plan) {
  std::map<std::pair<std::int32_t, int>, planner::Bar> bars;
  std::map<std::string, int> groups;  // A colour each.
  for (std::size_t i = 0; i < input.pods.size(); ++i) {
    const planner::Spot& spot = plan.packing.spots[i];
    const planner::Pod& pod = input.pods[i];
    const int group = groups.try_emplace(pod.owner, static_cast<int>(groups.size())).first->second;
    for (int card = 0; spot.placed() && card < planner::kCardsPerNodeMax; ++card) {
      if ((spot.cards >> card & 1) == 0) continue;
      planner::Bar& bar = bars[{spot.node, card}];
      bar.label = fmt::format("{} card {}", input.cluster.nodes[spot.node].name, card);
      bar.capacity = kCardMilli;
      bar.parts.push_back(
          {static_cast<double>(pod.card_milli),
           fmt::format("{} ({}): {} milli-cards", pod.name, pod.owner, pod.card_milli), group});
    }
  }
  std::vector<planner::Bar> list;
  for (auto& [key, bar] : bars) list.push_back(std::move(bar));
  return planner::BarsSvg(fmt::format("Cards in use, policy {}", plan.policy.name), "milli-cards",
                          list);
}

std::string InflatedPicture(const InflateOutcome& outcome) {
  std::vector<planner::Line> lines;
  for (const std::string_view name : PolicyNames(outcome)) {
    planner::Line& line = lines.emplace_back();
    line.name = name;
    const std::vector<double> mean = MeanCurve(outcome, name);
    for (std::size_t i = 0; i < mean.size(); ++i) {
      line.points.emplace_back(static_cast<double>(i), mean[i]);
    }
  }
  if (const planner::Ceiling* ceiling = Lowest(outcome.ceilings); ceiling != nullptr) {
    const double percent = Percent(ceiling->share);
    lines.push_back({"bound on the first refusal",
                     {{0, percent}, {Percent(outcome.demand), percent}},
                     false,
                     true});
  }
  return planner::LinesSvg("Allocation over demand", "card demand, % of all cards",
                           "allocated, % of all cards", lines);
}

std::string CompactedPicture(const std::vector<CompactedPolicy>& runs) {
  std::vector<planner::Bar> bars;
  for (const CompactedPolicy& run : runs) {
    const planner::Compaction& one = run.compaction;
    const auto cards = static_cast<double>(one.cards);
    const double demand = static_cast<double>(one.pod_milli) / kCardMilli;
    planner::Bar& bar = bars.emplace_back();
    bar.label = fmt::format("{}, seed {}", run.policy.name, run.seed);
    bar.capacity = cards;
    bar.parts = {{std::min(demand, cards), fmt::format("{:.1f} cards asked for", demand), 0}};
  }
  return planner::BarsSvg("Cards of the smallest part that holds the pods", "cards", bars);
}

}  // namespace brim::apps
