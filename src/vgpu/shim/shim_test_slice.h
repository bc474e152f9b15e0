// For the shim's tests: a slice's folder as the agent makes one, the fake card's own word on who
// holds what, and processes of the slice to start. One thread.
#pragma once

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "vgpu/abi/card_segment.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kContextMiB = 64;  // As FAKE_CUDA_CONTEXT_MIB.
inline constexpr std::uint64_t kModuleMiB = 2;

// A function of the libcuda.so.1 that this process finds: CU(cuInit)(0).
void* CudaSymbol(const char* name);
#define CU(name) (reinterpret_cast<decltype(&::name)>(::brim::vgpu::CudaSymbol(#name)))

// The four files, mapped for writing.
struct TestSlice {
  std::string folder;
  SliceLimits* limits = nullptr;
  SliceSegment* segment = nullptr;
  CardTable* table = nullptr;
  CardSegment* card = nullptr;

  std::uint64_t held() const { return HeldBytes(*segment); }
};
// Makes the folder and its files.
TestSlice MakeSlice(const std::string& folder, std::uint64_t memory_mib);
// The files of an existing one.
TestSlice OpenSlice(const std::string& folder);
// The slice in which this process runs (BRIM_SLICE).
TestSlice& OwnSlice();

// Uses libcuda as a program would, by the functions that `find` knows; what it sees and gets.
using FindFunction = std::function<void*(const char* name)>;
std::string UseCuda(const FindFunction& find);

// By the fake's state: what a process holds, and all living ones together at one instant.
std::uint64_t TruthOf(pid_t pid);
std::uint64_t TruthOfAll();

// Runs this program again with other arguments and environment (name, value; value null: unset).
using Environment = std::vector<std::pair<const char*, const char*>>;
struct Child {
  pid_t pid = -1;
  int in = -1;   // Its standard input.
  int out = -1;  // Its standard output and error.
};
Child Start(const std::vector<std::string>& program, const Environment& environment = {});
struct Ended {
  int status = 0;  // As waitpid() says.
  std::string said;
};
Ended Finish(Child* child);
// Whether this process has the hooks by the preloaded library, as the tests run with --preload.
bool Preloaded();
// The file in which the hooks are.
std::string HookFile();
// The path of this program.
std::string Self();
// Whether the files of a folder are as they are in tmpfs: for tests that need one.
std::string TemporaryFolder();
void RemoveFolder(const std::string& folder);

// What `--tenant` and `--route` do in a child; the process's exit status.
int RunTenant(const std::string& seed);
int RunRoute(const std::string& route);
int RunPreloadRoute(const std::string& route);

}  // namespace brim::vgpu
