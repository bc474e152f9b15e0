#include "io/shared_region.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"

namespace brim::io {
namespace {

Status OpenFailed(std::string_view key, int error) {
  if (error == ENOENT) {
    return Status(Code::kNotFound, "shared_memory_key",
                  fmt::format("Unable to open shared memory region: '{}': there is none in this "
                              "server's /dev/shm: create it first; containers must share /dev/shm",
                              key));
  }
  if (error == EACCES || error == EPERM) {
    return Status(Code::kPermissionDenied, "shared_memory_key",
                  fmt::format("Unable to open shared memory region: '{}': the server's user {} may "
                              "not read and write it",
                              key, ::geteuid()));
  }
  return Status(
      Code::kInvalidArgument, "shared_memory_key",
      fmt::format("Unable to open shared memory region: '{}': {}", key, std::strerror(error)));
}

}  // namespace

Result<std::shared_ptr<const SharedRegion>> SharedRegion::Open(std::string_view key,
                                                               std::uint64_t offset,
                                                               std::uint64_t bytes) {
  const int fd = ::shm_open(std::string(key).c_str(), O_RDWR | O_NONBLOCK, 0);
  if (fd < 0) return OpenFailed(key, errno);
  const std::shared_ptr<const SharedRegion> region(new SharedRegion(fd, offset, bytes));
  struct stat about {};
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    return Status(Code::kInvalidArgument, "shared_memory_key",
                  fmt::format("Unable to open shared memory region: '{}' is no regular file", key));
  }
  const auto size = static_cast<std::uint64_t>(about.st_size);
  if (offset > size || bytes > size - offset) {
    return Status(Code::kInvalidArgument, "shared_memory_size",
                  fmt::format("shared memory region '{}' has {} bytes, fewer than offset {} and "
                              "byte_size {} together",
                              key, size, offset, bytes));
  }
  return region;
}

SharedRegion::~SharedRegion() { ::close(fd_); }

Status SharedRegion::Read(std::uint64_t at, std::span<std::byte> to) const {
  BRIM_CHECK(at <= bytes_ && to.size() <= bytes_ - at);
  while (!to.empty()) {
    const ssize_t count = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset_ + at));
    if (count > 0) {
      at += static_cast<std::uint64_t>(count);
      to = to.subspan(static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return Status(Code::kFailedPrecondition, "shared_memory_gone",
                    "the shared memory object is smaller than it was when it was registered: "
                    "register it again");
    }
  }
  return OkStatus();
}

Status SharedRegion::Write(std::uint64_t at, std::span<const std::byte> from) const {
  BRIM_CHECK(at <= bytes_ && from.size() <= bytes_ - at);
  while (!from.empty()) {
    const ssize_t count = ::pwrite(fd_, from.data(), from.size(), static_cast<off_t>(offset_ + at));
    if (count > 0) {
      at += static_cast<std::uint64_t>(count);
      from = from.subspan(static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return Status(Code::kResourceExhausted, "shared_memory_full",
                    fmt::format("cannot write to the shared memory object: {}",
                                count == 0 ? "no room" : std::strerror(errno)));
    }
  }
  return OkStatus();
}

}  // namespace brim::io
