// Replica forecasts and idle reservations.
#include "planner/rightsize/forecast.h"

#include <gtest/gtest.h>

#include <cmath>

#include "planner/rightsize/rightsize_test_data.h"

namespace brim::planner {
namespace {

constexpr std::size_t kDay = 144;  // Ten-minute steps.

Usage Days(std::size_t days) { return MadeUsage({}, days * kDay, 600); }

TEST(ForecastReplicas, TakesTheSameHourOfEarlierCyclesWithGrowth) {
  const Usage usage = Days(2);
  std::vector<float> rate(usage.slots, 10);
  rate[6 * 9] = 90;           // 09:00 of the first day.
  rate[kDay + 6 * 20] = 120;  // 20:00 of the second.
  ReplicaGoals goals;
  goals.safe_rate = 25;
  const ReplicaForecast forecast = ForecastReplicas(usage, rate, usage.all(), {}, goals);
  ASSERT_TRUE(forecast.forecast);
  EXPECT_GT(forecast.growth, 1);
  EXPECT_LE(forecast.growth, goals.growth_max);
  EXPECT_NEAR(forecast.rate_by_hour[9], 90 * forecast.growth, 1e-6);
  EXPECT_NEAR(forecast.rate_by_hour[3], 30 * forecast.growth,
              1e-6);  // The floor: a quarter of 120.
  EXPECT_EQ(forecast.replicas, 5U);
  EXPECT_EQ(forecast.replicas_by_hour[20], 5U);
  EXPECT_EQ(forecast.replicas_by_hour[3], 2U);
}

TEST(ForecastReplicas, HoursNeverSeenTakeThePeakAndWiden) {
  const Usage usage = Days(1);
  const Window half = usage.first_half();
  std::vector<float> rate(usage.slots, 40);
  ReplicaGoals goals;
  goals.safe_rate = 40;
  const ReplicaForecast forecast = ForecastReplicas(usage, rate, half, {}, goals);
  EXPECT_NEAR(forecast.rate_by_hour[23], 40 * std::sqrt(3.0), 1e-6);
  EXPECT_EQ(forecast.replicas, 2U);
  const ReplicaForecast whole = ForecastReplicas(usage, rate, usage.all(), {}, goals);
  EXPECT_EQ(whole.replicas, 1U);
}

TEST(ForecastReplicas, SaysWhatIsMissing) {
  const Usage usage = Days(1);
  ReplicaGoals goals;
  goals.safe_rate = 1;
  const ReplicaForecast none = ForecastReplicas(usage, {}, usage.all(), {}, goals);
  EXPECT_FALSE(none.forecast);
  EXPECT_FALSE(none.why.empty());
  const std::vector<float> zero(usage.slots, 0);
  const ReplicaForecast idle = ForecastReplicas(usage, zero, usage.all(), {}, goals);
  EXPECT_EQ(idle.replicas, goals.replicas_min);
}

TEST(IdleReservations, RanksByCardsTimesHours) {
  const std::vector<float> idle(kDay, 1), busy(kDay, 50);
  std::vector<float> gaps(kDay, kGap), tenth = idle;
  for (std::size_t i = 0; i < 20; ++i) gaps[i] = 0;
  for (std::size_t i = 0; i < 15; ++i) tenth[i] = 50;  // More than 10 % busy.
  Usage usage = MadeUsage(
      {MadePod("idle", idle, {}), MadePod("busy", busy, {}), MadePod("two", idle, {}),
       MadePod("gaps", gaps, {}), MadePod("tenth", tenth, {}), MadePod("unmeasured", {}, busy)},
      kDay, 600);
  usage.pods[2].who.cards = 2;
  const auto found = IdleReservations(usage, usage.all(), {}, {});
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].pod, 2U);
  EXPECT_NEAR(found[0].card_hours, 48, 1e-9);
  EXPECT_EQ(found[1].pod, 0U);
  EXPECT_EQ(found[2].pod, 3U);
  EXPECT_NEAR(found[2].hours, 20.0 / 6, 1e-9);
}

}  // namespace
}  // namespace brim::planner
