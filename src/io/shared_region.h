// SharedRegion: a part of a POSIX shared memory object that another process made.
//
// Tensors are copied out and in with pread and pwrite, never mapped: the other process may shrink
// the object or write to it at any time, and must be able to cause neither a SIGBUS here nor bytes
// that change after they were checked. Blocking, at memory's speed; any thread, several at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"

namespace brim::io {

class SharedRegion {
 public:
  // Opens what shm_open(3) calls `key`, which must be a regular file that the server's user may
  // read and write and that holds offset + bytes. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT.
  static Result<std::shared_ptr<const SharedRegion>> Open(std::string_view key,
                                                          std::uint64_t offset,
                                                          std::uint64_t bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  std::uint64_t bytes() const { return bytes_; }
  // Copies all of `to` from, or `from` to, `at` bytes behind the region's start. REQUIRES: it lies
  // within bytes(). FAILED_PRECONDITION: the object was made smaller since; RESOURCE_EXHAUSTED: no
  // memory is left for its pages.
  Status Read(std::uint64_t at, std::span<std::byte> to) const;
  Status Write(std::uint64_t at, std::span<const std::byte> from) const;

 private:
  SharedRegion(int fd, std::uint64_t offset, std::uint64_t bytes)
      : fd_(fd), offset_(offset), bytes_(bytes) {}

  const int fd_;
  const std::uint64_t offset_;
  const std::uint64_t bytes_;
};

}  // namespace brim::io
