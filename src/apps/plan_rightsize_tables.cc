// The tables of `brim plan rightsize`. See plan_rightsize.h.
#include <fmt/format.h>

#include <algorithm>

#include "apps/plan_rightsize.h"

namespace brim::apps {
namespace {

using planner::ReportCell;
using planner::ReportTable;
using planner::Request;
using planner::Resource;
using planner::SafetyCount;
using planner::UsagePod;

constexpr std::array<Resource, 3> kRequested = {Resource::kCompute, Resource::kMemory,
                                                Resource::kCpu};

ReportCell Value(const Request& request) {
  return request.proposed ? ReportCell(request.value) : ReportCell();
}

std::int64_t Integer(std::size_t value) { return static_cast<std::int64_t>(value); }

void AddInputNumbers(const RightsizeOutcome& outcome, planner::Report* report) {
  const planner::Usage& usage = outcome.usage;
  report->Count("pods", Integer(usage.pods.size()), "pods");
  report->Count("left_out", Integer(outcome.left_out.size()), "pods",
                "too few samples for --alive; listed below");
  report->Count("samples", usage.samples, "samples");
  report->Count("merged", usage.merged, "samples", "in a step that had one; the largest counts");
  report->Number("step_s", usage.step_s, "s");
  report->Number("learned_hours", usage.seconds(outcome.learn) / 3600, "h");
  report->Number("tested_hours", usage.seconds(outcome.test) / 3600, "h",
                 outcome.same_window ? "the same hours: a record in hindsight, not a test"
                                     : "held back while learning");
  report->Number(
      "cycles_seen", usage.seconds(outcome.learn) / outcome.goals.cycle_s, "cycles",
      fmt::format("so what is allowed is divided by {:.2f}",
                  planner::Widening(usage.seconds(outcome.learn) / outcome.goals.cycle_s)));
}

void AddTuning(const RightsizeOutcome& outcome, planner::Report* report) {
  ReportTable& table = report->Table(
      "tuned",
      {{"what"}, {"chosen"}, {"overrun"}, {"underrun"}, {"changes", "a pod and hour"}, {"cost"}},
      "parameters chosen in the learning window, then frozen");
  const auto compute = [&](const char* name, const planner::ComputeParams& params,
                           const planner::Objective& objective) {
    table.Row({std::string(name),
               fmt::format("p{:g} of active samples, {:g} samples of the service, +{:g} %",
                           params.quantile * 100, params.prior_samples, params.margin * 100),
               objective.overrun, objective.underrun, objective.changes, objective.cost});
  };
  compute("compute", outcome.tuning.params.compute, outcome.tuning.compute);
  const bool cpu = std::any_of(outcome.usage.pods.begin(), outcome.usage.pods.end(),
                               [](const UsagePod& pod) { return !pod.of(Resource::kCpu).empty(); });
  if (cpu) compute("cpu", outcome.tuning.params.cpu, outcome.tuning.cpu);
  for (std::size_t i = 0; i < outcome.tuning.memory.size(); ++i) {
    const planner::ServiceMemory& memory = outcome.tuning.params.memory[i];
    const planner::Objective& objective = outcome.tuning.memory[i];
    const double minutes = outcome.usage.step_s / 60;
    table.Row({fmt::format("memory of '{}', {} pods", memory.service, memory.pods),
               fmt::format("{:.0f} MiB working, {:.0f} resting after {:.0f} min, peaks held {:.0f} "
                           "min; {:.4f} % over of {:.4f} % allowed",
                           memory.gears.working_mib, memory.gears.resting_mib,
                           static_cast<double>(memory.gears.rest_after) * minutes,
                           static_cast<double>(memory.gears.hold) * minutes, memory.seen * 100,
                           memory.allowed * 100),
               objective.overrun, objective.underrun, objective.changes, objective.cost});
  }
}

void AddProposals(const RightsizeOutcome& outcome, planner::Report* report) {
  const RuleOutcome& rule = outcome.rules[outcome.chosen];
  ReportTable& table = report->Table(
      "proposals",
      {{"pod"},
       {"owner"},
       {"compute", "%"},
       {"compute_mean", "%"},
       {"compute_peak", "%"},
       {"memory", "MiB"},
       {"memory_resting", "MiB"},
       {"memory_peak", "MiB"},
       {"cpu", "milli"},
       {"cpu_peak", "milli"},
       {"replicas"}},
      fmt::format("by rule '{}'; a dash: nothing is proposed, and why is in the table 'without'",
                  planner::RuleName(rule.rule)));
  for (std::size_t i = 0; i < rule.proposals.size(); ++i) {
    const UsagePod& pod = outcome.usage.pods[i];
    const planner::Proposal& proposal = rule.proposals[i];
    const Request& compute = proposal.of(Resource::kCompute);
    const Request& memory = proposal.of(Resource::kMemory);
    const Request& cpu = proposal.of(Resource::kCpu);
    const auto seen = [](const Request& request, double value) {
      return request.samples > 0 ? ReportCell(value) : ReportCell();
    };
    const bool replicas = i < outcome.replicas.size() && outcome.replicas[i].forecast;
    table.Row({pod.who.pod, pod.who.owner, Value(compute), seen(compute, compute.seen_mean),
               seen(compute, compute.seen_peak), Value(memory),
               memory.proposed ? ReportCell(memory.resting) : ReportCell(),
               seen(memory, memory.seen_peak), Value(cpu), seen(cpu, cpu.seen_peak),
               replicas ? ReportCell(Integer(outcome.replicas[i].replicas)) : ReportCell()});
  }
  ReportTable& without = report->Table("without", {{"pod"}, {"owner"}, {"resource"}, {"why"}},
                                       "measured, but without a proposal");
  for (std::size_t i = 0; i < rule.proposals.size(); ++i) {
    for (const Resource resource : kRequested) {
      const Request& request = rule.proposals[i].of(resource);
      const UsagePod& pod = outcome.usage.pods[i];
      if (request.proposed || pod.of(resource).empty()) continue;
      without.Row(
          {pod.who.pod, pod.who.owner, std::string(planner::ResourceName(resource)), request.why});
    }
  }
  ReportTable& gaps = report->Table(
      "gaps", {{"pod"}, {"resource"}, {"samples"}, {"covered", "%"}, {"longest_gap", "min"}},
      "series with less than 99 % of the learning window's steps");
  for (const UsagePod& pod : outcome.usage.pods) {
    for (const Resource resource : kRequested) {
      if (pod.of(resource).empty()) continue;
      const planner::Coverage coverage = planner::CoverageOf(pod.of(resource), outcome.learn);
      if (coverage.share >= 0.99) continue;
      gaps.Row({pod.who.pod, std::string(planner::ResourceName(resource)),
                Integer(coverage.samples), coverage.share * 100,
                static_cast<double>(coverage.longest_gap) * outcome.usage.step_s / 60});
    }
  }
}

void SafetyRow(const RightsizeOutcome& outcome, const RuleOutcome& rule, const char* mode,
               const planner::SafetyRecord& record, Resource resource, ReportTable* table) {
  const auto r = static_cast<std::size_t>(resource);
  const SafetyCount& count = record.of(resource);
  if (count.samples == 0 && record.pods_without[r] == 0) return;
  const std::size_t worst = record.Worst(resource);
  const auto pods = static_cast<double>(outcome.usage.pods.size());
  const bool some = worst < record.pods.size();
  table->Row({std::string(planner::RuleName(rule.rule)),
              std::string(planner::ResourceName(resource)), std::string(mode),
              count.over_of_active() * 100, count.over_of_samples() * 100, count.events,
              count.over_s, count.limit_mean(), count.used_mean(), count.slack() * 100,
              static_cast<double>(count.changes) / pods, Integer(record.pods_over[r]),
              some ? ReportCell(outcome.usage.pods[worst].who.pod) : ReportCell(),
              some ? ReportCell(record.pods[worst][r].over_of_active() * 100) : ReportCell(),
              Integer(record.pods_without[r])});
}

void AddSafety(const RightsizeOutcome& outcome, planner::Report* report) {
  ReportTable& table = report->Table(
      "safety",
      {{"rule"},
       {"resource"},
       {"mode"},
       {"over_of_active", "%"},
       {"over_of_samples", "%"},
       {"events"},
       {"over", "s"},
       {"limit_mean"},
       {"used_mean"},
       {"slack", "%"},
       {"changes", "a pod"},
       {"pods_over"},
       {"worst_pod"},
       {"worst", "%"},
       {"without", "pods"}},
      "what would have been throttled (compute, cpu) or killed (memory) in the test window; fixed: "
      "the proposals never change; in force: the rule follows memory, knowing only what has been");
  for (const Resource resource : kRequested) {
    for (const RuleOutcome& rule : outcome.rules) {
      SafetyRow(outcome, rule, "fixed", rule.fixed, resource, &table);
      if (resource != Resource::kMemory) continue;
      SafetyRow(outcome, rule, "in force", rule.in_force, resource, &table);
    }
  }
  const SafetyCount& memory = outcome.rules[outcome.chosen].fixed.of(Resource::kMemory);
  if (memory.samples == 0) return;
  const std::string allowed =
      fmt::format("MiB of mean fixed limit, over in at most {:g} % of samples",
                  outcome.goals.memory_miss * 100);
  report->Number("memory_least_all_knowing", outcome.memory_bounds.all_knowing, allowed,
                 "knowing each pod's future");
  report->Number("memory_least_pod_blind", outcome.memory_bounds.pod_blind, allowed,
                 "knowing the test window, but not which pod does what");
  report->Number("memory_peak_correlation", outcome.memory_bounds.peak_correlation, "",
                 "of a pod's largest use in the learning window with that in the test window");
}

void AddIdle(const RightsizeOutcome& outcome, planner::Report* report) {
  ReportTable& table =
      report->Table("idle",
                    {{"pod"},
                     {"owner"},
                     {"card_hours"},
                     {"cards"},
                     {"hours", "h"},
                     {"idle", "%"},
                     {"mean_use", "%"},
                     {"proposed", "%"}},
                    "reservations with less than 5 % use in more than 90 % of the last cycle");
  double sum = 0;
  for (const planner::IdleReservation& idle : outcome.idle) {
    const UsagePod& pod = outcome.usage.pods[idle.pod];
    sum += idle.card_hours;
    table.Row({pod.who.pod, pod.who.owner, idle.card_hours, idle.cards, idle.hours,
               idle.idle_share * 100, idle.mean_percent,
               Value(outcome.rules[outcome.chosen].proposals[idle.pod].of(Resource::kCompute))});
  }
  report->Number("idle_card_hours", sum, "card-hours", "of the reservations listed as idle");
}

void AddReplicas(const RightsizeOutcome& outcome, planner::Report* report) {
  if (outcome.replicas.empty()) return;
  ReportTable& table = report->Table(
      "replicas",
      {{"pod"}, {"owner"}, {"replicas"}, {"peak_rate", "requests/s"}, {"growth"}, {"why"}},
      "forecast peak over what one replica answers in time");
  for (std::size_t i = 0; i < outcome.replicas.size(); ++i) {
    const planner::ReplicaForecast& one = outcome.replicas[i];
    const planner::UsageIdentity& who = outcome.usage.pods[i].who;
    table.Row({who.pod, who.owner, one.forecast ? ReportCell(Integer(one.replicas)) : ReportCell(),
               one.forecast ? ReportCell(one.peak_rate) : ReportCell(),
               one.forecast ? ReportCell(one.growth) : ReportCell(), one.why});
  }
}

void AddJoint(const RightsizeOutcome& outcome, planner::Report* report) {
  if (outcome.joint.empty()) return;
  ReportTable& table = report->Table(
      "joint",
      {{"card_memory", "MiB"},
       {"cards"},
       {"refused", "pods"},
       {"first_fit", "cards"},
       {"bound", "cards"},
       {"gap", "cards"},
       {"tightest"},
       {"overload_learned", "%"},
       {"overload", "%"},
       {"overload_worst_card", "%"},
       {"work_over", "%"},
       {"memory_over", "%"},
       {"mean_use", "%"},
       {"within_overload"}},
      fmt::format("pods packed together: p99 of a card's summed use in the learning window at most "
                  "{:g} %; overload: card-time of the test window above 100 %",
                  outcome.joint_percent));
  ReportTable& bounds = report->Table(
      "joint_bounds", {{"card_memory", "MiB"}, {"bound"}, {"value", "cards"}, {"means"}},
      "no packing within these limits uses fewer cards");
  for (const JointOutcome& joint : outcome.joint) {
    std::int64_t tightest = 0;
    for (const planner::Bound& bound : joint.plan.bounds) {
      tightest = std::max(tightest, bound.cards());
      bounds.Row({joint.card_memory_mib, bound.name, bound.value, bound.means});
    }
    table.Row({joint.card_memory_mib, Integer(joint.plan.cards.size()),
               Integer(joint.refused.size()), Integer(joint.plan.first_fit), tightest,
               joint.plan.gap.cards, joint.plan.gap.bound, joint.learnt.time_share * 100,
               joint.tested.time_share * 100, joint.tested.worst_card * 100,
               joint.tested.work_share * 100, joint.memory.time_share * 100,
               joint.tested.mean_percent, joint.plan.overload_met});
  }
}

void AddRefused(const RightsizeOutcome& outcome, planner::Report* report) {
  bool any = false;
  for (const JointOutcome& joint : outcome.joint) any = any || !joint.refused.empty();
  if (!any) return;
  ReportTable& table = report->Table("refused", {{"card_memory", "MiB"}, {"pod"}, {"owner"}},
                                     "not packed: these hold more than a card's memory");
  for (const JointOutcome& joint : outcome.joint) {
    for (const std::size_t pod : joint.refused) {
      const planner::UsageIdentity& who = outcome.usage.pods[pod].who;
      table.Row({joint.card_memory_mib, who.pod, who.owner});
    }
  }
}

void ExplainJoint(const RightsizeOutcome& outcome, std::size_t pod, ReportTable* table) {
  for (const JointOutcome& joint : outcome.joint) {
    if (std::find(joint.refused.begin(), joint.refused.end(), pod) != joint.refused.end()) {
      table->Row({fmt::format("on cards of {:.0f} MiB", joint.card_memory_mib),
                  "refused: it holds more than a card's memory"});
    }
    for (std::size_t card = 0; card < joint.plan.cards.size(); ++card) {
      const std::vector<std::size_t>& pods = joint.plan.cards[card];
      if (std::find(pods.begin(), pods.end(), pod) == pods.end()) continue;
      std::string with;
      for (const std::size_t other : pods) {
        if (other != pod)
          with += fmt::format("{}{}", with.empty() ? "" : ", ", outcome.usage.pods[other].who.pod);
      }
      table->Row({fmt::format("on cards of {:.0f} MiB", joint.card_memory_mib),
                  fmt::format("card {} with {}", card + 1, with.empty() ? "no other" : with)});
    }
  }
}

}  // namespace

void ReportRightsize(const RightsizeOutcome& outcome, planner::Report* report) {
  AddInputNumbers(outcome, report);
  AddTuning(outcome, report);
  AddProposals(outcome, report);
  AddSafety(outcome, report);
  AddIdle(outcome, report);
  AddReplicas(outcome, report);
  AddJoint(outcome, report);
  AddRefused(outcome, report);
  if (!outcome.left_out.empty()) {
    ReportTable& table = report->Table("left_out_pods", {{"pod"}}, "too few samples for --alive");
    for (const std::string& pod : outcome.left_out) table.Row({pod});
  }
  report->Note(
      "A memory miss kills, a compute miss throttles. Samples hide what happens between "
      "them: a peak shorter than a step is only seen as far as the sampler saw it.");
}

bool ExplainRightsize(const RightsizeOutcome& outcome, const std::string& name,
                      planner::Report* report) {
  const std::vector<UsagePod>& pods = outcome.usage.pods;
  const auto at = std::find_if(pods.begin(), pods.end(),
                               [&](const UsagePod& pod) { return pod.who.pod == name; });
  if (at == pods.end()) return false;
  const auto index = static_cast<std::size_t>(at - pods.begin());
  const RuleOutcome& rule = outcome.rules[outcome.chosen];
  ReportTable& table =
      report->Table("explain", {{"what"}, {"answer"}}, fmt::format("pod {}", name));
  table.Row({"owner", at->who.owner});
  table.Row(
      {"service", at->who.service.empty() ? "none: it learns from no other pod" : at->who.service});
  for (const Resource resource : kRequested) {
    if (at->of(resource).empty()) continue;
    const auto r = static_cast<std::size_t>(resource);
    const std::string what(planner::ResourceName(resource));
    const Request& request = rule.proposals[index].of(resource);
    const std::string unit(planner::ResourceUnit(resource));
    table.Row(
        {what, request.proposed ? fmt::format("{:.0f} {}", request.value, unit) : "no proposal"});
    table.Row({what + ": why", request.why});
    table.Row({what + ": seen",
               fmt::format("mean {:.4g}, peak {:.4g} {} in {} samples", request.seen_mean,
                           request.seen_peak, unit, request.samples)});
    const bool memory = resource == Resource::kMemory;
    const SafetyCount& count = (memory ? rule.in_force : rule.fixed).pods[index][r];
    if (count.samples > 0) {
      table.Row(
          {what + ": would have broken",
           fmt::format("{} of {} samples over ({} {}), {:.1f} % held unused{}", count.over,
                       count.active, count.events, memory ? "kills" : "spells", count.slack() * 100,
                       memory ? fmt::format(", {} changes", count.changes) : std::string())});
    }
    for (std::size_t hour = 0; hour < request.by_hour.size(); hour += 6) {
      std::string hours;
      for (std::size_t h = hour; h < hour + 6 && h < request.by_hour.size(); ++h) {
        hours += fmt::format("{}{:.0f}", hours.empty() ? "" : ", ", request.by_hour[h]);
      }
      table.Row({fmt::format("{}: from {:02}:00", what, hour), hours});
    }
  }
  if (index < outcome.replicas.size()) {
    const planner::ReplicaForecast& one = outcome.replicas[index];
    table.Row({"replicas", one.forecast ? fmt::format("{}", one.replicas) : "no forecast"});
    table.Row({"replicas: why", one.why});
  }
  ExplainJoint(outcome, index, &table);
  return true;
}

}  // namespace brim::apps
