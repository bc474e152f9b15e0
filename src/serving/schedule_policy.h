// Decides which version a free worker runs next.
//
// Pure: no lock, no clock, no heap. Versions share the workers by start-time fair queueing: each
// carries a virtual time, the CPU it was given since it began to wait; the least served runs first.
// So a version that always has sixteen heavy requests waiting cannot hold back one that asks for
// microseconds now and then. Stated priorities and near deadlines go first, but only while the
// version they belong to is not far ahead of the least served one: urgency borrows from the others,
// it does not take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"

namespace brim::serving {

struct Candidate {  // A version with a batch to launch and a free copy.
  std::int64_t virtual_ns = 0;
  Time oldest;                 // When its front request was enqueued.
  Time expires = Time::max();  // Of its front request.
  Duration usual_run{0};
  std::uint32_t priority = 0;  // Of its front request; smaller is more urgent.
};

// How far ahead of the least served a version may be served because it is urgent.
inline constexpr std::int64_t kLeadMaxNs = 50'000'000;

// REQUIRES: candidates is not empty. Returns an index.
std::size_t PickVersion(std::span<const Candidate> candidates, Time now);

// The virtual time with which a version joins those that wait: it brings no credit from when it
// asked for nothing.
std::int64_t JoinVirtualTime(std::int64_t own_ns, std::int64_t clock_ns);

}  // namespace brim::serving
