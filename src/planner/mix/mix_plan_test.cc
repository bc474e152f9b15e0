#include "planner/mix/mix_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "planner/mix/mig_grid.h"
#include "planner/mix/mix_explain.h"
#include "planner/mix/testing.h"

namespace brim::planner {
namespace {

MixOptions Quick(Slices slices, std::uint64_t seed) {
  MixOptions options;
  options.slices = slices;
  options.seed = seed;
  options.search_tries = 150;
  options.seconds_min = 40;
  options.requests_min = 400;
  options.requests_max = 200'000;
  return options;
}

std::vector<MixModel> RandomModels(Random* random, Slices slices) {
  std::vector<MixModel> models;
  for (std::uint64_t i = 0, n = 1 + random->Below(10); i < n; ++i) {
    models.push_back(testing::RandomModel(random, "m" + std::to_string(i), slices));
    if (random->Below(3) == 0) models.back().load_ms = 5 + 20 * random->Uniform();
    if (random->Below(3) == 0) models.back().cpu_ms = 2 + 10 * random->Uniform();
    if (random->Below(8) == 0) models.back().slo_ms = 1;  // Nothing keeps that.
    if (random->Below(4) == 0) models.back().interference = 0.3 * random->Uniform();
    if (random->Below(6) == 0) models.back().rate *= 30;
  }
  return models;
}

// No card holds more than it has, and MIG instances stand where they may.
void CheckCards(const MixOptions& options, const MixPlan& plan) {
  std::vector<int> shares(static_cast<std::size_t>(plan.cards));
  std::vector<double> memory(shares.size());
  std::vector<std::vector<bool>> taken(
      shares.size(), std::vector<bool>(static_cast<std::size_t>(options.card_share())));
  for (const Segment& segment : plan.segments) {
    const std::size_t card = static_cast<std::size_t>(segment.card);
    ASSERT_LT(card, shares.size());
    shares[card] += segment.share;
    memory[card] += segment.memory_mib;
    for (int unit = segment.start; unit < segment.start + segment.share; ++unit) {
      ASSERT_LT(unit, options.card_share());
      ASSERT_FALSE(taken[card][static_cast<std::size_t>(unit)]);
      taken[card][static_cast<std::size_t>(unit)] = true;
    }
    double busy = 0;
    for (const Tenant& tenant : segment.tenants) busy += tenant.busy;
    if (segment.tenants.size() > 1) {
      ASSERT_LE(busy, options.busy_max + 1e-9);
    }
  }
  for (std::size_t card = 0; card < shares.size(); ++card) {
    ASSERT_GT(shares[card], 0);
    ASSERT_LE(shares[card], options.card_share());
    ASSERT_LE(memory[card], options.card_memory_mib + 1e-6);
  }
}

// Every model is in exactly one state, and its segments take its whole rate.
void CheckModels(const std::vector<MixModel>& models, const MixPlan& plan) {
  std::vector<double> rates(models.size());
  for (const Segment& segment : plan.segments) {
    for (const Tenant& tenant : segment.tenants)
      rates[static_cast<std::size_t>(tenant.model)] += tenant.rate;
  }
  for (std::size_t m = 0; m < models.size(); ++m) {
    const std::int32_t id = static_cast<std::int32_t>(m);
    const bool cpu = std::count(plan.on_cpu.begin(), plan.on_cpu.end(), id) == 1;
    const bool refused =
        std::count_if(plan.refused.begin(), plan.refused.end(),
                      [&](const MixRefusal& r) { return r.model == id && !r.why.empty(); }) == 1;
    ASSERT_EQ(cpu + refused + (rates[m] > 0), 1) << models[m].name;
    if (rates[m] > 0) {
      ASSERT_NEAR(rates[m], models[m].rate, 1e-6 * models[m].rate);
    }
  }
}

TEST(MixPlan, HoldsItsPropertiesOnRandomInstances) {
  int accepted = 0, plans = 0;
  for (const Slices slices : {Slices::kUnits, Slices::kMig}) {
    for (std::uint64_t seed = 1; seed <= 14; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (slices == Slices::kMig ? " mig" : " units"));
      Random random(seed);
      const std::vector<MixModel> models = RandomModels(&random, slices);
      MixOptions options = Quick(slices, seed);
      options.share_processes = seed % 4 != 0;
      if (seed % 3 == 0) options.card_price_cores = 20;
      if (seed % 2 == 0) options.card_memory_mib = 12'000;
      const Result<MixPlan> plan = PlanMix(models, options, {}, {});
      ASSERT_TRUE(plan.ok()) << plan.status().ToString();
      CheckCards(options, *plan);
      CheckModels(models, *plan);
      for (const Bound& bound : plan->bounds) ASSERT_GE(plan->cards, bound.cards()) << bound.name;
      if (plan->accepted) {
        for (const Outcome& outcome : plan->outcomes)
          ASSERT_GE(outcome.attainment(), options.attainment);
      }
      ++plans;
      accepted += plan->accepted || !plan->refused.empty();
      for (std::size_t m = 0; m < models.size(); ++m) {
        ASSERT_FALSE(ExplainMix(models, options, *plan, static_cast<std::int32_t>(m)).empty());
      }
    }
  }
  EXPECT_GE(accepted, plans - 2);
}

TEST(MixPlan, TheSameSeedGivesTheSamePlan) {
  Random random(5);
  const std::vector<MixModel> models = RandomModels(&random, Slices::kUnits);
  const MixOptions options = Quick(Slices::kUnits, 9);
  const MixPlan a = *PlanMix(models, options, {}, {}), b = *PlanMix(models, options, {}, {});
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (std::size_t s = 0; s < a.segments.size(); ++s) {
    EXPECT_EQ(a.segments[s].card, b.segments[s].card);
    EXPECT_EQ(a.segments[s].share, b.segments[s].share);
    ASSERT_EQ(a.segments[s].tenants.size(), b.segments[s].tenants.size());
    EXPECT_EQ(a.segments[s].tenants[0].model, b.segments[s].tenants[0].model);
  }
  for (std::size_t m = 0; m < models.size(); ++m)
    EXPECT_EQ(a.outcomes[m].p99_ms, b.outcomes[m].p99_ms);
}

// Models that keep their objective only at a measured point of two processes are never joined.
TEST(MixPlan, AMeasuredPointHasOneModel) {
  Random random(3);
  std::vector<MixModel> models;
  for (int i = 0; i < 6; ++i) {
    models.push_back(testing::RandomModel(&random, "m" + std::to_string(i), Slices::kMig));
    models.back().weights_mib = 100;
    models.back().slo_ms = 2000;
    models.back().rate = i < 3 ? 2000 : 5;
  }
  const MixPlan plan = *PlanMix(models, Quick(Slices::kMig, 1), {}, {});
  EXPECT_TRUE(plan.accepted);
  int processes = 0;
  for (const Segment& segment : plan.segments) {
    processes = std::max(processes, segment.processes);
    if (segment.processes > 1) {
      EXPECT_EQ(segment.tenants.size(), 1u);
    }
  }
  EXPECT_EQ(processes, 2);
}

// Quiet models that would take a card's slice each share one process.
TEST(MixPlan, SharedProcessesBeatOneModelPerSlice) {
  for (const Slices slices : {Slices::kUnits, Slices::kMig}) {
    std::vector<MixModel> models;
    for (int i = 0; i < 21; ++i) {
      MixModel model;
      model.name = "m" + std::to_string(i);
      model.rate = 2;
      model.slo_ms = 200;
      model.weights_mib = 300;
      model.points = testing::PointsOf({1, 0.5, 0.5, 8}, slices);
      models.push_back(model);
    }
    MixOptions options = Quick(slices, 1);
    options.share_step = 10;
    const MixPlan shared = *PlanMix(models, options, {}, {});
    options.share_processes = false;
    const MixPlan alone = *PlanMix(models, options, {}, {});
    EXPECT_TRUE(shared.accepted && alone.accepted);
    EXPECT_EQ(alone.cards, 3);
    EXPECT_EQ(shared.cards, 1);
    int used = 0;
    for (const Segment& segment : shared.segments) used += segment.share;
    EXPECT_LE(used * 4, alone.cards * options.card_share());
  }
}

// Weights that do not fit together: swapping saves cards, and its load time is in the latency.
TEST(MixPlan, SwapsWhenMemoryBinds) {
  std::vector<MixModel> models;
  for (int i = 0; i < 6; ++i) {
    MixModel model;
    model.name = "m" + std::to_string(i);
    model.rate = 0.5;
    model.slo_ms = 2000;
    model.weights_mib = 5000;
    model.points = testing::PointsOf({1, 0.5, 0.5, 8}, Slices::kUnits);
    models.push_back(model);
  }
  MixOptions options = Quick(Slices::kUnits, 1);
  options.card_memory_mib = 11'000;
  const MixPlan resident = *PlanMix(models, options, {}, {});
  for (MixModel& model : models) model.load_ms = 150;
  const MixPlan swapped = *PlanMix(models, options, {}, {});
  EXPECT_TRUE(resident.accepted && swapped.accepted);
  EXPECT_EQ(resident.cards, 3);
  EXPECT_LT(swapped.cards, resident.cards);
  EXPECT_GT(swapped.outcomes[0].mean_ms, resident.outcomes[0].mean_ms + 50);
}

TEST(MixPlan, InterferenceIsPlannedAndSimulated) {
  std::vector<MixModel> models;
  for (int i = 0; i < 2; ++i) {
    MixModel model;
    model.name = "m" + std::to_string(i);
    model.rate = 200;
    model.slo_ms = 60;
    model.weights_mib = 100;
    model.points = {{50, 1, 1, 4, 4}, {100, 1, 1, 3.9, 3.9}};
    models.push_back(model);
  }
  const MixOptions options = Quick(Slices::kUnits, 1);
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 1);
  for (MixModel& model : models) model.interference = 0.6;
  const MixPlan apart = *PlanMix(models, options, {}, {});
  EXPECT_EQ(apart.cards, 2);  // Together each would take 1.48 times as long: 1.18 of its time.
  EXPECT_TRUE(apart.accepted);
}

std::vector<MixModel> CpuModels() {
  std::vector<MixModel> models;
  for (int i = 0; i < 8; ++i) {
    MixModel model;
    model.name = "m" + std::to_string(i);
    model.rate = i < 4 ? 1 : 60;  // Four that a core hardly notices, four that want many.
    model.slo_ms = 200;
    model.weights_mib = 1000;
    model.cpu_ms = 40;
    model.points = testing::PointsOf({2, 1, 0.5, 8}, Slices::kUnits);
    models.push_back(model);
  }
  return models;
}

TEST(Homes, QuietModelsGoToCpuAndBusyOnesStay) {
  const std::vector<MixModel> models = CpuModels();
  MixOptions options = Quick(Slices::kUnits, 1);
  options.card_price_cores = 6;
  EXPECT_TRUE(PlanMix(models, options, {}, {})->on_cpu.empty());  // It would free no card.
  options.card_memory_mib = 5000;                                 // Now four leave room for four.
  const MixPlan plan = *PlanMix(models, options, {}, {});
  EXPECT_TRUE(plan.accepted);
  EXPECT_EQ(plan.cards, 1);
  EXPECT_EQ(plan.on_cpu, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_GE(plan.cpu_cores, 1);
  options.card_price_cores = 1000;  // All of it on CPU: 244 requests of 40 ms.
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 0);
  options.card_price_cores = 0.01;
  EXPECT_TRUE(PlanMix(models, options, {}, {})->on_cpu.empty());
}

// What models bear adds up to what the cards cost, and with the cores to the whole.
TEST(Homes, PricesAddUp) {
  for (const Slices slices : {Slices::kUnits, Slices::kMig}) {
    std::vector<MixModel> models = CpuModels();
    for (MixModel& model : models) model.points = testing::PointsOf({2, 1, 0.5, 8}, slices);
    MixOptions options = Quick(slices, 1);
    options.card_price_cores = 6;
    const MixPlan plan = *PlanMix(models, options, {}, {});
    ASSERT_EQ(plan.prices.size(), models.size());
    double cards = 0, cpu = 0;
    for (const HomePrice& price : plan.prices)
      (price.on_cpu ? cpu : cards) += price.on_cpu ? price.cpu : price.card;
    EXPECT_NEAR(cards + cpu, plan.cost_cores, 1e-6);
    EXPECT_NEAR(cards / 6, std::round(cards / 6), 1e-6);  // Whole cards.
    EXPECT_GE(cards / 6, 0.99);
  }
}

TEST(Homes, HysteresisKeepsWhatRuns) {
  // One model, a little cheaper on CPU: 8 cores against a card of 8.4.
  std::vector<MixModel> models(1);
  models[0] = CpuModels()[7];
  models[0].rate = 120;
  MixOptions options = Quick(Slices::kUnits, 1);
  options.card_price_cores = 8.4;
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 0);
  models[0].now = Home::kCard;
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 1);
  options.hysteresis = 0;
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 0);
  options.card_price_cores = 7.6;
  models[0].now = Home::kCpu;
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 1);
  options.hysteresis = 0.1;
  EXPECT_EQ(PlanMix(models, options, {}, {})->cards, 0);
}

TEST(MixPlan, RefusesWithReasons) {
  Random random(1);
  std::vector<MixModel> models = {testing::RandomModel(&random, "tight", Slices::kUnits),
                                  testing::RandomModel(&random, "huge", Slices::kUnits),
                                  testing::RandomModel(&random, "bare", Slices::kUnits),
                                  testing::RandomModel(&random, "flood", Slices::kUnits)};
  models[0].slo_ms = 0.1;
  models[1].weights_mib = 1e6;
  models[2].points.clear();
  models[3].rate = 1e6;
  models[3].points = {{100, 1, 1, 10, 10}};  // 10,000 cards.
  const MixPlan plan = *PlanMix(models, Quick(Slices::kUnits, 1), {}, {});
  ASSERT_EQ(plan.refused.size(), 4u);
  EXPECT_FALSE(plan.accepted);
  EXPECT_NE(plan.refused[0].why.find("objective"), std::string::npos);
  EXPECT_NE(plan.refused[1].why.find("MiB"), std::string::npos);
  EXPECT_NE(plan.refused[2].why.find("no profile"), std::string::npos);
  EXPECT_NE(plan.refused[3].why.find("wants 10000 cards"), std::string::npos);
}

TEST(MixPlan, ChecksItsInput) {
  Random random(1);
  const MixModel good = testing::RandomModel(&random, "a", Slices::kUnits);
  const MixOptions options;
  EXPECT_EQ(CheckMix(std::vector<MixModel>{good, good}, options).reason(), "bad_model");
  MixModel bad = good;
  bad.rate = std::nan("");
  EXPECT_EQ(CheckMix(std::vector<MixModel>{bad}, options).reason(), "bad_model");
  bad = good;
  bad.points[0].share = 5;
  MixOptions mig;
  mig.slices = Slices::kMig;
  EXPECT_EQ(CheckMix(std::vector<MixModel>{bad}, mig).reason(), "bad_model");
  MixOptions steps;
  steps.share_step = 7;
  EXPECT_EQ(CheckMix(std::vector<MixModel>{good}, steps).reason(), "bad_options");
  EXPECT_TRUE(CheckMix(std::vector<MixModel>{good}, options).ok());
}

TEST(MixPlan, JudgesAPlacementMadeElsewhere) {
  std::vector<MixModel> models(1);
  models[0].name = "a";
  models[0].rate = 50;
  models[0].slo_ms = 100;
  models[0].points = {{1, 1, 1, 10, 10}, {1, 4, 2, 30, 30}};
  const MixOptions options = Quick(Slices::kMig, 1);
  Segment segment;
  segment.card = 0;
  segment.share = 1;
  segment.tenants = {{0, 0, 1, 0, true}};
  const MixPlan one = *JudgeMix(models, options, {segment}, {});
  EXPECT_EQ(one.cards, 1);
  EXPECT_NEAR(one.segments[0].tenants[0].busy, 0.5, 1e-9);
  EXPECT_TRUE(one.accepted);
  models[0].rate = 150;  // More than a hundred a second does not go through.
  EXPECT_FALSE(JudgeMix(models, options, {segment}, {})->accepted);
  segment.processes = 2;
  EXPECT_EQ(JudgeMix(models, options, {segment}, {}).status().reason(), "bad_segment");
}

TEST(MixPlan, TakesRecordedArrivals) {
  std::vector<MixModel> models(1);
  models[0].name = "a";
  models[0].rate = 1;
  models[0].slo_ms = 100;
  models[0].points = {{100, 1, 1, 10, 10}};
  Arrivals arrivals;
  for (int i = 0; i < 100; ++i) arrivals[0].push_back(i);
  const MixPlan plan = *PlanMix(models, Quick(Slices::kUnits, 1), arrivals, {});
  EXPECT_TRUE(plan.accepted);
  EXPECT_EQ(plan.outcomes[0].requests, 98);  // The first two seconds only warm up.
}

}  // namespace
}  // namespace brim::planner
