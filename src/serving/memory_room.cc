#include "serving/memory_room.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace brim::serving {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// The number after `key` on its line, or the file's first number when `key` is empty; null for
// "max".
std::optional<std::uint64_t> ReadNumber(const char* path, const std::string& key) {
  const File file(std::fopen(path, "re"));
  if (file == nullptr) return std::nullopt;
  char line[256];
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    if (std::string(line).compare(0, key.size(), key) != 0) continue;
    unsigned long long number = 0;
    if (std::sscanf(line + key.size(), " %llu", &number) == 1) return number;
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> GroupRoom(const char* limit_path, const char* used_path,
                                       const char* stat_path) {
  const auto limit = ReadNumber(limit_path, "");
  const auto used = ReadNumber(used_path, "");
  if (!limit.has_value() || !used.has_value()) return std::nullopt;
  const std::uint64_t droppable = ReadNumber(stat_path, "inactive_file ").value_or(0);
  const std::uint64_t held = *used - std::min(*used, droppable);
  return *limit > held ? *limit - held : 1;
}

}  // namespace

std::uint64_t AvailableBytes() {
  std::uint64_t room = ReadNumber("/proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  auto group = GroupRoom("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                         "/sys/fs/cgroup/memory.stat");
  if (!group.has_value()) {
    group = GroupRoom("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                      "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                      "/sys/fs/cgroup/memory/memory.stat");
  }
  if (group.has_value()) room = room == 0 ? *group : std::min(room, *group);
  return room;
}

}  // namespace brim::serving
