// Takes dead processes out of a slice's ledger, exactly. The agent's alone: one Reaper per segment
// at a time on a host (the agent holds a lock on its directory). It may itself be killed at any
// instruction: Resume() finishes what an earlier one began.
//
// Needs libc only; one thread.
#pragma once

#include <cstdint>

#include "vgpu/ledger/ledger.h"

namespace brim::vgpu {

// Whether the process that claimed a cell still lives. `start_ticks` and `pid_namespace` are 0 when
// it was stopped before it wrote them.
class Living {
 public:
  virtual bool Alive(std::int32_t pid, std::uint64_t start_ticks, std::uint64_t pid_namespace) = 0;

 protected:
  ~Living() = default;
};

class Reaper {
 public:
  explicit Reaper(SliceSegment* segment, StepHook hook = nullptr)
      : segment_(segment), hook_(hook) {}

  // Once, after the segment was mapped.
  void Resume();
  // Looks at every cell; returns how many processes were taken out.
  std::uint32_t Reap(Living* living);

  // What the cells hold together, in bytes. Equals HeldBytes() while nothing changes; a lasting
  // difference means that somebody wrote where he should not.
  std::uint64_t SumOfCells() const;
  std::uint32_t LiveCells() const;

 private:
  void Empty(std::uint32_t cell);

  SliceSegment* segment_;
  StepHook hook_;
};

}  // namespace brim::vgpu
