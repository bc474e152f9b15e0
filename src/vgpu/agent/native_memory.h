// NativeMemory: the driver's own memory limit, set through NVML for the control group of a slice.
//
// It holds for every process in the group, whatever library it calls: this is the border that the
// shim is not. The driver counts all that its allocations take on the card (the shim's count, what
// the driver takes by itself, and programs that go round the shim). It needs driver 615, cgroup v2
// and the right to set limits (root). The soft limit is the guaranteed part, the hard one what is
// never exceeded: above the soft one the driver may end a program when another slice needs what it
// is guaranteed.
//
// PROVEN ON THE FAKE DRIVER ONLY: no driver that has it was at hand.
//
// Threads: one at a time.
#pragma once

#include <memory>

#include "vgpu/agent/backend.h"
#include "vgpu/agent/driver_library.h"
#include "vgpu/agent/slice_cgroup.h"

namespace brim::vgpu {

class NativeMemory final : public Backend {
 public:
  explicit NativeMemory(SliceCgroups groups) : groups_(std::move(groups)) {}
  ~NativeMemory() override;

  std::string_view name() const override { return "native"; }
  std::string_view holds() const override { return "memory"; }
  Offer Probe(const CardInfo& card) override;
  bool Serves(const SliceSpec& spec) const override {
    return spec.memory_backend == MemoryBackend::kNative;
  }
  bool may_refuse() const override { return true; }
  Status Apply(const SliceTarget& slice) override;
  Status CheckIdle(const SliceTarget& slice) override;
  Status Withdraw(const SliceTarget& slice) override;
  Status Enter(const SliceTarget& slice) override;
  Result<std::optional<std::uint64_t>> Used(const SliceTarget& slice) override;
  void Sweep(std::span<const SliceSpec> slices, std::span<const CardInfo> cards) override;

 private:
  struct Limits {
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;
    std::uint64_t used = 0;
  };
  // NVML's device of the card; opens the library on the first call.
  Result<NvmlDevice> Device(const std::string& uuid);
  Status Set(const std::string& uuid, const std::string& group, std::uint64_t soft,
             std::uint64_t hard);
  Result<Limits> Get(const std::string& uuid, const std::string& group);
  Status Try(const std::string& uuid);
  void Clear(const std::string& group, std::span<const CardInfo> cards);

  SliceCgroups groups_;
  std::unique_ptr<DriverLibrary> nvml_;
};

}  // namespace brim::vgpu
