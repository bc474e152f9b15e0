// Model replay: hand-computed cases in virtual time, conservation, determinism.
#include "planner/replay/model_replay.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

RequestStream Stream(std::int32_t models, std::vector<ModelRequest> requests) {
  RequestStream stream;
  for (std::int32_t m = 0; m < models; ++m) stream.models.push_back("m" + std::to_string(m));
  stream.requests = std::move(requests);
  return stream;
}

ModelReplayOptions OneCard() {
  ModelReplayOptions options;
  options.cards = 1;
  options.resident_max = 1;
  options.load_s = {10};
  options.slo_wait_s = 15;
  return options;
}

TEST(ModelReplay, ColdThenWarmThenCold) {
  // Load 10, serve 5, until 15. The second waits from 12 to 15, warm. Model 1 waits 17 to 20, then
  // loads until 30. The last request only marks the end of the window.
  const RequestStream stream =
      Stream(2, {{0, 5, 0}, {12, 5, 0}, {17, 5, 1}, {100, 1, 1}, {200, 0, 1}});
  const ModelReplay replay = ReplayModels(stream, OneCard());
  EXPECT_EQ(replay.models[0].cold_starts, 1);
  EXPECT_EQ(replay.models[1].cold_starts, 1);
  EXPECT_EQ(replay.all().in_time, 5);  // Waits 10, 3, 13, 0, 0.
  EXPECT_NEAR(replay.busy_h, 16.0 / 3600, 1e-12);
  EXPECT_NEAR(replay.load_h, 20.0 / 3600, 1e-12);
  EXPECT_NEAR(replay.card_h, 200.0 / 3600, 1e-12);
  EXPECT_NEAR(replay.wait_p50_s, 3, 1e-12);
}

TEST(ModelReplay, LateAndRefusedAndInFlight) {
  ModelReplayOptions options = OneCard();
  options.refuse_wait_s = 40;
  // Served from 10 to 40; from 50 to 80; the third waits from 51 to 80 (late) and ends at 110; the
  // fourth is expected at 110, 58 s away, and refused; the fifth waits 10 s; the last two end after
  // the window.
  const RequestStream stream = Stream(
      1,
      {{0, 30, 0}, {50, 30, 0}, {51, 30, 0}, {52, 30, 0}, {100, 30, 0}, {199, 30, 0}, {200, 0, 0}});
  const ModelReplay replay = ReplayModels(stream, options);
  EXPECT_EQ(replay.all().in_time, 3);
  EXPECT_EQ(replay.all().late, 1);
  EXPECT_EQ(replay.all().refused, 1);
  EXPECT_EQ(replay.all().in_flight, 2);
  EXPECT_NEAR(replay.all().attainment(), 3.0 / 5, 1e-12);
}

TEST(ModelReplay, LruAndCostDisagree) {
  // Two places. Model 0 is asked for every day at the same time, model 1 once just now, so LRU
  // throws 0 out for 2, cost throws 1 out.
  std::vector<ModelRequest> requests;
  for (int i = 0; i < 30; ++i) requests.push_back({60.0 * i, 1, 0});
  requests.push_back({86'000, 1, 1});
  requests.push_back({86'400, 1, 2});
  requests.push_back({86'460, 1, 0});
  ModelReplayOptions options = OneCard();
  options.resident_max = 2;
  const RequestStream stream = Stream(3, requests);
  EXPECT_EQ(ReplayModels(stream, options).models[0].cold_starts, 2);
  options.eviction = Eviction::kCost;
  EXPECT_EQ(ReplayModels(stream, options).models[0].cold_starts, 1);
}

TEST(ModelReplay, OwnCardsNeverLoad) {
  ModelReplayOptions options = OneCard();
  options.own_cards = true;
  const RequestStream stream = Stream(3, {{0, 5, 0}, {1, 5, 1}, {2, 5, 2}, {100, 1, 0}});
  const ModelReplay replay = ReplayModels(stream, options);
  EXPECT_EQ(replay.cards, 3);
  EXPECT_EQ(replay.all().cold_starts, 0);
  EXPECT_NEAR(replay.card_h, 300.0 / 3600, 1e-12);
}

TEST(ModelReplay, OwnCardsCarryTheBusiestHourWithHeadroom) {
  std::vector<ModelRequest> requests;
  for (int i = 0; i < 100; ++i) requests.push_back({36.0 * i, 54, 0});  // One and a half cards.
  requests.push_back({4000, 1, 1});
  ModelReplayOptions options = OneCard();
  options.own_cards = true;
  const ModelReplay replay = ReplayModels(Stream(2, requests), options);
  EXPECT_EQ(replay.cards, 3 + 1);
  EXPECT_EQ(replay.all().late + replay.all().refused, 0);
}

TEST(ModelReplay, FewerCardsWhenTheForecastIsLow) {
  // A busy hour, then quiet ones: the second hour is forecast from the first.
  std::vector<ModelRequest> requests;
  for (int i = 0; i < 360; ++i) requests.push_back({10.0 * i, 15, i % 2});
  for (int i = 0; i < 10; ++i) requests.push_back({3600 + 900.0 * i, 5, 0});
  ModelReplayOptions options = OneCard();
  options.cards = 4;
  options.resident_max = 2;
  const RequestStream stream = Stream(2, requests);
  const ModelReplay all = ReplayModels(stream, options);
  options.resize_every_s = 3600;
  const ModelReplay sized = ReplayModels(stream, options);
  EXPECT_EQ(all.cards, 4);
  EXPECT_LT(sized.card_h, all.card_h);
  EXPECT_GE(sized.cards_over_time.size(), 3u);
  EXPECT_EQ(sized.cards_over_time.back().second, 1);
}

TEST(ModelReplay, ConservesRequestsOnSeededStreams) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    std::vector<ModelRequest> requests;
    double t = 0;
    for (int i = 0; i < 400; ++i) {
      t += 200 * random.Exponential();
      requests.push_back(
          {t, 60 * random.Exponential(), static_cast<std::int32_t>(random.Below(9))});
    }
    ModelReplayOptions options = OneCard();
    options.cards = 3;
    options.resident_max = 2;
    options.load_s = {5, 10, 40};
    options.eviction = seed % 2 == 0 ? Eviction::kCost : Eviction::kLru;
    options.forecast_error = 0.5;
    options.resize_every_s = seed % 3 == 0 ? 3600 : 0;
    options.refuse_wait_s = 100;
    options.seed = seed;
    const RequestStream stream = Stream(9, requests);
    const ModelReplay replay = ReplayModels(stream, options);
    const ModelService all = replay.all();
    EXPECT_EQ(all.requests, 400);
    EXPECT_EQ(all.requests, all.in_time + all.late + all.refused + all.in_flight);
    EXPECT_LE(replay.busy_h + replay.load_h, replay.card_h + 1e-9);
    EXPECT_LE(replay.card_h, 3 * (replay.end_s - replay.begin_s) / 3600 + 1e-9);
    const ModelReplay again = ReplayModels(stream, options);
    EXPECT_EQ(again.all().in_time, all.in_time);
    EXPECT_EQ(again.load_h, replay.load_h);
  }
}

}  // namespace
}  // namespace brim::planner
