// A library of the vendor's, opened by path and called by name: nothing of NVIDIA's is needed to
// build or start this program. Only for functions whose form is known and stands in nvml.h or
// cuda.h of CUDA 12 and 13.
//
// Threads: any; an object is never changed after its making.
#pragma once

#include <dlfcn.h>
#include <stdlib.h>

#include <string>

namespace brim::vgpu {

using NvmlDevice = struct NvmlDeviceOpaque*;

// The few answers of NVML that are told apart. -1 is ours: the library lacks the function.
inline constexpr int kNvmlMissing = -1;
inline constexpr int kNvmlSuccess = 0;
inline constexpr int kNvmlNotSupported = 3;
inline constexpr int kNvmlNoPermission = 4;
inline constexpr int kNvmlNotFound = 6;
inline constexpr int kNvmlOperatingSystem = 17;

class DriverLibrary {
 public:
  explicit DriverLibrary(const char* path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {}
  ~DriverLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  DriverLibrary(const DriverLibrary&) = delete;
  DriverLibrary& operator=(const DriverLibrary&) = delete;

  bool ok() const { return handle_ != nullptr; }
  bool Has(const char* name) const { return dlsym(handle_, name) != nullptr; }
  // REQUIRES: ok(). kNvmlMissing when the library lacks the function.
  template <typename... Arguments>
  int Call(const char* name, Arguments... arguments) const {
    using Function = int (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(dlsym(handle_, name));
    return function == nullptr ? kNvmlMissing : function(arguments...);
  }

 private:
  void* handle_;
};

// What the environment names, else `otherwise`.
inline std::string LibraryPath(const char* variable, const char* otherwise) {
  const char* const told = getenv(variable);
  return told != nullptr && *told != '\0' ? told : otherwise;
}

}  // namespace brim::vgpu
