// Processes of two slices as threads of one program, and the agent that changes the table beside
// them, so that sanitizers see what they share; none launches without it being charged.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "vgpu/limiter/arbiter.h"
#include "vgpu/limiter/cost_model.h"

namespace brim::vgpu {
namespace {

TEST(ArbiterThreadsTest, TwoProcessesOfEachOfTwoSlicesAndAnAgent) {
  const auto table = std::make_unique<CardTable>();
  const auto card = std::make_unique<CardSegment>();
  const auto costs = std::make_unique<CostModel>();
  for (TableRow* row : {&table->row[0], &table->row[1]}) row->cores = 50;
  table->rows = 2;
  Arbiter arbiters[4];
  for (std::uint32_t i = 0; i < 4; ++i) arbiters[i].Attach(table.get(), card.get(), i % 2);
  std::atomic<Ns> launched[2] = {0, 0};
  std::atomic<int> running{4};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (Ns now = kMs; now < 400 * kMs; now += 20 * kUs) {
        const std::uint64_t key = LaunchKey(1 + now % 3, 1, 32, 0);
        const Prediction prediction = costs->Predict(key, now);
        if (arbiters[i].Ask(prediction.cost, now) == 0) launched[i % 2] += prediction.cost;
        if (prediction.sample) costs->Sample(key, 10 * kUs, !arbiters[i].Contended(now));
      }
      --running;
    });
  }
  std::uint32_t cores = 50;
  while (running > 0) {
    table->row[1].cores = cores = 80 - cores;
    table->epoch.fetch_add(1);
    card->wake.fetch_add(1);
  }
  for (std::thread& thread : threads) thread.join();
  for (int slice = 0; slice < 2; ++slice) {
    EXPECT_GT(launched[slice].load(), 0);
    EXPECT_LE(launched[slice].load(), card->row[slice].gpu.load());
  }
}

}  // namespace
}  // namespace brim::vgpu
