// `brim plan bound`: what no plan can beat, for pods on cards, on nodes, and on a stream of
// arrivals; and offline plans that come within a card of it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/bound/bound.h"
#include "planner/bound/node_lp.h"
#include "planner/bound/offline_plan.h"
#include "planner/bound/pattern_lp.h"
#include "planner/cluster/random.h"
#include "planner/formats/cluster_format.h"
#include "planner/formats/nearest_name.h"
#include "planner/pack/packing.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::Bound;
using planner::Report;
using planner::ReportTable;

constexpr const char* kCommand = "brim plan bound";
constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan bound --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv\n"
    "  brim plan bound --pods examples/plan/pods.csv --scale 0.8   if shares asked for 80 %\n"
    "  brim plan bound --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --compact 0.6 --explain ocr-rec-1 --svg patterns.svg\n"
    "Without --nodes the bounds are on cards alone. docs/planner.md says what each bound relaxes.";

struct Flags {
  PlanFlags plan;
  std::string nodes, pods;
  double scale = 1;
  double compact = 0;
  double stream = 0;
  bool lifetimes = false;
};

// Seconds from one call to the next.
class Laps {
 public:
  double Seconds() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> lap = now - last_;
    last_ = now;
    return lap.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

Result<planner::PlanInput> ReadInput(const Flags& flags) {
  BRIM_ASSIGN_OR_RETURN(const std::string pods, io::ReadTextFile(flags.pods));
  planner::PlanInput input;
  if (flags.nodes.empty()) {
    BRIM_ASSIGN_OR_RETURN(input, planner::ReadPods({flags.pods, pods}));
  } else {
    BRIM_ASSIGN_OR_RETURN(const std::string nodes, io::ReadTextFile(flags.nodes));
    BRIM_ASSIGN_OR_RETURN(input, planner::ReadCluster({flags.nodes, nodes}, {flags.pods, pods}));
  }
  if (flags.scale == 1) return input;
  for (planner::Pod& pod : input.pods) {
    if (pod.cards != 1 || pod.whole()) continue;
    const double milli = std::ceil(pod.card_milli * flags.scale - 1e-9);
    pod.card_milli = std::clamp(static_cast<std::int32_t>(milli), 1, planner::kCardMilli);
  }
  return input;
}

void BoundRow(const Bound& bound, double whole_cards, std::optional<double> seconds,
              ReportTable* table) {
  planner::ReportCell saving, time;
  if (whole_cards > 0) saving = 100 * (1 - static_cast<double>(bound.cards()) / whole_cards);
  if (seconds) time = *seconds;
  table->Row({bound.name, bound.value, bound.cards(), saving, time, bound.means});
}

std::vector<planner::ReportColumn> BoundColumns() {
  return {{"bound"}, {"value", "cards"}, {"cards"}, {"saving", "%"}, {"seconds", "s"}, {"means"}};
}

struct Shared {
  planner::PatternLp lp;
  planner::PatternPlan plan;
};

// The shares alone: bounds from below with their times, and plans from above.
Result<Shared> AddShared(const std::vector<planner::Pod>& pods, Report* report) {
  const std::vector<planner::SizeCount> sizes = planner::SharedSizes(pods);
  std::int64_t count = 0;
  for (const planner::SizeCount& size : sizes) count += size.count;
  report->Count("shared_pods", count, "pods", "ask for a share of a card");
  report->Count("shared_sizes", static_cast<std::int64_t>(sizes.size()), "sizes");
  ReportTable& table = report->Table(
      "shared", BoundColumns(),
      "Cards for the shares alone; saving against a whole card each. The last two are plans.");
  const auto whole = static_cast<double>(count);
  Laps laps;
  const Bound area = planner::AreaBound(sizes);
  BoundRow(area, whole, laps.Seconds(), &table);
  const Bound l2 = planner::L2Bound(sizes);
  BoundRow(l2, whole, laps.Seconds(), &table);
  Shared shared;
  BRIM_ASSIGN_OR_RETURN(shared.lp, planner::SolvePatternLp(sizes));
  const Bound lp{"pattern LP", shared.lp.value, "only rounding is relaxed; its prices are proven"};
  BoundRow(lp, whole, laps.Seconds(), &table);
  BRIM_ASSIGN_OR_RETURN(shared.plan, planner::RoundPatterns(shared.lp));
  const auto rounded = static_cast<double>(shared.plan.total);
  BoundRow({"rounded LP", rounded, "a plan: the LP rounded, the rest packed"}, whole,
           laps.Seconds(), &table);
  const auto packed = static_cast<double>(planner::BestFitDecreasing(sizes).total);
  BoundRow({"best-fit decreasing", packed, "a plan"}, whole, laps.Seconds(), &table);
  report->Count("shared_cards_max", shared.plan.total, "cards",
                shared.plan.total == lp.cards() ? "enough for the shares, and proven to be needed"
                                                : "enough for the shares");
  return shared;
}

void AddTightest(const char* name, const std::vector<Bound>& bounds, const char* says,
                 Report* report) {
  const Bound* tightest = planner::Tightest(bounds);
  if (tightest == nullptr) return;
  report->Count(name, tightest->cards(), "cards", fmt::format("{} ({})", says, tightest->name));
}

Result<planner::BoundSet> AddBounds(const planner::PlanInput& input, const Flags& flags,
                                    Report* report) {
  planner::BoundOptions options;
  options.nodes = options.ceilings = !flags.nodes.empty();
  options.lifetimes = flags.lifetimes;
  std::map<std::string, double> seconds;
  std::string running;
  Laps laps;
  const planner::Progress show = StderrProgress();
  options.progress = [&](std::string_view what, std::int64_t done, std::int64_t total) {
    seconds[running] = laps.Seconds();
    running = what;
    show(what, done, total);
  };
  BRIM_ASSIGN_OR_RETURN(planner::BoundSet set,
                        planner::BoundsFor(input.cluster, input.pods, options));
  seconds[running] = laps.Seconds();
  const auto add = [&](const char* name, const std::vector<Bound>& bounds, const char* caption) {
    ReportTable& table = report->Table(name, BoundColumns(), caption);
    for (const Bound& bound : bounds) {
      std::optional<double> time;
      if (bound.name == "aggregated LP" && set.may_fit) time = seconds["aggregated LP"];
      BoundRow(bound, 0, time, &table);
    }
  };
  add("cards", set.cards, "Cards with anything on them, all pods.");
  if (flags.nodes.empty()) return set;
  add("node_cards", set.node_cards, "All cards of the nodes with anything on them, all pods.");
  ReportTable& table = report->Table(
      "ceilings", {{"bound"}, {"allocation", "%"}, {"copies"}, {"seconds", "s"}, {"means"}},
      "How full the nodes get with pods in these proportions.");
  for (const planner::Ceiling& ceiling : set.ceilings) {
    table.Row(
        {ceiling.name, 100 * ceiling.share, ceiling.copies, seconds["ceiling"], ceiling.means});
  }
  for (const std::size_t pod : set.too_large) {
    report->Note(
        fmt::format("{} fits no node, even empty: it is in no bound.", input.pods[pod].name));
    if (pod != set.too_large.front()) continue;
    report->Count("too_large", static_cast<std::int64_t>(set.too_large.size()), "pods",
                  "fit no node, even empty; they are in no bound");
  }
  report->Text("fits", set.may_fit ? "not disproven" : "no",
               set.may_fit ? "whether the nodes can hold these pods at all"
                           : "proven: the nodes cannot hold these pods, however they are placed");
  return set;
}

// The pods that some node would hold: `brim plan pack` draws from these, and so do the next two.
std::vector<planner::Pod> Placeable(const planner::PlanInput& input) {
  std::vector<planner::Pod> pods = input.pods;
  const std::vector<planner::NodeType> types = planner::NodeTypes(input.cluster);
  std::erase_if(pods, [&](const planner::Pod& pod) {
    return std::none_of(types.begin(), types.end(), [&](const planner::NodeType& type) {
      return planner::FitsEmpty(pod, type.node);
    });
  });
  return pods;
}

// A stream drawn as `brim plan pack --mode inflate` draws it, and the longest part of it that
// anyone could place.
Status AddStream(const planner::PlanInput& input, const Flags& flags, Report* report) {
  const std::int64_t cards = input.cluster.cards();
  const std::vector<planner::Pod> pods = Placeable(input);
  const bool wanted =
      std::any_of(pods.begin(), pods.end(), [](const planner::Pod& pod) { return pod.cards > 0; });
  if (cards == 0 || !wanted) {
    return Status(Code::kInvalidArgument, "no_cards",
                  "--stream needs nodes with cards and pods that want some");
  }
  const std::vector<planner::Pod> arrivals =
      planner::InflationArrivals(pods, cards, flags.stream, flags.plan.seed);
  Laps laps;
  BRIM_ASSIGN_OR_RETURN(const std::size_t prefix,
                        planner::LongestPrefix(input.cluster, arrivals, StderrProgress()));
  std::int64_t milli = 0;
  for (std::size_t i = 0; i < prefix; ++i) milli += arrivals[i].demand_milli();
  report->Count("stream_arrivals", static_cast<std::int64_t>(arrivals.size()), "pods");
  report->Count("stream_prefix", static_cast<std::int64_t>(prefix), "pods",
                "of this stream, at most, before any scheduler refuses one");
  report->Number("stream_allocation",
                 100.0 * static_cast<double>(milli) / (1000.0 * static_cast<double>(cards)), "%",
                 "allocated then: no first refusal comes later");
  report->Number("stream_seconds", laps.Seconds(), "s");
  return OkStatus();
}

// Pods and nodes drawn as `brim plan pack --mode compact` draws them.
Status AddCompaction(const planner::PlanInput& input, const Flags& flags, Report* report) {
  planner::Random random(flags.plan.seed);
  std::vector<planner::Pod> drawn = Placeable(input);
  random.Shuffle(&drawn);
  drawn.resize(static_cast<std::size_t>(
      std::floor(static_cast<double>(drawn.size()) * flags.compact + 1e-9)));
  std::vector<std::int32_t> order(input.cluster.nodes.size());
  std::iota(order.begin(), order.end(), 0);
  random.Shuffle(&order);
  planner::Cluster cluster;
  cluster.card_models = input.cluster.card_models;
  for (const std::int32_t node : order) cluster.nodes.push_back(input.cluster.nodes[node]);

  Laps laps;
  BRIM_ASSIGN_OR_RETURN(const planner::PrefixPlan plan,
                        planner::PlanPrefix(cluster, drawn, StderrProgress()));
  const double seconds = laps.Seconds();
  planner::BoundOptions options;
  options.nodes = false;
  BRIM_ASSIGN_OR_RETURN(const planner::BoundSet set, planner::BoundsFor(cluster, drawn, options));
  const Bound* any = planner::Tightest(set.cards);
  report->Count("compact_pods", static_cast<std::int64_t>(drawn.size()), "pods",
                "drawn and to be held");
  report->Text("compact_held", plan.held ? "yes" : "no",
               plan.held ? "every pod drawn has a place" : "no plan was found, even on all nodes");
  if (!plan.held) return OkStatus();
  report->Count("compact_nodes", plan.nodes, "nodes", "the first of a random order");
  report->Count("compact_cards", plan.cards, "cards", "theirs: the offline plan's");
  report->Count("compact_cards_prefix_bound", plan.cards_bound, "cards",
                "no smaller prefix of this order can hold the pods (aggregated LP)");
  report->Number("compact_cards_bound", any->value, "cards",
                 fmt::format("no choice of nodes can have fewer ({})", any->name));
  report->Number("compact_gap",
                 any->value > 0 ? 100 * (static_cast<double>(plan.cards) / any->value - 1) : 0.0,
                 "%", "the plan above that");
  report->Count("compact_used_cards", plan.plan.used_cards, "cards", "with anything on them");
  report->Number("compact_seconds", seconds, "s");
  return OkStatus();
}

std::string PatternText(const planner::Pattern& pattern,
                        const std::vector<planner::SizeCount>& sizes) {
  std::string text;
  for (std::size_t s = pattern.size(); s-- > 0;) {
    if (pattern[s] == 0) continue;
    text += fmt::format("{}{} x {}", text.empty() ? "" : " + ", pattern[s], sizes[s].milli);
  }
  return text;
}

// What the pod costs at the LP's prices, and at which smaller size it would cost less.
Status Explain(const planner::PlanInput& input, const std::string& name, const Shared& shared,
               Report* report) {
  const auto pod = std::find_if(input.pods.begin(), input.pods.end(),
                                [&](const planner::Pod& p) { return p.name == name; });
  if (pod == input.pods.end()) {
    std::vector<std::string_view> names;
    for (const planner::Pod& p : input.pods) names.push_back(p.name);
    return Status(Code::kNotFound, "pod_unknown",
                  fmt::format("there is no pod '{}'{}", name, planner::DidYouMean(name, names)));
  }
  const std::vector<planner::SizeCount>& sizes = shared.lp.sizes;
  const auto size = std::find_if(sizes.begin(), sizes.end(), [&](const planner::SizeCount& s) {
    return s.milli == pod->card_milli;
  });
  if (pod->cards != 1 || pod->whole() || size == sizes.end()) {
    report->Note(fmt::format("{} asks for {} whole cards: it adds {} cards to every bound.", name,
                             pod->cards, pod->cards));
    return OkStatus();
  }
  std::vector<std::int32_t> milli;
  std::vector<std::int64_t> copies;
  for (const planner::SizeCount& s : sizes) {
    milli.push_back(s.milli);
    copies.push_back(s.count);
  }
  planner::CardKnapsack card(milli, copies);
  const auto all = static_cast<double>(card.Solve(shared.lp.prices));
  const auto cost = [&](std::int32_t share) {
    return all > 0 ? 1 - static_cast<double>(card.Worth(planner::kCardMilli - share)) / all : 0.0;
  };
  report->Number("explain_price", cost(pod->card_milli), "cards",
                 fmt::format("what {}'s share of {} costs: a card less what the rest of it holds",
                             name, pod->card_milli));
  for (std::int32_t less = pod->card_milli - 1; less > 0; --less) {
    if (cost(less) > cost(pod->card_milli) - 1e-6) continue;
    report->Note(
        fmt::format("At {} or less it would cost {:.3f} of a card; between {} and {} "
                    "nothing is gained: no pattern uses what it frees.",
                    less, cost(less), less + 1, pod->card_milli));
    break;
  }
  const auto index = static_cast<std::size_t>(size - sizes.begin());
  for (std::size_t i = 0; i < shared.plan.patterns.size(); ++i) {
    if (shared.plan.patterns[i][index] == 0) continue;
    report->Note(fmt::format("{} of the plan's cards: {}.", shared.plan.cards[i],
                             PatternText(shared.plan.patterns[i], sizes)));
  }
  return OkStatus();
}

std::string Picture(const Shared& shared) {
  std::vector<planner::Bar> bars;
  const std::vector<planner::SizeCount>& sizes = shared.lp.sizes;
  for (std::size_t i = 0; i < shared.plan.patterns.size(); ++i) {
    planner::Bar bar{fmt::format("{} cards", shared.plan.cards[i]), planner::kCardMilli, {}};
    for (std::size_t s = sizes.size(); s-- > 0;) {
      for (std::int32_t n = 0; n < shared.plan.patterns[i][s]; ++n) {
        bar.parts.push_back({static_cast<double>(sizes[s].milli),
                             fmt::format("a share of {}", sizes[s].milli), static_cast<int>(s)});
      }
    }
    bars.push_back(std::move(bar));
  }
  return planner::BarsSvg("Patterns of the plan for the shares", "milli-cards", bars);
}

Status Run(const Flags& flags, Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const planner::PlanInput input, ReadInput(flags));
  for (const std::string& note : input.notes) report->Note(note);
  std::int64_t demand = 0;
  for (const planner::Pod& pod : input.pods) demand += pod.demand_milli();
  report->Count("pods", static_cast<std::int64_t>(input.pods.size()), "pods");
  report->Number("demand", static_cast<double>(demand) / 1000, "cards", "the sum of all shares");
  report->Count("whole_cards", planner::WholeCards(input.pods), "cards",
                "asked for whole, in every bound");
  BRIM_ASSIGN_OR_RETURN(const Shared shared, AddShared(input.pods, report));
  BRIM_ASSIGN_OR_RETURN(const planner::BoundSet set, AddBounds(input, flags, report));
  AddTightest("cards_min", set.cards, "no plan has fewer cards with anything on them", report);
  if (!flags.nodes.empty()) {
    AddTightest("node_cards_min", set.node_cards, "no plan uses nodes with fewer cards", report);
  }
  if (flags.stream > 0) BRIM_RETURN_IF_ERROR(AddStream(input, flags, report));
  if (flags.compact > 0) BRIM_RETURN_IF_ERROR(AddCompaction(input, flags, report));
  if (!flags.plan.explain.empty()) {
    BRIM_RETURN_IF_ERROR(Explain(input, flags.plan.explain, shared, report));
  }
  *svg = Picture(shared);
  return OkStatus();
}

}  // namespace

int PlanBound(const std::vector<std::string>& arguments) {
  Flags flags;
  CLI::App app("Proves how few cards any plan could need, and how full any scheduler could get.",
               kCommand);
  app.footer(kExamples);
  app.add_option("--pods", flags.pods, "Pods: CSV or JSON, ours or an open trace.")
      ->type_name("FILE")
      ->required();
  app.add_option("--nodes", flags.nodes, "Nodes; without them, cards alone.")->type_name("FILE");
  app.add_option("--scale", flags.scale, "Multiply every share of a card (not whole cards).")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  app.add_option("--compact", flags.compact,
                 "Draw so much of the pods and find the smallest part of the nodes, in a random "
                 "order, that holds them.")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--stream", flags.stream,
                 "Draw arrivals until they ask for so many times the cards, and say how many of "
                 "them could be placed.")
      ->check(CLI::Range(0.0, 100.0));
  app.add_flag("--lifetimes", flags.lifetimes,
               "Pods come and go (arrives_s, leaves_s): bounds for the fullest moment.");
  return RunPlan(&app, arguments, &flags.plan, [&](Report* report, std::string* svg) {
    if (flags.nodes.empty() && (flags.compact > 0 || flags.stream > 0)) {
      return Status(Code::kInvalidArgument, "no_nodes", "--compact and --stream need --nodes FILE");
    }
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
