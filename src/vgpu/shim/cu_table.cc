// See cu_table.h.
#include "vgpu/shim/cu_table.h"

#include <string.h>

#include <initializer_list>

#include "vgpu/shim/vendor.h"

namespace brim::vgpu {

extern "C" {
void* brim_cu_real[kCuSymbols];
void* brim_cu_library;
}

namespace {

constexpr const char* kNames[] = {
#define X(name) #name,
#include "cu_symbols.inc"
#undef X
};

CUresult Lacking() { return CUDA_ERROR_NOT_FOUND; }
CUresult Absent() { return CUDA_ERROR_NO_DEVICE; }

// Open addressing over the hooked functions' addresses, filled by the resolver, then read only.
// Resolvers at the same time insert the same rows in the same order, so each row has one place.
constexpr std::uint32_t kMapped = 2048;
struct Mapping {
  void* real;
  void* hook;
};
Mapping map[kMapped];

std::uint32_t SlotOf(void* real) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(real) * 0x9e3779b97f4a7c15 >>
                                    53);
}

void Map(void* real, void* hook) {
  std::uint32_t slot = SlotOf(real);
  for (void* there; (there = __atomic_load_n(&map[slot].real, __ATOMIC_ACQUIRE)) != nullptr;) {
    if (there == real) return;
    slot = (slot + 1) % kMapped;
  }
  __atomic_store_n(&map[slot].hook, hook, __ATOMIC_RELAXED);
  __atomic_store_n(&map[slot].real, real, __ATOMIC_RELEASE);
}

}  // namespace

extern "C" void brim_cu_resolve(void) {
  static const HookRow kHooks[] = {
#define BRIM_HOOK(name) {kCu_##name, reinterpret_cast<void*>(&Hook_##name)},
#include "vgpu/shim/cu_hooks.inc"
#undef BRIM_HOOK
  };
  constexpr std::uint32_t kRows = sizeof(kHooks) / sizeof(kHooks[0]);
  static_assert(kRows * 2 < kMapped);
  const VendorTable vendor = {"BRIM_REAL_LIBCUDA",
                              "libcuda.so.1",
                              kNames,
                              kCuSymbols,
                              kHooks,
                              kRows,
                              reinterpret_cast<void*>(&Lacking),
                              reinterpret_cast<void*>(&Absent),
                              &brim_cu_library,
                              brim_cu_inner,
                              brim_cu_real,
                              brim_cu_table};
  void* real[kCuSymbols];
  const bool loaded = LoadVendor(vendor, real);
  for (const HookRow& row : kHooks) {
    if (loaded && real[row.index] != vendor.lacking) Map(real[row.index], row.hook);
  }
  PublishTable(vendor, loaded, real);
}

void* HookOf(void* real) {
  std::uint32_t slot = SlotOf(real);
  for (void* there; (there = __atomic_load_n(&map[slot].real, __ATOMIC_ACQUIRE)) != nullptr;) {
    if (there == real) return map[slot].hook;
    slot = (slot + 1) % kMapped;
  }
  return real;
}

bool LooksLikeWork(const char* name) {
  for (const char* part : {"Alloc", "Create", "Launch", "Import", "Open", "Load", "Retain"}) {
    if (strstr(name, part) != nullptr) return true;
  }
  return false;
}

}  // namespace brim::vgpu
