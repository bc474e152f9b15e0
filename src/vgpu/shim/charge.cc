// See charge.h.
#include "vgpu/shim/charge.h"

#include "vgpu/shim/pools.h"

namespace brim::vgpu {

bool Charge::Reserve(std::uint64_t bytes) {
  if (process_.ledger().Reserve(bytes, memory_class_) == Answer::kYes) return true;
  return ThisPools().GiveBack() && process_.ledger().Reserve(bytes, memory_class_) == Answer::kYes;
}

bool Charge::Become(std::uint64_t bytes) {
  if (!reserved_ || UnitsOf(bytes) == UnitsOf(bytes_)) {
    bytes_ = bytes;
    return true;
  }
  // The new size is reserved beside the old one only by the difference.
  if (bytes < bytes_) {
    process_.ledger().Release((UnitsOf(bytes_) - UnitsOf(bytes)) * kUnitBytes, memory_class_);
  } else if (!Reserve((UnitsOf(bytes) - UnitsOf(bytes_)) * kUnitBytes)) {
    return false;
  }
  bytes_ = bytes;
  return true;
}

bool Charge::Note(std::uint64_t key, Kind kind) {
  Allocation allocation;
  allocation.key = key;
  allocation.bytes = bytes_;
  allocation.context = CurrentContext();
  allocation.kind = kind;
  allocation.memory_class = memory_class_;
  // When the table is full the memory stays counted without a key: the limit holds, the free does
  // not come back before the process ends.
  process_.allocations().Add(allocation);
  reserved_ = false;
  return true;
}

void DischargeContext(std::uint64_t context) {
  Process& process = ThisProcess();
  if (context == 0 || !process.attached()) return;
  // Until a whole pass finds none: other threads' frees may move an entry behind this one's back.
  for (bool found = true; found;) {
    found = false;
    for (std::uint64_t at = 0;;) {
      const Allocation gone = process.allocations().TakeOf(context, &at);
      if (gone.kind == Kind::kFree) break;
      process.ledger().Release(gone.bytes, gone.memory_class);
      found = true;
    }
  }
}

std::uint64_t CurrentContext() {
  CUcontext context = nullptr;
  return BRIM_REAL(cuCtxGetCurrent)(&context) == CUDA_SUCCESS
             ? reinterpret_cast<std::uint64_t>(context)
             : 0;
}

}  // namespace brim::vgpu
