// The functions of libnvidia-ml: the vendor's and our hooks, by name and with their types.
//
// See vendor.h for how the table comes to be. Include this instead of <nvml.h>.
#pragma once

// Without this the header's macros hide all but the latest form of a function.
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <cstdint>

namespace brim::vgpu {

enum NvmlIndex : std::uint32_t {
#define X(name) kNvml_##name,
#include "nvml_symbols.inc"
#undef X
  kNvmlSymbols
};

extern "C" {
extern void* brim_nvml_table[] __attribute__((visibility("hidden")));
extern void* brim_nvml_real[] __attribute__((visibility("hidden")));
extern void* brim_nvml_library __attribute__((visibility("hidden")));
extern std::uintptr_t brim_nvml_inner[4] __attribute__((visibility("hidden")));
__attribute__((visibility("hidden"))) void brim_nvml_resolve(void);
}

// The vendor's function. REQUIRES: resolved, as it is in any hook.
#define BRIM_REAL_NVML(name) \
  (reinterpret_cast<decltype(&::name)>(::brim::vgpu::brim_nvml_real[::brim::vgpu::kNvml_##name]))

// Whether this process is in a slice, and the slice can be used. Calls nothing of the vendor's.
bool InSlice();

#define BRIM_HOOK(name) decltype(::name) Hook_##name;
#include "vgpu/shim/nvml_hooks.inc"
#undef BRIM_HOOK

}  // namespace brim::vgpu
