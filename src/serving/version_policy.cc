#include "serving/version_policy.h"

#include <algorithm>
#include <functional>

namespace brim::serving {
namespace {

bool Contains(const std::vector<std::int64_t>& numbers, std::int64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

}  // namespace

std::vector<std::int64_t> WantedVersions(const VersionConfig& rule,
                                         std::span<const VersionView> versions) {
  std::vector<std::int64_t> wanted;
  for (const VersionView& version : versions) {
    if (!version.on_disk) continue;
    if (rule.rule == VersionRule::kSpecific && !Contains(rule.specific, version.number)) continue;
    wanted.push_back(version.number);
  }
  std::sort(wanted.begin(), wanted.end(), std::greater<>());
  if (rule.rule == VersionRule::kLatest && wanted.size() > rule.latest) wanted.resize(rule.latest);
  return wanted;
}

VersionAction NextVersionAction(const VersionConfig& rule, std::span<const VersionView> versions) {
  const std::vector<std::int64_t> wanted = WantedVersions(rule, versions);
  VersionAction load{VersionStep::kLoad, -1};
  VersionAction unload{VersionStep::kUnload, -1};
  bool wanted_serves = false;  // At least one.
  bool wanted_is_due = false;  // One has not been tried yet: its files may still be coming.
  for (const VersionView& version : versions) {
    if (Contains(wanted, version.number)) {
      if (!version.tried && version.settled) load.number = std::max(load.number, version.number);
      wanted_serves |= version.serving;
      wanted_is_due |= !version.tried && !version.serving;
    } else if (version.serving && (unload.number < 0 || version.number < unload.number)) {
      unload.number = version.number;
    }
  }
  if (load.number >= 0) return load;
  const bool may_leave = wanted.empty() || (wanted_serves && !wanted_is_due);
  if (unload.number >= 0 && may_leave) return unload;
  return {};
}

}  // namespace brim::serving
