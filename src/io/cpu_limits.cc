#include "io/cpu_limits.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/text.h"

namespace brim::io {
namespace {

constexpr std::size_t kFileMax = 65536;
constexpr int kDepthMax = 32;

std::string ReadSmall(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  text.resize(kFileMax);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

double SmallerQuota(double a, double b) {
  if (a <= 0) return b;
  if (b <= 0) return a;
  return std::min(a, b);
}

double QuotaV1(const std::string& directory) {
  const auto quota = ParseInt64(Trim(ReadSmall(directory + "/cpu.cfs_quota_us")));
  const auto period = ParseInt64(Trim(ReadSmall(directory + "/cpu.cfs_period_us")));
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

double QuotaV2(const std::string& directory) {
  return ParseCpuMax(ReadSmall(directory + "/cpu.max"));
}

// The smallest quota from `path` up to the mount. Inside a container the path may name a group that
// is not visible: the mount's own files then hold the limit, and the walk ends there.
template <typename Read>
double SmallestOnPath(const std::string& mount, std::string path, Read read) {
  double quota = 0;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    quota = SmallerQuota(quota, read(mount + path));
    if (path.empty() || path == "/") break;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return quota;
}

bool HasController(const std::string& controllers, std::string_view wanted) {
  for (const std::string_view controller : Split(controllers, ',')) {
    if (controller == wanted) return true;
  }
  return false;
}

}  // namespace

std::uint32_t CpuLimits::Threads() const {
  std::uint32_t threads = std::max(affinity, 1u);
  if (quota > 0) threads = std::min(threads, static_cast<std::uint32_t>(std::ceil(quota)));
  return std::max(threads, 1u);
}

double ParseCpuMax(std::string_view text) {
  const std::vector<std::string_view> words = Split(Trim(text), ' ');
  if (words.size() != 2) return 0;
  const auto quota = ParseInt64(words[0]);
  const auto period = ParseInt64(words[1]);
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::vector<CgroupLine> ParseCgroup(std::string_view text) {
  std::vector<CgroupLine> lines;
  for (const std::string_view line : Split(text, '\n')) {
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    lines.push_back({std::string(line.substr(first + 1, second - first - 1)),
                     std::string(line.substr(second + 1))});
  }
  return lines;
}

CpuLimits ReadCpuLimits(const std::string& root) {
  CpuLimits limits;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    limits.affinity = static_cast<std::uint32_t>(CPU_COUNT(&set));
  }
  for (const CgroupLine& line : ParseCgroup(ReadSmall(root + "/proc/self/cgroup"))) {
    double quota = 0;
    if (line.controllers.empty()) {
      quota = SmallestOnPath(root + "/sys/fs/cgroup", line.path, QuotaV2);
    } else if (HasController(line.controllers, "cpu")) {
      quota = SmallerQuota(SmallestOnPath(root + "/sys/fs/cgroup/cpu", line.path, QuotaV1),
                           SmallestOnPath(root + "/sys/fs/cgroup/cpu,cpuacct", line.path, QuotaV1));
    }
    limits.quota = SmallerQuota(limits.quota, quota);
  }
  return limits;
}

}  // namespace brim::io
