// See injection.h: our libraries in place of the vendor's.
#include <dlfcn.h>

#include "vgpu/shim/injection.h"

// Defined by libbrim_preload.so alone. In a namespace of dlmopen() it is not there.
extern "C" __attribute__((weak)) const char brim_preload;

namespace brim::vgpu {

void* VendorSymbol(void* library, const char* name) { return dlsym(library, name); }

// It would be this very library.
void* AlreadyLoaded(const char*) { return nullptr; }

bool StandsAside() { return &brim_preload != nullptr; }

}  // namespace brim::vgpu
