// The hooks in one program over a driver of a few functions, so that sanitizers see what their
// threads share: four threads allocate, launch, synchronise and end contexts at once, and then the
// ledger counts nothing.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "vgpu/ledger/reaper.h"
#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/launches.h"
#include "vgpu/shim/pools.h"
#include "vgpu/shim/process.h"

namespace brim::vgpu {

// The table that cu_table.cc has in the library.
extern "C" {
void* brim_cu_real[kCuSymbols];
}

namespace {

// A driver that says yes. Pools hold whole blocks of 32 MiB and give back what is not used when
// asked to trim.
namespace driver {

constexpr std::uint64_t kBlock = std::uint64_t{32} << 20;
std::atomic<std::uint64_t> next{1 << 20};
std::atomic<std::uint64_t> used{0};
std::atomic<std::uint64_t> reserved{0};

CUresult Lacking() { return CUDA_ERROR_NOT_FOUND; }
CUresult Yes() { return CUDA_SUCCESS; }
CUresult Allocate(CUdeviceptr* at, size_t) { return *at = next.fetch_add(1 << 20), CUDA_SUCCESS; }
CUresult Free(CUdeviceptr) { return CUDA_SUCCESS; }
// One size for all of a pool, so that a free needs no table.
constexpr std::uint64_t kPooled = std::uint64_t{1} << 20;
CUresult AllocateAsync(CUdeviceptr* at, size_t, CUstream) {
  const std::uint64_t wanted = used.fetch_add(kPooled) + kPooled;
  std::uint64_t have = reserved.load();
  while (have < wanted && !reserved.compare_exchange_weak(have, have + kBlock)) {
  }
  return *at = next.fetch_add(1 << 20) | 1, CUDA_SUCCESS;
}
CUresult FreeAsync(CUdeviceptr, CUstream) { return used.fetch_sub(kPooled), CUDA_SUCCESS; }
CUresult Trim(CUmemoryPool, size_t) {
  std::uint64_t have = reserved.load();
  const std::uint64_t keep = (used.load() + kBlock - 1) / kBlock * kBlock;
  while (have > keep && !reserved.compare_exchange_weak(have, keep)) {
  }
  return CUDA_SUCCESS;
}
CUresult Attribute(CUmemoryPool, CUmemPool_attribute attribute, void* value) {
  const bool of_use = attribute == CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
  return *static_cast<cuuint64_t*>(value) = of_use ? used.load() : reserved.load(), CUDA_SUCCESS;
}
CUresult Device(CUdevice* device) { return *device = 0, CUDA_SUCCESS; }
CUresult Pool(CUmemoryPool* pool, CUdevice) {
  return *pool = reinterpret_cast<CUmemoryPool>(7), CUDA_SUCCESS;
}
CUresult Retain(CUcontext* context, CUdevice) {
  return *context = reinterpret_cast<CUcontext>(5), CUDA_SUCCESS;
}
CUresult Create(CUcontext* context, unsigned int, CUdevice) {
  return *context = reinterpret_cast<CUcontext>(next.fetch_add(1 << 20)), CUDA_SUCCESS;
}
thread_local CUcontext current = nullptr;
CUresult Current(CUcontext* context) { return *context = current, CUDA_SUCCESS; }
CUresult Event(CUevent* event, unsigned int) {
  return *event = reinterpret_cast<CUevent>(next.fetch_add(1 << 20)), CUDA_SUCCESS;
}
std::atomic<float> elapsed_ms{0.001f};
CUresult Elapsed(float* milliseconds, CUevent, CUevent) {
  return *milliseconds = elapsed_ms, CUDA_SUCCESS;
}
void Spin(Ns time) {
  for (const Ns until = MonotonicNow() + time; MonotonicNow() < until;) {
  }
}
std::atomic<Ns> launch_takes{0};
CUresult Launch(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                CUstream, void**, void**) {
  return Spin(launch_takes), CUDA_SUCCESS;
}
CUresult Capturing(CUstream, CUstreamCaptureStatus* status) {
  return *status = CU_STREAM_CAPTURE_STATUS_NONE, CUDA_SUCCESS;
}

template <typename Function>
void* Address(Function function) {
  return reinterpret_cast<void*>(function);
}

void Fill() {
  for (void*& function : brim_cu_real) function = Address(&Lacking);
  const std::pair<CuIndex, void*> functions[] = {
      {kCu_cuInit, Address(&Yes)},
      {kCu_cuDevicePrimaryCtxRetain, Address(&Retain)},
      {kCu_cuDevicePrimaryCtxRelease_v2, Address(&Yes)},
      {kCu_cuCtxCreate_v2, Address(&Create)},
      {kCu_cuCtxDestroy_v2, Address(&Yes)},
      {kCu_cuCtxGetCurrent, Address(&Current)},
      {kCu_cuCtxGetDevice, Address(&Device)},
      {kCu_cuCtxSynchronize, Address(&Yes)},
      {kCu_cuDeviceGetMemPool, Address(&Pool)},
      {kCu_cuMemPoolGetAttribute, Address(&Attribute)},
      {kCu_cuMemPoolTrimTo, Address(&Trim)},
      {kCu_cuMemAlloc_v2, Address(&Allocate)},
      {kCu_cuMemFree_v2, Address(&Free)},
      {kCu_cuMemAllocAsync, Address(&AllocateAsync)},
      {kCu_cuMemFreeAsync, Address(&FreeAsync)},
      {kCu_cuLaunchKernel, Address(&Launch)},
      {kCu_cuStreamIsCapturing, Address(&Capturing)},
      {kCu_cuEventCreate, Address(&Event)},
      {kCu_cuEventRecord, Address(&Yes)},
      {kCu_cuEventQuery, Address(&Yes)},
      {kCu_cuEventElapsedTime, Address(&Elapsed)},
  };
  for (const auto& [index, function] : functions) brim_cu_real[index] = function;
}

}  // namespace driver

void LaunchKernel(std::uint64_t function) {
  EXPECT_EQ(Hook_cuLaunchKernel(reinterpret_cast<CUfunction>(function), 1, 1, 1, 32, 1, 1, 0,
                                nullptr, nullptr, nullptr),
            CUDA_SUCCESS);
}

// One thread's life: everything it takes it gives back.
void Live(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  CUcontext own = nullptr;
  CUcontext primary = nullptr;
  EXPECT_EQ(Hook_cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
  EXPECT_EQ(Hook_cuCtxCreate_v2(&own, 0, 0), CUDA_SUCCESS);
  std::vector<CUdeviceptr> plain;
  std::vector<CUdeviceptr> pooled;
  for (int i = 0; i < 2000; ++i) {
    CUdeviceptr at = 0;
    driver::current = i % 2 == 0 ? primary : own;
    switch (random() % 6) {
      case 0:
        if (Hook_cuMemAlloc_v2(&at, 1 + random() % (1 << 20)) == CUDA_SUCCESS) plain.push_back(at);
        break;
      case 1:
        if (Hook_cuMemAllocAsync(&at, driver::kPooled, nullptr) == CUDA_SUCCESS) {
          pooled.push_back(at);
        }
        break;
      case 2:
        if (plain.empty()) break;
        EXPECT_EQ(Hook_cuMemFree_v2(plain.back()), CUDA_SUCCESS);
        plain.pop_back();
        break;
      case 3:
        if (pooled.empty()) break;
        EXPECT_EQ(Hook_cuMemFreeAsync(pooled.back(), nullptr), CUDA_SUCCESS);
        pooled.pop_back();
        break;
      case 4:
        EXPECT_EQ(Hook_cuCtxSynchronize(), CUDA_SUCCESS);
        break;
      default:
        LaunchKernel(1 + random() % 3);
    }
  }
  for (const CUdeviceptr at : pooled) Hook_cuMemFreeAsync(at, nullptr);
  // What was allocated in it goes with the context; the rest is freed.
  EXPECT_EQ(Hook_cuCtxDestroy_v2(own), CUDA_SUCCESS);
  driver::current = primary;
  for (const CUdeviceptr at : plain) Hook_cuMemFree_v2(at);
  EXPECT_EQ(Hook_cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
}

template <typename T>
void Write(const std::string& path, const T& value) {
  std::ofstream(path).write(reinterpret_cast<const char*>(&value), sizeof(value));
}

// A slice of all the card's time and 4 GiB, and this process in it.
void MakeSlice(const std::string& folder) {
  const auto limits = std::make_unique<SliceLimits>();
  limits->magic = kLimitsMagic;
  limits->version = kSegmentVersion;
  limits->bytes = sizeof(SliceLimits);
  limits->memory_now = limits->memory_soft = limits->memory_hard = std::uint64_t{4} << 30;
  limits->cores = 100;
  limits->context_bytes = 64 << 20;
  Write(folder + "/limits", *limits);
  const auto segment = std::make_unique<SliceSegment>();
  InitSegment(segment.get());
  Write(folder + "/segment", *segment);
  const auto table = std::make_unique<CardTable>();
  table->magic = kTableMagic;
  table->version = kSegmentVersion;
  table->bytes = sizeof(CardTable);
  table->rows = 1;
  table->row[0].cores = 100;
  Write(folder + "/table", *table);
  const auto card = std::make_unique<CardSegment>();
  card->magic = kCardMagic;
  card->version = kSegmentVersion;
  card->rows = kSlicesPerCard;
  card->bytes = sizeof(CardSegment);
  Write(folder + "/card", *card);
  setenv("BRIM_SLICE", folder.c_str(), 1);
}

// One slice for the program: a process is in one only.
class ShimThreadsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NE(mkdtemp(folder_), nullptr);
    MakeSlice(folder_);
    driver::Fill();
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

 private:
  static inline char folder_[] = "/dev/shm/brim-shim-threads-XXXXXX";
};

TEST_F(ShimThreadsTest, FourThreadsLeaveNothing) {
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(Live, seed);
  for (std::thread& thread : threads) thread.join();
  driver::Trim(nullptr, 0);
  ThisPools().Trimmed();
  ASSERT_TRUE(ThisProcess().attached());
  const Reaper reaper(&ThisProcess().segment());
  EXPECT_EQ(reaper.LiveCells(), 1u);
  EXPECT_EQ(reaper.SumOfCells(), 0u);
  EXPECT_EQ(ThisProcess().ledger().held_bytes(), 0u);
  const Cell& cell = *ThisProcess().ledger().cell();
  EXPECT_GT(cell.launches.load(), 1000u);
  for (const std::atomic<std::int64_t>& bytes : cell.class_bytes) EXPECT_EQ(bytes.load(), 0);
}

// A thread that loses its processor between the two events of a measurement makes the kernel look
// long; the belief in what it costs must not follow, as it does when the kernel was long.
TEST_F(ShimThreadsTest, APauseOfTheThreadIsNotTheKernelsTime) {
  constexpr std::uint64_t kFunction = 99;
  const std::uint64_t key = LaunchKey(kFunction, 1, 32, 0);
  const auto cost = [&] { return ThisProcess().costs().Predict(key, 0).cost; };
  // Long enough for the next launch to be measured, and for it to be read.
  const auto launch = [&](Ns takes, float looks_ms) {
    driver::Spin(CostModel::kSampleEvery + 100 * kUs);
    driver::launch_takes = takes;
    LaunchKernel(kFunction);
    driver::launch_takes = 0;
    driver::elapsed_ms = looks_ms;
    driver::Spin(100 * kUs);
    LaunchKernel(kFunction);
    driver::elapsed_ms = 0.001f;
  };
  for (std::uint32_t i = 0; i < 2 * CostModel::kNew; ++i) launch(0, 0.001f);
  ASSERT_LE(cost(), 10 * kUs);
  for (int i = 0; i < 4; ++i) launch(200 * kUs, 1.0f);
  EXPECT_LE(cost(), 10 * kUs);
  // The machine may take the processor from this test too; not each time.
  for (int i = 0; i < 50 && cost() < 100 * kUs; ++i) launch(0, 1.0f);
  EXPECT_GE(cost(), 100 * kUs);
}

}  // namespace
}  // namespace brim::vgpu
