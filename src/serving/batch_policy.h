// Decides which waiting requests of one version form the next batch, and whether joining pays at
// all.
//
// Pure: no lock, no clock, no heap. The scheduler owns the queue, calls DecideBatch() when a copy
// of the version is free, and does what the answer says.
//
// Waiting for company costs latency and is worth it only when company comes and joined rows are
// cheaper than single ones. Both are measured, not declared: the interval between arrivals, and the
// cost per row by batch size. So a configured delay is an upper bound. Matrix-vector models gain up
// to ten times from joining (a small MLP: 11 us a row alone, 1.2 us at 32); convolutional ones
// nothing (their single row already fills the core), and there joining would only make each wait
// for all.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <span>
#include <variant>

#include "base/clock.h"

namespace brim::serving {

struct Waiting {  // What the policies may know about one request.
  Time enqueued;
  Time expires = Time::max();  // The earlier of its deadline and the queue's timeout.
  std::uint32_t rows = 1;
  // Requests of the same group differ in axis 0 only and may be joined. 0: never joined.
  std::uint32_t group = 0;
  std::uint32_t priority = 0;  // Smaller is more urgent.
};

struct BatchLimits {
  std::uint32_t rows_max = 1;
  std::span<const std::uint32_t> preferred_rows;  // Ascending; may be empty.
  Duration delay_max{0};                          // Zero: never wait for company.
  Duration arrival_interval{0};                   // Mean between arrivals; zero: not known.
  Duration usual_run{0};                          // Zero: not known.
  bool join = true;                               // False: each request runs alone.
};

struct Launch {
  std::size_t count;
};  // Take this many from the front.
struct Shed {
  std::size_t count;
};  // Front requests that have expired.
struct Wait {
  Time until;
};  // Ask again then, or on the next event.
using BatchDecision = std::variant<Launch, Shed, Wait>;

// REQUIRES: queue is not empty and is in the order to run in. It may be cut after rows_max + 1
// requests.
// ENSURES: a Launch exceeds rows_max only when its first request alone does.
BatchDecision DecideBatch(std::span<const Waiting> queue, const BatchLimits& limits, Time now);

// Mean cost of one row in nanoseconds, by powers of two of the batch's rows: 1, 2-3, 4-7, … 64 and
// more.
struct RowCosts {
  static constexpr std::size_t kBuckets = 7;
  static std::size_t BucketOf(std::uint32_t rows) {
    const auto width = static_cast<std::size_t>(std::bit_width(rows == 0 ? 1u : rows));
    return (width < kBuckets ? width : kBuckets) - 1;
  }
  std::array<double, kBuckets> ns{};  // 0: not measured.
};

enum class BatchGain : std::uint8_t {
  kUnknown,  // Single or joined rows have not been measured: join, to learn.
  kPays,
  kDoesNotPay,
};
// A gain below a tenth does not pay: it is within what measuring varies, and every joined request
// waits for all.
BatchGain JudgeBatchGain(const RowCosts& costs);

// Whether to join this time. `choices` counts the launches that could have joined: now and then the
// other way is tried, so that what was learnt stays true.
bool JoinThisTime(BatchGain gain, const RowCosts& costs, std::uint32_t choices);

// What a run of so many rows should take, from the nearest measured batch size; zero when none is.
Duration ExpectedRun(const RowCosts& costs, std::uint32_t rows);

}  // namespace brim::serving
