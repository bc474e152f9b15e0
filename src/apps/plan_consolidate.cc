// `brim plan consolidate`: which pods of a live layout to move so that cards fall free.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/bound/bound.h"
#include "planner/cluster/occupancy.h"
#include "planner/formats/cluster_format.h"
#include "planner/formats/nearest_name.h"
#include "planner/replay/consolidate.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::Consolidation;
using planner::PlanInput;
using planner::Spot;

constexpr const char* kCommand = "brim plan consolidate";
constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan consolidate --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --layout examples/plan/layout.csv\n"
    "  brim plan consolidate --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --layout examples/plan/layout.csv --moves-per-hour 6 --load-seconds 60 --explain "
    "ocr-rec-1\n"
    "Columns of the layout: pod, node, cards (indices joined by '|'). A move is made before it is\n"
    "broken: the new copy loads beside the old one, so both need room.";

struct Flags {
  PlanFlags plan;
  std::string nodes, pods, layout;
  planner::ConsolidateOptions options;
};

std::string SpotText(const PlanInput& input, const Spot& spot) {
  if (!spot.placed()) return "nowhere";
  std::string text = input.cluster.nodes[spot.node].name;
  for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
    text += fmt::format("{}{}", left == spot.cards ? "/" : "|", std::countr_zero(left));
  }
  return text;
}

void AddMoves(const PlanInput& input, const Consolidation& result, planner::Report* report) {
  planner::ReportTable& table = report->Table("moves",
                                              {{"start", "s"},
                                               {"end", "s"},
                                               {"pod"},
                                               {"from"},
                                               {"to"},
                                               {"share", "1/1000"},
                                               {"group"},
                                               {"why"}},
                                              "in order; both copies stand from start to end");
  for (const planner::Move& move : result.moves) {
    const planner::MoveGroup& group = result.groups[move.group];
    std::string freed;
    for (const Spot& spot : group.freed)
      freed += (freed.empty() ? "" : ", ") + SpotText(input, spot);
    table.Row({move.start_s, move.end_s, input.pods[move.pod].name, SpotText(input, move.from),
               SpotText(input, move.to), std::int64_t{input.pods[move.pod].card_milli},
               std::int64_t{move.group},
               fmt::format("{} {}", group.searched ? "search: frees" : "drains", freed)});
  }
  planner::ReportTable& groups = report->Table(
      "groups", {{"group"}, {"freed"}, {"moves"}, {"gain", "card-h"}, {"cost", "card-h"}},
      "done as a whole or not at all; gain: free hours within the horizon");
  for (std::size_t g = 0; g < result.groups.size(); ++g) {
    const planner::MoveGroup& group = result.groups[g];
    std::string freed;
    for (const Spot& spot : group.freed)
      freed += (freed.empty() ? "" : ", ") + SpotText(input, spot);
    groups.Row(
        {static_cast<std::int64_t>(g), freed, group.moves, group.gain_card_h, group.cost_card_h});
  }
  planner::ReportTable& stays =
      report->Table("stays", {{"card"}, {"pods"}, {"used", "1/1000"}, {"why"}},
                    "cards with shares on them that are not freed");
  for (const planner::Stays& card : result.stays) {
    stays.Row(
        {SpotText(input, card.card), std::int64_t{card.pods}, std::int64_t{card.milli}, card.why});
  }
}

Status AddBounds(const PlanInput& input, const Consolidation& result, planner::Report* report) {
  std::vector<planner::Pod> standing;
  for (std::size_t p = 0; p < input.pods.size(); ++p) {
    if (result.spots[p].placed()) standing.push_back(input.pods[p]);
  }
  BRIM_ASSIGN_OR_RETURN(const planner::BoundSet bounds,
                        planner::BoundsFor(input.cluster, standing));
  planner::ReportTable& table =
      report->Table("bounds", {{"bound"}, {"value", "cards"}, {"cards"}, {"means"}},
                    "lower bounds on the cards of any layout of these pods, moves free");
  for (const planner::Bound& bound : bounds.cards) {
    table.Row({bound.name, bound.value, bound.cards(), bound.means});
  }
  const planner::Gap gap = planner::GapTo(result.cards_after, bounds.cards);
  report->Text("gap_bound", gap.bound, "the tightest");
  report->Count("gap_cards", gap.cards, "cards", "above it after the moves");
  report->Number("gap_share", gap.share, "", {});
  return OkStatus();
}

Status Explain(const PlanInput& input, const Consolidation& result, const Flags& flags,
               planner::Report* report) {
  std::vector<std::string_view> known;
  std::int32_t found = -1;
  for (std::size_t p = 0; p < input.pods.size(); ++p) {
    known.push_back(input.pods[p].name);
    if (known.back() == flags.plan.explain) found = static_cast<std::int32_t>(p);
  }
  if (found < 0) {
    return Status(Code::kNotFound, "pod_unknown",
                  fmt::format("--explain: there is no pod '{}'{}", flags.plan.explain,
                              planner::DidYouMean(flags.plan.explain, known)));
  }
  const planner::Pod& pod = input.pods[found];
  planner::ReportTable& table = report->Table("explain", {{pod.name}});
  table.Row({fmt::format("stands on {} after the moves", SpotText(input, result.spots[found]))});
  for (const planner::Move& move : result.moves) {
    if (move.pod != found) continue;
    table.Row({fmt::format("moves from {} at {:.0f} s for group {}: {:.3f} card-hours",
                           SpotText(input, move.from), move.start_s, move.group,
                           planner::MoveCost(flags.options.prices, pod))});
  }
  if (pod.cards != 1 || pod.whole()) {
    table.Row({std::string("takes whole cards or none: moving it frees as many as it takes")});
    return OkStatus();
  }
  planner::Occupancy occupancy(input.cluster);
  for (std::size_t p = 0; p < input.pods.size(); ++p) {
    if (result.spots[p].placed()) occupancy.Place(input.pods[p], result.spots[p]);
  }
  std::array<std::int64_t, 6> nodes{};
  for (std::int32_t n = 0; n < occupancy.nodes(); ++n) {
    ++nodes[static_cast<std::size_t>(occupancy.WhyNot(pod, n))];
  }
  for (std::size_t why = 0; why < nodes.size(); ++why) {
    if (nodes[why] == 0) continue;
    table.Row({fmt::format("a second copy on {} nodes: {}", nodes[why],
                           planner::MisfitText(static_cast<planner::Misfit>(why)))});
  }
  return OkStatus();
}

std::string Picture(const PlanInput& input, const Consolidation& result) {
  std::vector<planner::Bar> bars;
  for (std::size_t n = 0; n < input.cluster.nodes.size(); ++n) {
    for (std::int32_t c = 0; c < input.cluster.nodes[n].cards; ++c) {
      planner::Bar bar{
          fmt::format("{}/{}", input.cluster.nodes[n].name, c), planner::kCardMilli, {}};
      for (std::size_t p = 0; p < input.pods.size(); ++p) {
        const Spot& spot = result.spots[p];
        if (spot.node != static_cast<std::int32_t>(n) || (spot.cards >> c & 1) == 0) continue;
        const bool moved =
            std::any_of(result.moves.begin(), result.moves.end(),
                        [p](const auto& m) { return m.pod == static_cast<std::int32_t>(p); });
        bar.parts.push_back({double(input.pods[p].card_milli),
                             input.pods[p].name + (moved ? " (moved)" : ""), moved ? 1 : 0});
      }
      if (!bar.parts.empty()) bars.push_back(std::move(bar));
    }
  }
  return planner::BarsSvg("Cards after the moves", "1/1000 of a card", bars);
}

Status Run(const Flags& flags, planner::Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const std::string nodes, io::ReadTextFile(flags.nodes));
  BRIM_ASSIGN_OR_RETURN(const std::string pods, io::ReadTextFile(flags.pods));
  BRIM_ASSIGN_OR_RETURN(const std::string layout, io::ReadTextFile(flags.layout));
  BRIM_ASSIGN_OR_RETURN(const PlanInput input,
                        planner::ReadCluster({flags.nodes, nodes}, {flags.pods, pods}));
  BRIM_ASSIGN_OR_RETURN(const std::vector<Spot> spots,
                        planner::ReadLayout({flags.layout, layout}, input));
  const std::string wrong = planner::CheckLayout(input.cluster, input.pods, spots);
  if (!wrong.empty()) {
    return Status(Code::kInvalidArgument, "layout_overfull",
                  fmt::format("{}: {}: not a layout that can stand", flags.layout, wrong));
  }
  if (!input.owner_per_node_max.empty()) {
    return Status(Code::kInvalidArgument, "owner_limits",
                  fmt::format("{}: it limits pods per owner and node, which moves do not know yet",
                              flags.pods));
  }
  const Consolidation result =
      planner::Consolidate(input.cluster, input.pods, spots, flags.options);
  const std::string broken = planner::CheckMoves(input.cluster, input.pods, spots, result.moves);
  if (!broken.empty()) return Status(Code::kInternal, "moves_unsound", broken);
  std::int64_t standing = 0;
  for (const Spot& spot : spots) standing += spot.placed() ? 1 : 0;
  double gain = 0, cost = 0;
  for (const planner::MoveGroup& group : result.groups) {
    gain += group.gain_card_h;
    cost += group.cost_card_h;
  }
  report->Count("pods", standing, "pods", "that stand");
  report->Count("pods_not_in_layout", static_cast<std::int64_t>(spots.size()) - standing, "pods",
                "stand nowhere and are not placed here");
  report->Count("cards_before", result.cards_before, "cards", "with anything on them");
  report->Count("cards_after", result.cards_after, "cards", {});
  report->Count("move_count", static_cast<std::int64_t>(result.moves.size()), "moves", {});
  report->Number("gain_card_h", gain, "card-h", "freed within the horizon");
  report->Number("cost_card_h", cost, "card-h", "load, disruption and risk");
  report->Text("search", result.search_complete ? "complete" : "stopped at its limit",
               "exact search over the worst cards");
  BRIM_RETURN_IF_ERROR(AddBounds(input, result, report));
  AddMoves(input, result, report);
  for (const std::string& note : input.notes) report->Note(note);
  if (!flags.plan.explain.empty()) BRIM_RETURN_IF_ERROR(Explain(input, result, flags, report));
  if (!flags.plan.svg.empty()) *svg = Picture(input, result);
  return OkStatus();
}

void AddOptions(CLI::App* app, Flags* flags) {
  planner::ConsolidateOptions& o = flags->options;
  app->add_option("--nodes", flags->nodes, "Nodes.")->type_name("FILE")->required();
  app->add_option("--pods", flags->pods, "Pods.")->type_name("FILE")->required();
  app->add_option("--layout", flags->layout, "Where each pod stands.")
      ->type_name("FILE")
      ->required();
  const char* kGroup = "Prices";
  app->add_option("--load-seconds", o.prices.load_s, "Until a new copy answers.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--disruption", o.prices.disruption_card_h, "Of one move, in card-hours.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--slo-risk", o.prices.slo_risk, "Probability that a move breaks an objective.")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--slo-price", o.prices.slo_card_h, "Of a broken objective, in card-hours.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--horizon-hours", o.horizon_h, "A freed card is worth its hours until then.")
      ->check(CLI::Range(0.0, 1e5))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--moves-per-hour", o.moves_per_hour, "Budget; moves never overlap.")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--worst-cards", o.worst_cards, "Searched exactly after the drains; 0: none.")
      ->check(CLI::Range(0, 40))
      ->capture_default_str();
}

}  // namespace

int PlanConsolidate(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Proposes moves on a live layout: cards freed, less the load time, the disruption and the "
      "risk\n"
      "of each move. Every step is checked to fit with both copies standing.",
      kCommand);
  app.footer(kExamples);
  Flags flags;
  AddOptions(&app, &flags);
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
