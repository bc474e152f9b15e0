// The study. For each seed: draw the fleet, a learned day and a test day that drifted from it. For
// each of the 16 sets of levers: plan from the learned day alone, play that day, plan again with
// more room for the models that missed, freeze, and only then play the test day. The base is one
// whole card (or as many as declared) per model, judged on the same test day.
//
// Worth of a set is the cards it saves, none when it does not count; a lever's share is Shapley's
// value, its effect averaged over the 24 orders in which four levers can come (L. S. Shapley,
// 1953): the only division that adds up to the whole and does not depend on an order that somebody
// chose.
#include "planner/replay/fleet_study.h"

#include <fmt/format.h>

#include <algorithm>

namespace brim::planner {
namespace {

constexpr double kLearnedMissesMax = 0.0005;  // Of a model's requests, plus one.

LeverResult Judge(const FleetSpec& spec, const Fleet& known, const Fleet& fleet,
                  std::uint32_t levers, const Streams& learned, const Streams& test) {
  LeverResult result;
  result.levers = levers;
  if (levers == 0) {
    result.plan = PlanFleetCards(spec, known, 0);
    result.validated = true;
  } else {
    result.plan = PlanValidated(spec, known, levers, learned, &result.validated);
  }
  result.bounds = FleetBounds(spec, known, levers);
  result.outcome = SimulateFleet(spec, fleet, result.plan, test);
  return result;
}

void Compare(const LeverResult& base, LeverResult* result) {
  const FleetOutcome &a = base.outcome, &b = result->outcome;
  result->identity = CheckIdentity(a, base.plan.cards, b, result->plan.cards);
  result->goodput_points = 100 * (b.goodput_per_s() / std::max(1e-12, a.goodput_per_s()) - 1);
  result->attainment_points = 100 * (b.attainment() - a.attainment());
  result->model_attainment_points = 100 * (b.model_attainment() - a.model_attainment());
  result->counts = std::min({result->goodput_points, result->attainment_points,
                             result->model_attainment_points}) >= -kMarginPoints;
}

Status CheckSound(const FleetSpec& spec, const SeedResult& seed, const LeverResult& result) {
  const std::string wrong = CheckFleetPlan(spec, seed.fleet, result.plan);
  if (!wrong.empty()) {
    return Status(Code::kInternal, "plan_unsound",
                  fmt::format("seed {}, {}: {}", seed.seed, LeverSetName(result.levers), wrong));
  }
  if (!result.identity.holds()) {
    return Status(
        Code::kInternal, "identity_broken",
        fmt::format("seed {}, {}: utilisation x{:.12g} is not work x{:.12g} over cards x{:.12g}: "
                    "a card or some work was left out of the count; no saving can be claimed",
                    seed.seed, LeverSetName(result.levers), result.identity.u_ratio,
                    result.identity.work_ratio, result.identity.cards_ratio));
  }
  return {};
}

}  // namespace

double SeedResult::saving() const {
  if (!sets[kAllLevers].counts) return 0;
  return 1 - static_cast<double>(sets[kAllLevers].plan.cards) / sets[0].plan.cards;
}

FleetPlan PlanValidated(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers,
                        const Streams& learned, bool* validated) {
  std::vector<double> boost(fleet.models.size(), 1);
  FleetPlan plan;
  for (int round = 0;; ++round) {
    plan = PlanFleetCards(spec, fleet, levers, boost);
    const FleetOutcome outcome = SimulateFleet(spec, fleet, plan, learned);
    *validated = true;
    for (std::size_t m = 0; m < boost.size(); ++m) {
      const ModelOutcome& model = outcome.models[m];
      const auto misses = static_cast<double>(model.requests - model.in_time);
      if (misses <= kLearnedMissesMax * static_cast<double>(model.requests) + 1) continue;
      *validated = false;
      boost[m] *= 1.2;
    }
    if (*validated || round == kRepairsMax) return plan;
  }
}

std::vector<std::array<int, kLevers>> LeverOrders() {
  std::vector<std::array<int, kLevers>> orders;
  std::array<int, kLevers> order = {0, 1, 2, 3};
  do {
    orders.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

std::array<double, kLevers> ShapleyShares(const std::array<double, kLeverSets>& worth) {
  std::array<double, kLevers> shares{};
  const auto orders = LeverOrders();
  for (const auto& order : orders) {
    std::uint32_t levers = 0;
    for (const int lever : order) {
      const std::uint32_t with = levers | 1u << lever;
      shares[lever] += (worth[with] - worth[levers]) / static_cast<double>(orders.size());
      levers = with;
    }
  }
  return shares;
}

Result<std::vector<SeedResult>> StudyFleet(const FleetSpec& spec, const StudyOptions& options,
                                           const Progress& progress) {
  std::vector<SeedResult> results;
  const std::int64_t steps = std::int64_t{options.seeds} * (options.all_sets ? kLeverSets : 2);
  std::int64_t done = 0;
  for (std::int32_t i = 0; i < options.seeds; ++i) {
    SeedResult seed;
    seed.seed = options.seed + static_cast<std::uint64_t>(i);
    seed.fleet = DrawFleet(spec, seed.seed);
    Fleet known = seed.fleet;
    if (options.perfect_forecast) {
      for (FleetModel& model : known.models) model.learned = model.test;
    }
    const Streams learned = DrawStreams(spec, known, Day::kLearned, seed.seed);
    const Streams test = DrawStreams(spec, seed.fleet, Day::kTest, seed.seed);
    std::array<double, kLeverSets> worth{};
    for (std::uint32_t levers = 0; levers < kLeverSets; ++levers) {
      if (!options.all_sets && levers != 0 && levers != kAllLevers) continue;
      if (progress) progress("lever sets x seeds", done, steps);
      LeverResult& result = seed.sets[levers];
      // The base is what stands: its owners' declarations do not change with our forecast.
      const Fleet& sees = levers == 0 ? seed.fleet : known;
      result = Judge(spec, sees, seed.fleet, levers, learned, test);
      Compare(seed.sets[0], &result);
      BRIM_RETURN_IF_ERROR(CheckSound(spec, seed, result));
      worth[levers] = result.counts ? seed.sets[0].plan.cards - result.plan.cards : 0;
      ++done;
    }
    if (options.all_sets) seed.shapley = ShapleyShares(worth);
    results.push_back(std::move(seed));
  }
  return results;
}

}  // namespace brim::planner
