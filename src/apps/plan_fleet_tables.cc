// Tables and explanations of `brim plan fleet`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "apps/plan_fleet.h"
#include "planner/cluster/gap.h"

namespace brim::apps {
namespace {

using planner::kAllLevers;
using planner::kLevers;
using planner::LeverResult;
using planner::SeedResult;
using Seeds = std::vector<SeedResult>;

// A model with fewer requests on the test day is not called the worst: one miss would be chance.
constexpr std::int64_t kWorstRequestsMin = 200;

double MeanOver(const Seeds& seeds, std::uint32_t levers,
                const std::function<double(const LeverResult&)>& value) {
  double sum = 0;
  for (const SeedResult& seed : seeds) sum += value(seed.sets[levers]);
  return sum / static_cast<double>(seeds.size());
}

double Saving(const SeedResult& seed, std::uint32_t levers) {
  return 100 - 100.0 * seed.sets[levers].plan.cards / seed.sets[0].plan.cards;
}

planner::Gap GapOf(const LeverResult& result) {
  return planner::GapTo(result.plan.cards, result.bounds);
}

double WorstAttainment(const LeverResult& result) {
  const std::int32_t worst = result.outcome.worst_model(kWorstRequestsMin);
  return worst < 0 ? 1 : result.outcome.models[worst].attainment();
}

// On every seed.
bool CountsAlways(const Seeds& seeds, std::uint32_t levers) {
  return std::all_of(seeds.begin(), seeds.end(),
                     [levers](const SeedResult& s) { return s.sets[levers].counts; });
}

void LeverSets(const Seeds& seeds, bool all_sets, planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "lever_sets",
      {{"levers"},
       {"cards"},
       {"saved", "%"},
       {"saved_min", "%"},
       {"bound", "cards"},
       {"gap", "%"},
       {"cores"},
       {"busy", "%"},
       {"active", "%"},
       {"work", "of base"},
       {"goodput", "1/s"},
       {"p99", "ms"},
       {"violations"},
       {"attainment", "%"},
       {"worst_model", "%"},
       {"migrations"},
       {"counts"}},
      "means over the seeds; saved_min: the worst seed. busy: some kernel ran, mean over all "
      "cards; "
      "active: the same weighted by the share that ran. worst_model: least attainment of a model "
      "with 200 requests, on any seed. counts: goodput and attainment at most 0.1 point below the "
      "base, on every seed");
  for (std::uint32_t levers = 0; levers < planner::kLeverSets; ++levers) {
    if (!all_sets && levers != 0 && levers != kAllLevers) continue;
    const auto mean = [&](const auto& value) { return MeanOver(seeds, levers, value); };
    double least = 100, worst = 1;
    for (const SeedResult& seed : seeds) {
      least = std::min(least, Saving(seed, levers));
      worst = std::min(worst, WorstAttainment(seed.sets[levers]));
    }
    double saved = 0;
    for (const SeedResult& seed : seeds) saved += Saving(seed, levers) / double(seeds.size());
    table.Row(
        {planner::LeverSetName(levers),
         mean([](const LeverResult& r) { return double(r.plan.cards); }), saved, least,
         mean([](const LeverResult& r) { return std::max(r.bounds[0].value, r.bounds[1].value); }),
         mean([](const LeverResult& r) { return 100 * GapOf(r).share; }),
         mean([](const LeverResult& r) { return double(r.plan.cpu_cores); }),
         mean([](const LeverResult& r) { return 100 * r.outcome.mean_busy(); }),
         mean([](const LeverResult& r) { return 100 * r.outcome.mean_active(); }),
         mean([](const LeverResult& r) { return r.identity.work_ratio; }),
         mean([](const LeverResult& r) { return r.outcome.goodput_per_s(); }),
         mean([](const LeverResult& r) { return 1000 * r.outcome.p99_s; }),
         mean([](const LeverResult& r) { return double(r.outcome.violations()); }),
         mean([](const LeverResult& r) { return 100 * r.outcome.attainment(); }), 100 * worst,
         mean([](const LeverResult& r) { return double(r.plan.migrations); }),
         CountsAlways(seeds, levers)});
  }
}

void Shares(const Seeds& seeds, planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "shapley", {{"lever"}, {"cards"}, {"share", "%"}, {"alone", "cards"}, {"last", "cards"}},
      "cards saved by each lever: mean effect over all 24 orders; alone: as the only one; last: "
      "added to the other three");
  double total = 0;
  std::array<double, kLevers> cards{};
  for (const SeedResult& seed : seeds) {
    for (int i = 0; i < kLevers; ++i) cards[i] += seed.shapley[i] / double(seeds.size());
  }
  for (const double c : cards) total += c;
  const auto mean = [&](std::uint32_t levers) {
    return MeanOver(seeds, levers, [](const LeverResult& r) { return double(r.plan.cards); });
  };
  for (int i = 0; i < kLevers; ++i) {
    table.Row({std::string(planner::LeverName(i)), cards[i], total > 0 ? 100 * cards[i] / total : 0,
               mean(0) - mean(1u << i), mean(kAllLevers & ~(1u << i)) - mean(kAllLevers)});
  }
  table.Row({std::string("all"), total, total > 0 ? 100.0 : 0.0, mean(0) - mean(kAllLevers),
             planner::ReportCell()});
}

void Orders(const Seeds& seeds, planner::Report* report) {
  planner::ReportTable& table =
      report->Table("orders",
                    {{"order"},
                     {"base", "cards"},
                     {"after_1", "cards"},
                     {"after_2", "cards"},
                     {"after_3", "cards"},
                     {"after_4", "cards"}},
                    "cards left as the levers come one after the other, means over the seeds");
  const auto mean = [&](std::uint32_t levers) {
    return MeanOver(seeds, levers, [](const LeverResult& r) { return double(r.plan.cards); });
  };
  for (const auto& order : planner::LeverOrders()) {
    std::string name;
    std::vector<planner::ReportCell> row = {std::string(), mean(0)};
    std::uint32_t levers = 0;
    for (const int lever : order) {
      levers |= 1u << lever;
      name += (name.empty() ? "" : ", ") + std::string(planner::LeverName(lever));
      row.emplace_back(mean(levers));
    }
    row[0] = name;
    table.Row(std::move(row));
  }
}

void PerSeed(const Seeds& seeds, planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "seeds",
      {{"seed"},
       {"cards_before"},
       {"cards_after"},
       {"saved", "%"},
       {"bound", "cards"},
       {"u_ratio"},
       {"work_ratio"},
       {"cards_ratio"},
       {"identity_error"},
       {"goodput", "points"},
       {"attainment", "points"},
       {"worst_model"},
       {"worst", "%"},
       {"worst_before", "%"},
       {"validated"},
       {"counts"}},
      "all levers against the base; identity: u_ratio = work_ratio / cards_ratio, enforced to "
      "1e-9; "
      "validated: the learned day's simulation met every objective before the test day was played");
  for (const SeedResult& seed : seeds) {
    const LeverResult& all = seed.sets[kAllLevers];
    const std::int32_t worst = all.outcome.worst_model(kWorstRequestsMin);
    table.Row({static_cast<std::int64_t>(seed.seed), std::int64_t{seed.sets[0].plan.cards},
               std::int64_t{all.plan.cards}, Saving(seed, kAllLevers),
               std::max(all.bounds[0].value, all.bounds[1].value), all.identity.u_ratio,
               all.identity.work_ratio, all.identity.cards_ratio, all.identity.error,
               all.goodput_points, all.attainment_points,
               worst < 0 ? std::string("-") : seed.fleet.models[worst].name,
               100 * WorstAttainment(all),
               worst < 0 ? 100.0 : 100 * seed.sets[0].outcome.models[worst].attainment(),
               all.validated, all.counts});
  }
}

}  // namespace

void ReportFleet(const planner::FleetSpec& spec, const planner::StudyOptions& options,
                 const Seeds& seeds, planner::Report* report) {
  double saved = 0, least = 100, error = 0, u = 0, work = 0, cards = 0, net = 0;
  std::int64_t counts = 0;
  for (const SeedResult& seed : seeds) {
    const double n = static_cast<double>(seeds.size());
    const planner::Identity& identity = seed.sets[kAllLevers].identity;
    saved += 100 * seed.saving() / n;
    least = std::min(least, 100 * seed.saving());
    const double cores = seed.sets[kAllLevers].plan.cpu_cores / spec.cores_per_card;
    net += seed.saving() <= 0 ? 0 : 100 * (seed.saving() - cores / seed.sets[0].plan.cards) / n;
    counts += seed.sets[kAllLevers].counts ? 1 : 0;
    u += identity.u_ratio / n;
    work += identity.work_ratio / n;
    cards += identity.cards_ratio / n;
    for (const LeverResult& set : seed.sets) error = std::max(error, set.identity.error);
  }
  report->Count("models", spec.models, "", {});
  report->Count("seed_count", static_cast<std::int64_t>(seeds.size()), "", {});
  report->Text("forecast", options.perfect_forecast ? "perfect" : "learned day",
               options.perfect_forecast
                   ? "the plan saw the test day's rates"
                   : fmt::format("the test day's rates differ by a factor with log-deviation {}",
                                 spec.drift));
  report->Number("saved_mean", saved, "%",
                 "of the base's cards, by all levers; 0 for a seed that "
                 "does not count");
  report->Number("saved_worst_seed", least, "%", {});
  report->Number("saved_net_mean", net, "%",
                 fmt::format("less the CPU cores taken, at {} cores a card", spec.cores_per_card));
  report->Count("seeds_that_count", counts, "seeds",
                "goodput and attainment at most 0.1 point below the base");
  report->Number("u_ratio_mean", u, "", "mean utilisation after over before");
  report->Number("work_ratio_mean", work, "", "card time after over before");
  report->Number("cards_ratio_mean", cards, "", {});
  report->Number("identity_error_max", error, "",
                 "of U_after/U_before = (work_after/work_before)/(cards_after/cards_before), all "
                 "sets and seeds; above 1e-9 is an error");
  LeverSets(seeds, options.all_sets, report);
  if (options.all_sets) {
    Shares(seeds, report);
    Orders(seeds, report);
  }
  PerSeed(seeds, report);
  planner::ReportTable& bounds =
      report->Table("bounds", {{"bound"}, {"value", "cards"}, {"means"}},
                    fmt::format("for all levers, seed {}: no plan that serves what this one was "
                                "asked to serve uses fewer cards",
                                seeds.front().seed));
  for (const planner::Bound& bound : seeds.front().sets[kAllLevers].bounds) {
    bounds.Row({bound.name, bound.value, bound.means});
  }
  report->Note(
      "Simulated: latency profiles are as measured, memory is reserved and never exceeded, "
      "neighbours on a card slow each other only by the file's interference.");
}

std::vector<std::string> ExplainFleetModel(const planner::FleetSpec& spec, const SeedResult& seed,
                                           std::int32_t m) {
  const planner::FleetModel& model = seed.fleet.models[m];
  const planner::ServiceProfile& profile = spec.profiles[model.profile];
  const LeverResult& all = seed.sets[kAllLevers];
  std::vector<std::string> lines;
  lines.push_back(fmt::format(
      "profile {}, objective {:.0f} ms, at most {:.3g} requests/s on the learned day; declared "
      "{:.3g}, planned for {:.3g}",
      profile.name, 1000 * profile.slo_s, model.learned_peak(),
      spec.declared_headroom * model.learned_peak(), spec.margin * model.learned_peak()));
  lines.push_back(fmt::format("memory: {:.1f} GiB stay resident, {:.1f} GiB at its peak",
                              model.resident_gib, model.peak_gib));
  if (!model.adopts) lines.push_back("its owner adopts no lever: it keeps its whole cards");
  for (const planner::PlanServer& server : all.plan.servers) {
    for (const planner::PlanMember& member : server.members) {
      if (member.model != m) continue;
      std::string with;
      for (const planner::PlanMember& other : server.members) {
        if (other.model != m)
          with += (with.empty() ? "" : ", ") + seed.fleet.models[other.model].name;
      }
      const std::string where =
          server.card < 0
              ? fmt::format("on the CPU, in a process with {} cores", server.executors)
              : fmt::format(
                    "card {}, a process with {} of 1000 and {:.1f} GiB, "
                    "batches up to {}",
                    server.card, server.share_milli, server.memory_gib, member.batch_max);
      lines.push_back(fmt::format("{:.1f} % of its requests: {}{}", 100 * member.part, where,
                                  with.empty() ? ", alone" : ", together with " + with));
    }
  }
  const double cores = model.learned_peak() * spec.margin * profile.cpu_s;
  if (profile.cpu_s <= 0) {
    lines.push_back("not on the CPU: its profile has no cpu_ms");
  } else if (profile.cpu_s > profile.slo_s / 2) {
    lines.push_back(
        fmt::format("not on the CPU: {:.0f} ms of a core is more than half its objective",
                    1000 * profile.cpu_s));
  } else {
    lines.push_back(fmt::format(
        "CPU or card: its peak takes {:.2f} cores of {}; a card costs {} "
        "cores, and it would take at least {:.2f} of a card's memory",
        cores, spec.cpu_cores, spec.cores_per_card, model.resident_gib / spec.card_memory_gib));
  }
  const planner::ModelOutcome& out = all.outcome.models[m];
  lines.push_back(fmt::format("test day: {} requests, {} in time, {} late, {} dropped",
                              out.requests, out.in_time, out.late, out.dropped));
  return lines;
}

}  // namespace brim::apps
