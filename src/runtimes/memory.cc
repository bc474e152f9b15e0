#include "runtimes/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>

namespace brim::runtimes {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::uint64_t FromRollup() {
  const File file(std::fopen("/proc/self/smaps_rollup", "re"));
  if (file == nullptr) return 0;
  char line[256];
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    unsigned long long kib = 0;
    if (std::sscanf(line, "Rss: %llu kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

std::uint64_t FromStatm() {
  const File file(std::fopen("/proc/self/statm", "re"));
  if (file == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  if (std::fscanf(file.get(), "%llu %llu", &total, &resident) != 2) return 0;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::uint64_t ResidentBytes() {
  malloc_trim(0);
  const std::uint64_t exact = FromRollup();
  return exact != 0 ? exact : FromStatm();
}

}  // namespace brim::runtimes
