// See proc_living.h.
#include "vgpu/agent/proc_living.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/text.h"
#include "io/text_file.h"

namespace brim::vgpu {
namespace {

namespace fs = std::filesystem;

// The first pid namespace of a host (PROC_PID_INIT_INO, include/linux/proc_ns.h).
constexpr std::uint64_t kFirstPidNamespace = 0xeffffffc;
constexpr std::size_t kStatusBytesMax = 64 << 10;

// 0 when it cannot be looked at.
std::uint64_t InodeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

struct Stat {
  bool ended = false;
  std::uint64_t start_ticks = 0;  // 0: the text has no such field.
};

// The text of /proc/PID/stat (proc(5)): state, threads and start are fields 3, 20 and 22. The
// second, the name in brackets, may hold anything, brackets included. A process whose first thread
// has ended is shown as a zombie while others run, for good or until a kill has reached them: it
// lives.
std::optional<Stat> ParseStat(const std::string& text) {
  const std::size_t bracket = text.rfind(')');
  if (bracket == std::string::npos || bracket + 2 >= text.size()) return std::nullopt;
  Stat stat;
  const char state = text[bracket + 2];
  std::uint64_t threads = 0;
  std::size_t at = text.find(' ', bracket);
  for (int field = 3; at != std::string::npos && field <= 22; ++field) {
    if (field == 20) threads = std::strtoull(text.c_str() + at, nullptr, 10);
    if (field == 22) stat.start_ticks = std::strtoull(text.c_str() + at, nullptr, 10);
    at = text.find(' ', at + 1);
  }
  stat.ended = (state == 'Z' || state == 'X') && threads <= 1;
  return stat;
}

// The number in the innermost namespace, and whether there is more than one.
std::pair<std::int32_t, bool> InnermostPid(const std::string& status) {
  const std::size_t line = status.find("\nNSpid:");
  if (line == std::string::npos) return {0, false};
  const std::size_t end = std::min(status.find('\n', line + 1), status.size());
  const std::size_t last = status.rfind('\t', end - 1);
  const bool several = status.find('\t', line) != last;
  return {static_cast<std::int32_t>(std::strtol(status.c_str() + last + 1, nullptr, 10)), several};
}

}  // namespace

ProcLiving::ProcLiving(std::string proc) : ProcLiving(std::move(proc), false) {
  sees_all_ = own_namespace_ == kFirstPidNamespace;
}

ProcLiving::ProcLiving(std::string proc, bool sees_all)
    : proc_(std::move(proc)), sees_all_(sees_all) {
  own_namespace_ = InodeOf(proc_ + "/self/ns/pid");
}

bool ProcLiving::Alive(std::int32_t pid, std::uint64_t start_ticks, std::uint64_t pid_namespace) {
  if (pid_namespace == 0 || pid_namespace == own_namespace_) return AliveHere(pid, start_ticks);
  if (start_ticks == 0 || start_ticks + 1 >= listed_at_) List();
  if (listed_at_ == 0) return true;
  bool seen = sees_all_;
  for (const Process& process : elsewhere_) {
    if (process.pid_namespace != 0 && process.pid_namespace != pid_namespace) continue;
    seen = seen || process.pid_namespace == pid_namespace;
    const bool same_start =
        start_ticks == 0 || process.start_ticks == 0 || process.start_ticks == start_ticks;
    if (process.pid == pid && same_start) return !process.ended;
  }
  return !seen;
}

bool ProcLiving::AliveHere(std::int32_t pid, std::uint64_t start_ticks) const {
  const Result<std::string> text = io::ReadTextFile(fmt::format("{}/{}/stat", proc_, pid), 4096);
  if (!text.ok()) return text.status().code() != Code::kNotFound;
  const std::optional<Stat> stat = ParseStat(*text);
  if (!stat) return true;
  if (stat->ended) return false;
  return start_ticks == 0 || stat->start_ticks == 0 || stat->start_ticks == start_ticks;
}

void ProcLiving::List() {
  elsewhere_.clear();
  listed_at_ = 0;
  const std::uint64_t own_time = InodeOf(proc_ + "/self/ns/time");
  // Before the list: who starts while it is made may be missing from it.
  const Result<std::string> uptime = io::ReadTextFile(proc_ + "/uptime", 4096);
  std::error_code error;
  fs::directory_iterator folder(proc_, error);
  if (error || !uptime.ok() || own_namespace_ == 0) return;
  for (; folder != fs::directory_iterator(); folder.increment(error)) {
    if (error) return;
    const fs::path& path = folder->path();
    if (!ParseUint64(path.filename().string())) continue;
    Process process;
    process.pid_namespace = InodeOf(path / "ns/pid");
    if (process.pid_namespace == own_namespace_) continue;
    // One that is gone by now is dead.
    const Result<std::string> status = io::ReadTextFile(path / "status", kStatusBytesMax);
    const Result<std::string> text = io::ReadTextFile(path / "stat", 4096);
    if (!status.ok() || !text.ok()) continue;
    const auto [pid, inside] = InnermostPid(*status);
    const std::optional<Stat> stat = ParseStat(*text);
    // Another user's, of which only the numbers are told: with a single one it is no container's.
    if (!stat || (process.pid_namespace == 0 && !inside)) continue;
    process.pid = pid;
    process.ended = stat->ended;
    const std::uint64_t time = InodeOf(path / "ns/time");
    process.start_ticks = time != 0 && time != own_time ? 0 : stat->start_ticks;
    elsewhere_.push_back(process);
  }
  const double ticks =
      std::strtod(uptime->c_str(), nullptr) * static_cast<double>(sysconf(_SC_CLK_TCK));
  listed_at_ = ticks > 0 ? static_cast<std::uint64_t>(ticks) : 0;
}

}  // namespace brim::vgpu
