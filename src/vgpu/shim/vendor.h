// Finds the vendor's library and fills a forwarding table, for libcuda and libnvidia-ml alike.
//
// An exported entry (made by symbols.py) jumps through its slot. At first all slots lead to the
// resolver; it loads the vendor's library by its full path and fills them: our hook where there is
// one, else the vendor's function. There is no constructor: a process that never calls CUDA never
// loads anything.
//
// Threads: a resolver runs once, whoever comes first; others wait for it on a futex. Afterwards the
// tables are only read. Libc only; no heap of its own, no exceptions.
#pragma once

#include <atomic>
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
  void* lacking;  // Stands for a function that the vendor's library lacks.
  void* absent;   // Stands for all of them when there is no such library.
  void** real;
  void** table;
};

class Once {
 public:
  // True for the one who has to do it; others return when it is done.
  bool Begin();
  void Done();

 private:
  std::atomic<std::uint32_t> state_{0};  // 0 not begun, 1 under way, 2 done.
};

// In this order, between Begin() and Done(). LoadVendor() fills `real`; false without a library.
bool LoadVendor(const VendorTable& vendor);
// Fills `table`: from then on calls do not come back to the resolver. A function that the vendor
// lacks stays lacking, hook or not; without a library there are no hooks.
void PublishTable(const VendorTable& vendor, bool loaded);

}  // namespace brim::vgpu
