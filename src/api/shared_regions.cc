#include "api/shared_regions.h"

#include <fmt/format.h>

#include "base/text.h"

namespace brim::api {
namespace {

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

// As shm_open takes it: a slash and a name. Clients leave the slash out or not.
std::string FullKey(std::string_view key) {
  while (key.starts_with('/')) key.remove_prefix(1);
  return fmt::format("/{}", key);
}

Status CheckNames(const SharedRegionInfo& region) {
  if (region.name.empty() || region.name.size() > SharedRegions::kNameBytesMax ||
      !IsUtf8(region.name)) {
    return Invalid("shared_memory_name", fmt::format("a shared memory region's name must have 1 to "
                                                     "{} bytes of UTF-8",
                                                     SharedRegions::kNameBytesMax));
  }
  const std::string_view key = std::string_view(region.key).substr(1);
  if (key.empty() || key.size() > SharedRegions::kNameBytesMax || !IsUtf8(key) ||
      key.find('/') != std::string_view::npos || key.find('\0') != std::string_view::npos) {
    return Invalid(
        "shared_memory_key",
        fmt::format("a shared memory key must be the name of an object in /dev/shm, of 1 "
                    "to {} bytes and without a slash but at its start",
                    SharedRegions::kNameBytesMax));
  }
  if (region.bytes == 0) {
    return Invalid(
        "shared_memory_size",
        fmt::format("byte_size of shared memory region '{}' must be larger than 0", region.name));
  }
  return OkStatus();
}

}  // namespace

Status SharedRegions::CheckAllowed() const {
  if (allowed()) return OkStatus();
  return Status(Code::kUnimplemented, "shared_memory",
                "shared memory is off: start the server with --shared-memory / (or with a prefix "
                "of the keys it may open), or send tensors in the request");
}

Status SharedRegions::Register(const SharedRegionInfo& wanted) {
  BRIM_RETURN_IF_ERROR(CheckAllowed());
  SharedRegionInfo info = wanted;
  info.key = FullKey(wanted.key);
  BRIM_RETURN_IF_ERROR(CheckNames(info));
  if (!info.key.starts_with(key_prefix_)) {
    return Status(Code::kPermissionDenied, "shared_memory_key",
                  fmt::format("shared memory keys must begin with '{}' here (--shared-memory), "
                              "not '{}'",
                              key_prefix_, info.key));
  }
  BRIM_ASSIGN_OR_RETURN(const auto region,
                        io::SharedRegion::Open(info.key, info.offset, info.bytes));
  MutexLock lock(mutex_);
  if (entries_.contains(info.name)) {
    return Status(Code::kAlreadyExists, "shared_memory_name",
                  fmt::format("shared memory region '{}' already in manager: unregister it first",
                              info.name));
  }
  if (entries_.size() >= kRegionsMax) {
    return Status(Code::kResourceExhausted, "shared_memory_regions",
                  fmt::format("{} shared memory regions are registered, the most there may be: "
                              "unregister some",
                              kRegionsMax));
  }
  std::string name = info.name;
  entries_.emplace(std::move(name), Entry{std::move(info), region});
  return OkStatus();
}

void SharedRegions::Unregister(std::string_view name) {
  std::map<std::string, Entry, std::less<>> gone;  // Closed without the lock.
  MutexLock lock(mutex_);
  if (name.empty()) return gone.swap(entries_);
  const auto found = entries_.find(name);
  if (found != entries_.end()) gone.insert(entries_.extract(found));
}

Result<std::vector<SharedRegionInfo>> SharedRegions::List(std::string_view name) const {
  std::vector<SharedRegionInfo> all;
  MutexLock lock(mutex_);
  for (const auto& [key, entry] : entries_) {
    if (name.empty() || key == name) all.push_back(entry.info);
  }
  if (all.empty() && !name.empty()) {
    return Status(Code::kNotFound, "shared_memory_unknown",
                  fmt::format("Unable to find system shared memory region: '{}'",
                              name.substr(0, kNameBytesMax)));
  }
  return all;
}

Result<std::shared_ptr<const io::SharedRegion>> SharedRegions::Find(std::string_view name,
                                                                    std::uint64_t offset,
                                                                    std::uint64_t bytes) const {
  BRIM_RETURN_IF_ERROR(CheckAllowed());
  std::shared_ptr<const io::SharedRegion> region;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(name);
    if (found != entries_.end()) region = found->second.region;
  }
  if (region == nullptr) {
    return Status(Code::kNotFound, "shared_memory_unknown",
                  fmt::format("Unable to find shared memory region: '{}': register it first",
                              name.substr(0, kNameBytesMax)));
  }
  if (offset > region->bytes() || bytes > region->bytes() - offset) {
    return Invalid("shared_memory_size",
                   fmt::format("Invalid offset + byte size for shared memory region: '{}': it has "
                               "{} bytes, not {} from {} on",
                               name, region->bytes(), bytes, offset));
  }
  return region;
}

Status SharedRegions::Take(std::uint64_t bytes, Lease* lease) {
  std::uint64_t held = bytes_in_flight_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_in_flight_max_ || held > bytes_in_flight_max_ - bytes) {
      return Status(Code::kResourceExhausted, "shared_memory_in_flight",
                    fmt::format("requests hold {} bytes of inputs from shared memory, {} more "
                                "exceed --in-flight-bytes-max {}: try again later",
                                held, bytes, bytes_in_flight_max_));
    }
  } while (!bytes_in_flight_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  Lease taken;
  taken.from_ = this;
  taken.bytes_ = bytes;
  *lease = std::move(taken);
  return OkStatus();
}

SharedRegions::Lease::~Lease() {
  if (from_ != nullptr) from_->bytes_in_flight_.fetch_sub(bytes_, std::memory_order_relaxed);
}

}  // namespace brim::api
