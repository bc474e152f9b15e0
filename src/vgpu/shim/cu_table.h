// The functions of libcuda: the vendor's and our hooks, by name and with their types.
//
// See vendor.h for how the table comes to be. Include this instead of <cuda.h>.
#pragma once

// Without this the header's macros hide all but the latest form of a function.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <cstdint>

namespace brim::vgpu {

enum CuIndex : std::uint32_t {
#define X(name) kCu_##name,
#include "cu_symbols.inc"
#undef X
  kCuSymbols
};

extern "C" {
extern void* brim_cu_table[] __attribute__((visibility("hidden")));
extern void* brim_cu_real[] __attribute__((visibility("hidden")));
extern void* brim_cu_library __attribute__((visibility("hidden")));
extern std::uintptr_t brim_cu_inner[4] __attribute__((visibility("hidden")));
__attribute__((visibility("hidden"))) void brim_cu_resolve(void);
}

// The vendor's function: BRIM_REAL(cuMemAlloc_v2)(&at, bytes). One that it lacks answers
// CUDA_ERROR_NOT_FOUND. REQUIRES: resolved, as it is in any hook.
#define BRIM_REAL(name) \
  (reinterpret_cast<decltype(&::name)>(::brim::vgpu::brim_cu_real[::brim::vgpu::kCu_##name]))

// Hook_cuMemAlloc_v2 has the type of cuMemAlloc_v2, and so on for each row.
#define BRIM_HOOK(name) decltype(::name) Hook_##name;
#include "vgpu/shim/cu_hooks.inc"
#undef BRIM_HOOK

// For cuGetProcAddress: our hook of the vendor's function at this address, or the address itself.
// The same name has several functions (ABI versions, per-thread streams), told apart only so.
void* HookOf(void* real);
// Whether a name that is unknown here should worry us: it allocates, launches or imports.
bool LooksLikeWork(const char* name);

}  // namespace brim::vgpu
