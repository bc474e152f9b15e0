// Decides how many compiled copies of one version to hold.
//
// In caller-runs mode one compiled copy serves one worker at a time, and each costs memory and
// compile time. A cold version holds one. A version whose copies are nearly always in use while
// requests wait gets one more, up to one per worker; after a quiet spell it gives one back. So does
// a quick one whose loops often meet at the same copy: each meeting costs a hand-over, many times
// the run. Where copies are free (the runtime shares one graph) it holds one per worker from the
// start.
// Pure: no lock, clock, thread or I/O. Asked about once a second with the load of the window
// before.
#pragma once

#include <cstdint>

namespace brim::serving {

struct CopyLoad {  // What the policy may know about one version.
  std::uint32_t copies = 1;
  std::uint32_t copies_max = 1;  // At most one per worker, and what the configuration allows.
  bool copies_are_free = false;
  double busy = 0;           // Mean number of copies in use over the window.
  std::int64_t pending = 0;  // Requests inside now: waiting or running.
  // A second: quick runs that found all copies in use on their loop, and all runs.
  double misses = 0;
  double runs = 0;
  std::uint32_t quiet_windows = 0;    // Windows in a row, before this one, with a copy to spare.
  std::uint64_t copy_bytes = 0;       // Memory of one more copy; 0: unknown.
  std::uint64_t available_bytes = 0;  // Memory that the process may still take; 0: unknown.
};

enum class CopyStep : std::uint8_t { kKeep, kAdd, kDrop };

struct CopyDecision {
  CopyStep step = CopyStep::kKeep;
  std::uint32_t quiet_windows = 0;  // To be handed in with the next window.
};

// Copies are added above this share in use, dropped when fewer would still be below kQuietShare.
inline constexpr double kBusyShare = 0.7;
inline constexpr double kQuietShare = 0.5;
// Meetings a second that are worth a copy: a hand-over is about 10 us, so this is 0.1 % of a core.
inline constexpr double kMissesMax = 100;
// Quiet windows before a copy is dropped: half a minute, so that a compile is not paid every lull.
inline constexpr std::uint32_t kQuietWindows = 30;

// ENSURES: kAdd only below copies_max, kDrop only above one.
CopyDecision DecideCopies(const CopyLoad& load);

}  // namespace brim::serving
