// See nvml_table.h.
#include "vgpu/shim/nvml_table.h"

#include "vgpu/shim/vendor.h"

namespace brim::vgpu {

extern "C" {
void* brim_nvml_real[kNvmlSymbols];
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

void Refuse() {
  const auto put = [](std::uint32_t index, nvmlReturn_t (*answer)()) {
    brim_nvml_real[index] = reinterpret_cast<void*>(answer);
  };
#define BRIM_REFUSED(name) put(kNvml_##name, &Refused);
#define BRIM_HIDDEN(name) put(kNvml_##name, &Hidden);
#define BRIM_ALLOWED(name, reason)
#include "vgpu/shim/nvml_refused.inc"
#undef BRIM_REFUSED
#undef BRIM_HIDDEN
#undef BRIM_ALLOWED
}

constinit Once once;

}  // namespace

extern "C" void brim_nvml_resolve(void) {
  static const HookRow kHooks[] = {
#define BRIM_HOOK(name) {kNvml_##name, reinterpret_cast<void*>(&Hook_##name)},
#include "vgpu/shim/nvml_hooks.inc"
#undef BRIM_HOOK
  };
  if (!once.Begin()) return;
  const VendorTable vendor = {"BRIM_REAL_LIBNVIDIA_ML",
                              "libnvidia-ml.so.1",
                              kNames,
                              kNvmlSymbols,
                              kHooks,
                              sizeof(kHooks) / sizeof(kHooks[0]),
                              reinterpret_cast<void*>(&Lacking),
                              reinterpret_cast<void*>(&Absent),
                              brim_nvml_real,
                              brim_nvml_table};
  const bool loaded = LoadVendor(vendor);
  // The one function that answers with a text and not a code.
  if (!loaded) {
    brim_nvml_real[kNvml_nvmlErrorString] = reinterpret_cast<void*>(
        +[](nvmlReturn_t) -> const char* { return "libnvidia-ml.so.1 was not found"; });
  }
  if (loaded && InSlice()) Refuse();
  PublishTable(vendor, loaded);
  once.Done();
}

}  // namespace brim::vgpu
