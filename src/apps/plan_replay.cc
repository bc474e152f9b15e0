// `brim plan replay`: a recorded stream once more, in virtual time.
#include "apps/plan_replay.h"

#include <CLI/CLI.hpp>

namespace brim::apps {
namespace {

constexpr const char* kCommand = "brim plan replay";
constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan replay --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv\n"
    "  brim plan replay --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --policy whole-card-most --policy best-fit --consolidate-every 3600\n"
    "  brim plan replay --requests examples/plan/requests.csv --loads examples/plan/loads.csv \\\n"
    "    --cards 2 --cards 4 --svg cards.svg\n"
    "Columns of requests: t_s, model, service_s; of loads: load_s. Pods come and go by arrives_s "
    "and\n"
    "leaves_s. The open traces' own columns are read as they are (docs/planner.md).";

void AddPods(CLI::App* app, ReplayFlags* flags) {
  const char* kGroup = "Pods over nodes";
  app->add_option("--nodes", flags->nodes, "Nodes.")->type_name("FILE")->group(kGroup);
  app->add_option("--pods", flags->pods, "Pods with the times they come and go.")
      ->type_name("FILE")
      ->group(kGroup);
  app->add_option("--policy", flags->policies,
                  "How pods are placed; may be repeated. Default: whole-card-most and ours.")
      ->type_name("NAME")
      ->group(kGroup);
  app->add_option("--ties", flags->ties, "Among equal nodes: the first, or any by --seed.")
      ->check(CLI::IsMember({"index", "random"}))
      ->capture_default_str()
      ->group(kGroup);
  app->add_flag("--separate-roles", flags->pod.separate_roles,
                "Pods without cards stay off nodes with cards.")
      ->group(kGroup);
  app->add_option("--consolidate-every", flags->pod.consolidate_every_s,
                  "Move pods together every so many seconds; 0: never.")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--move-seconds", flags->pod.consolidate.prices.load_s,
                  "A moved pod's new copy loads this long.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--moves-per-hour", flags->pod.consolidate.moves_per_hour, "Budget of moves.")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str()
      ->group(kGroup);
}

void AddRequests(CLI::App* app, ReplayFlags* flags) {
  const char* kGroup = "Requests over cards";
  planner::ModelReplayOptions& o = flags->model;
  app->add_option("--requests", flags->requests, "Recorded requests.")
      ->type_name("FILE")
      ->group(kGroup);
  app->add_option("--loads", flags->loads, "Measured load times. Default: 22.7 s each.")
      ->type_name("FILE")
      ->group(kGroup);
  app->add_option("--cards", flags->cards, "Cards that the models share; may be repeated.")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--resident", o.resident_max, "Models that one card's memory holds.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--evict", flags->evictions, "Which model goes: lru, cost; may be repeated.")
      ->check(CLI::IsMember({"lru", "cost"}))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--slo-wait", o.slo_wait_s, "In time: answered within its service and this, s.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--refuse-wait", o.refuse_wait_s, "Refused when expected to wait longer, s.")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--forecast-error", o.forecast_error,
                  "Log-deviation of the forecast from what comes.")
      ->check(CLI::Range(0.0, 5.0))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--resize-every", o.resize_every_s,
                  "Cards in use follow the forecast, every so many seconds; 0: all, always.")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--headroom", o.headroom, "Cards for so many times the forecast work.")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str()
      ->group(kGroup);
  app->add_flag("--no-base", flags->no_base, "Leave out the base, own cards for each model.")
      ->group(kGroup);
}

Status Run(const ReplayFlags& flags, planner::Report* report, std::string* svg) {
  const bool pods = !flags.pods.empty() && !flags.nodes.empty();
  const bool requests = !flags.requests.empty();
  const bool half = flags.pods.empty() != flags.nodes.empty();
  if (half || pods == requests) {
    return Status(Code::kInvalidArgument, "no_stream",
                  "give --nodes and --pods (pods over nodes), or --requests (requests over cards)");
  }
  return pods ? ReplayPodStream(flags, report, svg) : ReplayRequestStream(flags, report, svg);
}

}  // namespace

int PlanReplay(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Plays a recorded stream in virtual time: pods that come and go over nodes, or requests for\n"
      "models on shared cards with measured load times. Says cards over time, card-hours, what "
      "was\n"
      "refused, late or cold, and what moving things together would have cost and saved.",
      kCommand);
  app.footer(kExamples);
  ReplayFlags flags;
  AddPods(&app, &flags);
  AddRequests(&app, &flags);
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    flags.pod.seed = flags.model.seed = flags.plan.seed;
    flags.pod.ties = flags.ties == "random" ? planner::Ties::kRandom : planner::Ties::kIndex;
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
