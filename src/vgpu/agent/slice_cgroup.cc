// See slice_cgroup.h.
#include "vgpu/agent/slice_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "io/text_file.h"

namespace brim::vgpu {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSlice = "slice-";
constexpr std::string_view kTrial = "trial-";
constexpr std::size_t kMembersBytes = std::size_t{4} << 20;

// FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/: a name that stays when the folder is made
// anew.
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Status Failed(const std::string& path, const char* doing) {
  const int error = errno;
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  const bool busy = error == EBUSY || error == ENOTEMPTY;
  return Status(denied ? Code::kPermissionDenied
                : busy ? Code::kFailedPrecondition
                       : Code::kInternal,
                busy ? "slice_in_use" : "cgroup",
                fmt::format("{}: {}: {}{}", path, doing, strerror(error),
                            denied ? "; run as root, or name a part of the tree that is delegated "
                                     "to this user in BRIM_CGROUP_ROOT"
                            : busy ? "; end the processes in it and below it first"
                                   : ""));
}

// Best effort: a kernel or a tree without the controller has the driver's own count instead.
void EnableDmem(const std::string& folder) {
  const Result<std::string> has = io::ReadTextFile(folder + "/cgroup.controllers", 4096);
  if (!has.ok() || (" " + *has).find(" dmem") == std::string::npos) return;
  const int fd = open((folder + "/cgroup.subtree_control").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t wrote = write(fd, "+dmem", 5);
  close(fd);
}

bool Lives(std::int32_t pid) {
  return pid == 0 || access(fmt::format("/proc/{}", pid).c_str(), F_OK) == 0;
}

}  // namespace

SliceCgroups::SliceCgroups(std::string root, const std::string& node_folder)
    : root_(std::move(root)) {
  std::error_code error;
  const fs::path folder = fs::weakly_canonical(node_folder, error);
  parent_ =
      fmt::format("{}/brim-node-{:016x}", root_, HashOf(error ? node_folder : folder.string()));
}

SliceCgroups SliceCgroups::OfHost(const std::string& node_folder) {
  const char* const told = getenv("BRIM_CGROUP_ROOT");
  const bool is_told = told != nullptr && *told != '\0';
  SliceCgroups groups(is_told ? told : "/sys/fs/cgroup", node_folder);
  groups.told_ = is_told;
  return groups;
}

std::string SliceCgroups::PathOfTrial() const {
  return fmt::format("{}/{}{}", parent_, kTrial, getpid());
}

Status SliceCgroups::Usable() const {
  struct statfs info;
  const bool there = statfs(root_.c_str(), &info) == 0;
  if (there && (told_ || info.f_type == CGROUP2_SUPER_MAGIC)) return OkStatus();
  return Status(Code::kFailedPrecondition, "no_cgroup",
                fmt::format("no cgroup v2 at {}: boot with systemd.unified_cgroup_hierarchy=1, or "
                            "name its folder in BRIM_CGROUP_ROOT",
                            root_));
}

bool SliceCgroups::Exists(const std::string& path) const {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Status SliceCgroups::Make(const std::string& path) const {
  // Twice: another process may have taken the node's empty group away in between.
  for (int attempt = 0; attempt < 2; ++attempt) {
    // The chain of groups with the controller must have no gap, from the root down.
    if (!Exists(parent_)) {
      EnableDmem(root_);
      if (mkdir(parent_.c_str(), 0755) != 0 && errno != EEXIST) {
        return Failed(parent_, "make group");
      }
      EnableDmem(parent_);
    }
    if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return OkStatus();
    if (errno != ENOENT) break;
  }
  return Failed(path, "make group");
}

std::vector<std::int32_t> SliceCgroups::Members(const std::string& path) const {
  std::vector<std::int32_t> members;
  const Result<std::string> text = io::ReadTextFile(path + "/cgroup.procs", kMembersBytes);
  if (!text.ok()) return members;
  for (const std::string_view line : Split(*text, '\n')) {
    const auto pid = line.empty() ? std::nullopt : ParseUint64(line);
    if (pid && Lives(static_cast<std::int32_t>(*pid))) {
      members.push_back(static_cast<std::int32_t>(*pid));
    }
  }
  return members;
}

Status SliceCgroups::Remove(const std::string& path) const {
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return Failed(path, "remove group");
  rmdir(parent_.c_str());  // Stays while there are others.
  return OkStatus();
}

Status SliceCgroups::Enter(const std::string& path) const {
  const std::string file = path + "/cgroup.procs";
  const int fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return Failed(file, "enter group");
  const std::string pid = fmt::format("{}\n", getpid());
  const ssize_t wrote = write(fd, pid.data(), pid.size());
  const Status status =
      wrote == static_cast<ssize_t>(pid.size()) ? OkStatus() : Failed(file, "enter group");
  close(fd);
  return status;
}

std::vector<std::string> SliceCgroups::Slices() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kSlice, 0) == 0) names.push_back(name.substr(kSlice.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> SliceCgroups::LeftTrials() const {
  std::vector<std::string> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kTrial, 0) != 0) continue;
    const auto pid = ParseUint64(std::string_view(name).substr(kTrial.size()));
    if (!pid || !Lives(static_cast<std::int32_t>(*pid))) paths.push_back(entry.path().string());
  }
  return paths;
}

}  // namespace brim::vgpu
