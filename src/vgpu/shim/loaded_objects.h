// What is loaded in this process, read from the loader's own records (link.h).
//
// Threads: any. An object must stay loaded while it is looked at. Libc only; no heap.
#pragma once

#include <link.h>

#include <cstdint>

namespace brim::vgpu {

// The object at an address; null: none.
const link_map* ObjectAt(const void* address);
// What it calls itself (DT_SONAME); null: nothing.
const char* NameOf(const link_map* object);
// Whether it is in the namespace of the program, not in one of dlmopen().
bool InBaseNamespace(const link_map* object);
// The address of a function that it defines, in its default version; null: none, or the object has
// no table of the GNU form.
void* DefinedIn(const link_map* object, const char* name);
// The object of that name that was loaded with the program; null: none.
const link_map* StartedWith(const char* name);
// From the first to the last byte of the object at an address, its data included; zeros: none.
struct ObjectSpan {
  std::uintptr_t begin = 0;
  std::uintptr_t bytes = 0;
};
ObjectSpan SpanAt(const void* address);
// A `ret` instruction in the code around an address of a loaded object; null: none.
const void* ReturnNear(const void* address);

}  // namespace brim::vgpu
