// `brim plan mix`: models into shared processes, slices and CPU cores under their objectives.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <system_error>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/formats/nearest_name.h"
#include "planner/mix/mix_explain.h"
#include "planner/mix/mix_plan.h"
#include "planner/mix/read_models.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::MixModel;
using planner::MixPlan;

constexpr const char* kCommand = "brim plan mix";
constexpr std::size_t kFileBytesMax = std::size_t{64} << 20;
constexpr const char* kExamples =
    "Examples:\n"
    "  brim plan mix --models examples/plan/models.csv --profiles examples/plan/profiles.csv\n"
    "  brim plan mix --models examples/plan/models.csv --profiles examples/plan/profiles.csv \\\n"
    "    --card-price 40 --explain search-rank --svg cards.svg\n"
    "Columns of models: name, rate, slo_ms; optional owner, weights_mib, workspace_mib, load_ms,\n"
    "interference, cpu_ms, now (card or cpu). Of profiles: model, share (units, or MIG size), "
    "batch,\n"
    "latency_ms; optional processes, throughput (of one process). docs/planner.md explains the "
    "rest.";

struct Flags {
  PlanFlags plan;
  std::string models, profiles, arrivals, memory, parvagpu, slices = "units";
  planner::ParvaChoice parva;
  planner::MixOptions mix;
  double card_memory_gib = 80;
  bool alone = false;
  bool published = false;
};

void AddInput(CLI::App* app, Flags* flags) {
  const char* kGroup = "Input";
  app->add_option("--models", flags->models, "Models: rate, objective, memory.")
      ->type_name("CSV")
      ->group(kGroup);
  app->add_option("--profiles", flags->profiles, "Latency by model, share and batch.")
      ->type_name("CSV")
      ->group(kGroup);
  app->add_option("--arrivals", flags->arrivals,
                  "Recorded requests (time_s, model) instead of Poisson ones.")
      ->type_name("CSV")
      ->group(kGroup);
  app->add_option("--parvagpu", flags->parvagpu,
                  "Instead: a folder with ParvaGPU's prof_data and SLO.")
      ->type_name("DIR")
      ->group(kGroup);
  app->add_option("--scenario", flags->parva.scenario, "Its line of the SLO files.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--sets", flags->parva.sets, "So many copies of its models.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(kGroup);
  app->add_flag("--published", flags->published,
                "Only simulate its published placement of this scenario.")
      ->group(kGroup);
  app->add_option("--memory", flags->memory,
                  "Replace memory: model, weights_mib, workspace_mib, load_ms, cpu_ms.")
      ->type_name("CSV")
      ->group(kGroup);
  app->add_option("--rate-scale", flags->parva.rate_scale, "Multiply every rate.")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str()
      ->group(kGroup);
}

void AddPlanning(CLI::App* app, Flags* flags) {
  planner::MixOptions& mix = flags->mix;
  const char* kGroup = "Planning";
  app->add_option("--slices", flags->slices,
                  "units: 1/100 of a card, profiles interpolated. mig: A100 instances, measured "
                  "points only.")
      ->check(CLI::IsMember({"units", "mig"}))
      ->capture_default_str()
      ->group(kGroup);
  app->add_flag("--alone", flags->alone, "One model per segment: no shared processes.")
      ->group(kGroup);
  app->add_option("--card-memory-gib", flags->card_memory_gib, "Memory of a card.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--context-mib", mix.context_mib, "Memory of a process before its models.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--margin", mix.margin, "Part of the objective that a plan may use.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--busy-max", mix.busy_max, "Part of a shared process's time that is planned.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--attainment", mix.attainment,
                  "Requests within their objective, per model, in the simulation.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--share-step", mix.share_step, "Shares are multiples of so many units.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--processes-max", mix.processes_max,
                  "MIG: points with more processes are not used.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--card-price", mix.card_price_cores,
                  "A card's price in CPU cores; 0: CPUs are not considered.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--cpu-busy-max", mix.cpu_busy_max, "Part of a core's time that is planned.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--hysteresis", mix.hysteresis,
                  "A running model moves between card and CPU for so much less.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--tries", mix.search_tries, "Budget of the local search.")
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--judge-again", mix.fresh_judgements,
                  "Simulate the final plan so many times more, by other arrivals.")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->group(kGroup);
  app->add_option("--requests", mix.requests_min,
                  "Simulated per model, if an hour and 25,000,000 in all allow it.")
      ->capture_default_str()
      ->group(kGroup);
}

Result<planner::MixText> ReadText(const std::string& path) {
  BRIM_ASSIGN_OR_RETURN(std::string text, io::ReadTextFile(path, kFileBytesMax));
  return planner::MixText{path, std::move(text)};
}

Result<std::vector<MixModel>> ReadParvaFolder(const Flags& flags) {
  constexpr std::size_t kProfilesMax = 1000;
  planner::ParvaText text;
  std::error_code error;
  const std::filesystem::path folder(flags.parvagpu);
  std::filesystem::directory_iterator files(folder / "prof_data", error);
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    if (files->path().extension() != ".csv") continue;
    if (text.profiles.size() == kProfilesMax) break;
    BRIM_ASSIGN_OR_RETURN(text.profiles.emplace_back(), ReadText(files->path().string()));
  }
  if (error || text.profiles.empty()) {
    return Status(
        Code::kNotFound, "no_profiles",
        fmt::format("{}: no profiles there; expected MODEL.csv files as in ParvaGPU's prof_data",
                    (folder / "prof_data").string()));
  }
  BRIM_ASSIGN_OR_RETURN(text.rates, ReadText((folder / "SLO/SLO_req_rate.csv").string()));
  BRIM_ASSIGN_OR_RETURN(text.latencies, ReadText((folder / "SLO/SLO_latency.csv").string()));
  planner::ParvaChoice choice = flags.parva;
  choice.slices = flags.mix.slices;
  choice.card_memory_mib = flags.mix.card_memory_mib;
  return planner::ReadParva(text, choice);
}

Result<std::vector<MixModel>> ReadModels(const Flags& flags) {
  std::vector<MixModel> models;
  if (!flags.parvagpu.empty()) {
    BRIM_ASSIGN_OR_RETURN(models, ReadParvaFolder(flags));
  } else {
    BRIM_ASSIGN_OR_RETURN(const planner::MixText text, ReadText(flags.models));
    BRIM_ASSIGN_OR_RETURN(const planner::MixText profiles, ReadText(flags.profiles));
    BRIM_ASSIGN_OR_RETURN(models, planner::ReadMixModels(text, profiles));
    for (MixModel& model : models) model.rate *= flags.parva.rate_scale;
  }
  if (!flags.memory.empty()) {
    BRIM_ASSIGN_OR_RETURN(const planner::MixText memory, ReadText(flags.memory));
    BRIM_RETURN_IF_ERROR(planner::ReadMixMemory(memory, &models));
  }
  return models;
}

Result<MixPlan> Make(const Flags& flags, const std::vector<MixModel>& models) {
  planner::Arrivals arrivals;
  if (!flags.arrivals.empty()) {
    BRIM_ASSIGN_OR_RETURN(const planner::MixText text, ReadText(flags.arrivals));
    BRIM_ASSIGN_OR_RETURN(arrivals, planner::ReadMixArrivals(text, models));
  }
  if (!flags.published) return planner::PlanMix(models, flags.mix, arrivals, StderrProgress());
  const int scenario = flags.parva.scenario;
  BRIM_ASSIGN_OR_RETURN(const planner::MixText text,
                        ReadText(fmt::format("{}/deployment/SLO{}/SLO{}_ParvaGPU_deploy.csv",
                                             flags.parvagpu, scenario, scenario)));
  BRIM_ASSIGN_OR_RETURN(std::vector<planner::Segment> segments,
                        planner::ReadParvaPlacement(text, models));
  return planner::JudgeMix(models, flags.mix, std::move(segments), arrivals);
}

// The model of those with requests that keeps its objective least.
std::int32_t Worst(const MixPlan& plan) {
  std::int32_t worst = -1;
  for (std::size_t m = 0; m < plan.outcomes.size(); ++m) {
    if (plan.outcomes[m].requests == 0) continue;
    if (worst < 0 || plan.outcomes[m].attainment() <
                         plan.outcomes[static_cast<std::size_t>(worst)].attainment()) {
      worst = static_cast<std::int32_t>(m);
    }
  }
  return worst;
}

void AddSummary(const std::vector<MixModel>& models, const Flags& flags, const MixPlan& plan,
                planner::Report* report) {
  std::int64_t share = 0, requests = 0, in_slo = 0;
  for (const planner::Segment& segment : plan.segments) share += segment.share;
  for (const planner::Outcome& outcome : plan.outcomes)
    requests += outcome.requests, in_slo += outcome.in_slo;
  std::int64_t below = 0;
  for (const planner::Outcome& outcome : plan.outcomes)
    below += outcome.requests > 0 && outcome.attainment() < flags.mix.attainment;
  report->Count("models", static_cast<std::int64_t>(models.size()), "", {});
  report->Count("cards", plan.cards, "cards", "with anything on them");
  report->Count(
      "share_used", share, flags.mix.slices == planner::Slices::kMig ? "GPCs" : "units",
      fmt::format("of {} on those cards", std::int64_t{plan.cards} * flags.mix.card_share()));
  report->Count("segments", static_cast<std::int64_t>(plan.segments.size()), "", {});
  report->Count("models_on_cpu", static_cast<std::int64_t>(plan.on_cpu.size()), "", {});
  report->Number("cpu_cores", plan.cpu_cores, "cores", "that those share");
  report->Count("refused", static_cast<std::int64_t>(plan.refused.size()), "models");
  report->Text("accepted", plan.accepted ? "yes" : "no",
               fmt::format("every model placed, and {:.4g} % of its simulated requests in time",
                           100 * flags.mix.attainment));
  report->Count("violations", below, "models", "below that");
  report->Number("simulated_s", plan.seconds, "s",
                 fmt::format("{} requests, {} in time, in virtual time", requests, in_slo));
  report->Number("attainment",
                 requests == 0 ? 1 : static_cast<double>(in_slo) / static_cast<double>(requests),
                 "", "of all requests");
  const std::int32_t worst = Worst(plan);
  if (worst >= 0) {
    const planner::Outcome& outcome = plan.outcomes[static_cast<std::size_t>(worst)];
    report->Text("worst_model", models[static_cast<std::size_t>(worst)].name,
                 "keeps its objective least");
    report->Number("worst_attainment", outcome.attainment(), "");
  }
  if (flags.mix.fresh_judgements > 0) {
    report->Number(
        "fresh_worst_attainment", plan.fresh_worst, "",
        fmt::format("the least of any model in {} more simulations of this plan by other arrivals",
                    flags.mix.fresh_judgements));
  }
  report->Count("repairs", plan.repairs, "rounds",
                fmt::format("from {} cards, until the simulation passed", plan.first_cards));
  if (!plan.prices.empty()) {
    report->Number("cost_cores", plan.cost_cores, "cores", "cards and CPU, when homes were chosen");
    report->Number("share_weight", plan.share_weight, "",
                   "of a card's price is borne by share, the rest by memory");
  }
}

void AddBounds(const MixPlan& plan, planner::Report* report) {
  planner::ReportTable& table =
      report->Table("bounds", {{"bound"}, {"value", "cards"}, {"cards"}, {"means"}},
                    "lower bounds, under the plan's own margin");
  for (const planner::Bound& bound : plan.bounds)
    table.Row({bound.name, bound.value, bound.cards(), bound.means});
  if (plan.gap.bound.empty()) return;
  report->Text("gap_bound", plan.gap.bound, "the tightest");
  report->Count("gap_cards", plan.gap.cards, "cards", "above it");
  report->Number("gap_share", plan.gap.share, "");
}

void AddSegments(const std::vector<MixModel>& models, const Flags& flags, const MixPlan& plan,
                 planner::Report* report) {
  const char* unit = flags.mix.slices == planner::Slices::kMig ? "GPCs" : "units";
  planner::ReportTable& table =
      report->Table("segments",
                    {{"card"},
                     {"start"},
                     {"share", unit},
                     {"processes"},
                     {"model"},
                     {"rate", "1/s"},
                     {"batch"},
                     {"busy"},
                     {"duty", "ms"},
                     {"expected", "ms"},
                     {"p99", "ms"},
                     {"slo", "ms"},
                     {"attainment"},
                     {"weights"}},
                    "expected: a cycle and a turn, the longest wait planned; p99 and attainment: "
                    "simulated, of the whole model");
  for (const planner::Segment& segment : plan.segments) {
    for (const planner::Tenant& tenant : segment.tenants) {
      const MixModel& model = models[static_cast<std::size_t>(tenant.model)];
      const planner::Outcome& outcome = plan.outcomes[static_cast<std::size_t>(tenant.model)];
      const double turn = tenant.rate > 0 ? 1000 * tenant.busy * tenant.batch / tenant.rate : 0;
      const double expected = segment.duty_ms > 0
                                  ? segment.duty_ms + std::min(turn, segment.duty_ms)
                                  : model.slo_ms * flags.mix.margin;
      table.Row({std::int64_t{segment.card}, std::int64_t{segment.start},
                 std::int64_t{segment.share}, std::int64_t{segment.processes}, model.name,
                 tenant.rate, std::int64_t{tenant.batch}, tenant.busy, segment.duty_ms, expected,
                 outcome.p99_ms, model.slo_ms, outcome.attainment(),
                 std::string(tenant.resident ? "resident" : "swapped")});
    }
  }
}

void AddModels(const std::vector<MixModel>& models, const MixPlan& plan, planner::Report* report) {
  planner::ReportTable& table = report->Table("models",
                                              {{"model"},
                                               {"owner"},
                                               {"rate", "1/s"},
                                               {"slo", "ms"},
                                               {"requests"},
                                               {"mean", "ms"},
                                               {"p99", "ms"},
                                               {"shed"},
                                               {"batch"},
                                               {"attainment"}},
                                              "simulated");
  for (std::size_t m = 0; m < models.size(); ++m) {
    const planner::Outcome& outcome = plan.outcomes[m];
    table.Row({models[m].name, models[m].owner, models[m].rate, models[m].slo_ms, outcome.requests,
               outcome.mean_ms, outcome.p99_ms, outcome.shed, outcome.batch_mean,
               outcome.attainment()});
  }
  if (!plan.refused.empty()) {
    planner::ReportTable& refused = report->Table("refusals", {{"model"}, {"why"}}, "refused");
    for (const planner::MixRefusal& refusal : plan.refused)
      refused.Row({models[static_cast<std::size_t>(refusal.model)].name, refusal.why});
  }
  if (plan.prices.empty()) return;
  planner::ReportTable& prices =
      report->Table("homes",
                    {{"model"},
                     {"home"},
                     {"card", "cores"},
                     {"for_share", "cores"},
                     {"cpu", "cores"},
                     {"why_not_cpu"}},
                    "what decided CPU or card: its part of the cards' price against cores");
  for (std::size_t m = 0; m < models.size(); ++m) {
    const planner::HomePrice& price = plan.prices[m];
    planner::ReportCell cpu;
    if (price.cpu_why.empty()) cpu = price.cpu;
    prices.Row({models[m].name, std::string(price.on_cpu ? "cpu" : "card"), price.card,
                price.card_share, cpu, price.cpu_why});
  }
}

std::string Picture(const std::vector<MixModel>& models, const Flags& flags, const MixPlan& plan) {
  const char* unit = flags.mix.slices == planner::Slices::kMig ? "GPCs" : "units";
  std::vector<planner::Bar> bars(static_cast<std::size_t>(plan.cards));
  for (std::size_t card = 0; card < bars.size(); ++card) {
    bars[card].label = fmt::format("card {}", card);
    bars[card].capacity = flags.mix.card_share();
  }
  for (const planner::Segment& segment : plan.segments) {
    std::string names;
    for (const planner::Tenant& tenant : segment.tenants)
      names += (names.empty() ? "" : ", ") + models[static_cast<std::size_t>(tenant.model)].name;
    bars[static_cast<std::size_t>(segment.card)].parts.push_back(
        {static_cast<double>(segment.share),
         fmt::format("{} {} from {}: {}", segment.share, unit, segment.start, names),
         segment.tenants.front().model});
  }
  return planner::BarsSvg("Segments by card", unit, bars);
}

// The model to explain; -1: none was asked for.
Result<std::int32_t> FindExplained(const std::vector<MixModel>& models, const std::string& name) {
  if (name.empty()) return -1;
  std::vector<std::string_view> known;
  for (std::size_t m = 0; m < models.size(); ++m) {
    if (models[m].name == name) return static_cast<std::int32_t>(m);
    known.push_back(models[m].name);
  }
  return Status(Code::kNotFound, "model_unknown",
                fmt::format("--explain: model '{}' is not among the models{}", name,
                            planner::DidYouMean(name, known)));
}

Status Run(const Flags& flags, planner::Report* report, std::string* svg) {
  const bool parva = !flags.parvagpu.empty();
  if (parva == !(flags.models.empty() && flags.profiles.empty()) ||
      (!parva && (flags.models.empty() || flags.profiles.empty()))) {
    return Status(Code::kInvalidArgument, "no_input",
                  "give --models and --profiles, or --parvagpu");
  }
  if (flags.published &&
      (!parva || flags.mix.slices != planner::Slices::kMig || flags.parva.sets != 1)) {
    return Status(Code::kInvalidArgument, "no_placement",
                  "--published needs --parvagpu, --slices mig and one set");
  }
  BRIM_ASSIGN_OR_RETURN(const std::vector<MixModel> models, ReadModels(flags));
  if (models.empty())
    return Status(Code::kInvalidArgument, "no_models", "there is no model to plan");
  BRIM_ASSIGN_OR_RETURN(const std::int32_t explained, FindExplained(models, flags.plan.explain));
  BRIM_ASSIGN_OR_RETURN(const MixPlan plan, Make(flags, models));
  AddSummary(models, flags, plan, report);
  AddBounds(plan, report);
  AddSegments(models, flags, plan, report);
  AddModels(models, plan, report);
  if (flags.mix.slices == planner::Slices::kUnits) {
    report->Note("Latencies between and below measured shares are interpolated (docs/planner.md).");
  }
  const bool interferes = std::any_of(models.begin(), models.end(),
                                      [](const MixModel& model) { return model.interference > 0; });
  report->Note(interferes
                   ? "Neighbours on a card slow each other by the interference coefficients given."
                   : "No interference coefficient was given: neighbours on a card are taken not to "
                     "slow each other.");
  if (explained >= 0) {
    planner::ReportTable& table = report->Table("explain", {{flags.plan.explain}});
    for (std::string& line : planner::ExplainMix(models, flags.mix, plan, explained)) {
      table.Row({std::move(line)});
    }
  }
  if (!flags.plan.svg.empty()) *svg = Picture(models, flags, plan);
  return OkStatus();
}

}  // namespace

int PlanMix(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Packs models into shared processes and slices of cards, or onto CPU cores, so that each "
      "keeps its latency objective; a plan is\n"
      "accepted only when an event simulation says so.",
      kCommand);
  app.footer(kExamples);
  Flags flags;
  AddInput(&app, &flags);
  AddPlanning(&app, &flags);
  return RunPlan(&app, arguments, &flags.plan, [&](planner::Report* report, std::string* svg) {
    flags.mix.slices = flags.slices == "mig" ? planner::Slices::kMig : planner::Slices::kUnits;
    flags.mix.share_processes = !flags.alone;
    flags.mix.card_memory_mib = flags.card_memory_gib * 1024;
    flags.mix.seed = flags.plan.seed;
    return Run(flags, report, svg);
  });
}

}  // namespace brim::apps
