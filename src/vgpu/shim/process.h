// Process: what the shim knows of the process it runs in: its slice, its cell in the ledger, its
// door to the card's time.
//
// Attached on the first call that needs it, never in a constructor. BRIM_SLICE names the slice's
// folder (`brim node run` sets it); else /run/brim/slice, where a container has it mounted; with
// neither the process is in no slice and every call goes straight to the vendor. The folder holds
//
//     limits    SliceLimits, which the process can only read
//     segment   SliceSegment
//     table     CardTable, which it can only read
//     card      CardSegment
//
// A slice that cannot be used (missing file, truncated, another version) refuses cuInit with
// CUDA_ERROR_SYSTEM_NOT_READY: a tenant without limits is worse than one that says why it cannot
// start. The shim never prints and never ends the process; the reason is in BRIM_SLICE_LOG, a file,
// when that is set.
//
// Threads: any. After fork() a child has no cell and claims its own on first use (the parent's
// state is in a page that the kernel wipes in the child). Libc only; no heap, no exceptions.
#pragma once

#include <atomic>
#include <cstdint>

#include "vgpu/abi/card_segment.h"
#include "vgpu/abi/slice_segment.h"
#include "vgpu/ledger/ledger.h"
#include "vgpu/limiter/arbiter.h"
#include "vgpu/limiter/cost_model.h"
#include "vgpu/shim/allocations.h"

namespace brim::vgpu {

enum class Attachment : std::uint8_t {
  kNone,  // In no slice.
  kAttached,
  kUnusable,  // There is a slice, and it cannot be used.
};

class Process {
 public:
  constexpr Process() = default;

  // Attaches first, and again in a forked child.
  Attachment Attach();
  bool attached() { return Attach() == Attachment::kAttached; }
  // In a slice that cannot be used: nothing may be had.
  bool barred() { return Attach() == Attachment::kUnusable; }

  // REQUIRES: attached().
  const SliceLimits& limits() const { return *limits_; }
  SliceSegment& segment() { return *segment_; }
  Ledger& ledger() { return ledger_; }
  Arbiter& arbiter() { return arbiter_; }
  CostModel& costs() { return costs_; }
  Allocations& allocations() { return allocations_; }
  // Held while a device's primary context is retained or released: the first and the last differ.
  ThreadLock& primary() { return primary_; }

  void CountUnknown(const char* symbol);
  void CountExportTable();
  void CountLaunch(Ns throttled, Ns now);
  // In a forked child, where the kernel did not: attach anew.
  void Forget();

 private:
  Attachment AttachSlow();
  bool Map(const char* folder);

  const SliceLimits* limits_ = nullptr;
  SliceSegment* segment_ = nullptr;
  Ledger ledger_;
  Arbiter arbiter_;
  CostModel costs_;
  Allocations allocations_;
  ThreadLock primary_;
  // In a page that reads as zero in a forked child: 0 ask, else 1 + Attachment.
  std::atomic<std::uint32_t>* state_ = nullptr;
  std::atomic<std::uint32_t> attaching_{0};
};

// The one of this process. (A second copy of the library, as dlmopen makes, has its own.)
Process& ThisProcess();

}  // namespace brim::vgpu
