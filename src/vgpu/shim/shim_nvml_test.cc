// What a tenant sees and may do through NVML: its slice, its own processes, nothing to change.
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <nvml.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

void* NvmlSymbol(const char* name) {
  static void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  void* const found = library == nullptr ? nullptr : dlsym(library, name);
  EXPECT_NE(found, nullptr) << name;
  return found;
}
#define ML(name) (reinterpret_cast<decltype(&::name)>(NvmlSymbol(#name)))

class ShimNvmlTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(ML(nvmlInit_v2)(), NVML_SUCCESS);
    ASSERT_EQ(ML(nvmlDeviceGetHandleByIndex_v2)(0, &device_), NVML_SUCCESS);
    ASSERT_EQ(CU(cuInit)(0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuDevicePrimaryCtxRetain)(&context_, 0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuCtxSetCurrent)(context_), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuMemAlloc_v2)(&at_, 100 * kMiB), CUDA_SUCCESS);
  }
  void TearDown() override {
    CU(cuMemFree_v2)(at_);
    CU(cuCtxSetCurrent)(nullptr);
    CU(cuDevicePrimaryCtxRelease_v2)(0);
    EXPECT_EQ(slice_.held(), 0u);
  }

  TestSlice& slice_ = OwnSlice();
  nvmlDevice_t device_ = nullptr;
  CUcontext context_ = nullptr;
  CUdeviceptr at_ = 0;
};

TEST_F(ShimNvmlTest, OneCardWithTheSlicesMemory) {
  unsigned count = 0;
  EXPECT_EQ(ML(nvmlDeviceGetCount_v2)(&count), NVML_SUCCESS);
  EXPECT_EQ(count, 1u);
  nvmlDevice_t other = nullptr;
  EXPECT_EQ(ML(nvmlDeviceGetHandleByIndex_v2)(1, &other), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(ML(nvmlDeviceGetHandleByUUID)("GPU-fa4e0000-0000-4000-8000-000000000000", &other),
            NVML_SUCCESS);
  EXPECT_EQ(other, device_);
  nvmlMemory_t memory{};
  ASSERT_EQ(ML(nvmlDeviceGetMemoryInfo)(device_, &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, 1024 * kMiB);
  EXPECT_EQ(memory.used, (kContextMiB + 100) * kMiB);
  EXPECT_EQ(memory.free, memory.total - memory.used);
  nvmlMemory_v2_t newer{};
  EXPECT_EQ(ML(nvmlDeviceGetMemoryInfo_v2)(device_, &newer), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
  newer.version = nvmlMemory_v2;
  ASSERT_EQ(ML(nvmlDeviceGetMemoryInfo_v2)(device_, &newer), NVML_SUCCESS);
  EXPECT_EQ(newer.total, memory.total);
  EXPECT_EQ(newer.used, memory.used);
  nvmlUtilization_t use{};
  EXPECT_EQ(ML(nvmlDeviceGetUtilizationRates)(device_, &use), NVML_SUCCESS);
  EXPECT_LE(use.gpu, 100u);
}

// A program outside the slice holds memory on the same card.
TEST_F(ShimNvmlTest, OnlyItsOwnProcesses) {
  Child outside = Start({BRIM_SHIM_LINKED, "hold"},
                        {{"LD_LIBRARY_PATH", BRIM_FAKE_FOLDER}, {"BRIM_SLICE", nullptr}});
  char ready = 0;
  ASSERT_EQ(read(outside.out, &ready, 1), 1);
  ASSERT_EQ(TruthOf(outside.pid), kContextMiB * kMiB);
  nvmlProcessInfo_t rows[8];
  unsigned count = 8;
  ASSERT_EQ(ML(nvmlDeviceGetComputeRunningProcesses_v3)(device_, &count, rows), NVML_SUCCESS);
  ASSERT_EQ(count, 1u);
  EXPECT_EQ(rows[0].pid, static_cast<unsigned>(getpid()));
  EXPECT_EQ(rows[0].usedGpuMemory, (kContextMiB + 100) * kMiB);
  count = 0;
  EXPECT_EQ(ML(nvmlDeviceGetComputeRunningProcesses_v3)(device_, &count, nullptr),
            NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(count, 1u);
  nvmlProcessInfo_v1_t old[8];
  count = 8;
  ASSERT_EQ(ML(nvmlDeviceGetComputeRunningProcesses)(device_, &count, old), NVML_SUCCESS);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(Finish(&outside).status, 0);
}

// Every function of nvml_refused.inc, called with nothing: it answers before it looks.
TEST_F(ShimNvmlTest, NothingCanBeChangedAndOthersAreNotSeen) {
  using Any = nvmlReturn_t (*)();
  int refused = 0;
#define BRIM_REFUSED(name)                                                                  \
  EXPECT_EQ(reinterpret_cast<Any>(NvmlSymbol(#name))(), NVML_ERROR_NO_PERMISSION) << #name; \
  ++refused;
#define BRIM_HIDDEN(name) \
  EXPECT_EQ(reinterpret_cast<Any>(NvmlSymbol(#name))(), NVML_ERROR_NOT_SUPPORTED) << #name;
#define BRIM_ALLOWED(name, reason)
#include "vgpu/shim/nvml_refused.inc"
  EXPECT_GE(refused, 70);
  printf("%d functions refused\n", refused);
}

}  // namespace
}  // namespace brim::vgpu
