// `brim plan replay --pods`: pods over nodes.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "apps/plan_replay.h"
#include "io/text_file.h"
#include "planner/bound/bound.h"
#include "planner/formats/cluster_format.h"
#include "planner/formats/nearest_name.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::PlanInput;
using planner::PodReplay;

// The bounds' LPs are for one moment's pods; beyond so many the fluid bound alone is printed.
constexpr std::size_t kLpPodsMax = 20'000;

struct Played {
  std::string policy;
  PodReplay replay;
  std::vector<planner::Bound> bounds;  // On its peak cards.
};

// Bounds for the pods that were placed: the refused ones would make them too high.
std::vector<planner::Bound> BoundsOf(const PlanInput& input, const PodReplay& replay) {
  std::vector<planner::Pod> placed;
  for (std::size_t p = 0; p < input.pods.size(); ++p) {
    if (replay.spots[p].placed()) placed.push_back(input.pods[p]);
  }
  std::vector<planner::Bound> bounds = {planner::FluidBound(placed)};
  if (placed.size() > kLpPodsMax) return bounds;
  planner::BoundOptions options;
  options.lifetimes = true;
  auto set = planner::BoundsFor(input.cluster, placed, options);
  // A solver that gives up leaves the fluid bound: weaker, still proven.
  if (!set.ok()) return bounds;
  for (planner::Bound& bound : set->cards) {
    const bool known = std::any_of(bounds.begin(), bounds.end(),
                                   [&](const auto& b) { return b.name == bound.name; });
    if (!known) bounds.push_back(std::move(bound));
  }
  return bounds;
}

void AddPolicies(const std::vector<Played>& played, planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "policies",
      {{"policy"},
       {"peak", "cards"},
       {"peak_at", "h"},
       {"bound", "cards"},
       {"gap", "%"},
       {"used", "card-h"},
       {"declared", "card-h"},
       {"refused_pods"},
       {"refused", "card-h"},
       {"moves"},
       {"moving", "card-h"},
       {"peak_nodes"},
       {"nodes", "node-h"}},
      "used: cards with anything on them, over time; declared: what placed pods asked for; refused "
      "pods use nothing and are no saving; moving: the price of moves, not in used");
  for (const Played& p : played) {
    const PodReplay& r = p.replay;
    const planner::Gap gap = planner::GapTo(r.peak_cards, p.bounds);
    const planner::Bound* tightest = planner::Tightest(p.bounds);
    table.Row({p.policy, r.peak_cards, (r.peak_s - r.begin_s) / 3600,
               tightest == nullptr ? 0.0 : tightest->value, 100 * gap.share, r.used_card_h,
               r.declared_card_h, static_cast<std::int64_t>(r.refused.size()), r.refused_card_h,
               r.migrations, r.migration_card_h, std::int64_t{r.peak_nodes}, r.used_node_h});
  }
}

void AddRefused(const PlanInput& input, const std::vector<Played>& played,
                planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "refused", {{"policy"}, {"pod"}, {"at", "s"}, {"cards"}, {"share", "1/1000"}, {"why"}},
      "every refused pod");
  for (const Played& p : played) {
    for (const planner::RefusedPod& refused : p.replay.refused) {
      const planner::Pod& pod = input.pods[refused.pod];
      const bool rule = refused.nearest == planner::Misfit::kNone;
      table.Row({p.policy, pod.name, refused.t_s, std::int64_t{pod.cards},
                 std::int64_t{pod.card_milli},
                 std::string(refused.owner_limit ? "nodes with room have enough of its owner's pods"
                             : rule              ? "only nodes of the other role have room"
                                                 : planner::MisfitText(refused.nearest))});
    }
  }
}

Status Explain(const PlanInput& input, const std::vector<Played>& played, const std::string& name,
               planner::Report* report) {
  std::vector<std::string_view> known;
  std::size_t found = input.pods.size();
  for (std::size_t i = 0; i < input.pods.size(); ++i) {
    known.push_back(input.pods[i].name);
    if (known.back() == name) found = i;
  }
  if (found == input.pods.size()) {
    return Status(
        Code::kNotFound, "pod_unknown",
        fmt::format("--explain: there is no pod '{}'{}", name, planner::DidYouMean(name, known)));
  }
  const planner::Pod& pod = input.pods[found];
  planner::ReportTable& table = report->Table("explain", {{name}});
  table.Row(
      {fmt::format("comes at {:.0f} s and {}", pod.arrives_s,
                   pod.leaves_s < 0 ? "stays" : fmt::format("leaves at {:.0f} s", pod.leaves_s))});
  for (const Played& p : played) {
    const planner::Spot& spot = p.replay.spots[found];
    if (spot.placed()) {
      std::string cards;
      for (std::uint64_t left = spot.cards; left != 0; left &= left - 1) {
        cards += fmt::format("{}{}", cards.empty() ? ", card " : "|", std::countr_zero(left));
      }
      table.Row({fmt::format("{}: placed on {}{}", p.policy, input.cluster.nodes[spot.node].name,
                             cards)});
      continue;
    }
    std::string why = "never stands";
    for (const planner::RefusedPod& refused : p.replay.refused) {
      if (refused.pod != static_cast<std::int32_t>(found)) continue;
      why = fmt::format("refused: {}", refused.owner_limit
                                           ? "nodes with room have enough of its owner's pods"
                                           : planner::MisfitText(refused.nearest));
    }
    table.Row({fmt::format("{}: {}", p.policy, why)});
  }
  table.Row(
      {std::string("`brim plan pack --explain` says what each node lacked and what would free "
                   "a card")});
  return OkStatus();
}

std::string Picture(const std::vector<Played>& played) {
  std::vector<planner::Line> lines;
  planner::Line demand{"declared", {}, true, true};
  for (const Played& p : played) {
    planner::Line line{p.policy, {}, true, false};
    for (const planner::ReplayPoint& point : p.replay.points) {
      const double hours = (point.t_s - p.replay.begin_s) / 3600;
      line.points.emplace_back(hours, static_cast<double>(point.used_cards));
      if (lines.empty()) {
        demand.points.emplace_back(hours, static_cast<double>(point.demand_milli) / 1000);
      }
    }
    lines.push_back(std::move(line));
  }
  lines.push_back(std::move(demand));
  return planner::LinesSvg("Cards in use", "hours", "cards", lines);
}

}  // namespace

Status ReplayPodStream(const ReplayFlags& flags, planner::Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const std::string nodes, io::ReadTextFile(flags.nodes));
  BRIM_ASSIGN_OR_RETURN(const std::string pods, io::ReadTextFile(flags.pods));
  BRIM_ASSIGN_OR_RETURN(const PlanInput input,
                        planner::ReadCluster({flags.nodes, nodes}, {flags.pods, pods}));
  std::vector<std::string> policies = flags.policies;
  if (policies.empty()) {
    const bool ours = planner::FindPolicy(planner::kDefaultPolicy).ok();
    policies = {"whole-card-most", ours ? std::string(planner::kDefaultPolicy) : "fgd"};
  }
  std::vector<Played> played;
  for (const std::string& name : policies) {
    planner::PodReplayOptions options = flags.pod;
    BRIM_ASSIGN_OR_RETURN(options.policy, planner::FindPolicy(name));
    options.owner_per_node_max = input.owner_per_node_max;
    if (options.policy.whole_cards) options.consolidate_every_s = 0;
    BRIM_ASSIGN_OR_RETURN(PodReplay replay, planner::ReplayPods(input.cluster, input.pods, options,
                                                                StderrProgress()));
    std::vector<planner::Bound> bounds = BoundsOf(input, replay);
    played.push_back({name, std::move(replay), std::move(bounds)});
  }
  const PodReplay& first = played.front().replay;
  report->Count("arrived", first.arrived, "pods", {});
  report->Number("window_h", (first.end_s - first.begin_s) / 3600, "h", "first to last event");
  report->Count("cluster_cards", input.cluster.cards(), "cards", {});
  AddPolicies(played, report);
  AddRefused(input, played, report);
  planner::ReportTable& bounds =
      report->Table("bounds", {{"policy"}, {"bound"}, {"value", "cards"}, {"means"}},
                    "lower bounds on the peak, for the pods that the policy placed");
  for (const Played& p : played) {
    for (const planner::Bound& bound : p.bounds) {
      bounds.Row({p.policy, bound.name, bound.value, bound.means});
    }
  }
  for (const std::string& note : input.notes) report->Note(note);
  if (!flags.plan.explain.empty()) {
    BRIM_RETURN_IF_ERROR(Explain(input, played, flags.plan.explain, report));
  }
  if (!flags.plan.svg.empty()) *svg = Picture(played);
  return OkStatus();
}

}  // namespace brim::apps
