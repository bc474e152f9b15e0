// Decides which version of one model the loader loads or unloads next.
//
// Availability comes first, as in TensorFlow Serving's availability-preserving policy: an old
// version leaves only when a wanted one serves, or when no version is wanted at all. A version that
// failed, or that serves already, is tried again only when its files changed (or on an explicit
// load, for which the caller sets `tried` to false). A version replaced on disk is loaded anew
// under its number while the old one serves.
// Pure: no lock, clock, thread or I/O.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "serving/model_config.h"

namespace brim::serving {

struct VersionView {  // What the policy may know about one version.
  std::int64_t number = 0;
  bool on_disk = false;
  bool settled = false;  // Its files have stopped changing; a half-copied one is not loaded.
  bool serving = false;
  bool tried = false;  // These very files (and this configuration) were loaded, or failed to.
};

enum class VersionStep : std::uint8_t { kNothing, kLoad, kUnload };

struct VersionAction {
  VersionStep step = VersionStep::kNothing;
  std::int64_t number = 0;
};

// The numbers that the rule asks for among those on disk, highest first.
std::vector<std::int64_t> WantedVersions(const VersionConfig& rule,
                                         std::span<const VersionView> versions);

// Loads come first, the highest number first; then unloads, the lowest first.
// REQUIRES: numbers are unique. Any order.
VersionAction NextVersionAction(const VersionConfig& rule, std::span<const VersionView> versions);

}  // namespace brim::serving
