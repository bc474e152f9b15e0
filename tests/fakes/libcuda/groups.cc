// See groups.h.
#include "groups.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "state.h"

namespace fake {
namespace {

bool IsCgroup(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

std::uint64_t InodeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) ? info.st_ino : 0;
}

// Where cgroup v2 is mounted; empty: nowhere.
const std::string& MountPoint() {
  static const std::string point = [] {
    std::ifstream mounts("/proc/self/mounts");
    std::string device, path, type, rest;
    while (mounts >> device >> path >> type && std::getline(mounts, rest)) {
      if (type == "cgroup2") return path;
    }
    return std::string();
  }();
  return point;
}

// The group of a process in the tree of cgroup v2, as a full path.
std::string CgroupOf(std::int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("0::", 0) == 0) return MountPoint() + line.substr(3);
  }
  return {};
}

std::int32_t ParentOf(std::int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t bracket = text.rfind(')');
  if (bracket == std::string::npos) return 0;
  std::istringstream rest(text.substr(bracket + 1));
  char state = 0;
  std::int32_t parent = 0;
  rest >> state >> parent;
  return parent;
}

bool Named(const std::string& folder, std::int32_t pid) {
  std::ifstream file(folder + "/cgroup.procs");
  std::int32_t named = 0;
  while (file >> named) {
    if (named == pid) return true;
  }
  return false;
}

bool InGroup(std::int32_t pid, const GroupLimit& limit) {
  const std::string path = limit.path;
  if (IsCgroup(path)) {
    const std::string group = CgroupOf(pid);
    return group == path || group.rfind(path + "/", 0) == 0;
  }
  for (int generation = 0; pid > 1 && generation < 64; ++generation, pid = ParentOf(pid)) {
    for (std::uint32_t i = 0; i < Shared().limits; ++i) {
      const GroupLimit& other = Shared().limit[i];
      if (other.inode == 0 || !Named(other.path, pid)) continue;
      return &other == &limit || path == other.path;
    }
  }
  return false;
}

// A group that was removed takes its limit along.
bool Holds(GroupLimit& limit) {
  if (limit.inode == 0) return false;
  if (InodeOf(limit.path) == limit.inode) return true;
  limit.inode = 0;
  return false;
}

std::uint64_t UsedBy(int card, const GroupLimit& limit) {
  std::uint64_t sum = 0;
  for (ProcessEntry& entry : Shared().process) {
    const std::int32_t pid = entry.pid;
    if (pid == 0 || entry.used[card] == 0 || !Alive(pid, entry.start)) continue;
    if (InGroup(pid, limit)) sum += entry.used[card];
  }
  return sum;
}

GroupLimit* Find(int card, const std::string& path) {
  for (std::uint32_t i = 0; i < Shared().limits; ++i) {
    GroupLimit& limit = Shared().limit[i];
    if (Holds(limit) && limit.card == card && path == limit.path) return &limit;
  }
  return nullptr;
}

}  // namespace

Mode LimitsMode() {
  const char* const text = getenv("FAKE_CUDA_MEMORY_LIMITS");
  if (text == nullptr) return Mode::kOff;
  return strcmp(text, "on") == 0       ? Mode::kOn
         : strcmp(text, "denied") == 0 ? Mode::kDenied
                                       : Mode::kOff;
}

GroupAnswer SetGroupLimit(int card, const char* path, std::uint64_t soft, std::uint64_t hard) {
  State& state = Shared();
  const Locked locked(&state.lock);
  const std::uint64_t inode = path == nullptr ? 0 : InodeOf(path);
  if (inode == 0 || strlen(path) >= sizeof(GroupLimit::path)) return GroupAnswer::kNoGroup;
  const bool none = soft == 0 && hard == ~std::uint64_t{0};
  const std::string members = std::string(path) + "/cgroup.procs";
  if (!IsCgroup(path)) {
    if (none) {
      unlink(members.c_str());
    } else {
      const int fd = open(members.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      if (fd >= 0) close(fd);
    }
  }
  GroupLimit* limit = Find(card, path);
  if (none) {
    if (limit != nullptr) limit->inode = 0;
    return GroupAnswer::kDone;
  }
  for (std::uint32_t i = 0; limit == nullptr && i < kLimits; ++i) {
    if (i >= state.limits) state.limits = i + 1;
    if (!Holds(state.limit[i])) limit = &state.limit[i];
  }
  if (limit == nullptr) return GroupAnswer::kFull;
  limit->card = card;
  limit->soft = soft;
  limit->hard = hard;
  memcpy(limit->path, path, strlen(path) + 1);
  limit->inode = inode;
  return GroupAnswer::kDone;
}

GroupAnswer GetGroupLimit(int card, const char* path, std::uint64_t* soft, std::uint64_t* hard,
                          std::uint64_t* used) {
  const Locked locked(&Shared().lock);
  if (path == nullptr || InodeOf(path) == 0) return GroupAnswer::kNoGroup;
  const GroupLimit* const limit = Find(card, path);
  if (limit == nullptr) return GroupAnswer::kNoLimit;
  *soft = limit->soft;
  *hard = limit->hard;
  *used = UsedBy(card, *limit);
  return GroupAnswer::kDone;
}

bool FitsGroups(int card, std::uint64_t bytes) {
  State& state = Shared();
  for (std::uint32_t i = 0; i < state.limits; ++i) {
    GroupLimit& limit = state.limit[i];
    if (limit.card != card || !Holds(limit) || !InGroup(getpid(), limit)) continue;
    const std::uint64_t used = UsedBy(card, limit);
    if (bytes > limit.hard || used > limit.hard - bytes) return false;
  }
  return true;
}

}  // namespace fake
