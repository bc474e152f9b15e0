// `brim plan pack`: pods onto nodes and cards by one policy or all; how many cards are enough, how
// much of the cluster fills, and how far that is from what is provably possible.
#include "apps/plan_pack.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <map>

#include "io/text_file.h"
#include "planner/bound/node_lp.h"
#include "planner/formats/nearest_name.h"

namespace brim::apps {
namespace {

using planner::PlanInput;
using planner::PolicyInfo;

constexpr const char* kCommand = "brim plan pack";

constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv --policy all\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --explain ocr-rec-1 --svg cards.svg\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --mode inflate --runs 3 --policy brim --policy fgd\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --mode compact --share 0.5 --order decreasing\n"
    "docs/planner.md describes the formats and the policies.";

struct Flags {
  PlanFlags plan;
  std::string nodes, pods, layout;
  std::vector<std::string> policies{std::string(planner::kDefaultPolicy)};
  std::string ties = "index", mode = "place", order = "arrival";
  double to_percent = 130;
  double share = 0.6;
  std::int64_t runs = 1;
};

std::string PolicyHelp() {
  std::string text = "Who places: all, or some of these; may be repeated.";
  for (const PolicyInfo& policy : planner::Policies()) {
    text += fmt::format("\n{}: {}", policy.name, policy.says);
  }
  return text;
}

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option("--nodes", flags->nodes, "Nodes: CSV or JSON, ours or an open trace.")
      ->type_name("FILE")
      ->required();
  app->add_option("--pods", flags->pods, "Pods: the same. They come in the file's order.")
      ->type_name("FILE")
      ->required();
  app->add_option("--policy", flags->policies, PolicyHelp())
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--ties", flags->ties,
                  "Among equally good nodes: the first of the file, or any by the seed.")
      ->check(CLI::IsMember({"index", "random"}))
      ->capture_default_str();
  app->add_option(
         "--mode", flags->mode,
         "place: the pods once. inflate: drawn at random, again and again, until they ask\n"
         "for --to percent of the cards. compact: the smallest part of the nodes, in a\n"
         "random order, that holds a random --share of the pods.")
      ->check(CLI::IsMember({"place", "inflate", "compact"}))
      ->capture_default_str();
  app->add_option("--layout", flags->layout, "place: also write where each pod stands (CSV).")
      ->type_name("FILE");
  app->add_option("--to", flags->to_percent, "inflate: demand, in percent of the cards.")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  app->add_option("--share", flags->share, "compact: of the pods.")
      ->check(CLI::Range(0.0001, 1.0))
      ->capture_default_str();
  app->add_option("--order", flags->order, "compact: in which the pods are placed.")
      ->check(CLI::IsMember({"arrival", "decreasing"}))
      ->capture_default_str();
  app->add_option("--runs", flags->runs, "inflate, compact: so many seeds, from --seed on.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

Result<std::vector<PolicyInfo>> ChosenPolicies(const Flags& flags) {
  std::vector<PolicyInfo> chosen;
  for (const std::string& name : flags.policies) {
    if (name == "all") {
      return std::vector<PolicyInfo>(planner::Policies().begin(), planner::Policies().end());
    }
    Result<PolicyInfo> policy = planner::FindPolicy(name);
    if (!policy.ok()) {
      std::vector<std::string_view> names{"all"};
      for (const PolicyInfo& known : planner::Policies()) names.push_back(known.name);
      return Status(Code::kInvalidArgument, "policy_unknown",
                    policy.status().message() + planner::DidYouMean(name, names));
    }
    chosen.push_back(*policy);
  }
  return chosen;
}

Result<PlanInput> ReadInput(const Flags& flags) {
  BRIM_ASSIGN_OR_RETURN(const std::string nodes, io::ReadTextFile(flags.nodes));
  BRIM_ASSIGN_OR_RETURN(const std::string pods, io::ReadTextFile(flags.pods));
  return planner::ReadCluster({flags.nodes, nodes}, {flags.pods, pods});
}

// Streams and compactions are of pods that some node holds when it is empty: one that none does
// would be the first refusal of every policy, and the end of every compaction.
void LeaveOutTooLarge(PlanInput* input, planner::Report* report) {
  const planner::Occupancy empty(input->cluster);
  std::int64_t left_out = 0;
  std::erase_if(input->pods, [&](const planner::Pod& pod) {
    for (std::int32_t node = 0; node < empty.nodes(); ++node) {
      if (empty.Fits(pod, node)) return false;
    }
    if (left_out++ == 0) {
      report->Note(fmt::format("{} fits no node, even empty: it is left out, as is each like it.",
                               pod.name));
    }
    return true;
  });
  report->Count("too_large", left_out, "pods", "fit no node, even empty; they are left out");
}

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

planner::PackOptions OptionsFor(const Flags& flags, const PolicyInfo& policy,
                                const planner::PodMix& mix, std::uint64_t seed) {
  planner::PackOptions options;
  options.policy = policy;
  options.ties = flags.ties == "random" ? planner::Ties::kRandom : planner::Ties::kIndex;
  options.seed = seed;
  options.expected = mix;
  return options;
}

// On the cards in use by the pods that were placed: refused ones must not make a bound of it.
Result<std::vector<planner::Bound>> PlacedBounds(const PlanInput& input,
                                                 const planner::Packing& packing) {
  std::vector<planner::Pod> placed;
  for (std::size_t i = 0; i < input.pods.size(); ++i) {
    if (packing.spots[i].placed()) placed.push_back(input.pods[i]);
  }
  planner::BoundOptions options;
  options.nodes = false;
  options.progress = StderrProgress();
  BRIM_ASSIGN_OR_RETURN(planner::BoundSet set, planner::BoundsFor(input.cluster, placed, options));
  return std::move(set.cards);
}

Result<std::vector<PlacedPolicy>> Place(const Flags& flags, const PlanInput& input,
                                        const std::vector<PolicyInfo>& policies) {
  const planner::PodMix mix = planner::MixOf(input.pods);
  std::map<std::vector<std::int64_t>, std::vector<planner::Bound>> known;  // By the refused pods.
  std::vector<PlacedPolicy> plans;
  for (const PolicyInfo& policy : policies) {
    PlacedPolicy& plan = plans.emplace_back();
    plan.policy = policy;
    const double start = CpuSeconds();
    plan.packing = planner::Pack(input.cluster, input.pods,
                                 OptionsFor(flags, policy, mix, flags.plan.seed), StderrProgress());
    plan.seconds = CpuSeconds() - start;
    std::vector<std::int64_t> refused;
    for (const planner::Refusal& refusal : plan.packing.refusals) refused.push_back(refusal.pod);
    auto found = known.find(refused);
    if (found == known.end()) {
      BRIM_ASSIGN_OR_RETURN(std::vector<planner::Bound> bounds, PlacedBounds(input, plan.packing));
      found = known.emplace(std::move(refused), std::move(bounds)).first;
    }
    plan.bounds = found->second;
  }
  return plans;
}

Status CheckCards(const PlanInput& input) {
  std::int64_t milli = 0;
  for (const planner::Pod& pod : input.pods) milli += pod.demand_milli();
  if (input.cluster.cards() > 0 && milli > 0) return OkStatus();
  return Status(Code::kInvalidArgument, "no_cards",
                "--mode inflate needs nodes with cards and pods that want some");
}

Result<InflateOutcome> Inflate(const Flags& flags, const PlanInput& input,
                               const std::vector<PolicyInfo>& policies) {
  BRIM_RETURN_IF_ERROR(CheckCards(input));
  InflateOutcome outcome;
  outcome.demand = flags.to_percent / 100;
  const planner::PodMix mix = planner::MixOf(input.pods);
  const std::int64_t cards = input.cluster.cards();
  planner::BoundOptions bound_options;
  bound_options.ceilings = true;
  bound_options.progress = StderrProgress();
  BRIM_ASSIGN_OR_RETURN(const planner::BoundSet set,
                        planner::BoundsFor(input.cluster, input.pods, bound_options));
  outcome.ceilings = set.ceilings;
  std::vector<std::vector<planner::Pod>> streams;
  for (std::int64_t run = 0; run < flags.runs; ++run) {
    const std::uint64_t seed = flags.plan.seed + static_cast<std::uint64_t>(run);
    streams.push_back(planner::InflationArrivals(input.pods, cards, outcome.demand, seed));
    BRIM_ASSIGN_OR_RETURN(const std::size_t prefix,
                          planner::LongestPrefix(input.cluster, streams.back(), StderrProgress()));
    std::int64_t milli = 0;
    for (std::size_t i = 0; i < prefix; ++i) milli += streams.back()[i].demand_milli();
    outcome.streams.push_back(
        {seed, static_cast<double>(milli) / static_cast<double>(cards * planner::kCardMilli)});
  }
  for (const PolicyInfo& policy : policies) {
    for (std::size_t run = 0; run < streams.size(); ++run) {
      InflatedPolicy& one = outcome.runs.emplace_back();
      one.policy = policy;
      one.seed = outcome.streams[run].seed;
      const double start = CpuSeconds();
      one.inflation = planner::Inflate(input.cluster, streams[run], outcome.demand,
                                       OptionsFor(flags, policy, mix, one.seed), StderrProgress());
      one.seconds = CpuSeconds() - start;
    }
  }
  return outcome;
}

Result<std::vector<CompactedPolicy>> Compact(const Flags& flags, const PlanInput& input,
                                             const std::vector<PolicyInfo>& policies) {
  const planner::PodMix mix = planner::MixOf(input.pods);
  planner::CompactOptions compact;
  compact.share = flags.share;
  compact.order = flags.order == "decreasing" ? planner::CompactOrder::kDecreasing
                                              : planner::CompactOrder::kArrival;
  std::map<std::uint64_t, std::vector<planner::Bound>> bounds;  // By seed: the same pods.
  std::vector<CompactedPolicy> runs;
  for (const PolicyInfo& policy : policies) {
    for (std::int64_t run = 0; run < flags.runs; ++run) {
      CompactedPolicy& one = runs.emplace_back();
      one.policy = policy;
      one.seed = compact.seed = flags.plan.seed + static_cast<std::uint64_t>(run);
      const double start = CpuSeconds();
      one.compaction = planner::Compact(input.cluster, input.pods, compact,
                                        OptionsFor(flags, policy, mix, one.seed), StderrProgress());
      one.seconds = CpuSeconds() - start;
      if (!bounds.contains(one.seed)) {
        BRIM_ASSIGN_OR_RETURN(const planner::BoundSet set,
                              planner::BoundsFor(input.cluster, one.compaction.drawn));
        bounds[one.seed] = set.node_cards;
      }
      if (one.compaction.held) one.bounds = bounds[one.seed];
    }
  }
  return runs;
}

// Of the first policy and, when inflating, of the first seed's stream.
Status Explain(const Flags& flags, const PlanInput& input, const PolicyInfo& policy,
               planner::Report* report) {
  if (flags.mode == "compact") {
    return Status(Code::kInvalidArgument, "explain_mode",
                  "--explain goes with --mode place or inflate; a compaction tries many plans");
  }
  std::vector<planner::Pod> pods = input.pods;
  if (flags.mode == "inflate") {
    BRIM_RETURN_IF_ERROR(CheckCards(input));
    pods = planner::InflationArrivals(input.pods, input.cluster.cards(), flags.to_percent / 100,
                                      flags.plan.seed);
  }
  const auto pod = std::find_if(pods.begin(), pods.end(), [&](const planner::Pod& one) {
    return one.name == flags.plan.explain;
  });
  if (pod == pods.end()) {
    std::vector<std::string_view> names;
    for (const planner::Pod& one : pods) names.push_back(one.name);
    return Status(Code::kNotFound, "pod_unknown",
                  fmt::format("no pod '{}'{}", flags.plan.explain,
                              planner::DidYouMean(flags.plan.explain, names)));
  }
  const auto index = static_cast<std::size_t>(pod - pods.begin());
  const planner::Explanation why = planner::Explain(
      input.cluster, pods, OptionsFor(flags, policy, planner::MixOf(input.pods), flags.plan.seed),
      index, StderrProgress());
  ReportExplanation(input, pods, index, policy, why, report);
  return OkStatus();
}

Status Run(const Flags& flags, planner::Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const std::vector<PolicyInfo> policies, ChosenPolicies(flags));
  if (!flags.layout.empty() && (flags.mode != "place" || policies.size() != 1)) {
    return Status(Code::kInvalidArgument, "layout_mode",
                  "--layout goes with --mode place and one --policy");
  }
  BRIM_ASSIGN_OR_RETURN(PlanInput input, ReadInput(flags));
  for (const std::string& note : input.notes) report->Note(note);
  if (!input.owner_per_node_max.empty()) {
    report->Note("The limits per owner and node are not applied here; `brim plan replay` does.");
  }
  report->Text("mode", flags.mode);
  report->Text("ties", flags.ties, "index: the first node of the file; random: by the seed");
  if (flags.mode != "place") LeaveOutTooLarge(&input, report);
  if (!flags.plan.explain.empty()) {
    BRIM_RETURN_IF_ERROR(Explain(flags, input, policies.front(), report));
    if (flags.plan.svg.empty() && flags.layout.empty()) return OkStatus();
  }
  if (flags.mode == "inflate") {
    BRIM_ASSIGN_OR_RETURN(const InflateOutcome outcome, Inflate(flags, input, policies));
    ReportInflated(input, outcome, report);
    *svg = InflatedPicture(outcome);
  } else if (flags.mode == "compact") {
    BRIM_ASSIGN_OR_RETURN(const std::vector<CompactedPolicy> runs, Compact(flags, input, policies));
    ReportCompacted(runs, report);
    *svg = CompactedPicture(runs);
  } else {
    BRIM_ASSIGN_OR_RETURN(const std::vector<PlacedPolicy> plans, Place(flags, input, policies));
    ReportPlaced(input, plans, report);
    *svg = PlacedPicture(input, plans.front());
    if (!flags.layout.empty()) {
      BRIM_RETURN_IF_ERROR(
          io::WriteTextFile(flags.layout, planner::LayoutCsv(input, plans.front().packing.spots)));
    }
  }
  return OkStatus();
}

}  // namespace

int PlanPack(const std::vector<std::string>& arguments) {
  Flags flags;
  CLI::App app(
      "Places pods on nodes and cards. Refused pods are listed with the reason, and never count\n"
      "as allocated. Every plan is printed with its distance from a proven bound.",
      kCommand);
  AddFlags(&app, &flags);
  app.footer(kExamples);
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
