#include "runtimes/tensorflow/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace brim::runtimes {
namespace {

// In this order: the second needs the first.
constexpr const char* kFramework = "libtensorflow_framework.so.2";
constexpr const char* kLibrary = "libtensorflow_cc.so.2";

std::string PluginDirectory() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&LoadTensorFlow), &info) == 0 ||
      info.dli_fname == nullptr)
    return ".";
  return std::filesystem::path(info.dli_fname).parent_path();
}

void SetEnvironment() {
  // Errors only; the line about oneDNN that the library writes while it is loaded comes all the
  // same.
  setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
  setenv("TF_ENABLE_ONEDNN_OPTS", "1", 0);
  // oneDNN's own allocator would keep an unloaded model's memory for itself.
  setenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1", 0);
}

}  // namespace

brim_code FindTensorFlow(const char* library_dir, std::string* found, brim_error* error) {
  std::vector<std::string> dirs;
  if (library_dir != nullptr) {
    dirs = {library_dir};
  } else {
    dirs = {PluginDirectory() + "/tensorflow", PluginDirectory()};
  }
  std::string looked;
  for (const std::string& dir : dirs) {
    looked += (looked.empty() ? "" : " nor in ") + dir;
    std::error_code ignored;
    if (!std::filesystem::exists(dir + "/" + kLibrary, ignored)) continue;
    *found = dir;
    return kOk;
  }
  return Fail(error, kFailedPrecondition,
              std::string("the tensorflow runtime needs ") + kLibrary + " and " + kFramework +
                  ", which are not in " + looked +
                  "; run `deps/fetch tensorflow` in the source tree, or put those of "
                  "TensorFlow " BRIM_TENSORFLOW_VERSION " there");
}

brim_code LoadTensorFlow(const std::string& dir, TensorFlow* tensorflow, brim_error* error) {
  SetEnvironment();
  void* library = dlopen((dir + "/" + kFramework).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) library = dlopen((dir + "/" + kLibrary).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Fail(error, kFailedPrecondition,
                std::string("TensorFlow cannot be loaded: ") + dlerror());
  }
  const char* missing = nullptr;
#define BRIM_FIND(name)                                                                   \
  tensorflow->name = reinterpret_cast<decltype(&TF_##name)>(dlsym(library, "TF_" #name)); \
  if (tensorflow->name == nullptr) missing = "TF_" #name;
  BRIM_TENSORFLOW_FUNCTIONS(BRIM_FIND)
#undef BRIM_FIND
  if (missing == nullptr) return kOk;
  return Fail(error, kFailedPrecondition,
              dir + "/" + kLibrary + " has no " + missing +
                  "; TensorFlow " BRIM_TENSORFLOW_VERSION " is needed");
}

}  // namespace brim::runtimes
