// tenant memory, hold, churn: what a slice lets a program hold.
#include <stdio.h>

#include <random>
#include <vector>

#include "tenant.h"

namespace tenant {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// One way of taking device memory. `take` answers the driver's code; memory is not given back
// before the process ends.
struct Way {
  const char* name;
  CUresult (*take)(std::uint64_t bytes);
};

CUresult Plain(std::uint64_t bytes) {
  CUdeviceptr at = 0;
  return BRIM_CALL(cuMemAlloc_v2)(&at, bytes);
}

CUresult Pitched(std::uint64_t bytes) {
  CUdeviceptr at = 0;
  size_t pitch = 0;
  const std::uint64_t width = 4096;
  return BRIM_CALL(cuMemAllocPitch_v2)(&at, &pitch, width, bytes / width, 4);
}

CUresult Managed(std::uint64_t bytes) {
  CUdeviceptr at = 0;
  return BRIM_CALL(cuMemAllocManaged)(&at, bytes, CU_MEM_ATTACH_GLOBAL);
}

CUresult Pooled(std::uint64_t bytes) {
  CUdeviceptr at = 0;
  const CUresult result = BRIM_CALL(cuMemAllocAsync)(&at, bytes, nullptr);
  const CUresult waited = BRIM_CALL(cuCtxSynchronize)();
  return result != CUDA_SUCCESS ? result : waited;
}

CUresult Physical(std::uint64_t bytes) {
  CUmemAllocationProp shape = {};
  shape.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  shape.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemGenericAllocationHandle handle = 0;
  return BRIM_CALL(cuMemCreate)(&handle, bytes, &shape, 0);
}

CUresult Array(std::uint64_t bytes) {
  CUDA_ARRAY_DESCRIPTOR shape = {};
  shape.Width = 4096;
  shape.Height = bytes / (4096 * 4);
  shape.Format = CU_AD_FORMAT_UNSIGNED_INT32;
  shape.NumChannels = 1;
  CUarray array = nullptr;
  return BRIM_CALL(cuArrayCreate_v2)(&array, &shape);
}

CUresult GraphNode(std::uint64_t bytes) {
  CUgraph graph = nullptr;
  CUgraphNode node = nullptr;
  CUgraphExec exec = nullptr;
  CUDA_MEM_ALLOC_NODE_PARAMS parameters = {};
  parameters.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  parameters.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  parameters.bytesize = bytes;
  CUresult result = BRIM_CALL(cuGraphCreate)(&graph, 0);
  if (result == CUDA_SUCCESS) {
    result = BRIM_CALL(cuGraphAddMemAllocNode)(&node, graph, nullptr, 0, &parameters);
  }
  if (result == CUDA_SUCCESS) result = BRIM_CALL(cuGraphInstantiateWithFlags)(&exec, graph, 0);
  if (result == CUDA_SUCCESS) result = BRIM_CALL(cuGraphLaunch)(exec, nullptr);
  const CUresult waited = BRIM_CALL(cuCtxSynchronize)();
  return result != CUDA_SUCCESS ? result : waited;
}

constexpr Way kWays[] = {{"plain", Plain},    {"pitched", Pitched},   {"managed", Managed},
                         {"pool", Pooled},    {"physical", Physical}, {"array", Array},
                         {"graph", GraphNode}};

}  // namespace

// Takes --step bytes at a time, by one way, until refused or --most is reached, then says what it
// has taken and waits for the end of its input, so that somebody can read the truth meanwhile. With
// --wait 1 it says "ready" before and waits for a line.
int Memory(const Options& options) {
  const Card card;
  const auto step = static_cast<std::uint64_t>(options.Number("step", 64.0 * kMiB));
  const auto most = static_cast<std::uint64_t>(options.Number("most", 1e18));
  const std::string way = options.Text("way", "plain");
  const Way* chosen = nullptr;
  for (const Way& row : kWays) {
    if (way == row.name) chosen = &row;
  }
  if (chosen == nullptr) Fail(way.c_str(), -3);
  if (options.Number("wait", 0) > 0) {
    printf("ready\n");
    fflush(stdout);
    while (getchar() != '\n') {
    }
  }
  std::uint64_t taken = 0;
  CUresult result = CUDA_SUCCESS;
  while (taken + step <= most && (result = chosen->take(step)) == CUDA_SUCCESS) taken += step;
  size_t free = 0;
  size_t total = 0;
  BRIM_CALL(cuMemGetInfo_v2)(&free, &total);
  printf("{\"way\":\"%s\",\"taken\":%llu,\"code\":%d,\"free\":%llu,\"total\":%llu}\n", way.c_str(),
         static_cast<unsigned long long>(taken), result, static_cast<unsigned long long>(free),
         static_cast<unsigned long long>(total));
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}

int Hold(const Options& options) {
  const Card card;
  const auto bytes = static_cast<std::uint64_t>(options.Number("bytes", 64.0 * kMiB));
  const CUresult result = Plain(bytes);
  printf("{\"code\":%d}\n", result);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}

// Allocates and frees sizes up to --most at random, about 200 held at a time.
int Churn(const Options& options) {
  const Card card;
  const auto most = static_cast<std::uint64_t>(options.Number("most", 16.0 * kMiB));
  const auto until = Now() + static_cast<std::int64_t>(options.Number("seconds", 10) * 1e9);
  std::mt19937_64 random(static_cast<std::uint64_t>(options.Number("seed", 1)));
  const auto allocate = BRIM_CALL(cuMemAlloc_v2);
  const auto release = BRIM_CALL(cuMemFree_v2);
  std::vector<CUdeviceptr> held;
  std::uint64_t calls = 0;
  std::uint64_t refused = 0;
  printf("ready\n");
  fflush(stdout);
  for (; Now() < until; ++calls) {
    if (held.size() < 200 && (held.empty() || random() % 2 == 0)) {
      CUdeviceptr at = 0;
      const CUresult result = allocate(&at, 1 + random() % most);
      if (result == CUDA_SUCCESS) {
        held.push_back(at);
      } else if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        ++refused;
      } else {
        Fail("cuMemAlloc", result);
      }
    } else {
      std::swap(held[random() % held.size()], held.back());
      Check("cuMemFree", release(held.back()));
      held.pop_back();
    }
  }
  printf("{\"calls\":%llu,\"refused\":%llu}\n", static_cast<unsigned long long>(calls),
         static_cast<unsigned long long>(refused));
  return 0;
}

}  // namespace tenant
