// See native_memory.h. The two structures are those of nvml.h of CUDA 13.4.
#include "vgpu/agent/native_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace brim::vgpu {
namespace {

// NVML_DEVICE_MEMORY_LIMIT_MAX; with a soft limit of 0: no limit.
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
// The driver may round a limit to its pages; less than this apart is the same limit.
constexpr std::uint64_t kLimitGrain = std::uint64_t{2} << 20;

struct SetLimits {  // nvmlSetMemoryLimits_v1_t
  const char* group;
  unsigned long long soft, hard;
};
struct GetLimits {  // nvmlGetMemoryLimits_v1_t
  const char* group;
  unsigned long long soft, hard, used;
};

bool Near(std::uint64_t a, std::uint64_t b) { return (a > b ? a - b : b - a) < kLimitGrain; }

Status Answer(const char* function, int code, const std::string& group) {
  const auto failed = [&](Code kind, const char* reason, const std::string& what) {
    return Status(kind, reason, fmt::format("{}: {}", group, what));
  };
  switch (code) {
    case kNvmlMissing:
      return Status(Code::kFailedPrecondition, "no_native",
                    fmt::format("this driver has no {}; drivers from 615 have", function));
    case kNvmlNotSupported:
      return Status(Code::kFailedPrecondition, "no_native",
                    "NVML says that this card or driver does not support memory limits");
    case kNvmlNoPermission:
      return Status(Code::kPermissionDenied, "no_native",
                    "NVML lets only root set memory limits; run as root");
    case kNvmlNotFound:
      return failed(Code::kNotFound, "no_limit", "no memory limit of this card is set there");
    case kNvmlOperatingSystem:
      return failed(Code::kFailedPrecondition, "no_limit", "NVML cannot open the control group");
    default:
      return failed(Code::kInternal, "nvml", fmt::format("{} answers {}", function, code));
  }
}

}  // namespace

NativeMemory::~NativeMemory() {
  if (nvml_ != nullptr) nvml_->Call("nvmlShutdown");
}

Result<NvmlDevice> NativeMemory::Device(const std::string& uuid) {
  if (nvml_ == nullptr) {
    const std::string path = LibraryPath("BRIM_REAL_LIBNVIDIA_ML", "libnvidia-ml.so.1");
    auto nvml = std::make_unique<DriverLibrary>(path.c_str());
    if (!nvml->ok() || nvml->Call("nvmlInit_v2") != kNvmlSuccess) {
      return Status(Code::kNotFound, "no_driver",
                    fmt::format("{} cannot be opened or started; BRIM_REAL_LIBNVIDIA_ML names "
                                "another file",
                                path));
    }
    nvml_ = std::move(nvml);
  }
  NvmlDevice device = nullptr;
  const int code = nvml_->Call("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device);
  if (code == kNvmlSuccess) return device;
  return Status(Code::kNotFound, "card_gone",
                fmt::format("NVML does not find the card {} (it answers {}); `brim node doctor` "
                            "lists those there are",
                            uuid, code));
}

Status NativeMemory::Set(const std::string& uuid, const std::string& group, std::uint64_t soft,
                         std::uint64_t hard) {
  BRIM_ASSIGN_OR_RETURN(const NvmlDevice device, Device(uuid));
  constexpr const char* kName = "nvmlDeviceSetMemoryLimits_v1";
  SetLimits limits{group.c_str(), soft, hard};
  const int code = nvml_->Call(kName, device, &limits);
  return code == kNvmlSuccess ? OkStatus() : Answer(kName, code, group);
}

Result<NativeMemory::Limits> NativeMemory::Get(const std::string& uuid, const std::string& group) {
  BRIM_ASSIGN_OR_RETURN(const NvmlDevice device, Device(uuid));
  constexpr const char* kName = "nvmlDeviceGetMemoryLimits_v1";
  GetLimits limits{group.c_str(), 0, 0, 0};
  const int code = nvml_->Call(kName, device, &limits);
  if (code != kNvmlSuccess) return Answer(kName, code, group);
  return Limits{limits.soft, limits.hard, limits.used};
}

// Sets "no limit" on a group of its own, reads it, and takes both back.
Status NativeMemory::Try(const std::string& uuid) {
  const std::string group = groups_.PathOfTrial();
  BRIM_RETURN_IF_ERROR(groups_.Make(group));
  Status tried = Set(uuid, group, 0, kNoLimit);
  if (tried.ok()) {
    const Result<Limits> got = Get(uuid, group);
    // No limit may read as none at all.
    if (!got.ok() && got.status().code() != Code::kNotFound) tried = got.status();
  }
  const Status removed = groups_.Remove(group);
  return tried.ok() ? removed : tried;
}

Offer NativeMemory::Probe(const CardInfo& card) {
  Status found = Device(card.uuid).status();
  for (const char* name : {"nvmlDeviceSetMemoryLimits_v1", "nvmlDeviceGetMemoryLimits_v1"}) {
    if (found.ok() && !nvml_->Has(name)) found = Answer(name, kNvmlMissing, "");
  }
  // A driver that cannot is told before a host that could be changed.
  if (found.ok()) {
    const Status read = Get(card.uuid, groups_.root()).status();
    if (read.reason() == "no_native") found = read;
  }
  if (found.ok()) found = groups_.Usable();
  if (found.ok()) found = Try(card.uuid);
  if (!found.ok()) return {false, found.message()};
  return {true, "a limit was set and read on a trial control group"};
}

Status NativeMemory::Apply(const SliceTarget& slice) {
  BRIM_RETURN_IF_ERROR(groups_.Usable());
  const std::string group = groups_.PathOf(slice.spec.name);
  const bool fresh = !groups_.Exists(group);
  BRIM_RETURN_IF_ERROR(groups_.Make(group));
  Status done = Set(slice.card.uuid, group, slice.spec.memory_soft, slice.spec.memory_hard);
  if (done.ok()) done = Used(slice).status();
  if (!done.ok() && fresh) static_cast<void>(groups_.Remove(group));
  return done;
}

Status NativeMemory::CheckIdle(const SliceTarget& slice) {
  const std::size_t members = groups_.Members(groups_.PathOf(slice.spec.name)).size();
  return members == 0 ? OkStatus() : InUse(slice.spec.name, members);
}

Status NativeMemory::Withdraw(const SliceTarget& slice) {
  const std::string group = groups_.PathOf(slice.spec.name);
  if (!groups_.Exists(group)) return OkStatus();
  BRIM_RETURN_IF_ERROR(CheckIdle(slice));
  // The soft limit first: the driver adds it to the groups above, and only it takes it out there.
  const Status cleared = Set(slice.card.uuid, group, 0, kNoLimit);
  Status removed = groups_.Remove(group);
  if (removed.ok()) return OkStatus();
  // Somebody came in meanwhile: the limit goes back.
  if (cleared.ok()) {
    const Status again =
        Set(slice.card.uuid, group, slice.spec.memory_soft, slice.spec.memory_hard);
    if (!again.ok()) return again;
  }
  return removed;
}

Status NativeMemory::Enter(const SliceTarget& slice) {
  const std::string group = groups_.PathOf(slice.spec.name);
  // Reading needs no rights; setting again, after a restart of the host, does.
  if (!Used(slice).ok()) BRIM_RETURN_IF_ERROR(Apply(slice));
  return groups_.Enter(group);
}

Result<std::optional<std::uint64_t>> NativeMemory::Used(const SliceTarget& slice) {
  const std::string group = groups_.PathOf(slice.spec.name);
  if (!groups_.Exists(group)) {
    return Status(Code::kNotFound, "no_limit", fmt::format("{}: the group is gone", group));
  }
  BRIM_ASSIGN_OR_RETURN(const Limits limits, Get(slice.card.uuid, group));
  if (!Near(limits.hard, slice.spec.memory_hard) || !Near(limits.soft, slice.spec.memory_soft)) {
    return Status(
        Code::kFailedPrecondition, "no_limit",
        fmt::format("{}: the driver's limits are {} and {} bytes, not {} and {}", group,
                    limits.soft, limits.hard, slice.spec.memory_soft, slice.spec.memory_hard));
  }
  return std::optional<std::uint64_t>(limits.used);
}

void NativeMemory::Sweep(std::span<const SliceSpec> slices, std::span<const CardInfo> cards) {
  for (const std::string& name : groups_.Slices()) {
    const bool known = std::any_of(slices.begin(), slices.end(), [&](const SliceSpec& slice) {
      return slice.name == name && Serves(slice);
    });
    // A group with somebody in it keeps its limit: taking it away would free the program.
    if (!known && groups_.Members(groups_.PathOf(name)).empty()) {
      Clear(groups_.PathOf(name), cards);
    }
  }
  for (const std::string& group : groups_.LeftTrials()) Clear(group, cards);
}

// Best effort; of which card it was is not known any more. What fails now is tried again by the
// next agent.
void NativeMemory::Clear(const std::string& group, std::span<const CardInfo> cards) {
  for (const CardInfo& card : cards) static_cast<void>(Set(card.uuid, group, 0, kNoLimit));
  static_cast<void>(groups_.Remove(group));
}

}  // namespace brim::vgpu
