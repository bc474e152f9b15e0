// What differs between the two ways in which the hooks come into a process.
//
// Replacement (replaced.cc): our libcuda.so.1 and libnvidia-ml.so.1 are found in place of the
// vendor's. Preload (preload.cc): libbrim_preload.so stands before the vendor's libraries, which
// the program finds where it always does. Where both are in one process the preloaded one does the
// work, and the replacements pass everything on: nothing is counted twice.
//
// Threads: any. Libc only; no heap, no lock.
#pragma once

namespace brim::vgpu {

// dlsym() as the C library has it, whoever else calls himself so.
void* VendorSymbol(void* library, const char* name);
// The vendor's library that this process has already; null: none, or not for us to use.
void* AlreadyLoaded(const char* file);
// Whether another copy of the hooks is before this one.
bool StandsAside();

}  // namespace brim::vgpu
