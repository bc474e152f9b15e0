// CpuLimits: how much CPU this process may really use: affinity mask and cgroup quota (v1 and v2).
//
// Source: sched_getaffinity(2); cpu.max (Documentation/admin-guide/cgroup-v2.rst) and
// cpu.cfs_quota_us over cpu.cfs_period_us (scheduler/sched-bwc.rst), the smallest along the path
// from the process's own group to the root. Pure but for ReadCpuLimits, which reads /proc and /sys
// once at start.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

struct CpuLimits {
  std::uint32_t affinity = 1;  // CPUs in the process's mask.
  double quota = 0;            // CPUs' worth of time per period; 0: no quota.
  // Threads worth running: the smaller of both, the quota rounded up; at least 1.
  std::uint32_t Threads() const;
};

// `root` is "" on a real host; tests pass a directory that holds proc/ and sys/.
CpuLimits ReadCpuLimits(const std::string& root);

// "max 100000" -> 0, "150000 100000" -> 1.5, garbage -> 0.
double ParseCpuMax(std::string_view text);
// The group paths of /proc/self/cgroup: {controllers, path}; controllers is empty for v2.
struct CgroupLine {
  std::string controllers;
  std::string path;
};
std::vector<CgroupLine> ParseCgroup(std::string_view text);

}  // namespace brim::io
