#include "serving/residency_policy.h"

namespace brim::serving {
namespace {

// One more copy must leave as much again: the compile itself takes memory, and so do requests.
bool Fits(const CopyLoad& load) {
  return load.available_bytes == 0 || load.copy_bytes <= load.available_bytes / 2;
}

}  // namespace

CopyDecision DecideCopies(const CopyLoad& load) {
  const double copies = load.copies;
  if (load.copies_are_free) {
    return {load.copies < load.copies_max ? CopyStep::kAdd : CopyStep::kKeep, 0};
  }
  // More requests inside than copies: somebody waits. Copies nearly always in use: for a copy.
  const bool waited =
      load.pending > static_cast<std::int64_t>(load.copies) && load.busy >= kBusyShare * copies;
  const bool wanted = waited || load.misses > kMissesMax;
  if (wanted && load.copies < load.copies_max && Fits(load)) return {CopyStep::kAdd, 0};
  const bool above = load.copies > load.copies_max;
  // With one copy less as many runs as these would come while another one holds it.
  const bool would_miss = load.busy / (copies - 1) * load.runs > kMissesMax && load.copies == 2;
  const bool quiet =
      load.copies > 1 && !wanted && !would_miss && load.busy < kQuietShare * (copies - 1);
  if (above && load.copies > 1) return {CopyStep::kDrop, 0};
  if (!quiet) return {};
  if (load.quiet_windows + 1 >= kQuietWindows) return {CopyStep::kDrop, 0};
  return {CopyStep::kKeep, load.quiet_windows + 1};
}

}  // namespace brim::serving
