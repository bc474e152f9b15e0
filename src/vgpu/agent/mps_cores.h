// MpsCores: a part of the card's multiprocessors for each process of a slice, by the driver's
// multi-process service (MPS). Its control daemon must run on the host; the program finds it, and
// its part, by variables that are set as it starts.
//
// Cooperative, and per process: a program can change its variables, two processes of a slice have
// its part each, and a change reaches processes that start after it. Kernels of several slices run
// beside each other, which the shim's shares of time do not allow. Memory bandwidth is not shared
// out.
//
// PROVEN WITH A FAKE DAEMON ONLY: that the variables reach the program, not what the driver makes
// of them.
//
// Threads: one at a time.
#pragma once

#include "vgpu/agent/backend.h"

namespace brim::vgpu {

class MpsCores final : public Backend {
 public:
  std::string_view name() const override { return "mps"; }
  std::string_view holds() const override { return "cores"; }
  Offer Probe(const CardInfo& card) override;
  bool Serves(const SliceSpec& spec) const override {
    return spec.cores_backend == CoresBackend::kMps;
  }
  bool may_refuse() const override { return true; }
  // Nothing stands on the host's side between programs.
  Status Apply(const SliceTarget&) override { return OkStatus(); }
  Status CheckIdle(const SliceTarget&) override { return OkStatus(); }
  Status Withdraw(const SliceTarget&) override { return OkStatus(); }
  // A client that finds no daemon would run without any part: refused when none answers.
  Status Enter(const SliceTarget& slice) override;
  Result<std::optional<std::uint64_t>> Used(const SliceTarget&) override {
    return std::optional<std::uint64_t>();
  }
  void Sweep(std::span<const SliceSpec>, std::span<const CardInfo>) override {}
};

// Bytes in the form that CUDA_MPS_PINNED_DEVICE_MEM_LIMIT takes for the only visible device.
std::string MpsMemoryLimit(std::uint64_t bytes);

}  // namespace brim::vgpu
