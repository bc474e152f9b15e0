// Finds and maps the files of the slice that this process is in; see process.h for what they are.
//
// A file that cannot be used is said to BRIM_SLICE_LOG, when that names a file, and to nobody else.
// Libc only; no heap.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <type_traits>

#include "vgpu/abi/slice_segment.h"

namespace brim::vgpu {

// BRIM_SLICE, and then `told`; else where a container has it mounted.
inline const char* SliceFolder(bool* told) {
  const char* const folder = getenv("BRIM_SLICE");
  *told = folder != nullptr && *folder != '\0';
  return *told ? folder : "/run/brim/slice";
}

// Appends one line to the file that BRIM_SLICE_LOG names; without it nothing is said.
inline void Say(const char* what, const char* file) {
  const char* const log = getenv("BRIM_SLICE_LOG");
  if (log == nullptr || *log == '\0') return;
  const int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  char line[512];
  std::size_t length = 0;
  for (const char* part :
       {"brim: slice cannot be used: ", what, ": ", file, "; `brim node doctor` says more\n"}) {
    const std::size_t more = strnlen(part, sizeof(line) - 1 - length);
    memcpy(line + length, part, more);
    length += more;
  }
  [[maybe_unused]] const ssize_t written = write(fd, line, length);
  close(fd);
}

inline const char* FaultText(SegmentFault fault) {
  switch (fault) {
    case SegmentFault::kTruncated:
      return "truncated";
    case SegmentFault::kNotOurs:
      return "not a file of Brim's agent";
    case SegmentFault::kOtherVersion:
      return "written by another version of Brim's agent";
    case SegmentFault::kOtherSize:
      return "of another size than this library expects";
    case SegmentFault::kNone:
      break;
  }
  return "usable";
}

// One of the four files, mapped; null with the reason said.
template <typename T>
T* MapFile(const char* folder, const char* file, bool writable,
           SegmentFault (*check)(const std::remove_const_t<T>*, std::size_t)) {
  char path[PATH_MAX];
  if (strlen(folder) + strlen(file) + 2 > sizeof(path)) return nullptr;
  strcpy(path, folder);
  strcat(path, "/");
  strcat(path, file);
  const int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    Say(strerrordesc_np(errno), path);
    if (fd >= 0) close(fd);
    return nullptr;
  }
  const auto bytes = static_cast<std::size_t>(info.st_size);
  void* const at =
      bytes == 0 ? MAP_FAILED
                 : mmap(nullptr, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) {
    Say("cannot be mapped", path);
    return nullptr;
  }
  T* const mapped = static_cast<T*>(at);
  const SegmentFault fault = check(mapped, bytes);
  if (fault == SegmentFault::kNone) return mapped;
  munmap(at, bytes);
  Say(FaultText(fault), path);
  return nullptr;
}

}  // namespace brim::vgpu
