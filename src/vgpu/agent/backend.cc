// See backend.h.
#include "vgpu/agent/backend.h"

#include <fmt/format.h>

#include "vgpu/agent/mps_cores.h"
#include "vgpu/agent/native_memory.h"
#include "vgpu/agent/proc_living.h"

namespace brim::vgpu {

Backends HostBackends(const std::string& node_folder) {
  return {std::make_shared<MpsCores>(),
          std::make_shared<NativeMemory>(SliceCgroups::OfHost(node_folder)),
          std::make_shared<ShimBackend>()};
}

Status InUse(const std::string& name, std::size_t processes) {
  return Status(
      Code::kFailedPrecondition, "slice_in_use",
      fmt::format("{} process{} in slice '{}' (`brim node slices show {}` lists them); end "
                  "them first",
                  processes, processes == 1 ? " is" : "es are", name, name));
}

Offer ShimBackend::Probe(const CardInfo&) { return {true, "the library in the program"}; }

Status ShimBackend::Apply(const SliceTarget& slice) {
  if (slice.files != nullptr) WriteLimits(slice.spec, slice.card, slice.files->limits.get());
  if (slice.card_files != nullptr) {
    WriteRow(slice.spec, slice.card_files->table.get(), slice.card_files->card.get());
  }
  return OkStatus();
}

Status ShimBackend::CheckIdle(const SliceTarget& slice) {
  // Of a slice whose files are damaged nobody can tell who is in it.
  if (slice.files == nullptr) return OkStatus();
  // Counted, not reaped: that is the agent's, who may be at it just now.
  ProcLiving living;
  std::size_t live = 0;
  for (std::uint32_t i = 1; i < kCells; ++i) {
    const Cell& cell = slice.files->segment->cell[i];
    const std::uint64_t owner = cell.owner;
    if (static_cast<CellPhase>(owner & 0xff) != CellPhase::kLive) continue;
    if (living.Alive(static_cast<std::int32_t>(owner >> 32), cell.start_ticks,
                     cell.pid_namespace)) {
      ++live;
    }
  }
  return live == 0 ? OkStatus() : InUse(slice.spec.name, live);
}

Status ShimBackend::Withdraw(const SliceTarget& slice) {
  if (slice.card_files != nullptr) {
    ClearRow(slice.spec.row, slice.card_files->table.get(), slice.card_files->card.get());
  }
  return OkStatus();
}

}  // namespace brim::vgpu
