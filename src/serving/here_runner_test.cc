// What a loop's round brings is run by the loop, joined, at the round's end.
#include "serving/here_runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "serving/engine_test_rig.h"

namespace brim::serving {
namespace {

class HereRunnerTest : public EngineTest {
 protected:
  HereRunnerTest() {
    EXPECT_TRUE(loop_.Open().ok());
    loop_.RunReady();
  }

  // A model that notes the rows of its runs; 10 us a row alone, 2 us joined.
  FakeModel& Counted() {
    FakeModel& model = NewModel();
    model.run = [this](const brim_run& run, brim_done done, void* context) {
      {
        const std::lock_guard lock(mutex_);
        runs_.push_back(RowsIn(run));
      }
      Identity(run, done, context);
    };
    return model;
  }
  VersionHandle Joining(FakeModel* model, ModelConfig config = Config(8), int copies = 1) {
    const VersionHandle version = MakeVersion(model, std::move(config), copies, 1);
    Teach(version, microseconds(10));
    for (int i = 0; i < 8; ++i) version->lane().learnt.ObserveCost(4, microseconds(8));
    return version;
  }
  std::unique_ptr<TestRequest> Ask(const VersionHandle& version, float value) {
    auto request = std::make_unique<TestRequest>(version, std::vector<float>{value});
    request->may_run_here = true;
    request->loop = &loop_;
    engine_->Infer(request.get());
    return request;
  }
  std::vector<std::int64_t> runs() {
    const std::lock_guard lock(mutex_);
    return runs_;
  }
  static void ExpectHere(const TestRequest& request) {
    EXPECT_TRUE(request.status.ok());
    EXPECT_EQ(request.thread, std::this_thread::get_id());
    EXPECT_EQ(request.answer, request.values);
  }

  io::Loop loop_{clock_};
  std::mutex mutex_;
  std::vector<std::int64_t> runs_;
};

TEST_F(HereRunnerTest, JoinsWhatOneRoundBrings) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  std::vector<std::unique_ptr<TestRequest>> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(Ask(version, static_cast<float>(i)));
  EXPECT_TRUE(runs().empty());
  loop_.RunReady();
  for (const auto& request : requests) {
    ExpectHere(*request);
    EXPECT_EQ(request->batch_rows, 5u);
  }
  EXPECT_EQ(runs(), (std::vector<std::int64_t>{5}));
  EXPECT_EQ(version->copies_free(), 1u);
  EXPECT_EQ(version->lane().promised, 0u);
  EXPECT_TRUE(engine_->Drain(Time::max()));
}

TEST_F(HereRunnerTest, PadsToTheSizeOfTheRunBefore) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  for (int i = 0; i < 50; ++i) {
    version->lane().learnt.ObserveCost(4, microseconds(40), true);  // A changed shape is dear.
  }
  std::vector<std::unique_ptr<TestRequest>> requests;
  for (const int count : {3, 2, 1}) {
    for (int i = 0; i < count; ++i) requests.push_back(Ask(version, static_cast<float>(10 + i)));
    loop_.RunReady();
  }
  for (const auto& request : requests) ExpectHere(*request);
  EXPECT_EQ(requests[0]->batch_rows, 3u);  // As the caller sees it.
  EXPECT_EQ(runs(), (std::vector<std::int64_t>{4, 4, 4}));
  EXPECT_EQ(version->stats().inferences.Get(), 6u);
  EXPECT_EQ(version->stats().padding.Get(), 6u);
}

TEST_F(HereRunnerTest, APaddedRunThatFailsRunsAgainAsItIs) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [this](const brim_run& run, brim_done done, void* context) {
    {
      const std::lock_guard lock(mutex_);
      runs_.push_back(RowsIn(run));
    }
    if (RowsIn(run) > 1) return done(context, 13, "no luck", nullptr, 0);
    Identity(run, done, context);
  };
  const VersionHandle version = Joining(&model);
  for (int i = 0; i < 50; ++i) version->lane().learnt.ObserveCost(4, microseconds(40), true);
  Copy* const copy = version->Take();
  copy->last.rows = 4;
  version->Give(copy);
  const auto request = Ask(version, 1);
  loop_.RunReady();
  request->done.Wait();
  EXPECT_TRUE(request->status.ok());
  EXPECT_EQ(request->answer, request->values);
  ASSERT_TRUE(engine_->Drain(Time::max()));
  EXPECT_EQ(runs(), (std::vector<std::int64_t>{4, 1}));
  EXPECT_TRUE(version->lane().learnt.joining_forbidden());
}

TEST_F(HereRunnerTest, RunsWhatDoesNotJoinAtOnce) {
  StartEngine();
  const VersionHandle version = MakeVersion(&Counted());
  Teach(version, microseconds(10));
  const auto request = Ask(version, 1);
  ExpectHere(*request);
  EXPECT_EQ(runs().size(), 1u);
}

TEST_F(HereRunnerTest, SeveralVersionsOfARoundHaveEachTheirBatch) {
  StartEngine();
  FakeModel& model = Counted();
  const VersionHandle a = Joining(&model);
  const VersionHandle b = Joining(&model);
  std::vector<std::unique_ptr<TestRequest>> requests;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(Ask(a, static_cast<float>(i)));
    requests.push_back(Ask(b, static_cast<float>(10 + i)));
  }
  loop_.RunReady();
  for (const auto& request : requests) ExpectHere(*request);
  EXPECT_EQ(runs(), (std::vector<std::int64_t>{3, 3}));
}

TEST_F(HereRunnerTest, ALateRoundLeavesTheRestToTheWorkers) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [this](const brim_run& run, brim_done done, void* context) {
    clock_.Advance(milliseconds(2));  // Was quick, and is not today.
    Identity(run, done, context);
  };
  ModelConfig config = Config(2);
  const VersionHandle version = Joining(&model, config);
  std::vector<std::unique_ptr<TestRequest>> requests;
  for (int i = 0; i < 6; ++i) requests.push_back(Ask(version, static_cast<float>(i)));
  loop_.RunReady();
  ExpectHere(*requests[0]);
  ExpectHere(*requests[1]);
  for (const auto& request : requests) {
    request->done.Wait();
    EXPECT_EQ(request->answer, request->values);
  }
  EXPECT_NE(requests[5]->thread, std::this_thread::get_id());
}

TEST_F(HereRunnerTest, ABatchThatWouldTakeTooLongGoesToAWorker) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  for (int i = 0; i < 200; ++i) version->lane().learnt.ObserveCost(8, milliseconds(2));
  std::vector<std::unique_ptr<TestRequest>> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(Ask(version, static_cast<float>(i)));
  loop_.RunReady();
  for (const auto& request : requests) {
    request->done.Wait();
    EXPECT_NE(request->thread, std::this_thread::get_id());
  }
}

TEST_F(HereRunnerTest, WaitsForCompanyWhereTheOwnerAsks) {
  StartEngine();
  const VersionHandle version = Joining(&Counted(), Config(4, milliseconds(10)));
  std::vector<std::unique_ptr<TestRequest>> requests;
  requests.push_back(Ask(version, 0));
  loop_.RunReady();
  EXPECT_TRUE(runs().empty());  // Time is kept by a worker.
  for (int i = 1; i < 4; ++i) requests.push_back(Ask(version, static_cast<float>(i)));
  loop_.RunReady();
  for (const auto& request : requests) {
    request->done.Wait();
    EXPECT_EQ(request->batch_rows, 4u);
  }
}

TEST_F(HereRunnerTest, RefusesWhatExpiredDuringTheRound) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  TestRequest late(version, {1});
  late.may_run_here = true;
  late.loop = &loop_;
  late.deadline = clock_.Now() + microseconds(50);
  engine_->Infer(&late);
  std::atomic<bool> gone{false};
  TestRequest cancelled(version, {2});
  cancelled.may_run_here = true;
  cancelled.loop = &loop_;
  cancelled.cancelled = &gone;
  engine_->Infer(&cancelled);
  gone = true;
  clock_.Advance(microseconds(60));
  const auto good = Ask(version, 3);
  loop_.RunReady();
  EXPECT_EQ(late.status.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(cancelled.status.code(), Code::kCancelled);
  ExpectHere(*good);
  EXPECT_TRUE(engine_->Drain(Time::max()));
}

TEST_F(HereRunnerTest, WithoutAFreeCopyItWaitsForTheRoundAndIsCounted) {
  StartEngine();
  const VersionHandle version = MakeVersion(&Counted());
  Teach(version, microseconds(10));
  Copy* const taken = version->Take();
  const auto request = Ask(version, 1);
  EXPECT_EQ(version->stats().copy_misses.Get(), 1u);
  version->Give(taken);
  loop_.RunReady();
  ExpectHere(*request);
}

TEST_F(HereRunnerTest, ACopyThatStaysAwayLeavesItToAWorker) {
  StartEngine();
  FakeModel& model = NewModel();
  Event go, started;
  std::atomic<int> count{0};
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    if (count++ == 0) {
      started.Set();
      go.Wait();
    }
    Identity(run, done, context);
  };
  const VersionHandle version = Joining(&model);
  TestRequest first(version, {1});
  engine_->Infer(&first);  // A worker holds the only copy.
  started.Wait();
  const auto second = Ask(version, 2);
  loop_.RunReady();
  EXPECT_EQ(version->stats().copy_misses.Get(), 1u);
  go.Set();
  second->done.Wait();
  first.done.Wait();
  EXPECT_EQ(second->answer, second->values);
}

TEST_F(HereRunnerTest, AnAnswerThatAsksAgainDoesNotNest) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  std::unique_ptr<TestRequest> second;
  TestRequest first(version, {1});
  first.may_run_here = true;
  first.loop = &loop_;
  first.then = [&] {
    second = Ask(version, 2);
    EXPECT_EQ(runs().size(), 1u);
  };
  engine_->Infer(&first);
  loop_.RunReady();
  ExpectHere(first);
  loop_.RunReady();
  ExpectHere(*second);
}

TEST_F(HereRunnerTest, TheEngineStaysUntilTheRoundHasEnded) {
  StartEngine();
  const VersionHandle version = Joining(&Counted());
  const auto request = Ask(version, 1);
  std::thread other([this] { engine_.reset(); });
  loop_.RunReady();
  other.join();
  ExpectHere(*request);
}

TEST_F(HereRunnerTest, LoopsAndWorkersTogetherLoseNothing) {
  constexpr int kLoops = 3, kRounds = 300, kEach = 7;
  StartEngine(2);
  FakeModel& model = NewModel(Identity);
  const std::vector<VersionHandle> versions = {Joining(&model), Joining(&model, Config(4), 2),
                                               MakeVersion(&model)};
  Teach(versions[2], microseconds(10));
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < kLoops; ++t) {
    threads.emplace_back([&, t] {
      io::Loop loop(clock_);
      ASSERT_TRUE(loop.Open().ok());
      loop.RunReady();
      for (int round = 0; round < kRounds; ++round) {
        std::vector<std::unique_ptr<TestRequest>> requests;
        for (int i = 0; i < kEach; ++i) {
          const auto value = static_cast<float>(t * 1000 + i);
          requests.push_back(
              std::make_unique<TestRequest>(versions[(round + i) % 3], std::vector<float>{value}));
          requests.back()->may_run_here = i != 3;
          if (i != 5) requests.back()->loop = &loop;
          engine_->Infer(requests.back().get());
        }
        loop.RunReady();
        for (const auto& request : requests) {
          request->done.Wait();
          right += request->status.ok() && request->answer == request->values;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kLoops * kRounds * kEach);
  ASSERT_TRUE(engine_->Drain(Time::max()));
  for (const VersionHandle& version : versions) {
    EXPECT_EQ(version->copies_free(), version->copies());
    EXPECT_EQ(version->stats().pending.load(), 0);
    EXPECT_EQ(version->lane().promised, 0u);
  }
}

}  // namespace
}  // namespace brim::serving
