// `brim plan fleet`: a made fleet with a whole card per model, and what each of four levers saves.
#include "apps/plan_fleet.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/formats/nearest_name.h"
#include "planner/replay/fleet_file.h"
#include "planner/replay/fleet_study.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::SeedResult;

constexpr const char* kCommand = "brim plan fleet";
constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan fleet --fleet examples/plan/fleet.json --seeds 3\n"
    "  brim plan fleet --fleet examples/plan/fleet.json --seeds 3 --explain model-0003 \\\n"
    "    --svg cards.svg\n"
    "The file fixes everything that is not chance: models, traffic, memory, profiles, what owners\n"
    "declare, margins. docs/planner.md describes its keys. Levers: cpu (models leave for cores), "
    "mix\n"
    "(models share a process), slices (processes share a card), right-size (measured, not "
    "declared).";

struct Flags {
  PlanFlags plan;
  std::string fleet;
  planner::StudyOptions study;
  bool only_all = false;
};

// Where a model stands with all levers, and why.
Status Explain(const planner::FleetSpec& spec, const SeedResult& seed, const std::string& name,
               planner::Report* report) {
  std::vector<std::string_view> known;
  std::int32_t found = -1;
  for (std::size_t m = 0; m < seed.fleet.models.size(); ++m) {
    known.push_back(seed.fleet.models[m].name);
    if (known.back() == name) found = static_cast<std::int32_t>(m);
  }
  if (found < 0) {
    return Status(Code::kNotFound, "model_unknown",
                  fmt::format("--explain: there is no model '{}' in the fleet{}", name,
                              planner::DidYouMean(name, known)));
  }
  planner::ReportTable& table =
      report->Table("explain", {{name}}, fmt::format("with all levers, seed {}", seed.seed));
  for (std::string& line : ExplainFleetModel(spec, seed, found)) table.Row({std::move(line)});
  return OkStatus();
}

std::string Picture(const planner::FleetSpec& spec, const SeedResult& seed) {
  const planner::FleetPlan& plan = seed.sets[planner::kAllLevers].plan;
  std::vector<planner::Bar> bars(plan.cards);
  for (std::int32_t c = 0; c < plan.cards; ++c) {
    bars[c] = {fmt::format("card {}", c), spec.card_memory_gib, {}};
  }
  for (std::size_t s = 0; s < plan.servers.size(); ++s) {
    const planner::PlanServer& server = plan.servers[s];
    if (server.card < 0) continue;
    std::string names;
    for (const planner::PlanMember& member : server.members) {
      names += (names.empty() ? "" : ", ") + seed.fleet.models[member.model].name;
    }
    bars[server.card].parts.push_back({server.memory_gib,
                                       fmt::format("{:.1f} GiB, share {} of 1000: {}",
                                                   server.memory_gib, server.share_milli, names),
                                       server.members.front().model});
  }
  return planner::BarsSvg(fmt::format("All levers, seed {}: {} cards instead of {}", seed.seed,
                                      plan.cards, seed.sets[0].plan.cards),
                          "GiB reserved", bars);
}

Status Run(const Flags& flags, planner::Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const std::string text, io::ReadTextFile(flags.fleet));
  BRIM_ASSIGN_OR_RETURN(const planner::FleetSpec spec, planner::ReadFleet(flags.fleet, text));
  planner::StudyOptions study = flags.study;
  study.seed = flags.plan.seed;
  study.all_sets = !flags.only_all;
  BRIM_ASSIGN_OR_RETURN(const std::vector<SeedResult> seeds,
                        planner::StudyFleet(spec, study, StderrProgress()));
  ReportFleet(spec, study, seeds, report);
  if (!flags.plan.explain.empty()) {
    BRIM_RETURN_IF_ERROR(Explain(spec, seeds.front(), flags.plan.explain, report));
  }
  if (!flags.plan.svg.empty()) *svg = Picture(spec, seeds.front());
  return OkStatus();
}

}  // namespace

int PlanFleet(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Draws a fleet of models from a file of parameters, plans it with a whole card per model "
      "and\n"
      "with every set of four levers, plays a day of requests against each plan, and says what "
      "each\n"
      "lever saves at equal goodput.",
      kCommand);
  app.footer(kExamples);
  Flags flags;
  app.add_option("--fleet", flags.fleet, "Parameters of the fleet.")->type_name("JSON")->required();
  app.add_option("--seeds", flags.study.seeds, "So many fleets, from --seed on.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--perfect-forecast", flags.study.perfect_forecast,
               "The plan knows the test day's rates: what prediction costs.");
  app.add_flag("--only-all", flags.only_all, "Only the base and all levers, not the 16 sets.");
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
