// Charge: one allocation on its way through the ledger: reserved before the driver is asked, noted
// when it succeeded, given back when it did not.
//
//   Charge charge(bytes, MemoryClass::kBuffer);
//   if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
//   return charge.Keep(BRIM_REAL(cuMemAlloc_v2)(at, bytes), [&] { return *at; }, Kind::kPointer);
//
// In no slice everything is ok and nothing is noted; in one that cannot be used nothing is ok.
// Any thread; libc only.
#pragma once

#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/process.h"

namespace brim::vgpu {

class Charge {
 public:
  Charge(std::uint64_t bytes, MemoryClass memory_class)
      : process_(ThisProcess()), bytes_(bytes), memory_class_(memory_class) {
    const Attachment attachment = process_.Attach();
    if (attachment == Attachment::kAttached) reserved_ = Reserve(bytes);
    ok_ = reserved_ || attachment == Attachment::kNone;
  }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  bool ok() const { return ok_; }
  std::uint64_t bytes() const { return bytes_; }

  // Takes or gives back the difference to what it turned out to be; false when there is no room.
  bool Become(std::uint64_t bytes);
  void GiveBack() {
    if (reserved_) process_.ledger().Release(bytes_, memory_class_);
    reserved_ = false;
  }
  // Notes it under its key when the driver succeeded; else gives it back. Returns `result`.
  template <typename Key>
  CUresult Keep(CUresult result, Key key, Kind kind) {
    if (!reserved_) return result;
    if (result == CUDA_SUCCESS && Note(static_cast<std::uint64_t>(key()), kind)) return result;
    GiveBack();
    return result;
  }

 private:
  // Once more when this process's pools can give back what they keep without need.
  bool Reserve(std::uint64_t bytes);
  bool Note(std::uint64_t key, Kind kind);

  Process& process_;
  std::uint64_t bytes_;
  MemoryClass memory_class_;
  bool reserved_ = false;
  bool ok_ = true;
};

// Frees what was noted under the key: `call` is the driver's free. The note is taken away first,
// since another thread may be given the same address the moment the driver has it back. `unknown`
// is called before the driver when there is no note, `freed` with the note when it has succeeded.
template <typename Call, typename Unknown, typename Freed>
CUresult Free(std::uint64_t key, Kind kind, Call call, Unknown unknown, Freed freed) {
  Process& process = ThisProcess();
  if (!process.attached()) return call();
  const Allocation gone = process.allocations().Take(key, kind);
  if (gone.kind == Kind::kFree) {
    unknown();
    return call();
  }
  const CUresult result = call();
  if (result == CUDA_SUCCESS) {
    freed(gone);
  } else {
    process.allocations().Add(gone);
  }
  return result;
}
// Gives the bytes of a note back to the ledger.
inline void Discharge(const Allocation& gone) {
  ThisProcess().ledger().Release(gone.bytes, gone.memory_class);
}
template <typename Call>
CUresult Free(std::uint64_t key, Kind kind, Call call) {
  return Free(
      key, kind, call, [] {}, Discharge);
}
// Gives back all that belongs to a context that has gone.
void DischargeContext(std::uint64_t context);
// The context that is current on this thread, as a number; 0 without one.
std::uint64_t CurrentContext();

}  // namespace brim::vgpu
