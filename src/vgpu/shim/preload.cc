// See preload.h and injection.h.
#include "vgpu/shim/preload.h"

#include <dlfcn.h>
#include <string.h>

#include <atomic>

#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/injection.h"
#include "vgpu/shim/loaded_objects.h"
#include "vgpu/shim/nvml_table.h"

extern "C" {
// Of the linker: where this library begins and ends.
extern const char __ehdr_start __attribute__((visibility("hidden")));
extern const char _end __attribute__((visibility("hidden")));
}

namespace brim::vgpu {
namespace {

using Dlsym = void* (*)(void* handle, const char* name);
using Dlvsym = void* (*)(void* handle, const char* name, const char* version);

constexpr const char* kCuda = "libcuda.so.1";
constexpr const char* kNvml = "libnvidia-ml.so.1";

// A function that is answered here, hooked or refused.
struct Known {
  const char* name;
  bool cuda;
  std::uint32_t index;
};
constexpr Known kKnown[] = {
#define BRIM_HOOK(name) {#name, true, kCu_##name},
#include "vgpu/shim/cu_hooks.inc"
#undef BRIM_HOOK
#define BRIM_HOOK(name) {#name, false, kNvml_##name},
#define BRIM_REFUSED(name) {#name, false, kNvml_##name},
#define BRIM_HIDDEN(name) {#name, false, kNvml_##name},
#define BRIM_ALLOWED(name, reason)
#include "vgpu/shim/nvml_hooks.inc"
#include "vgpu/shim/nvml_refused.inc"
#undef BRIM_HOOK
#undef BRIM_REFUSED
#undef BRIM_HIDDEN
#undef BRIM_ALLOWED
};

const Known* KnownAs(const char* name) {
  const bool cuda = name[0] == 'c' && name[1] == 'u' && name[2] >= 'A' && name[2] <= 'Z';
  if (!cuda && strncmp(name, "nvml", 4) != 0) return nullptr;
  for (const Known& known : kKnown) {
    if (known.cuda == cuda && strcmp(known.name, name) == 0) return &known;
  }
  return nullptr;
}

bool IsDoor(const char* name) { return strcmp(name, "dlsym") == 0 || strcmp(name, "dlvsym") == 0; }

void* None() { return nullptr; }

// The C library's own, found in its own table: whatever name we asked the loader for would be ours.
void* RealDoor(const char* name, void** known) {
  void* real = __atomic_load_n(known, __ATOMIC_ACQUIRE);
  if (real != nullptr) return real;
  const link_map* const library = StartedWith("libc.so.6");
  if (library != nullptr) real = DefinedIn(library, name);
  if (real == nullptr) real = reinterpret_cast<void*>(&None);
  __atomic_store_n(known, real, __ATOMIC_RELEASE);
  return real;
}

constinit void* real_dlsym = nullptr;
constinit void* real_dlvsym = nullptr;

void* RealDlsym() { return RealDoor("dlsym", &real_dlsym); }
void* RealDlvsym() { return RealDoor("dlvsym", &real_dlvsym); }

bool IsOwn(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at >= reinterpret_cast<std::uintptr_t>(&__ehdr_start) &&
         at < reinterpret_cast<std::uintptr_t>(&_end);
}

bool IsNamed(const link_map* object, const char* name) {
  const char* const own = object == nullptr ? nullptr : NameOf(object);
  return own != nullptr && strcmp(own, name) == 0;
}

// Asks as this library. Not by a jump, as the compiler would have it: whose the return address is
// decides what comes next.
void* AskFromHere(void* function, void* handle, const char* name, const char* version) {
  void* answer = reinterpret_cast<Dlvsym>(function)(handle, name, version);
  asm volatile("" : "+r"(answer));
  return answer;
}

// Whether the program has the vendor's library by itself; then the hooks have it too.
bool HasLibrary(bool cuda) {
  void* const chosen =
      __atomic_load_n(cuda ? &brim_cu_library : &brim_nvml_library, __ATOMIC_ACQUIRE);
  return chosen != nullptr || AlreadyLoaded(cuda ? kCuda : kNvml) != nullptr;
}

constinit std::atomic<bool> resolved[2] = {};

// What calls of an interposed function get; the vendor's library is loaded by now.
void* HookFor(const Known& known) {
  std::atomic<bool>& done = resolved[known.cuda];
  if (!done.load(std::memory_order_acquire)) {
    known.cuda ? brim_cu_resolve() : brim_nvml_resolve();
    done.store(true, std::memory_order_release);
  }
  return __atomic_load_n(known.cuda ? &brim_cu_table[known.index] : &brim_nvml_table[known.index],
                         __ATOMIC_ACQUIRE);
}

// After the C library found something for a name of ours.
void* Answer(void* found, const char* name, const void* who) {
  if (found == nullptr) return nullptr;
  if (IsDoor(name)) {
    if (found == RealDlsym()) return reinterpret_cast<void*>(&brim_dlsym);
    return found == RealDlvsym() ? reinterpret_cast<void*>(&brim_dlvsym) : found;
  }
  const Known& known = *KnownAs(name);
  if (IsOwn(found)) {
    // Without us it would not be there, unless somebody after us has it.
    if (HasLibrary(known.cuda)) return found;
    return AskFromHere(RealDlsym(), RTLD_NEXT, name, nullptr);
  }
  const link_map* const asking = ObjectAt(who);
  if (IsNamed(asking, kCuda) || IsNamed(asking, kNvml)) return found;
  const link_map* const object = ObjectAt(found);
  if (!IsNamed(object, known.cuda ? kCuda : kNvml) || !InBaseNamespace(object)) return found;
  return HookFor(known);
}

// The C library's answer as `who` gets it. Code that is in no library asks as we do.
void* Ask(void* handle, const char* name, const char* version, void* function, const void* who) {
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT) {
    const void* const ret = ReturnNear(who);
    if (ret != nullptr) return brim_call_as(handle, name, version, function, ret);
  }
  return AskFromHere(function, handle, name, version);
}

void* AnswerDlsym(void* handle, const char* name, const void* who) {
  return Answer(Ask(handle, name, nullptr, RealDlsym(), who), name, who);
}

void* AnswerDlvsym(void* handle, const char* name, const char* version, const void* who) {
  return Answer(Ask(handle, name, version, RealDlvsym(), who), name, who);
}

bool IsOurs(const char* name) {
  return name != nullptr && (IsDoor(name) || KnownAs(name) != nullptr);
}

}  // namespace

void* VendorSymbol(void* library, const char* name) {
  return reinterpret_cast<Dlsym>(RealDlsym())(library, name);
}

void* AlreadyLoaded(const char* file) { return dlopen(file, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD); }

bool StandsAside() { return false; }

extern "C" {
void* brim_dlsym_route(const char* name) {
  return IsOurs(name) ? reinterpret_cast<void*>(&AnswerDlsym) : RealDlsym();
}

void* brim_dlvsym_route(const char* name) {
  return IsOurs(name) ? reinterpret_cast<void*>(&AnswerDlvsym) : RealDlvsym();
}
}

}  // namespace brim::vgpu
