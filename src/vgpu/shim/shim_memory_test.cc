// Every kind of memory through the shim: after each step the ledger says what the fake card says,
// nothing is ever above the limit, and in the end nothing is left.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

class ShimMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(CU(cuInit)(0), CUDA_SUCCESS);
    Same(0);
    ASSERT_EQ(CU(cuDevicePrimaryCtxRetain)(&context_, 0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuCtxSetCurrent)(context_), CUDA_SUCCESS);
    Same(kContextMiB * kMiB);
  }
  void TearDown() override {
    CU(cuCtxSetCurrent)(nullptr);
    EXPECT_EQ(CU(cuDevicePrimaryCtxRelease_v2)(0), CUDA_SUCCESS);
    Same(0);
    EXPECT_EQ(Reaper(slice_.segment).SumOfCells(), 0u);
  }

  std::uint64_t limit() const { return slice_.limits->memory_now; }
  // The ledger and the card agree.
  void Same() {
    const std::uint64_t truth = TruthOf(getpid());
    ASSERT_EQ(slice_.held(), truth);
    ASSERT_LE(truth, limit());
  }
  void Same(std::uint64_t bytes) {
    Same();
    ASSERT_EQ(slice_.held(), bytes);
  }
  // Above the context.
  void Holds(std::uint64_t bytes) { Same(kContextMiB * kMiB + bytes); }

  CUdeviceptr Allocate(std::uint64_t bytes) {
    CUdeviceptr at = 0;
    EXPECT_EQ(CU(cuMemAlloc_v2)(&at, bytes), CUDA_SUCCESS) << bytes;
    return at;
  }
  void Free(CUdeviceptr at) { EXPECT_EQ(CU(cuMemFree_v2)(at), CUDA_SUCCESS); }
  CUmemGenericAllocationHandle Physical(std::uint64_t bytes) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    CUmemGenericAllocationHandle handle = 0;
    EXPECT_EQ(CU(cuMemCreate)(&handle, bytes, &properties, 0), CUDA_SUCCESS);
    return handle;
  }
  CUmemoryPool Pool() {
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    CUmemoryPool pool = nullptr;
    EXPECT_EQ(CU(cuMemPoolCreate)(&pool, &properties), CUDA_SUCCESS);
    return pool;
  }

  TestSlice& slice_ = OwnSlice();
  CUcontext context_ = nullptr;
};

TEST_F(ShimMemoryTest, PlainToTheLastByteOfTheLimit) {
  std::vector<CUdeviceptr> all;
  std::uint64_t bytes = 0;
  for (const std::uint64_t size : {1u, 511u, 512u, 513u, 4096u, 1048577u}) {
    all.push_back(Allocate(size));
    bytes += UnitsOf(size) * kUnitBytes;
    Holds(bytes);
  }
  for (std::uint64_t size = 256 * kMiB; size >= kUnitBytes; size /= 2) {
    CUdeviceptr at = 0;
    while (CU(cuMemAlloc_v2)(&at, size) == CUDA_SUCCESS) {
      all.push_back(at);
      Same();
    }
    Same();
  }
  Same(limit());
  CUdeviceptr more = 0;
  EXPECT_EQ(CU(cuMemAlloc_v2)(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(CU(cuMemAlloc_v2)(&more, ~size_t{0}), CUDA_ERROR_OUT_OF_MEMORY);
  size_t free = 1;
  size_t total = 1;
  EXPECT_EQ(CU(cuMemGetInfo_v2)(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(free, 0u);
  EXPECT_EQ(total, limit());
  for (const CUdeviceptr at : all) Free(at);
  Holds(0);
}

TEST_F(ShimMemoryTest, WhatTheDriverRefusesIsNotCounted) {
  CUdeviceptr at = 0;
  EXPECT_EQ(CU(cuMemAlloc_v2)(&at, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(CU(cuMemFree_v2)(0), CUDA_SUCCESS);
  EXPECT_EQ(CU(cuMemFree_v2)(4711), CUDA_ERROR_INVALID_VALUE);
  at = Allocate(1000);
  Free(at);
  EXPECT_EQ(CU(cuMemFree_v2)(at), CUDA_ERROR_INVALID_VALUE);
  Holds(0);
  at = Allocate(1000);
  CU(cuCtxSetCurrent)(nullptr);
  EXPECT_EQ(CU(cuMemFree_v2)(at), CUDA_ERROR_INVALID_CONTEXT);
  CU(cuCtxSetCurrent)(context_);
  Holds(1024);
  Free(at);
  Holds(0);
}

TEST_F(ShimMemoryTest, PitchedManagedAndTheOldForms) {
  CUdeviceptr at[3] = {};
  size_t pitch = 0;
  ASSERT_EQ(CU(cuMemAllocPitch_v2)(&at[0], &pitch, 700, 1000, 4), CUDA_SUCCESS);
  EXPECT_EQ(pitch, 1024u);
  Holds(1024 * 1000);
  ASSERT_EQ(CU(cuMemAllocManaged)(&at[1], 12345, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
  CUdeviceptr_v1 low[2] = {};
  unsigned old_pitch = 0;
  ASSERT_EQ(CU(cuMemAlloc)(&low[0], 5000), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemAllocPitch)(&low[1], &old_pitch, 10, 7, 4), CUDA_SUCCESS);
  Holds(1024 * 1000 + 12800 + 5120 + 7 * 512);
  // A row of one byte takes 512: what the width promises fits, what the pitch takes does not.
  const std::uint64_t left = limit() - slice_.held();
  ASSERT_EQ(CU(cuMemAllocPitch_v2)(&at[2], &pitch, 1, left / 2, 4), CUDA_ERROR_OUT_OF_MEMORY);
  Holds(1024 * 1000 + 12800 + 5120 + 7 * 512);
  unsigned old_free = 0;
  unsigned old_total = 0;
  EXPECT_EQ(CU(cuMemGetInfo)(&old_free, &old_total), CUDA_SUCCESS);
  EXPECT_EQ(old_total, limit());
  Free(at[0]);
  Free(at[1]);
  EXPECT_EQ(CU(cuMemFree)(low[0]), CUDA_SUCCESS);
  EXPECT_EQ(CU(cuMemFree)(low[1]), CUDA_SUCCESS);
  Holds(0);
}

TEST_F(ShimMemoryTest, Arrays) {
  std::vector<CUarray> arrays;
  for (const CUarray_format format :
       {CU_AD_FORMAT_UNSIGNED_INT8, CU_AD_FORMAT_HALF, CU_AD_FORMAT_FLOAT}) {
    CUarray array = nullptr;
    const CUDA_ARRAY_DESCRIPTOR flat{1000, 77, format, 4};
    ASSERT_EQ(CU(cuArrayCreate_v2)(&array, &flat), CUDA_SUCCESS);
    arrays.push_back(array);
    Same();
    const CUDA_ARRAY3D_DESCRIPTOR cube{33, 20, 9, format, 2, 0};
    ASSERT_EQ(CU(cuArray3DCreate_v2)(&array, &cube), CUDA_SUCCESS);
    arrays.push_back(array);
    Same();
    const CUDA_ARRAY_DESCRIPTOR_v1 old{100, 0, format, 1};
    ASSERT_EQ(CU(cuArrayCreate)(&array, &old), CUDA_SUCCESS);
    arrays.push_back(array);
    const CUDA_ARRAY3D_DESCRIPTOR_v1 old_cube{100, 10, 3, format, 1, 0};
    ASSERT_EQ(CU(cuArray3DCreate)(&array, &old_cube), CUDA_SUCCESS);
    arrays.push_back(array);
    Same();
  }
  CUarray too_much = nullptr;
  const CUDA_ARRAY_DESCRIPTOR huge{65536, 65536, CU_AD_FORMAT_FLOAT, 4};
  EXPECT_EQ(CU(cuArrayCreate_v2)(&too_much, &huge), CUDA_ERROR_OUT_OF_MEMORY);
  const CUDA_ARRAY_DESCRIPTOR endless{~size_t{0}, ~size_t{0}, CU_AD_FORMAT_FLOAT, 4};
  EXPECT_EQ(CU(cuArrayCreate_v2)(&too_much, &endless), CUDA_ERROR_OUT_OF_MEMORY);
  CUmipmappedArray mipmap = nullptr;
  const CUDA_ARRAY3D_DESCRIPTOR top{1000, 500, 0, CU_AD_FORMAT_FLOAT, 4, 0};
  ASSERT_EQ(CU(cuMipmappedArrayCreate)(&mipmap, &top, 10), CUDA_SUCCESS);
  Same();
  EXPECT_EQ(CU(cuMipmappedArrayDestroy)(mipmap), CUDA_SUCCESS);
  for (const CUarray array : arrays) EXPECT_EQ(CU(cuArrayDestroy)(array), CUDA_SUCCESS);
  EXPECT_EQ(CU(cuArrayDestroy)(arrays[0]), CUDA_ERROR_INVALID_HANDLE);
  Holds(0);
}

TEST_F(ShimMemoryTest, TheDefaultPoolGrowsIsReusedAndGivesBack) {
  CUdeviceptr at[4] = {};
  ASSERT_EQ(CU(cuMemAllocAsync)(&at[0], 1000, nullptr), CUDA_SUCCESS);
  Holds(32 * kMiB);
  ASSERT_EQ(CU(cuMemAllocAsync)(&at[1], 20 * kMiB, nullptr), CUDA_SUCCESS);
  Holds(32 * kMiB);
  ASSERT_EQ(CU(cuMemAllocAsync_ptsz)(&at[2], 20 * kMiB, nullptr), CUDA_SUCCESS);
  Holds(64 * kMiB);
  ASSERT_EQ(CU(cuMemFreeAsync)(at[1], nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemFreeAsync_ptsz)(at[2], nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize_ptsz)(nullptr), CUDA_SUCCESS);
  Holds(32 * kMiB);
  // A plain free of a pool's memory; it shows at the next wait.
  Free(at[0]);
  ASSERT_EQ(CU(cuCtxSynchronize)(), CUDA_SUCCESS);
  Holds(0);
}

TEST_F(ShimMemoryTest, AFreeOnOneStreamShowsAfterAWaitForAnother) {
  CUstream stream[2] = {};
  ASSERT_EQ(CU(cuStreamCreate)(&stream[0], 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamCreate)(&stream[1], 0), CUDA_SUCCESS);
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  ASSERT_EQ(CU(cuModuleLoadData)(&module, "x"), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleGetFunction)(&kernel, module, "spin_30ms"), CUDA_SUCCESS);
  CUdeviceptr at = 0;
  ASSERT_EQ(CU(cuMemAllocAsync)(&at, 1000, stream[0]), CUDA_SUCCESS);
  CUevent early = nullptr;
  ASSERT_EQ(CU(cuEventCreate)(&early, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuEventRecord)(early, stream[1]), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuLaunchKernel)(kernel, 1, 1, 1, 1, 1, 1, 0, stream[0], nullptr, nullptr),
            CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemFreeAsync)(at, stream[0]), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(stream[1]), CUDA_SUCCESS);
  Same();
  ASSERT_EQ(CU(cuStreamSynchronize)(stream[0]), CUDA_SUCCESS);
  Holds(kModuleMiB * kMiB);
  ASSERT_EQ(CU(cuModuleUnload)(module), CUDA_SUCCESS);
  for (const CUstream each : stream) ASSERT_EQ(CU(cuStreamDestroy_v2)(each), CUDA_SUCCESS);
}

TEST_F(ShimMemoryTest, APoolToTheLimitAndWhatItKeepsMakesRoom) {
  std::vector<CUdeviceptr> all;
  CUdeviceptr at = 0;
  while (CU(cuMemAllocAsync)(&at, 20 * kMiB, nullptr) == CUDA_SUCCESS) {
    all.push_back(at);
    Same();
  }
  EXPECT_LT(limit() - slice_.held(), 64 * kMiB);
  CUmemoryPool pool = nullptr;
  ASSERT_EQ(CU(cuDeviceGetMemPool)(&pool, 0), CUDA_SUCCESS);
  cuuint64_t keep = ~cuuint64_t{0};
  ASSERT_EQ(CU(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep),
            CUDA_SUCCESS);
  for (const CUdeviceptr each : all) ASSERT_EQ(CU(cuMemFreeAsync)(each, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(nullptr), CUDA_SUCCESS);
  Same();
  EXPECT_GT(slice_.held(), limit() - 64 * kMiB) << "the pool keeps it by its threshold";
  // A plain allocation that needs it makes the pool give back.
  const CUdeviceptr plain = Allocate(900 * kMiB);
  Same();
  Free(plain);
  keep = 0;
  ASSERT_EQ(CU(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep),
            CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemPoolTrimTo)(pool, 0), CUDA_SUCCESS);
  Holds(0);
}

TEST_F(ShimMemoryTest, OwnPoolsDestroyedBeforeAndAfterTheirMemory) {
  CUdeviceptr at[2] = {};
  CUmemoryPool pool = Pool();
  ASSERT_EQ(CU(cuMemAllocFromPoolAsync)(&at[0], 40 * kMiB, pool, nullptr), CUDA_SUCCESS);
  Holds(64 * kMiB);
  ASSERT_EQ(CU(cuMemFreeAsync)(at[0], nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemPoolDestroy)(pool), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuCtxSynchronize)(), CUDA_SUCCESS);
  Holds(0);

  pool = Pool();
  ASSERT_EQ(CU(cuDeviceSetMemPool)(0, pool), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemAllocFromPoolAsync_ptsz)(&at[0], kMiB, pool, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemAllocAsync)(&at[1], 40 * kMiB, nullptr), CUDA_SUCCESS);
  Holds(64 * kMiB);
  ASSERT_EQ(CU(cuMemPoolDestroy)(pool), CUDA_SUCCESS);
  CUmemoryPool current = nullptr;
  CUmemoryPool own = nullptr;
  ASSERT_EQ(CU(cuDeviceGetMemPool)(&current, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuDeviceGetDefaultMemPool)(&own, 0), CUDA_SUCCESS);
  EXPECT_EQ(current, own);
  EXPECT_EQ(CU(cuMemPoolDestroy)(pool), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(CU(cuMemFreeAsync)(at[1], nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(nullptr), CUDA_SUCCESS);
  Holds(32 * kMiB);
  ASSERT_EQ(CU(cuMemFreeAsync)(at[0], nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(nullptr), CUDA_SUCCESS);
  Holds(0);
  EXPECT_EQ(CU(cuMemPoolDestroy)(own), CUDA_ERROR_INVALID_VALUE);
}

// The three references to physical memory (its handle, a retained one, a mapping) go in any order.
TEST_F(ShimMemoryTest, VirtualMemoryInAllOrders) {
  int order[3] = {0, 1, 2};
  do {
    const CUmemGenericAllocationHandle handle = Physical(4 * kMiB);
    Holds(4 * kMiB);
    CUdeviceptr at = 0;
    ASSERT_EQ(CU(cuMemAddressReserve)(&at, 4 * kMiB, 0, 0, 0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuMemMap)(at, 4 * kMiB, 0, handle, 0), CUDA_SUCCESS);
    CUmemGenericAllocationHandle again = 0;
    ASSERT_EQ(CU(cuMemRetainAllocationHandle)(&again, reinterpret_cast<void*>(at)), CUDA_SUCCESS);
    EXPECT_EQ(again, handle);
    for (int i = 0; i < 3; ++i) {
      Holds(4 * kMiB);
      if (order[i] < 2) {
        ASSERT_EQ(CU(cuMemRelease)(handle), CUDA_SUCCESS);
      }
      if (order[i] == 2) {
        ASSERT_EQ(CU(cuMemUnmap)(at, 4 * kMiB), CUDA_SUCCESS);
      }
    }
    Holds(0);
    ASSERT_EQ(CU(cuMemAddressFree)(at, 4 * kMiB), CUDA_SUCCESS);
  } while (std::next_permutation(order, order + 3));
}

TEST_F(ShimMemoryTest, VirtualMemoryManyMappingsOneUnmapAndRefusals) {
  CUdeviceptr at = 0;
  ASSERT_EQ(CU(cuMemAddressReserve)(&at, 8 * kMiB, 0, 0, 0), CUDA_SUCCESS);
  const CUmemGenericAllocationHandle one = Physical(2 * kMiB);
  const CUmemGenericAllocationHandle two = Physical(4 * kMiB);
  ASSERT_EQ(CU(cuMemMap)(at, 2 * kMiB, 0, one, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemMap)(at + 2 * kMiB, 4 * kMiB, 0, two, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemMap)(at + 6 * kMiB, 2 * kMiB, 0, one, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemRelease)(one), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemRelease)(two), CUDA_SUCCESS);
  Holds(6 * kMiB);
  ASSERT_EQ(CU(cuMemUnmap)(at, 8 * kMiB), CUDA_SUCCESS);
  Holds(0);
  EXPECT_EQ(CU(cuMemUnmap)(at, 8 * kMiB), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(CU(cuMemRelease)(one), CUDA_ERROR_INVALID_VALUE);
  CUmemAllocationProp properties{};
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemGenericAllocationHandle none = 0;
  EXPECT_EQ(CU(cuMemCreate)(&none, 12345, &properties, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(CU(cuMemCreate)(&none, 2048 * kMiB, &properties, 0), CUDA_ERROR_OUT_OF_MEMORY);
  Holds(0);
  ASSERT_EQ(CU(cuMemAddressFree)(at, 8 * kMiB), CUDA_SUCCESS);
}

TEST_F(ShimMemoryTest, ContextsAreChargedAndTakeTheirMemoryWithThem) {
  CUcontext again = nullptr;
  ASSERT_EQ(CU(cuDevicePrimaryCtxRetain)(&again, 0), CUDA_SUCCESS);
  Holds(0);
  ASSERT_EQ(CU(cuDevicePrimaryCtxRelease)(0), CUDA_SUCCESS);
  Holds(0);
  CUcontext made[4] = {};
  ASSERT_EQ(CU(cuCtxCreate)(&made[0], 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuCtxCreate_v2)(&made[1], 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuCtxCreate_v3)(&made[2], nullptr, 0, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuCtxCreate_v4)(&made[3], nullptr, 0, 0), CUDA_SUCCESS);
  Holds(4 * kContextMiB * kMiB);
  for (const CUcontext context : made) {
    ASSERT_EQ(CU(cuCtxSetCurrent)(context), CUDA_SUCCESS);
    for (int i = 0; i < 50; ++i) Allocate(1000);
    CUmodule module = nullptr;
    ASSERT_EQ(CU(cuModuleLoadData)(&module, "x"), CUDA_SUCCESS);
    CUarray array = nullptr;
    const CUDA_ARRAY_DESCRIPTOR flat{1000, 77, CU_AD_FORMAT_FLOAT, 4};
    ASSERT_EQ(CU(cuArrayCreate_v2)(&array, &flat), CUDA_SUCCESS);
    Same();
  }
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(i == 0 ? CU(cuCtxDestroy)(made[i]) : CU(cuCtxDestroy_v2)(made[i]), CUDA_SUCCESS);
    Same();
  }
  ASSERT_EQ(CU(cuCtxSetCurrent)(context_), CUDA_SUCCESS);
  Holds(0);
  EXPECT_EQ(CU(cuCtxDestroy_v2)(made[0]), CUDA_ERROR_INVALID_CONTEXT);
  Allocate(5000);
  ASSERT_EQ(CU(cuDevicePrimaryCtxReset_v2)(0), CUDA_SUCCESS);
  Holds(0);
}

TEST_F(ShimMemoryTest, ModulesAndLibraries) {
  CUmodule modules[4] = {};
  CUlibrary libraries[2] = {};
  ASSERT_EQ(CU(cuModuleLoad)(&modules[0], "file"), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleLoadData)(&modules[1], "x"), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleLoadDataEx)(&modules[2], "x", 0, nullptr, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleLoadFatBinary)(&modules[3], "x"), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuLibraryLoadData)(&libraries[0], "x", nullptr, nullptr, 0, nullptr, nullptr, 0),
            CUDA_SUCCESS);
  ASSERT_EQ(CU(cuLibraryLoadFromFile)(&libraries[1], "x", nullptr, nullptr, 0, nullptr, nullptr, 0),
            CUDA_SUCCESS);
  Holds(6 * kModuleMiB * kMiB);
  EXPECT_EQ(CU(cuModuleLoadData)(&modules[0], nullptr), CUDA_ERROR_INVALID_VALUE);
  Holds(6 * kModuleMiB * kMiB);
  ASSERT_EQ(CU(cuModuleLoad)(&modules[0], "file"), CUDA_SUCCESS);
  for (const CUmodule module : modules) ASSERT_EQ(CU(cuModuleUnload)(module), CUDA_SUCCESS);
  for (const CUlibrary library : libraries) ASSERT_EQ(CU(cuLibraryUnload)(library), CUDA_SUCCESS);
  Holds(kModuleMiB * kMiB);  // The one whose handle was overwritten: until its context ends.
}

TEST_F(ShimMemoryTest, ALimitThatMovesIsObeyedAndSeen) {
  const std::uint64_t before = limit();
  const CUdeviceptr at = Allocate(500 * kMiB);
  slice_.limits->memory_now = slice_.limits->memory_hard = 100 * kMiB;
  size_t free = 1;
  size_t total = 0;
  ASSERT_EQ(CU(cuMemGetInfo_v2)(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(free, 0u);
  EXPECT_EQ(total, 100 * kMiB);
  ASSERT_EQ(CU(cuDeviceTotalMem_v2)(&total, 0), CUDA_SUCCESS);
  EXPECT_EQ(total, 100 * kMiB);
  unsigned old = 0;
  ASSERT_EQ(CU(cuDeviceTotalMem)(&old, 0), CUDA_SUCCESS);
  EXPECT_EQ(old, 100 * kMiB);
  CUdeviceptr more = 0;
  EXPECT_EQ(CU(cuMemAlloc_v2)(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
  CUcontext context = nullptr;
  EXPECT_EQ(CU(cuCtxCreate_v2)(&context, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
  CUmodule module = nullptr;
  EXPECT_EQ(CU(cuModuleLoadData)(&module, "x"), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(CU(cuMemAllocAsync)(&more, 1, nullptr), CUDA_ERROR_OUT_OF_MEMORY);
  Free(at);
  more = Allocate(kMiB);
  Holds(kMiB);
  Free(more);
  slice_.limits->memory_now = slice_.limits->memory_hard = before;
}

}  // namespace
}  // namespace brim::vgpu
