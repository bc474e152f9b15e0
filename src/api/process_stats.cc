// See process_stats.h. Field numbers of /proc/self/stat are proc(5)'s.
#include "api/process_stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace brim::api {

ProcessStats ReadProcessStats(const Clock& clock) {
  ProcessStats stats;
  const int fd = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return stats;
  char buffer[2048];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  ::close(fd);
  if (n <= 0) return stats;
  const std::string_view text(buffer, static_cast<std::size_t>(n));
  // Field 2 is the program's name in brackets and may hold anything: count from behind it.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > text.size()) return stats;
  const std::vector<std::string_view> fields = Split(text.substr(name_end + 2), ' ');
  const auto field = [&](std::size_t number) {
    const std::size_t index = number - 3;
    return index < fields.size() ? ParseUint64(fields[index]).value_or(0) : 0;
  };
  const auto tick = static_cast<double>(::sysconf(_SC_CLK_TCK));
  stats.cpu_seconds = static_cast<double>(field(14) + field(15)) / tick;
  stats.threads = field(20);
  stats.resident_bytes = field(24) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  timespec boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const double up = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) * 1e-9;
  const double now = std::chrono::duration<double>(clock.WallNow().time_since_epoch()).count();
  stats.start_unix_seconds = now - up + static_cast<double>(field(22)) / tick;
  return stats;
}

}  // namespace brim::api
