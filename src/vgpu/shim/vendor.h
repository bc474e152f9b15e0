// Finds the vendor's library and fills a forwarding table, for libcuda and libnvidia-ml alike.
//
// An exported entry (made by symbols.py) jumps through its slot. At first all slots lead to the
// resolver; it loads the vendor's library by its full path and fills them: our hook where there is
// one, else the vendor's function. There is no constructor: a process that never calls CUDA never
// loads anything.
//
// Threads: any number may resolve at once; all choose one library and write the same values, and
// nobody waits for another. (Who waits may hold the loader's lock, as a constructor under dlopen()
// does, and the other needs that lock; a forked child would wait for nobody.) Afterwards the tables
// are only read. Libc only; no heap of its own, no exceptions.
#pragma once

#include <cstdint>

namespace brim::vgpu {

struct HookRow {
  std::uint32_t index;  // Of the symbol.
  void* hook;
};

struct VendorTable {
  const char* variable;      // Environment: the full path of the vendor's library.
  const char* file;          // "libcuda.so.1"
  const char* const* names;  // In the order of the table.
  std::uint32_t symbols;
  const HookRow* hooks;
  std::uint32_t hook_rows;
  void* lacking;   // Stands for a function that the vendor's library lacks.
  void* absent;    // Stands for all of them when there is no such library.
  void** library;  // Null until one is chosen; `absent` when there is none.
  // Where the vendor's library and this one begin, each with its bytes. A call of an exported name
  // from there is the vendor's own business: the vendor's function, never a hook within a hook.
  std::uintptr_t* inner;
  void** real;
  void** table;
};

// In this order. LoadVendor() fills `real`, the caller's own copy; false without a library.
bool LoadVendor(const VendorTable& vendor, void** real);
// Fills the shared tables: from then on calls do not come back to the resolver. A function that the
// vendor lacks stays lacking, hook or not; without a library, or where another copy of the hooks
// does the work (injection.h), there are no hooks.
void PublishTable(const VendorTable& vendor, bool loaded, void* const* real);

}  // namespace brim::vgpu
