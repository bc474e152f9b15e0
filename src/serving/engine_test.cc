// Engine against a runtime made of C functions. Nothing sleeps: runs are held by latches, and the
// clock moves only when told to.
#include "serving/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "serving/engine_test_rig.h"
#include "serving/lane.h"

namespace brim::serving {
namespace {

TEST_F(EngineTest, RunsOnAWorkerAndCounts) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [this](const brim_run& run, brim_done done, void* context) {
    clock_.Advance(milliseconds(3));
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model);
  TestRequest request(version, {1, 2, 3, 4}, 2);
  InferAndWait(&request);
  EXPECT_TRUE(request.status.ok()) << request.status.ToString();
  EXPECT_EQ(request.answer, request.values);
  EXPECT_EQ(request.shape, (model::Shape{2, 2}));
  EXPECT_NE(request.thread, std::this_thread::get_id());
  EXPECT_EQ(request.infer_ns, 3'000'000u);
  EXPECT_EQ(request.batch_rows, 2u);
  ASSERT_TRUE(engine_->Drain(Time::max()));
  const VersionStats& stats = version->stats();
  EXPECT_EQ(stats.success.Get(), 1u);
  EXPECT_EQ(stats.inferences.Get(), 2u);
  EXPECT_EQ(stats.executions.Get(), 1u);
  EXPECT_EQ(stats.infer_ns.Get(), 3'000'000u);
  EXPECT_EQ(stats.request_ns.Get(), 3'000'000u);
  EXPECT_EQ(stats.cpu_ns.Get(), 3'000'000u);
  EXPECT_EQ(stats.pending.load(), 0);
  EXPECT_EQ(stats.last_inference_ms.load(), 1700000000123);
  EXPECT_EQ(stats.batch[2].executions.Get(), 1u);
  EXPECT_EQ(stats.latency.Read().count, 1u);
}

TEST_F(EngineTest, RefusesWhatDoesNotFitTheSignature) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  TestRequest request(version, {1});
  request.inputs[0].dtype = model::DType::kInt32;
  InferAndWait(&request);
  EXPECT_EQ(request.status.code(), Code::kInvalidArgument);
  EXPECT_EQ(Failures(version, FailureKind::kOther), 1u);
  TestRequest foreign(version, {1});
  const model::Signature other = version->info().Default();
  foreign.signature = &other;
  InferAndWait(&foreign);
  EXPECT_EQ(foreign.status.code(), Code::kInternal);
}

TEST_F(EngineTest, RefusesMoreRowsThanMaxBatchSize) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  ModelConfig config = Config();
  config.max_batch_size = 2;
  const VersionHandle version = MakeVersion(&model, config);
  TestRequest request(version, {1, 2, 3}, 3);
  InferAndWait(&request);
  EXPECT_EQ(request.status.message(), "inference request batch-size must be <= 2 for 'm', got 3");
}

TEST_F(EngineTest, AnswersTheRuntimesErrorsPerRequest) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [](const brim_run&, brim_done done, void* context) {
    done(context, 13, "no luck", nullptr, 0);
  };
  const VersionHandle version = MakeVersion(&model);
  TestRequest request(version, {1});
  InferAndWait(&request);
  EXPECT_EQ(request.status.code(), Code::kInternal);
  EXPECT_NE(request.status.message().find("no luck"), std::string::npos);
  EXPECT_EQ(Failures(version, FailureKind::kBackend), 1u);
  EXPECT_EQ(version->stats().pending.load(), 0);
}

TEST_F(EngineTest, AWrongNumberOfOutputsIsAnError) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [](const brim_run&, brim_done done, void* context) {
    done(context, 0, nullptr, nullptr, 0);
  };
  TestRequest request(MakeVersion(&model), {1});
  InferAndWait(&request);
  EXPECT_EQ(request.status.code(), Code::kInternal);
}

TEST_F(EngineTest, RunsAQuickModelOnTheCallersThreadOnceKnown) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  for (int i = 0; i < 3; ++i) {
    TestRequest request(version, {1});
    request.may_run_here = true;
    InferAndWait(&request);
    EXPECT_NE(request.thread, std::this_thread::get_id());
    // Its copy is given back after the answer.
    while (version->copies_free() == 0) std::this_thread::yield();
  }
  TestRequest request(version, {1});
  request.may_run_here = true;
  engine_->Infer(&request);
  EXPECT_EQ(request.thread, std::this_thread::get_id());
  EXPECT_EQ(request.answer, request.values);
  TestRequest not_here(version, {1});
  InferAndWait(&not_here);
  EXPECT_NE(not_here.thread, std::this_thread::get_id());
}

TEST_F(EngineTest, RunsHereEvenWhenAllWorkersAreBusyWithOthers) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  Teach(version, microseconds(10));
  Held held(this);
  TestRequest request(version, {1});
  request.may_run_here = true;
  engine_->Infer(&request);
  EXPECT_EQ(request.thread, std::this_thread::get_id());
  held.Free();
}

TEST_F(EngineTest, NeverRunsASlowModelHere) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  Teach(version, milliseconds(1));
  TestRequest request(version, {1});
  request.may_run_here = true;
  InferAndWait(&request);
  EXPECT_NE(request.thread, std::this_thread::get_id());
}

TEST_F(EngineTest, ARequestMadeWhileAnotherIsAnsweredDoesNotNest) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model, Config(), 2);
  Teach(version, microseconds(10));
  TestRequest inner(version, {2});
  inner.may_run_here = true;
  TestRequest outer(version, {1});
  outer.may_run_here = true;
  outer.then = [&] { engine_->Infer(&inner); };
  engine_->Infer(&outer);
  EXPECT_EQ(outer.thread, std::this_thread::get_id());
  inner.done.Wait();
  EXPECT_NE(inner.thread, std::this_thread::get_id());
}

TEST_F(EngineTest, WaitsForACopyThatRunsHere) {
  StartEngine();
  FakeModel& model = NewModel();
  Event second_queued;
  std::atomic<int> runs{0};
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    if (runs++ == 0) second_queued.Wait();
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model);
  Teach(version, microseconds(10));
  TestRequest first(version, {1});
  first.may_run_here = true;
  std::thread loop([&] { engine_->Infer(&first); });
  while (runs == 0) std::this_thread::yield();
  TestRequest second(version, {2});
  engine_->Infer(
      &second);  // The only copy runs on the other thread: it waits, and is run when that returns.
  second_queued.Set();
  second.done.Wait();
  loop.join();
  EXPECT_EQ(second.answer, second.values);
}

TEST_F(EngineTest, JoinsWhatQueuedWhileBusyAndSplitsTheAnswers) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<std::int64_t> rows;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    rows.push_back(RowsIn(run));
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(8));
  Held held(this);
  TestRequest a(version, {1, 2}, 1), b(version, {3, 4, 5, 6}, 2), c(version, {7, 8}, 1);
  for (TestRequest* request : {&a, &b, &c}) engine_->Infer(request);
  EXPECT_EQ(version->stats().pending.load(), 3);
  held.Free();
  for (TestRequest* request : {&a, &b, &c}) {
    request->done.Wait();
    EXPECT_TRUE(request->status.ok());
    EXPECT_EQ(request->answer, request->values);
    EXPECT_EQ(request->batch_rows, 4u);
  }
  EXPECT_EQ(b.shape, (model::Shape{2, 2}));
  EXPECT_EQ(rows, (std::vector<std::int64_t>{4}));
  ASSERT_TRUE(engine_->Drain(Time::max()));
  EXPECT_EQ(version->stats().batch[4].executions.Get(), 1u);
  EXPECT_EQ(version->stats().success.Get(), 3u);
  EXPECT_EQ(version->stats().inferences.Get(), 4u);
}

TEST_F(EngineTest, DoesNotJoinOtherShapes) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<std::int64_t> rows;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    rows.push_back(RowsIn(run));
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(8));
  Held held(this);
  TestRequest a(version, {1, 2}), b(version, {3, 4}), c(version, {5, 6, 7}), d(version, {8, 9});
  for (TestRequest* request : {&a, &b, &c, &d}) engine_->Infer(request);
  held.Free();
  for (TestRequest* request : {&a, &b, &c, &d}) {
    request->done.Wait();
    EXPECT_EQ(request->answer, request->values);
  }
  EXPECT_EQ(rows, (std::vector<std::int64_t>{2, 1, 1}));
}

TEST_F(EngineTest, AModelThatRefusesJoinedRowsIsNeverJoinedAgain) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<std::int64_t> rows;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    rows.push_back(RowsIn(run));
    if (RowsIn(run) > 1) return done(context, 3, "batch must be 1", nullptr, 0);
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(8));
  for (int round = 0; round < 2; ++round) {
    Held held(this);
    TestRequest a(version, {1}), b(version, {2}), c(version, {3});
    for (TestRequest* request : {&a, &b, &c}) engine_->Infer(request);
    held.Free();
    for (TestRequest* request : {&a, &b, &c}) {
      request->done.Wait();
      EXPECT_TRUE(request->status.ok()) << request->status.ToString();
      EXPECT_EQ(request->answer, request->values);
    }
  }
  EXPECT_EQ(rows, (std::vector<std::int64_t>{3, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(version->lane().learnt.joining_forbidden());
  EXPECT_EQ(version->stats().pending.load(), 0);
}

TEST_F(EngineTest, AModelWhoseOutputHasNoRowsIsNeverJoinedAgain) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    const float sum = static_cast<float>(ValuesIn(run).size());
    const std::int64_t dims[] = {1, 1};
    const brim_tensor output{"y", BRIM_FP32, 2, dims, &sum, sizeof(sum)};
    done(context, 0, nullptr, &output, 1);
  };
  const VersionHandle version = MakeVersion(&model, Config(8));
  Held held(this);
  TestRequest a(version, {1}), b(version, {2});
  engine_->Infer(&a);
  engine_->Infer(&b);
  held.Free();
  for (TestRequest* request : {&a, &b}) {
    request->done.Wait();
    EXPECT_TRUE(request->status.ok());
    EXPECT_EQ(request->answer, (std::vector<float>{1}));
  }
  EXPECT_TRUE(version->lane().learnt.joining_forbidden());
}

TEST_F(EngineTest, OneBadRequestOfABatchFailsAlone) {
  StartEngine();
  FakeModel& model = NewModel();
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    for (const float value : ValuesIn(run)) {
      if (value < 0) return done(context, 3, "negative", nullptr, 0);
    }
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(8));
  Held held(this);
  TestRequest a(version, {1}), b(version, {-2}), c(version, {3});
  for (TestRequest* request : {&a, &b, &c}) engine_->Infer(request);
  held.Free();
  for (TestRequest* request : {&a, &b, &c}) request->done.Wait();
  EXPECT_TRUE(a.status.ok());
  EXPECT_EQ(b.status.code(), Code::kInvalidArgument);
  EXPECT_TRUE(c.status.ok());
  ASSERT_TRUE(engine_->Drain(Time::max()));
  EXPECT_FALSE(version->lane().learnt.joining_forbidden());
}

TEST_F(EngineTest, LeavesAloneWhatJoiningDoesNotHelp) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<std::int64_t> rows;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    rows.push_back(RowsIn(run));
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(8, milliseconds(5)));
  Teach(version, milliseconds(8));
  version->lane().learnt.ObserveCost(4, milliseconds(32));
  Held held(this);
  TestRequest a(version, {1}), b(version, {2});
  engine_->Infer(&a);
  engine_->Infer(&b);
  held.Free();
  a.done.Wait();
  b.done.Wait();  // Nor does it wait for company.
  EXPECT_EQ(rows, (std::vector<std::int64_t>{1, 1}));
}

TEST_F(EngineTest, WaitsForCompanyUntilTheBatchIsFull) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<std::int64_t> rows;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    rows.push_back(RowsIn(run));
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model, Config(2, milliseconds(5)));
  TestRequest a(version, {1}), b(version, {2});
  engine_->Infer(&a);
  engine_->Infer(&b);
  a.done.Wait();
  b.done.Wait();
  EXPECT_EQ(rows, (std::vector<std::int64_t>{2}));
}

TEST_F(EngineTest, RunsAloneWhenTheDelayIsOver) {
  StartEngine(2);
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model, Config(2, milliseconds(5)));
  TestRequest lonely(version, {1});
  engine_->Infer(&lonely);
  clock_.Advance(milliseconds(5));
  FakeModel& other_model = NewModel(Identity);
  TestRequest other(MakeVersion(&other_model), {2});
  engine_->Infer(&other);  // The clock of this test wakes nobody: an arrival does.
  lonely.done.Wait();
  other.done.Wait();
  EXPECT_EQ(lonely.batch_rows, 1u);
}

TEST_F(EngineTest, RefusesWhenTheVersionsQueueIsFull) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  ModelConfig config = Config();
  config.queue.requests_max = 2;
  const VersionHandle version = MakeVersion(&model, config);
  Teach(version, milliseconds(100));
  Held held(this);
  TestRequest a(version, {1}), b(version, {2}), c(version, {3});
  for (TestRequest* request : {&a, &b, &c}) engine_->Infer(request);
  c.done.Wait();
  EXPECT_EQ(c.status.code(), Code::kUnavailable);
  EXPECT_EQ(c.status.reason(), "queue_full");
  EXPECT_EQ(c.status.message().find("Exceeds maximum queue size"), 0u);
  EXPECT_EQ(c.retry_delay, milliseconds(200));
  EXPECT_EQ(Failures(version, FailureKind::kRejected), 1u);
  held.Free();
  a.done.Wait();
  b.done.Wait();
}

TEST_F(EngineTest, RefusesWhenTheServersQueueIsFull) {
  EngineOptions options;
  options.queued_requests_max = 1;
  StartEngine(1, options);
  FakeModel& model = NewModel(Identity);
  Held held(this);
  TestRequest a(MakeVersion(&model), {1}), b(MakeVersion(&model), {2});
  engine_->Infer(&a);
  engine_->Infer(&b);
  b.done.Wait();
  EXPECT_EQ(b.status.code(), Code::kResourceExhausted);
  EXPECT_GT(b.retry_delay, Duration::zero());
  held.Free();
  a.done.Wait();
}

TEST_F(EngineTest, DropsWhatWasCancelledOrExpiredWhileItWaited) {
  StartEngine();
  FakeModel& model = NewModel();
  std::atomic<int> runs{0};
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    ++runs;
    Identity(run, done, context);
  };
  ModelConfig config = Config();
  config.queue.timeout = milliseconds(50);
  const VersionHandle impatient = MakeVersion(&model, config);
  const VersionHandle version = MakeVersion(&model);
  Held held(this);
  std::atomic<bool> cancelled{false};
  TestRequest gone(version, {1}), late(version, {2}), timed_out(impatient, {3}), good(version, {4});
  gone.cancelled = &cancelled;
  late.deadline = clock_.Now() + milliseconds(100);
  for (TestRequest* request : {&gone, &late, &timed_out, &good}) engine_->Infer(request);
  cancelled = true;
  clock_.Advance(milliseconds(100));
  held.Free();
  for (TestRequest* request : {&gone, &late, &timed_out, &good}) request->done.Wait();
  EXPECT_EQ(gone.status.code(), Code::kCancelled);
  EXPECT_EQ(late.status.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(timed_out.status.code(), Code::kUnavailable);
  EXPECT_EQ(timed_out.status.reason(), "queue_timeout");
  EXPECT_EQ(timed_out.status.message(), "Request timeout expired");
  EXPECT_TRUE(good.status.ok());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(Failures(version, FailureKind::kCancelled), 1u);
  EXPECT_EQ(Failures(version, FailureKind::kRejected), 1u);
  EXPECT_EQ(Failures(impatient, FailureKind::kRejected), 1u);
  ASSERT_TRUE(engine_->Drain(Time::max()));
}

TEST_F(EngineTest, RefusesWhatComesCancelledOrExpired) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  const std::atomic<bool> cancelled{true};
  TestRequest gone(version, {1}), late(version, {1});
  gone.cancelled = &cancelled;
  late.deadline = clock_.Now();
  InferAndWait(&gone);
  InferAndWait(&late);
  EXPECT_EQ(gone.status.code(), Code::kCancelled);
  EXPECT_EQ(late.status.code(), Code::kDeadlineExceeded);
}

TEST_F(EngineTest, StatedPrioritiesGoFirst) {
  StartEngine();
  FakeModel& model = NewModel();
  std::vector<float> order;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    order.push_back(ValuesIn(run)[0]);
    Identity(run, done, context);
  };
  const VersionHandle version = MakeVersion(&model);
  Held held(this);
  TestRequest a(version, {0}), b(version, {2}), c(version, {1}), d(version, {2.5});
  b.priority = 2;
  c.priority = 1;
  d.priority = 2;
  for (TestRequest* request : {&a, &b, &c, &d}) engine_->Infer(request);
  held.Free();
  for (TestRequest* request : {&a, &b, &c, &d}) request->done.Wait();
  EXPECT_EQ(order, (std::vector<float>{1, 2, 2.5, 0}));
}

TEST_F(EngineTest, PreservesOrderWithSeveralCopies) {
  StartEngine(2);
  FakeModel& model = NewModel();
  std::atomic<int> running{0}, most{0};
  std::vector<float> order;
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    most = std::max(most.load(), ++running);
    order.push_back(ValuesIn(run)[0]);
    --running;
    Identity(run, done, context);
  };
  ModelConfig config = Config();
  config.batch.preserve_order = true;
  const VersionHandle version = MakeVersion(&model, config, 2);
  std::vector<std::unique_ptr<TestRequest>> requests;
  std::vector<float> answered;
  for (int i = 0; i < 50; ++i) {
    requests.push_back(
        std::make_unique<TestRequest>(version, std::vector<float>{static_cast<float>(i)}));
    requests.back()->then = [&answered, i] { answered.push_back(static_cast<float>(i)); };
    engine_->Infer(requests.back().get());
  }
  for (auto& request : requests) request->done.Wait();
  EXPECT_EQ(most, 1);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
}

TEST_F(EngineTest, AHeavyModelDoesNotHoldBackALightOne) {
  StartEngine();
  FakeModel &heavy_model = NewModel(), &light_model = NewModel();
  std::string order;
  heavy_model.run = [&](const brim_run& run, brim_done done, void* context) {
    clock_.Advance(milliseconds(8));
    order += 'H';
    Identity(run, done, context);
  };
  light_model.run = [&](const brim_run& run, brim_done done, void* context) {
    order += 'l';
    Identity(run, done, context);
  };
  const VersionHandle heavy = MakeVersion(&heavy_model), light = MakeVersion(&light_model);
  Teach(heavy, milliseconds(8));
  Teach(light, microseconds(10));
  Held held(this);
  std::vector<std::unique_ptr<TestRequest>> requests;
  const auto add = [&](const VersionHandle& version) {
    requests.push_back(std::make_unique<TestRequest>(version, std::vector<float>{1}));
    engine_->Infer(requests.back().get());
  };
  for (int i = 0; i < 4; ++i) add(heavy);
  for (int i = 0; i < 3; ++i) add(light);
  held.Free();
  for (auto& request : requests) request->done.Wait();
  EXPECT_EQ(order, "HlllHHH");
}

TEST_F(EngineTest, ARuntimeMayAnswerLaterFromItsOwnThread) {
  StartEngine();
  FakeModel& model = NewModel();
  std::mutex mutex;
  std::vector<std::function<void()>> answers;
  Event submitted;
  // A run's arrays live only while run() does: what is needed later is copied.
  model.run = [&](const brim_run& run, brim_done done, void* context) {
    std::lock_guard lock(mutex);
    answers.push_back([values = ValuesIn(run), done, context] {
      const std::int64_t dims[] = {1, 1};
      const brim_tensor output{"y", BRIM_FP32, 2, dims, values.data(), sizeof(float)};
      done(context, 0, nullptr, &output, 1);
    });
    submitted.Set();
  };
  const VersionHandle version = MakeVersion(&model);
  TestRequest later(version, {1}), queued(version, {2});
  engine_->Infer(&later);
  submitted.Wait();
  engine_->Infer(&queued);  // The only copy is out.
  FakeModel& other_model = NewModel(Identity);
  TestRequest other(MakeVersion(&other_model), {3});
  InferAndWait(&other);  // The worker is free.
  const auto answer_next = [&] {
    for (;;) {
      std::function<void()> next;
      {
        std::lock_guard lock(mutex);
        if (!answers.empty()) {
          next = std::move(answers.front());
          answers.erase(answers.begin());
        }
      }
      if (next) return next();
      std::this_thread::yield();
    }
  };
  std::thread device([&] {
    answer_next();
    answer_next();
  });
  later.done.Wait();
  queued.done.Wait();
  EXPECT_EQ(later.answer, later.values);
  EXPECT_EQ(queued.answer, queued.values);
  device.join();
  EXPECT_TRUE(engine_->Drain(Time::max()));
}

TEST_F(EngineTest, DestructionWaitsForARuntimeThatAnswersLater) {
  StartEngine();
  FakeModel& model = NewModel();
  Event submitted;
  std::function<void()> answer;
  model.run = [&](const brim_run&, brim_done done, void* context) {
    answer = [done, context] { done(context, 14, "device is gone", nullptr, 0); };
    submitted.Set();
  };
  TestRequest request(MakeVersion(&model), {1});
  engine_->Infer(&request);
  submitted.Wait();
  std::thread device([&] { answer(); });
  engine_.reset();
  EXPECT_EQ(request.status.code(), Code::kUnavailable);
  device.join();
}

TEST_F(EngineTest, DrainFinishesWhatIsInsideAndRefusesTheRest) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  Held held(this);
  TestRequest inside(version, {1});
  engine_->Infer(&inside);
  EXPECT_FALSE(engine_->Drain(Time{}));
  TestRequest refused(version, {2});
  InferAndWait(&refused);
  EXPECT_EQ(refused.status.code(), Code::kUnavailable);
  EXPECT_EQ(refused.status.reason(), "server_draining");
  held.Free();
  EXPECT_TRUE(engine_->Drain(Time::max()));
  EXPECT_TRUE(inside.status.ok());
}

TEST_F(EngineTest, DestructionAnswersWhatWaits) {
  engine_ = std::make_unique<Engine>(EngineOptions{}, clock_, logger_);  // Not started: all wait.
  FakeModel& model = NewModel(Identity);
  const VersionHandle version = MakeVersion(&model);
  TestRequest a(version, {1}), b(version, {2});
  engine_->Infer(&a);
  engine_->Infer(&b);
  engine_.reset();
  EXPECT_EQ(a.status.code(), Code::kUnavailable);
  EXPECT_EQ(b.status.code(), Code::kUnavailable);
  EXPECT_EQ(version->stats().pending.load(), 0);
}

TEST_F(EngineTest, KeepsNoRetiredVersionAlive) {
  StartEngine();
  FakeModel& model = NewModel(Identity);
  MutableVersionHandle version = MakeVersion(&model, Config(4));
  const std::weak_ptr<Version> retired = version;
  {
    TestRequest request(version, {1});
    version.reset();
    InferAndWait(&request);
  }
  ASSERT_TRUE(engine_->Drain(Time::max()));  // The worker lets go before it counts the request out.
  EXPECT_TRUE(retired.expired());
  EXPECT_EQ(model.freed, 1);
}

class SelfDeleting final : public InferRequest {
 public:
  SelfDeleting(const VersionHandle& handle, float number, std::atomic<int>* right,
               std::latch* latch)
      : value_(number), right_(*right), latch_(*latch) {
    version = handle;
    signature = &version->info().Default();
    inputs.push_back({"x", model::DType::kFp32, {1, 1}, std::as_bytes(std::span(&value_, 1))});
    may_run_here = true;
  }
  void OnDone(const Status& status, std::span<const model::TensorView> answers) override {
    if (status.ok() && LoadLittle<float>(answers[0].data.data()) == value_) ++right_;
    std::latch& latch = latch_;
    delete this;
    latch.count_down();
  }

 private:
  const float value_;
  std::atomic<int>& right_;
  std::latch& latch_;
};

TEST_F(EngineTest, ManyThreadsManyVersionsLoseNothing) {
  constexpr int kThreads = 4, kEach = 1000, kVersions = 3;
  StartEngine(3);
  FakeModel& model = NewModel(Identity);
  std::vector<VersionHandle> versions;
  for (int i = 0; i < kVersions; ++i) {
    ModelConfig config = Config(i == 0 ? 1 : 8);
    config.queue.requests_max = kThreads * kEach;
    versions.push_back(MakeVersion(&model, config, i + 1));
  }
  std::atomic<int> right{0};
  std::latch all(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kEach; ++i) {
        auto* request = new SelfDeleting(versions[random() % kVersions],
                                         static_cast<float>(t * kEach + i), &right, &all);
        request->may_run_here = random() % 2 == 0;
        engine_->Infer(request);
        clock_.Advance(microseconds(1));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  all.wait();
  EXPECT_EQ(right, kThreads * kEach);
  ASSERT_TRUE(engine_->Drain(Time::max()));
  std::uint64_t successes = 0;
  for (const auto& version : versions) {
    EXPECT_EQ(version->stats().pending.load(), 0);
    EXPECT_EQ(version->copies_free(), version->copies());
    successes += version->stats().success.Get();
  }
  EXPECT_EQ(successes, static_cast<std::uint64_t>(kThreads * kEach));
}

}  // namespace
}  // namespace brim::serving
