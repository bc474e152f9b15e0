// See vendor.h.
#include "vgpu/shim/vendor.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "vgpu/shim/injection.h"
#include "vgpu/shim/loaded_objects.h"

namespace brim::vgpu {
namespace {

// Whether the file is this very library: then it is not the vendor's.
bool IsThisLibrary(const char* path) {
  Dl_info info;
  struct stat own;
  struct stat other;
  if (dladdr(reinterpret_cast<void*>(&IsThisLibrary), &info) == 0) return false;
  if (stat(info.dli_fname, &own) != 0 || stat(path, &other) != 0) return false;
  return own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

// Where the variable says (`brim node run` sets it, a container runtime may), else where drivers
// put it: a mount of ours, Debian, Fedora, containers, WSL.
void* OpenVendor(const char* variable, const char* file) {
  if (void* const loaded = AlreadyLoaded(file); loaded != nullptr) return loaded;
  const char* const told = getenv(variable);
  if (told != nullptr && *told != '\0') {
    return IsThisLibrary(told) ? nullptr : dlopen(told, RTLD_NOW | RTLD_LOCAL);
  }
  for (const char* folder : {"/run/brim/driver", "/usr/lib/x86_64-linux-gnu", "/usr/lib64",
                             "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/usr/lib"}) {
    char path[PATH_MAX];
    const std::size_t length = strlen(folder);
    memcpy(path, folder, length);
    path[length] = '/';
    strcpy(path + length + 1, file);
    if (access(path, R_OK) != 0 || IsThisLibrary(path)) continue;
    void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
  }
  return nullptr;
}

// The first choice stays, for all threads.
void* Choose(const VendorTable& vendor) {
  void* chosen = __atomic_load_n(vendor.library, __ATOMIC_ACQUIRE);
  if (chosen != nullptr) return chosen;
  void* const found = OpenVendor(vendor.variable, vendor.file);
  void* const mine = found != nullptr ? found : vendor.absent;
  if (__atomic_compare_exchange_n(vendor.library, &chosen, mine, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    return mine;
  }
  return chosen;
}

void KeepInner(const VendorTable& vendor, bool loaded, void* const* real) {
  std::uint32_t first = 0;
  while (loaded && first < vendor.symbols && real[first] == vendor.lacking) ++first;
  if (!loaded || first == vendor.symbols) return;
  const ObjectSpan spans[] = {SpanAt(real[first]), SpanAt(reinterpret_cast<void*>(&KeepInner))};
  for (int i = 0; i < 2; ++i) {
    __atomic_store_n(&vendor.inner[2 * i], spans[i].begin, __ATOMIC_RELEASE);
    __atomic_store_n(&vendor.inner[2 * i + 1], spans[i].bytes, __ATOMIC_RELEASE);
  }
}

}  // namespace

bool LoadVendor(const VendorTable& vendor, void** real) {
  void* const library = Choose(vendor);
  const bool loaded = library != vendor.absent;
  for (std::uint32_t i = 0; i < vendor.symbols; ++i) {
    void* const found = loaded ? VendorSymbol(library, vendor.names[i]) : vendor.absent;
    real[i] = found != nullptr ? found : vendor.lacking;
  }
  KeepInner(vendor, loaded, real);
  dlerror();  // What was not found is no error of the program's.
  return loaded;
}

void PublishTable(const VendorTable& vendor, bool loaded, void* const* real) {
  const bool hooked = loaded && !StandsAside();
  for (std::uint32_t i = 0; i < vendor.symbols; ++i) {
    __atomic_store_n(&vendor.real[i], real[i], __ATOMIC_RELEASE);
  }
  for (std::uint32_t i = 0; i < vendor.symbols; ++i) {
    void* to = real[i];
    for (std::uint32_t row = 0; hooked && to != vendor.lacking && row < vendor.hook_rows; ++row) {
      if (vendor.hooks[row].index == i) to = vendor.hooks[row].hook;
    }
    __atomic_store_n(&vendor.table[i], to, __ATOMIC_RELEASE);
  }
}

}  // namespace brim::vgpu
