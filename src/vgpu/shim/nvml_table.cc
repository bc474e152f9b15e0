// See nvml_table.h.
#include "vgpu/shim/nvml_table.h"

#include "vgpu/shim/injection.h"
#include "vgpu/shim/vendor.h"

namespace brim::vgpu {

extern "C" {
void* brim_nvml_real[kNvmlSymbols];
void* brim_nvml_library;
}

namespace {

constexpr const char* kNames[] = {
#define X(name) #name,
#include "nvml_symbols.inc"
#undef X
};

nvmlReturn_t Lacking() { return NVML_ERROR_FUNCTION_NOT_FOUND; }
nvmlReturn_t Absent() { return NVML_ERROR_LIBRARY_NOT_FOUND; }

// The card is shared: its settings are the host's, and so is what others do on it.
nvmlReturn_t Refused() { return NVML_ERROR_NO_PERMISSION; }
nvmlReturn_t Hidden() { return NVML_ERROR_NOT_SUPPORTED; }

void Refuse(void** real) {
  const auto put = [real](std::uint32_t index, nvmlReturn_t (*answer)()) {
    real[index] = reinterpret_cast<void*>(answer);
  };
#define BRIM_REFUSED(name) put(kNvml_##name, &Refused);
#define BRIM_HIDDEN(name) put(kNvml_##name, &Hidden);
#define BRIM_ALLOWED(name, reason)
#include "vgpu/shim/nvml_refused.inc"
#undef BRIM_REFUSED
#undef BRIM_HIDDEN
#undef BRIM_ALLOWED
}

}  // namespace

extern "C" void brim_nvml_resolve(void) {
  static const HookRow kHooks[] = {
#define BRIM_HOOK(name) {kNvml_##name, reinterpret_cast<void*>(&Hook_##name)},
#include "vgpu/shim/nvml_hooks.inc"
#undef BRIM_HOOK
  };
  const VendorTable vendor = {"BRIM_REAL_LIBNVIDIA_ML",
                              "libnvidia-ml.so.1",
                              kNames,
                              kNvmlSymbols,
                              kHooks,
                              sizeof(kHooks) / sizeof(kHooks[0]),
                              reinterpret_cast<void*>(&Lacking),
                              reinterpret_cast<void*>(&Absent),
                              &brim_nvml_library,
                              brim_nvml_inner,
                              brim_nvml_real,
                              brim_nvml_table};
  void* real[kNvmlSymbols];
  const bool loaded = LoadVendor(vendor, real);
  // The one function that answers with a text and not a code.
  if (!loaded) {
    real[kNvml_nvmlErrorString] = reinterpret_cast<void*>(
        +[](nvmlReturn_t) -> const char* { return "libnvidia-ml.so.1 was not found"; });
  }
  if (loaded && !StandsAside() && InSlice()) Refuse(real);
  PublishTable(vendor, loaded, real);
}

}  // namespace brim::vgpu
