// Fleet: profiles, plans, the simulation by hand-computed cases, Shapley, the identity.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "planner/cluster/random.h"
#include "planner/replay/fleet_file.h"
#include "planner/replay/fleet_study.h"

namespace brim::planner {
namespace {

ServiceProfile Profile(const char* name, double slo_s, double cpu_s,
                       std::vector<MeasuredRow> rows) {
  ServiceProfile profile;
  profile.name = name;
  profile.slo_s = slo_s;
  profile.cpu_s = cpu_s;
  EXPECT_EQ(BuildShares(std::move(rows), &profile), "");
  return profile;
}

// Two kinds of model: 10 ms on a whole card, 20 ms on a quarter; one of them possible on a core.
FleetSpec SmallSpec() {
  FleetSpec spec;
  spec.models = 12;
  spec.zipf = 1.2;
  spec.requests_per_s = 60;
  for (int h = 0; h < kHours; ++h) spec.hours[h] = 1 + (h > 8 && h < 20 ? 2 : 0);
  spec.burst_cv = 0.1;
  spec.drift = 0.05;
  spec.seconds_per_hour = 4;
  spec.card_memory_gib = 32;
  spec.context_gib = 0.5;
  spec.resident_gib = {3, 4};
  spec.peak_gib = {5, 9};
  spec.declared_shares = {250, 500};
  spec.cpu_cores = 6;
  spec.cores_per_card = 32;
  const std::vector<MeasuredRow> rows = {{250, 1, 0.020}, {250, 4, 0.050},  {500, 1, 0.012},
                                         {500, 4, 0.030}, {1000, 1, 0.010}, {1000, 8, 0.030}};
  spec.profiles = {Profile("a", 0.2, 0.040, rows), Profile("b", 0.3, 0, rows)};
  return spec;
}

// One model on one card, given arrivals.
struct OneCard {
  FleetSpec spec = SmallSpec();
  Fleet fleet;
  FleetPlan plan;
  OneCard() {
    fleet.models.resize(1);
    fleet.models[0].name = "m";
    plan.cards = 1;
    plan.servers = {{0, 1000, 1, 8, {{0, 1, 1}}}};
  }
  FleetOutcome Play(std::vector<double> arrivals) {
    return SimulateFleet(spec, fleet, plan, {std::move(arrivals)});
  }
};

TEST(ServiceProfile, InterpolatesAndCutsAtHalfTheObjective) {
  const ServiceProfile p = Profile("p", 0.05, 0, {{1000, 1, 0.010}, {1000, 5, 0.030}});
  ASSERT_EQ(p.whole().batch_max(), 4);  // l(4) = 25 ms is half of 50 ms; l(5) is not.
  EXPECT_DOUBLE_EQ(p.whole().service_s[1], 0.015);
  EXPECT_DOUBLE_EQ(p.whole().Service(2.5), 0.0175);
  ServiceProfile slow;
  slow.slo_s = 0.01;
  EXPECT_NE(BuildShares({{1000, 1, 0.010}}, &slow), "");
  EXPECT_NE(BuildShares({{500, 1, 0.001}}, &slow), "");   // No whole card.
  EXPECT_NE(BuildShares({{1000, 2, 0.001}}, &slow), "");  // No batch of one.
}

TEST(FleetSimulate, TwoRequestsOneAfterTheOther) {
  OneCard one;
  const FleetOutcome out = one.Play({1.000, 1.004});
  EXPECT_EQ(out.requests(), 2);
  EXPECT_EQ(out.violations(), 0);
  // 1.000 to 1.010, then 1.010 to 1.020: 20 ms of 96 s.
  EXPECT_NEAR(out.cards[0].busy_s, 0.020, 1e-12);
  EXPECT_NEAR(out.work_s(), 0.020, 1e-12);
  EXPECT_NEAR(out.p99_s, 0.010, 1e-12);  // The lower of two values is the 99th percentile's floor.
}

TEST(FleetSimulate, WaitingRequestsFormABatch) {
  OneCard one;
  one.plan.servers[0].members[0].batch_max = 8;
  const FleetOutcome out = one.Play({1.000, 1.001, 1.002, 1.003});
  // The first alone (10 ms), the other three together: l(3) = 10 + 2/7 of 20 ms.
  EXPECT_NEAR(out.cards[0].busy_s, 0.010 + 0.010 + 0.020 * 2 / 7, 1e-12);
}

TEST(FleetSimulate, DropsWhatCannotBeInTime) {
  OneCard one;
  one.spec.profiles[0].slo_s = 0.2001;  // 10 ms each: twenty make it.
  std::vector<double> arrivals(40, 1.0);
  const FleetOutcome out = one.Play(arrivals);
  EXPECT_EQ(out.models[0].in_time, 20);
  EXPECT_EQ(out.models[0].dropped, 20);
  EXPECT_EQ(out.models[0].late, 0);
  EXPECT_EQ(out.requests(), 40);
  EXPECT_NEAR(out.attainment(), 0.5, 1e-12);
}

TEST(FleetSimulate, EarliestDeadlineGoesFirst) {
  OneCard one;
  one.fleet.models.resize(2);
  one.fleet.models[1].profile = 1;  // 300 ms allowed against 200 ms.
  one.plan.servers[0].members = {{1, 1, 1}, {0, 1, 1}};
  std::vector<double> tight(19, 1.0), loose(10, 1.0);
  const FleetOutcome out = SimulateFleet(one.spec, one.fleet, one.plan, {tight, loose});
  EXPECT_EQ(out.violations(), 0);  // 19 x 10 ms, then ten more within 290 ms.
}

TEST(FleetSimulate, TwoSlicesAtOnceAreOneBusyCard) {
  OneCard one;
  one.fleet.models.resize(2);
  one.plan.servers = {{0, 500, 1, 8, {{0, 1, 1}}}, {0, 250, 1, 8, {{1, 1, 1}}}};
  const FleetOutcome out = SimulateFleet(one.spec, one.fleet, one.plan, {{1.0}, {1.0}});
  // 12 ms on a half and 20 ms on a quarter, both from 1.0: busy 20 ms.
  EXPECT_NEAR(out.cards[0].busy_s, 0.020, 1e-12);
  EXPECT_NEAR(out.cards[0].active_s, 0.012 * 0.5 + 0.020 * 0.25, 1e-12);
  EXPECT_NEAR(out.models[0].work_s, 0.006, 1e-12);
  EXPECT_NEAR(out.models[1].work_s, 0.014, 1e-12);
}

TEST(FleetSimulate, RouterKeepsTheParts) {
  OneCard one;
  one.plan.cards = 2;
  one.plan.servers = {{0, 1000, 1, 8, {{0, 0.75, 1}}}, {1, 1000, 1, 8, {{0, 0.25, 1}}}};
  std::vector<double> arrivals;
  for (int i = 0; i < 400; ++i) arrivals.push_back(0.2 * i);
  const FleetOutcome out = one.Play(arrivals);
  EXPECT_NEAR(out.cards[0].busy_s, 300 * 0.010, 1e-9);
  EXPECT_NEAR(out.cards[1].busy_s, 100 * 0.010, 1e-9);
}

TEST(Fleet, SameSeedSameFleetAndStreams) {
  const FleetSpec spec = SmallSpec();
  const Fleet a = DrawFleet(spec, 7), b = DrawFleet(spec, 7), c = DrawFleet(spec, 8);
  EXPECT_EQ(a.models[3].test, b.models[3].test);
  EXPECT_NE(a.models[3].test, c.models[3].test);
  EXPECT_EQ(DrawStreams(spec, a, Day::kTest, 7), DrawStreams(spec, b, Day::kTest, 7));
  double mean = 0;
  for (const FleetModel& model : a.models) {
    for (const double rate : model.learned) mean += rate / kHours;
  }
  EXPECT_NEAR(mean, spec.requests_per_s, 1e-9);
}

TEST(FleetPlan, EveryLeverSetIsSoundAndAboveItsBounds) {
  const FleetSpec spec = SmallSpec();
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Fleet fleet = DrawFleet(spec, seed);
    for (std::uint32_t levers = 0; levers < kLeverSets; ++levers) {
      SCOPED_TRACE(LeverSetName(levers));
      const FleetPlan plan = PlanFleetCards(spec, fleet, levers);
      EXPECT_EQ(CheckFleetPlan(spec, fleet, plan), "");
      for (const Bound& bound : FleetBounds(spec, fleet, levers)) {
        EXPECT_LE(bound.cards(), plan.cards) << bound.name;
      }
    }
  }
}

TEST(FleetPlan, BaseIsAWholeCardEach) {
  FleetSpec spec = SmallSpec();
  spec.requests_per_s = 12;
  const Fleet fleet = DrawFleet(spec, 1);
  const FleetPlan plan = PlanFleetCards(spec, fleet, 0);
  EXPECT_EQ(plan.cards, 12);
  EXPECT_EQ(plan.migrations, 0);
  EXPECT_LT(PlanFleetCards(spec, fleet, kMixed).cards, 6);
}

TEST(FleetPlan, NobodyWhoDeclinesIsTouched) {
  FleetSpec spec = SmallSpec();
  spec.adoption = 0;
  const Fleet fleet = DrawFleet(spec, 3);
  EXPECT_EQ(PlanFleetCards(spec, fleet, kAllLevers).cards, PlanFleetCards(spec, fleet, 0).cards);
}

TEST(FleetPlan, InterferenceNeedsNoFewerCards) {
  FleetSpec spec = SmallSpec();
  const Fleet fleet = DrawFleet(spec, 3);
  const std::int32_t calm = PlanFleetCards(spec, fleet, kSlices).cards;
  spec.interference = 1.5;
  const FleetPlan plan = PlanFleetCards(spec, fleet, kSlices);
  EXPECT_GE(plan.cards, calm);
  EXPECT_EQ(CheckFleetPlan(spec, fleet, plan), "");
}

TEST(FleetPlan, CheckSeesAnOverfullCardAndAForgottenModel) {
  const FleetSpec spec = SmallSpec();
  const Fleet fleet = DrawFleet(spec, 3);
  const FleetPlan plan = PlanFleetCards(spec, fleet, kAllLevers);
  FleetPlan bad = plan;
  bad.servers.back().members.pop_back();
  EXPECT_NE(CheckFleetPlan(spec, fleet, bad), "");
  bad = plan;
  for (PlanServer& server : bad.servers) {
    if (server.card == 0) server.memory_gib = 33;
  }
  EXPECT_NE(CheckFleetPlan(spec, fleet, bad), "");
}

TEST(FleetStudy, ConservesRequestsAndKeepsTheIdentity) {
  StudyOptions options;
  options.seeds = 2;
  const auto study = StudyFleet(SmallSpec(), options);
  ASSERT_TRUE(study.ok()) << study.status().ToString();
  for (const SeedResult& seed : *study) {
    const std::int64_t requests = seed.sets[0].outcome.requests();
    std::size_t drawn = 0;
    for (const auto& stream : DrawStreams(SmallSpec(), seed.fleet, Day::kTest, seed.seed)) {
      drawn += stream.size();
    }
    for (const LeverResult& set : seed.sets) {
      EXPECT_EQ(set.outcome.requests(), requests);
      EXPECT_EQ(set.outcome.requests(), static_cast<std::int64_t>(drawn));
      EXPECT_TRUE(set.identity.holds());
    }
    double sum = 0;
    for (const double share : seed.shapley) sum += share;
    EXPECT_NEAR(sum, seed.sets[0].plan.cards - seed.sets[kAllLevers].plan.cards, 1e-9);
    EXPECT_GT(seed.saving(), 0.3);
  }
}

TEST(FleetStudy, SameSeedSameResult) {
  StudyOptions options;
  options.seeds = 1;
  options.all_sets = false;
  const auto a = StudyFleet(SmallSpec(), options), b = StudyFleet(SmallSpec(), options);
  ASSERT_TRUE(a.ok() && b.ok());
  const FleetOutcome &x = (*a)[0].sets[kAllLevers].outcome, &y = (*b)[0].sets[kAllLevers].outcome;
  EXPECT_EQ(x.mean_busy(), y.mean_busy());
  EXPECT_EQ(x.p99_s, y.p99_s);
  EXPECT_EQ(x.violations(), y.violations());
}

TEST(FleetStudy, IdentityBreaksOnTamperedData) {
  StudyOptions options;
  options.seeds = 1;
  options.all_sets = false;
  const auto study = StudyFleet(SmallSpec(), options);
  ASSERT_TRUE(study.ok());
  const LeverResult& base = (*study)[0].sets[0];
  const LeverResult& all = (*study)[0].sets[kAllLevers];
  EXPECT_TRUE(CheckIdentity(base.outcome, base.plan.cards, all.outcome, all.plan.cards).holds());
  FleetOutcome tampered = all.outcome;
  tampered.cards.push_back({0, 0});  // One idle card more than the plan says.
  EXPECT_FALSE(CheckIdentity(base.outcome, base.plan.cards, tampered, all.plan.cards).holds());
  tampered = base.outcome;
  const auto idle = std::min_element(
      tampered.cards.begin(), tampered.cards.end(),
      [](const CardOutcome& x, const CardOutcome& y) { return x.busy_s < y.busy_s; });
  tampered.cards.erase(idle);  // The idlest card left out of the mean.
  EXPECT_FALSE(CheckIdentity(base.outcome, base.plan.cards, tampered, base.plan.cards).holds());
  tampered = all.outcome;
  tampered.models[0].work_s *= 1.001;
  EXPECT_FALSE(CheckIdentity(base.outcome, base.plan.cards, tampered, all.plan.cards).holds());
}

TEST(Shapley, OrdersAndSharesOfAHandMadeGame) {
  const auto orders = LeverOrders();
  ASSERT_EQ(orders.size(), 24u);
  // Levers 0 and 1 are worth 6 together and nothing apart, lever 2 adds 3 always, lever 3 nothing.
  std::array<double, kLeverSets> worth{};
  for (std::uint32_t s = 0; s < kLeverSets; ++s)
    worth[s] = ((s & 3) == 3 ? 6 : 0) + (s & 4 ? 3 : 0);
  const auto shares = ShapleyShares(worth);
  EXPECT_NEAR(shares[0], 3, 1e-12);
  EXPECT_NEAR(shares[1], 3, 1e-12);
  EXPECT_NEAR(shares[2], 3, 1e-12);
  EXPECT_NEAR(shares[3], 0, 1e-12);
}

TEST(Shapley, SumsToTheWholeForRandomGames) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    std::array<double, kLeverSets> worth{};
    for (std::uint32_t s = 1; s < kLeverSets; ++s) worth[s] = 100 * random.Uniform();
    double sum = 0;
    for (const double share : ShapleyShares(worth)) sum += share;
    EXPECT_NEAR(sum, worth[kAllLevers], 1e-9);
  }
}

constexpr char kFleet[] = R"({"models": 3,
 "traffic": {"zipf": 1, "requests_per_s": 5, "seconds_per_hour": 2,
   "hours": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]},
 "memory": {"card_gib": 16, "resident_gib": [2], "peak_gib": [3]},
 "declared": {"headroom": 2, "shares": [500]},
 "cpu": {"cores": 4, "cores_per_card": 32},
 "right_size": {"margin": 1.2, "memory_margin": 1.1, "safety_z": 3},
 "profiles": [{"name": "p", "slo_ms": 100, "cpu_ms": 5, "rows": [[1000, 1, 10]]}]})";

std::string Replaced(std::string from, std::string to) {
  std::string text = kFleet;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(FleetFile, ReadsAndNamesWhatIsWrong) {
  const auto spec = ReadFleet("f.json", kFleet);
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  EXPECT_EQ(spec->models, 3);
  EXPECT_DOUBLE_EQ(spec->profiles[0].cpu_s, 0.005);
  const struct {
    const char *from, *to, *says;
  } kCases[] = {
      {"\"models\": 3", "\"models\": 0", "f.json: models: 0 is out of range"},
      {"\"models\": 3", "\"models\": 3e14", "f.json: models: 300000000000000 is out of range"},
      {"\"models\": 3", "\"models\": 2.5", "whole number"},
      {"\"models\": 3,", "", "f.json: models: missing"},
      {"\"zipf\": 1", "\"zpf\": 1", "traffic.zipf: missing"},
      {"\"zipf\": 1", "\"zipf\": 1, \"zipff\": 2", "traffic.zipff: unknown; known here: "},
      {"[1,1,1,", "[1,1,", "24 numbers"},
      {"\"zipf\": 1", "\"zipf\": \"x\"", "expected a number"},
      {"\"peak_gib\": [3]", "\"peak_gib\": [3, 4]", "as long as resident_gib"},
      {"\"peak_gib\": [3]", "\"peak_gib\": [17]", "at most card_gib"},
      {"[[1000, 1, 10]]", "[[1000, 1]]", "rows[0]: expected [share"},
      {"[[1000, 1, 10]]", "[[1000, 1, 90]]", "half its SLO"},
      {"[[1000, 1, 10]]", "[]", "whole card"},
      {"\"models\": 3,", "\"models\": 3", "not a JSON object"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.to);
    const auto bad = ReadFleet("f.json", Replaced(c.from, c.to));
    ASSERT_FALSE(bad.ok());
    EXPECT_NE(bad.status().message().find(c.says), std::string::npos) << bad.status().message();
    EXPECT_EQ(bad.status().message().rfind("f.json", 0), 0u) << bad.status().message();
  }
  EXPECT_FALSE(ReadFleet("f.json", "").ok());
  EXPECT_FALSE(ReadFleet("f.json", "[1]").ok());
}

}  // namespace
}  // namespace brim::planner
