// Decides whether a request is let in, before it costs anything; and when a refused caller should
// come back.
//
// Pure: no lock, no clock, no heap. Refusing early is what keeps the accepted fast when more comes
// than can be done.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace brim::serving {

struct AdmissionState {
  bool draining = false;
  std::uint64_t waiting = 0;      // Requests of the version that wait.
  std::uint64_t waiting_max = 0;  // Zero: bounded by the total alone.
  std::uint64_t all_waiting = 0;  // Of all versions.
  std::uint64_t all_waiting_max = 0;
  Duration usual_run{0};       // Per request; zero: not known.
  std::uint32_t parallel = 1;  // How many of its requests can run at once.
  Time now;
  Time deadline = Time::max();
};

enum class Admission : std::uint8_t {
  kAdmit,
  kDraining,    // The server is leaving.
  kExpired,     // The deadline has passed.
  kQueueFull,   // Too many of this version wait.
  kServerFull,  // Too many of all versions wait.
  kHopeless,    // What waits already takes at least twice the time that is left.
};

struct AdmissionDecision {
  Admission admission = Admission::kAdmit;
  Duration retry_delay{0};  // Not zero when trying again later makes sense: 10 ms to 30 s.
};

AdmissionDecision DecideAdmission(const AdmissionState& state);

}  // namespace brim::serving
