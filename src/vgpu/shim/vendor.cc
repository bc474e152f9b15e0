// See vendor.h.
#include "vgpu/shim/vendor.h"

#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

void Futex(std::atomic<std::uint32_t>* word, int operation, std::uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), operation, value, nullptr, nullptr, 0);
}

}  // namespace

bool Once::Begin() {
  std::uint32_t none = 0;
  if (state_.compare_exchange_strong(none, 1, std::memory_order_acquire)) return true;
  while (state_.load(std::memory_order_acquire) == 1) Futex(&state_, FUTEX_WAIT_PRIVATE, 1);
  return false;
}

void Once::Done() {
  state_.store(2, std::memory_order_release);
  Futex(&state_, FUTEX_WAKE_PRIVATE, INT_MAX);
}

bool LoadVendor(const VendorTable& vendor) {
  void* const library = OpenVendor(vendor.variable, vendor.file);
  for (std::uint32_t i = 0; i < vendor.symbols; ++i) {
    void* const found = library == nullptr ? nullptr : dlsym(library, vendor.names[i]);
    vendor.real[i] = found != nullptr ? found : library == nullptr ? vendor.absent : vendor.lacking;
  }
  return library != nullptr;
}

void PublishTable(const VendorTable& vendor, bool loaded) {
  for (std::uint32_t i = 0; i < vendor.symbols; ++i) {
    void* to = vendor.real[i];
    for (std::uint32_t row = 0; loaded && to != vendor.lacking && row < vendor.hook_rows; ++row) {
      if (vendor.hooks[row].index == i) to = vendor.hooks[row].hook;
    }
    __atomic_store_n(&vendor.table[i], to, __ATOMIC_RELEASE);
  }
}

}  // namespace brim::vgpu
