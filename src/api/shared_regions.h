// SharedRegions: the system shared memory that clients have registered, by name.
//
// Triton's extension_shared_memory.md. Bounded: kRegionsMax regions, each a descriptor; the copies
// of inputs that requests hold at once, bytes_in_flight_max. A region stays usable to the requests
// that found it when it is unregistered. Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "io/shared_region.h"

namespace brim::api {

struct SharedRegionInfo {
  std::string name;
  std::string key;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

class SharedRegions {
 public:
  static constexpr std::size_t kRegionsMax = 1024;
  static constexpr std::size_t kNameBytesMax = 256;

  // Keys must begin with `key_prefix`, "/" for any; "": clients may register nothing.
  SharedRegions(std::string key_prefix, std::uint64_t bytes_in_flight_max)
      : key_prefix_(std::move(key_prefix)), bytes_in_flight_max_(bytes_in_flight_max) {}

  bool allowed() const { return !key_prefix_.empty(); }
  // Ok, or how to switch it on.
  Status CheckAllowed() const;

  Status Register(const SharedRegionInfo& region) BRIM_EXCLUDES(mutex_);
  // All when name is empty; one that is not there is no error, as with Triton.
  void Unregister(std::string_view name) BRIM_EXCLUDES(mutex_);
  // All, by name, when name is empty; NOT_FOUND.
  Result<std::vector<SharedRegionInfo>> List(std::string_view name) const BRIM_EXCLUDES(mutex_);
  // The region, for bytes from offset on. NOT_FOUND, INVALID_ARGUMENT.
  Result<std::shared_ptr<const io::SharedRegion>> Find(std::string_view name, std::uint64_t offset,
                                                       std::uint64_t bytes) const
      BRIM_EXCLUDES(mutex_);

  // A part of what requests may hold in all; given back when it goes.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept {
      std::swap(from_, other.from_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Lease();

   private:
    friend class SharedRegions;
    SharedRegions* from_ = nullptr;
    std::uint64_t bytes_ = 0;
  };
  // RESOURCE_EXHAUSTED when others hold too much.
  Status Take(std::uint64_t bytes, Lease* lease);

 private:
  struct Entry {
    SharedRegionInfo info;
    std::shared_ptr<const io::SharedRegion> region;
  };

  const std::string key_prefix_;
  const std::uint64_t bytes_in_flight_max_;
  std::atomic<std::uint64_t> bytes_in_flight_{0};
  mutable Mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_ BRIM_GUARDED_BY(mutex_);
};

}  // namespace brim::api
