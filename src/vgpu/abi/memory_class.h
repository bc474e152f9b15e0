// What a slice's memory is used for. The ledger counts each apart; only their sum is limited.
#pragma once

#include <cstdint>

namespace brim::vgpu {

enum class MemoryClass : std::uint8_t {
  kBuffer,   // Plain, pitched and managed allocations.
  kPool,     // What stream-ordered pools hold from the driver.
  kVmm,      // Physical memory of cuMemCreate.
  kArray,    // CUDA arrays, mipmapped or not.
  kGraph,    // Memory nodes of graphs.
  kContext,  // What the driver takes for a context.
  kModule,   // Code and globals of loaded modules.
  kImport,   // Memory of others, where policy charges it here.
};
inline constexpr int kMemoryClasses = 8;

// The label of metrics; static storage.
inline const char* MemoryClassName(MemoryClass memory_class) {
  constexpr const char* kNames[kMemoryClasses] = {"buffer", "pool",    "vmm",    "array",
                                                  "graph",  "context", "module", "import"};
  const int index = static_cast<int>(memory_class);
  return index < kMemoryClasses ? kNames[index] : "unknown";
}

}  // namespace brim::vgpu
