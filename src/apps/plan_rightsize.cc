// `brim plan rightsize`: use over time into requests, with the record of what they would have
// broken, and the cards that the sized pods need together.
#include "apps/plan_rightsize.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/formats/nearest_name.h"
#include "planner/report/svg.h"
#include "planner/rightsize/usage_format.h"

namespace brim::apps {
namespace {

using planner::Resource;
using planner::RightsizeRule;
using planner::Usage;
using planner::UsagePod;
using planner::Window;

constexpr const char* kCommand = "brim plan rightsize";
constexpr double kMibPerGib = 1024;
constexpr std::size_t kFilesMax = 64;
constexpr std::array<RightsizeRule, 7> kRules = {
    RightsizeRule::kBrim, RightsizeRule::kVpa, RightsizeRule::kKrr, RightsizeRule::kPeak,
    RightsizeRule::kP99,  RightsizeRule::kP95, RightsizeRule::kP90};

constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan rightsize --usage examples/plan/usage.csv\n"
    "  brim plan rightsize --usage examples/plan/usage.csv --split learn-first-half \\\n"
    "    --cards-memory 40 --explain ocr-rec-1\n"
    "Columns: time_s, pod, and compute_percent, memory_mib (GPU), cpu_milli or requests_per_s;\n"
    "optional owner, service (its pods learn from each other), cards. GenTD26's "
    "pod_gpu_duty_cycle\n"
    "and pod_gpu_memory_used files are read as they are. docs/planner.md explains the rules.";

struct Flags {
  PlanFlags plan;
  std::vector<std::string> usage;
  std::string split = "none", rule = "brim", pack_memory = "proposal";
  planner::RightsizeGoals goals;
  planner::ReplicaGoals replicas;
  planner::JointOptions joint;
  double card_memory_gib = 0;
  std::vector<double> cards_memory_gib;
  double cycle_hours = 24;
  double step_s = 0;
  double alive = 0;
  double floor_share = 0.25;
};

void AddInput(CLI::App* app, Flags* flags) {
  const char* group = "Input";
  app->add_option("--usage", flags->usage, "Use over time; may be repeated.")
      ->type_name("FILE")
      ->required()
      ->group(group);
  app->add_option("--split", flags->split, "Learn from one half of the time and test on the other.")
      ->check(CLI::IsMember({"none", "learn-first-half", "learn-second-half"}))
      ->capture_default_str()
      ->group(group);
  app->add_option("--step-s", flags->step_s, "Grid step; 0: the median gap between samples.")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str()
      ->group(group);
  app->add_option("--alive", flags->alive,
                  "Leave out pods with samples in at most this share of the steps.")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app->add_option("--cycle-hours", flags->cycle_hours, "One full traffic cycle.")
      ->check(CLI::Range(0.01, 8784.0))
      ->capture_default_str()
      ->group(group);
}

void AddGoals(CLI::App* app, Flags* flags) {
  const char* group = "Rules and goals";
  planner::RightsizeGoals& goals = flags->goals;
  app->add_option("--rule", flags->rule, "Whose proposals are listed; all are compared.")
      ->check(CLI::IsMember({"brim", "vpa", "krr", "peak", "p99", "p95", "p90"}))
      ->capture_default_str()
      ->group(group);
  const CLI::Range share(1e-6, 0.5);
  app->add_option("--compute-miss", goals.compute_miss,
                  "Share of active samples that may be throttled.")
      ->check(share)
      ->capture_default_str()
      ->group(group);
  app->add_option("--memory-miss", goals.memory_miss,
                  "Share of samples that may be above the memory limit.")
      ->check(share)
      ->capture_default_str()
      ->group(group);
  app->add_option("--active-percent", goals.active_percent, "Use above it is activity.")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str()
      ->group(group);
  app->add_option("--card-memory", flags->card_memory_gib,
                  "GiB of the cards that the pods run on: no limit exceeds it; 0: unknown.")
      ->check(CLI::Range(0.0, 100'000.0))
      ->capture_default_str()
      ->group(group);
  const CLI::Range weight(0.0, 1e6);
  app->add_option("--weight-overrun", goals.weight_overrun, "Objective: card held and not used.")
      ->check(weight)
      ->capture_default_str()
      ->group(group);
  app->add_option("--weight-underrun", goals.weight_underrun,
                  "Objective: misses above the allowed.")
      ->check(weight)
      ->capture_default_str()
      ->group(group);
  app->add_option("--weight-changes", goals.weight_changes, "Objective: changes a pod and hour.")
      ->check(weight)
      ->capture_default_str()
      ->group(group);
  app->add_option("--safe-rate", flags->replicas.safe_rate,
                  "Requests/s that one replica answers in time: also forecast replicas.")
      ->check(CLI::Range(0.0, 1e9))
      ->group(group);
}

void AddPacking(CLI::App* app, Flags* flags) {
  const char* group = "Joint packing";
  app->add_option("--cards-memory", flags->cards_memory_gib,
                  "Pack the pods on cards of so many GiB; may be repeated.")
      ->check(CLI::Range(0.001, 100'000.0))
      ->group(group);
  app->add_option("--pack-memory", flags->pack_memory,
                  "A pod holds its proposal, or its peak of the learning window.")
      ->check(CLI::IsMember({"proposal", "peak"}))
      ->capture_default_str()
      ->group(group);
  app->add_option("--joint-percent", flags->joint.compute_percent,
                  "p99 of a card's summed use stays within it.")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str()
      ->group(group);
  app->add_option("--floor-share", flags->floor_share,
                  "Of the compute proposals: so much, times 1 + 1/cycles seen, must fit together.")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app->add_option("--tries", flags->joint.tries_max, "Budget for each card saved.")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str()
      ->group(group);
}

Result<Usage> Read(const Flags& flags) {
  if (flags.usage.size() > kFilesMax) {
    return Status(Code::kInvalidArgument, "too_many_files",
                  fmt::format("{} files; at most {} are read", flags.usage.size(), kFilesMax));
  }
  planner::UsageBuilder builder;
  for (const std::string& path : flags.usage) {
    BRIM_ASSIGN_OR_RETURN(const std::string text, io::ReadTextFile(path));
    BRIM_RETURN_IF_ERROR(planner::ReadUsage(path, text, &builder));
  }
  planner::UsageOptions options;
  options.step_s = flags.step_s;
  return std::move(builder).Build(options);
}

void SetWindows(const std::string& split, RightsizeOutcome* outcome) {
  const Usage& usage = outcome->usage;
  outcome->same_window = split == "none";
  outcome->learn = outcome->test = usage.all();
  if (split == "learn-first-half") {
    outcome->learn = usage.first_half();
    outcome->test = usage.second_half();
  } else if (split == "learn-second-half") {
    outcome->learn = usage.second_half();
    outcome->test = usage.first_half();
  }
}

std::vector<float> WithoutGaps(const std::vector<float>& series, const Window& window) {
  std::vector<float> out(window.size());
  if (series.empty()) return out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float value = series[window.begin + i];
    out[i] = std::isnan(value) ? 0 : value;
  }
  return out;
}

// Pods by their use in a window; `memory` in MiB each.
std::vector<planner::JointPod> JointPods(const RightsizeOutcome& outcome, Resource resource,
                                         const Window& window, double scale) {
  std::vector<planner::JointPod> pods;
  for (const UsagePod& pod : outcome.usage.pods) {
    planner::JointPod& one = pods.emplace_back();
    one.name = pod.who.pod;
    one.compute = WithoutGaps(pod.of(resource), window);
    for (float& value : one.compute) value = static_cast<float>(value * scale);
  }
  return pods;
}

Result<JointOutcome> Pack(const Flags& flags, const RightsizeOutcome& outcome, double memory_mib) {
  JointOutcome out;
  out.card_memory_mib = memory_mib;
  std::vector<planner::JointPod> pods = JointPods(outcome, Resource::kCompute, outcome.learn, 1);
  const std::vector<planner::Proposal>& proposals = outcome.rules[outcome.chosen].proposals;
  const double cycles = outcome.usage.seconds(outcome.learn) / outcome.goals.cycle_s;
  const double floor_share = std::min(1.0, flags.floor_share * planner::Widening(cycles));
  for (std::size_t i = 0; i < pods.size(); ++i) {
    const planner::Request& memory = proposals[i].of(Resource::kMemory);
    const planner::Request& compute = proposals[i].of(Resource::kCompute);
    // Without a proposal a pod keeps a card of its own.
    const double held = flags.pack_memory == "peak" ? memory.seen_peak : memory.value;
    pods[i].memory_mib = memory.proposed ? held : memory_mib;
    pods[i].floor_percent = floor_share * (compute.proposed ? compute.value : 100);
  }
  std::vector<planner::JointPod> fitting;
  std::vector<std::size_t> index;  // Of each that fits, in usage.pods.
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (pods[i].memory_mib > memory_mib) {
      out.refused.push_back(i);
    } else {
      fitting.push_back(pods[i]);
      index.push_back(i);
    }
  }
  planner::JointOptions options = flags.joint;
  options.card_memory_mib = memory_mib;
  options.seed = flags.plan.seed;
  options.progress = StderrProgress();
  BRIM_ASSIGN_OR_RETURN(out.plan, planner::PackJointly(fitting, options));
  for (std::vector<std::size_t>& card : out.plan.cards) {
    for (std::size_t& pod : card) pod = index[pod];
  }
  out.learnt = planner::Overload(pods, out.plan.cards);
  out.tested =
      planner::Overload(JointPods(outcome, Resource::kCompute, outcome.test, 1), out.plan.cards);
  out.memory = planner::Overload(
      JointPods(outcome, Resource::kMemory, outcome.test, 100 / memory_mib), out.plan.cards);
  return out;
}

Result<RightsizeOutcome> Compute(const Flags& flags) {
  RightsizeOutcome out;
  BRIM_ASSIGN_OR_RETURN(out.usage, Read(flags));
  if (flags.alive > 0) {
    out.usage = planner::AliveThroughout(out.usage, {Resource::kCompute, Resource::kMemory},
                                         flags.alive, &out.left_out);
    if (out.usage.pods.empty()) {
      return Status(Code::kInvalidArgument, "no_pods_left",
                    fmt::format("no pod has samples in more than {:g} of the steps; use a lower "
                                "--alive or a larger --step-s",
                                flags.alive));
    }
  }
  SetWindows(flags.split, &out);
  if (out.learn.size() == 0 || out.test.size() == 0) {
    return Status(
        Code::kInvalidArgument, "too_short",
        fmt::format("{} step is too little to split in two; use --split none", out.usage.slots));
  }
  out.goals = flags.goals;
  out.joint_percent = flags.joint.compute_percent;
  out.tuning = planner::Tune(out.usage, out.learn, out.goals, StderrProgress());
  for (const RightsizeRule rule : kRules) {
    RuleOutcome& one = out.rules.emplace_back();
    one.rule = rule;
    one.proposals = rule == RightsizeRule::kBrim
                        ? planner::BrimProposals(out.usage, out.learn, out.goals, out.tuning.params)
                        : planner::BaselineProposals(rule, out.usage, out.learn, out.goals);
    one.fixed = planner::ReplayFixed(out.usage, out.test, one.proposals, out.goals);
    one.in_force = planner::ReplayInForce(out.usage, out.learn, out.test, rule, one.proposals,
                                          out.goals, out.tuning.params);
    if (planner::RuleName(rule) == flags.rule) out.chosen = out.rules.size() - 1;
  }
  out.memory_bounds = planner::BoundFixedLimits(out.usage, Resource::kMemory, out.learn, out.test,
                                                out.goals.memory_miss);
  out.idle = planner::IdleReservations(out.usage, out.usage.all(), out.goals, {});
  if (flags.replicas.safe_rate > 0) {
    for (const UsagePod& pod : out.usage.pods) {
      out.replicas.push_back(planner::ForecastReplicas(out.usage, pod.of(Resource::kRate),
                                                       out.learn, out.goals, flags.replicas));
    }
  }
  for (const double gib : flags.cards_memory_gib) {
    BRIM_ASSIGN_OR_RETURN(JointOutcome joint, Pack(flags, out, gib * kMibPerGib));
    out.joint.push_back(std::move(joint));
  }
  return out;
}

// Each pod's card time: proposal and mean use; or, packed, the cards of the first packing.
std::string Picture(const RightsizeOutcome& outcome) {
  const std::vector<planner::Proposal>& proposals = outcome.rules[outcome.chosen].proposals;
  std::vector<planner::Bar> bars;
  const auto part = [&](std::size_t pod) {
    const planner::Request& memory = proposals[pod].of(Resource::kMemory);
    return planner::BarPart{
        memory.value,
        fmt::format("{}: {:.0f} MiB, compute {:.0f} %", outcome.usage.pods[pod].who.pod,
                    memory.value, proposals[pod].of(Resource::kCompute).value),
        static_cast<int>(pod)};
  };
  if (!outcome.joint.empty()) {
    const JointOutcome& joint = outcome.joint.front();
    for (std::size_t card = 0; card < joint.plan.cards.size(); ++card) {
      planner::Bar& bar = bars.emplace_back();
      bar.label = fmt::format("card {}", card + 1);
      bar.capacity = joint.card_memory_mib;
      for (const std::size_t pod : joint.plan.cards[card]) bar.parts.push_back(part(pod));
    }
    return planner::BarsSvg("Pods packed together, by memory", "MiB", bars);
  }
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    const planner::Request& compute = proposals[i].of(Resource::kCompute);
    planner::Bar& bar = bars.emplace_back();
    bar.label = outcome.usage.pods[i].who.pod;
    bar.capacity = 100 * std::max(1.0, outcome.usage.pods[i].who.cards);
    const double used = std::min(compute.seen_mean, compute.value);
    bar.parts = {
        {used, fmt::format("mean use {:.3g} %", used), 0},
        {std::max(0.0, compute.value - used), fmt::format("proposed {:.0f} %", compute.value), 1}};
  }
  return planner::BarsSvg("Proposed compute and mean use", "% of a card", bars);
}

Status Run(Flags& flags, planner::Report* report, std::string* svg) {
  flags.goals.cycle_s = flags.cycle_hours * 3600;
  flags.goals.card_memory_mib = flags.card_memory_gib * kMibPerGib;
  BRIM_ASSIGN_OR_RETURN(const RightsizeOutcome outcome, Compute(flags));
  if (!flags.plan.svg.empty()) *svg = Picture(outcome);
  if (flags.plan.explain.empty()) {
    ReportRightsize(outcome, report);
  } else if (!ExplainRightsize(outcome, flags.plan.explain, report)) {
    std::vector<std::string_view> names;
    for (const UsagePod& pod : outcome.usage.pods) names.push_back(pod.who.pod);
    return Status(Code::kNotFound, "pod_unknown",
                  fmt::format("no pod '{}'{}", flags.plan.explain,
                              planner::DidYouMean(flags.plan.explain, names)));
  }
  return OkStatus();
}

}  // namespace

int PlanRightsize(const std::vector<std::string>& arguments) {
  Flags flags;
  CLI::App app(
      "Turns use over time into requests: compute and CPU from decaying histograms of the\n"
      "active samples, GPU memory from peaks, with the record of what would have been\n"
      "throttled or killed.",
      kCommand);
  AddInput(&app, &flags);
  AddGoals(&app, &flags);
  AddPacking(&app, &flags);
  app.footer(kExamples);
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
