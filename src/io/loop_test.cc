#include "io/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace brim::io {
namespace {

using namespace std::chrono_literals;

struct Task final : Loop::Posted {
  explicit Task(std::function<void()> f) : run(std::move(f)) {}
  void RunOnLoop() override { run(); }
  std::function<void()> run;
};
struct Alarm final : Loop::Timer {
  explicit Alarm(std::function<void()> f) : run(std::move(f)) {}
  void OnTimer() override { run(); }
  std::function<void()> run;
};
struct Later final : Loop::Deferred {
  explicit Later(std::function<void()> f) : run(std::move(f)) {}
  void RunDeferred() override { run(); }
  std::function<void()> run;
};
struct Watch final : Loop::Watcher {
  explicit Watch(std::function<void(std::uint32_t)> f) : run(std::move(f)) {}
  void OnReady(std::uint32_t events) override { run(events); }
  std::function<void(std::uint32_t)> run;
};
struct Pair {
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0); }
  ~Pair() {
    close(fds[0]);
    close(fds[1]);
  }
  int fds[2];
};

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(loop.Open().ok());
    loop.RunReady();
  }
  FakeClock clock;
  Loop loop{clock};
};

TEST_F(LoopTest, PostedRunsInOrderAndMayPostAgain) {
  std::string order;
  Task again([&] { order += 'c'; });
  Task first([&] {
    order += 'a';
    loop.Post(&again);
  });
  Task second([&] { order += 'b'; });
  loop.Post(&first);
  loop.Post(&second);
  loop.RunReady();
  EXPECT_EQ(order, "ab");
  loop.RunReady();
  EXPECT_EQ(order, "abc");
}

TEST_F(LoopTest, TimersFireInOrderOfTimeOnce) {
  std::string order;
  Alarm late([&] { order += 'l'; });
  Alarm early([&] { order += 'e'; });
  Alarm moved([&] { order += 'm'; });
  Alarm cancelled([&] { order += 'x'; });
  loop.SetTimer(&late, clock.Now() + 3s);
  loop.SetTimer(&early, clock.Now() + 1s);
  loop.SetTimer(&moved, clock.Now() + 9s);
  loop.SetTimer(&moved, clock.Now() + 2s);
  loop.SetTimer(&cancelled, clock.Now() + 1s);
  loop.CancelTimer(&cancelled);
  loop.RunReady();
  EXPECT_EQ(order, "");
  clock.Advance(10s);
  loop.RunReady();
  EXPECT_EQ(order, "eml");
  clock.Advance(10s);
  loop.RunReady();
  EXPECT_EQ(order, "eml");
}

TEST_F(LoopTest, ManyTimersAgreeWithASortedList) {
  const unsigned seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<Time> due;
  std::vector<Time> fired;
  const Time start = clock.Now();
  for (std::size_t i = 0; i < 500; ++i) {
    due.push_back(start + std::chrono::milliseconds(1 + random() % 1000));
    alarms.push_back(std::make_unique<Alarm>([&, i] { fired.push_back(due[i]); }));
    loop.SetTimer(alarms.back().get(), due[i]);
  }
  for (int i = 0; i < 200; ++i) {  // Move some, drop some.
    const std::size_t at = random() % alarms.size();
    if (random() % 2 == 0) {
      due[at] = start + std::chrono::milliseconds(1 + random() % 1000);
      loop.SetTimer(alarms[at].get(), due[at]);
    } else {
      alarms[at]->run = [] {};
    }
  }
  clock.Advance(2s);
  loop.RunReady();
  EXPECT_GT(fired.size(), 300u);
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
}

TEST_F(LoopTest, TimerThatSetsItselfDoesNotHoldTheRound) {
  int fired = 0;
  Alarm alarm([] {});
  alarm.run = [&] {
    ++fired;
    loop.SetTimer(&alarm, loop.Now());
  };
  loop.SetTimer(&alarm, loop.Now());
  loop.RunReady();
  EXPECT_EQ(fired, 1);
}

TEST_F(LoopTest, DestroyedTimerAndDeferredAreForgotten) {
  {
    Alarm alarm([] { FAIL(); });
    Later later([] { FAIL(); });
    loop.SetTimer(&alarm, clock.Now());
    loop.Defer(&later);
  }
  loop.RunReady();
}

TEST_F(LoopTest, DeferredRunsOnceAfterEventsAndMayDestroyItself) {
  std::string order;
  auto* later = new Later([] {});
  later->run = [&order, later] {
    order += 'd';
    delete later;
  };
  Task task([&] {
    order += 'p';
    loop.Defer(later);
    loop.Defer(later);
  });
  loop.Post(&task);
  loop.RunReady();
  loop.RunReady();
  EXPECT_EQ(order, "pd");
}

TEST_F(LoopTest, ReadinessIsDeliveredUntilUnwatched) {
  Pair pair;
  int ready = 0;
  Watch watch([&](std::uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0u);
    ++ready;
  });
  ASSERT_TRUE(loop.Watch(pair.fds[0], EPOLLIN, &watch).ok());
  loop.RunReady();
  EXPECT_EQ(ready, 0);
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  loop.RunReady();
  EXPECT_EQ(ready, 1);
  ASSERT_TRUE(loop.Rewatch(pair.fds[0], 0, &watch).ok());
  loop.RunReady();
  EXPECT_EQ(ready, 1);
  ASSERT_TRUE(loop.Rewatch(pair.fds[0], EPOLLIN, &watch).ok());
  loop.RunReady();
  EXPECT_EQ(ready, 2);
  loop.Unwatch(pair.fds[0]);
  loop.RunReady();
  EXPECT_EQ(ready, 2);
}

TEST_F(LoopTest, DeferredWorkRunsBeforeTheWritesThatItAsksFor) {
  std::string order;
  Later first_write([&] { order += "w"; });
  Later second_write([&] { order += "x"; });
  int again = 0;
  Later work([&] {
    order += "k";
    loop.Defer(&second_write);
    if (++again == 1) loop.DeferWork(&work);
  });
  loop.Defer(&first_write);
  loop.DeferWork(&work);
  loop.DeferWork(&work);
  loop.RunReady();
  EXPECT_EQ(order, "kwx");  // What work defers anew waits for the next round.
  loop.RunReady();
  EXPECT_EQ(order, "kwxkx");
  loop.RunReady();
  EXPECT_EQ(order, "kwxkx");
  {
    Later gone([&] { order += "!"; });
    loop.DeferWork(&gone);
  }
  loop.RunReady();
  EXPECT_EQ(order, "kwxkx");
}

TEST_F(LoopTest, GathersWhatHasComeBeforeItsWork) {
  Pair a;
  Pair b;
  std::string order;
  Later work([&] { order += "k"; });
  Watch late([&](std::uint32_t) {
    order += "b";
    loop.Unwatch(b.fds[0]);
    loop.GatherBeforeWork();  // Once a round only.
  });
  Watch first([&](std::uint32_t) {
    order += "a";
    loop.Unwatch(a.fds[0]);
    loop.DeferWork(&work);
    loop.GatherBeforeWork();
    ASSERT_EQ(write(b.fds[1], "x", 1), 1);
  });
  ASSERT_TRUE(loop.Watch(a.fds[0], EPOLLIN, &first).ok());
  ASSERT_TRUE(loop.Watch(b.fds[0], EPOLLIN, &late).ok());
  ASSERT_EQ(write(a.fds[1], "x", 1), 1);
  loop.RunReady();
  EXPECT_EQ(order, "abk");
  loop.RunReady();
  EXPECT_EQ(order, "abk");
}

TEST_F(LoopTest, UnwatchDropsEventsOfTheSameRound) {
  Pair a;
  Pair b;
  int ready = 0;
  Watch watch([&](std::uint32_t) {
    ++ready;
    loop.Unwatch(a.fds[0]);
    loop.Unwatch(b.fds[0]);
  });
  ASSERT_TRUE(loop.Watch(a.fds[0], EPOLLIN, &watch).ok());
  ASSERT_TRUE(loop.Watch(b.fds[0], EPOLLIN, &watch).ok());
  ASSERT_EQ(write(a.fds[1], "x", 1), 1);
  ASSERT_EQ(write(b.fds[1], "x", 1), 1);
  loop.RunReady();
  EXPECT_EQ(ready, 1);
}

TEST(LoopThreadTest, PostsFromManyThreadsAllRun) {
  const SystemClock clock;
  Loop loop(clock);
  ASSERT_TRUE(loop.Open().ok());
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  int done = 0;
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < kThreads * kPosts; ++i) {
    tasks.push_back(std::make_unique<Task>([&] {
      EXPECT_TRUE(loop.InThread());
      if (++done == kThreads * kPosts) loop.Stop();
    }));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) loop.Post(tasks[t * kPosts + i].get());
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, kThreads * kPosts);
}

TEST(LoopThreadTest, PostWakesASleepingLoop) {
  const SystemClock clock;
  Loop loop(clock);
  ASSERT_TRUE(loop.Open().ok());
  std::thread thread([&] { loop.Run(); });
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 200; ++i) {
    tasks.push_back(std::make_unique<Task>([&ran] {
      ran.fetch_add(1);
      ran.notify_one();
    }));
    loop.Post(tasks.back().get());
    ran.wait(i);
  }
  loop.Stop();
  thread.join();
}

// Posts until a post was run by the poster, as the loop slept; `on_helped` runs in that round.
void PostUntilHelped(Loop& loop, const std::function<void()>& on_helped) {
  const std::thread::id poster = std::this_thread::get_id();
  std::vector<std::unique_ptr<Task>> tasks;
  std::atomic<int> ran{0};
  bool helped = false;  // Written and read on the poster's thread alone.
  while (!helped) {
    tasks.push_back(std::make_unique<Task>([&] {
      EXPECT_TRUE(loop.InThread());
      EXPECT_EQ(loop.IsHelped(), std::this_thread::get_id() == poster);
      if (loop.IsHelped()) {
        helped = true;
        on_helped();
      }
      ran.fetch_add(1);
      ran.notify_one();
    }));
    loop.ExpectHelp();
    loop.Post(tasks.back().get());
    loop.Help();
    EXPECT_FALSE(loop.InThread());
    ran.wait(static_cast<int>(tasks.size()) - 1);
  }
}

TEST(LoopThreadTest, AHelperRunsPostsAndWritesWhileTheLoopSleeps) {
  const SystemClock clock;
  Loop loop(clock);
  ASSERT_TRUE(loop.Open().ok());
  std::thread thread([&] { loop.Run(); });
  bool written = false;
  Later later([&] { written = true; });
  PostUntilHelped(loop, [&] { loop.Defer(&later); });
  EXPECT_TRUE(written);
  loop.Stop();
  thread.join();
}

TEST(LoopThreadTest, WhatAHelperLeavesWakesTheLoop) {
  const SystemClock clock;
  Loop loop(clock);
  ASSERT_TRUE(loop.Open().ok());
  std::thread thread([&] { loop.Run(); });
  // A timer that is due sooner than any that the loop sleeps until; a post; and a deferred one that
  // defers another.
  std::atomic<int> left{3};
  const auto done = [&] {
    EXPECT_TRUE(loop.InThread());
    left.fetch_sub(1);
    left.notify_one();
  };
  Alarm alarm(done);
  Task task(done);
  Later second(done);
  Later first([&] { loop.Defer(&second); });
  PostUntilHelped(loop, [&] {
    loop.SetTimer(&alarm, loop.Now() + 1ms);
    loop.Post(&task);
    loop.Defer(&first);
  });
  for (int now = left.load(); now != 0; now = left.load()) left.wait(now);
  loop.Stop();
  thread.join();
}

TEST(LoopThreadTest, HelpersPostersAndTheLoopTakeTurns) {
  const SystemClock clock;
  Loop loop(clock);
  ASSERT_TRUE(loop.Open().ok());
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  int done = 0;  // Of whoever drives the loop.
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < kThreads * kPosts; ++i) {
    tasks.push_back(std::make_unique<Task>([&] {
      EXPECT_TRUE(loop.InThread());
      if (++done == kThreads * kPosts) loop.Stop();
    }));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        const bool helps = (t + i) % 3 != 0;
        if (helps) loop.ExpectHelp();
        loop.Post(tasks[t * kPosts + i].get());
        if (helps) loop.Help();
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, kThreads * kPosts);
}

}  // namespace
}  // namespace brim::io
