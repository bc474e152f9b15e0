// Random calls of all kinds by several processes at once, killed at any instruction and reaped:
// what the ledger says is what the fake card says, never above the limit, and nothing is left.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

// Holds a random set of everything.
class Tenant {
 public:
  explicit Tenant(std::uint64_t seed) : random_(seed) {}

  bool Begin() {
    return CU(cuInit)(0) == CUDA_SUCCESS &&
           CU(cuDevicePrimaryCtxRetain)(&context_, 0) == CUDA_SUCCESS &&
           CU(cuCtxSetCurrent)(context_) == CUDA_SUCCESS;
  }
  void Step() {
    switch (random_() % 8) {
      case 0:
      case 1:
        Plain();
        break;
      case 2:
        Async();
        break;
      case 3:
        Virtual();
        break;
      case 4:
        Array();
        break;
      case 5:
        Module();
        break;
      case 6:
        Pool();
        break;
      case 7:
        CU(cuStreamSynchronize)(nullptr);
        break;
    }
  }
  // Frees all but the primary context.
  void End() {
    while (!plain_.empty()) CU(cuMemFree_v2)(Pick(&plain_));
    while (!async_.empty()) CU(cuMemFreeAsync)(Pick(&async_), nullptr);
    while (!handles_.empty()) CU(cuMemRelease)(Pick(&handles_));
    while (!arrays_.empty()) CU(cuArrayDestroy)(Pick(&arrays_));
    while (!modules_.empty()) CU(cuModuleUnload)(Pick(&modules_));
    while (!pools_.empty()) CU(cuMemPoolDestroy)(Pick(&pools_));
    CU(cuCtxSynchronize)();
  }

 private:
  template <typename T>
  T Pick(std::vector<T>* from) {
    std::swap((*from)[random_() % from->size()], from->back());
    const T picked = from->back();
    from->pop_back();
    return picked;
  }
  template <typename T>
  bool Grow(const std::vector<T>& now) {
    return now.empty() || (now.size() < 12 && random_() % 2 == 0);
  }
  std::uint64_t Bytes(std::uint64_t most) {
    return 1 + random_() % (random_() % 4 == 0 ? most : 4096);
  }

  void Plain() {
    if (!Grow(plain_)) {
      CU(cuMemFree_v2)(Pick(&plain_));
      return;
    }
    CUdeviceptr at = 0;
    size_t pitch = 0;
    const int form = static_cast<int>(random_() % 3);
    const std::uint64_t bytes = Bytes(64 * kMiB);
    const CUresult result =
        form == 0   ? CU(cuMemAlloc_v2)(&at, bytes)
        : form == 1 ? CU(cuMemAllocManaged)(&at, bytes, CU_MEM_ATTACH_GLOBAL)
                    : CU(cuMemAllocPitch_v2)(&at, &pitch, 1 + bytes % 3000, 1 + bytes / 3000, 4);
    if (result == CUDA_SUCCESS) plain_.push_back(at);
  }
  void Async() {
    if (!Grow(async_)) {
      CU(cuMemFreeAsync)(Pick(&async_), nullptr);
      return;
    }
    CUdeviceptr at = 0;
    const CUresult result =
        pools_.empty() || random_() % 2 == 0
            ? CU(cuMemAllocAsync)(&at, Bytes(24 * kMiB), nullptr)
            : CU(cuMemAllocFromPoolAsync)(&at, Bytes(24 * kMiB), pools_.back(), nullptr);
    if (result == CUDA_SUCCESS) async_.push_back(at);
  }
  void Virtual() {
    if (!Grow(handles_)) {
      CU(cuMemRelease)(Pick(&handles_));
      return;
    }
    CUmemAllocationProp properties{};
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    CUmemGenericAllocationHandle handle = 0;
    const size_t bytes = (1 + random_() % 16) * 2 * kMiB;
    if (CU(cuMemCreate)(&handle, bytes, &properties, 0) == CUDA_SUCCESS) handles_.push_back(handle);
  }
  void Array() {
    if (!Grow(arrays_)) {
      CU(cuArrayDestroy)(Pick(&arrays_));
      return;
    }
    CUarray array = nullptr;
    const CUDA_ARRAY_DESCRIPTOR shape{1 + random_() % 2000, random_() % 2000, CU_AD_FORMAT_FLOAT,
                                      4};
    if (CU(cuArrayCreate_v2)(&array, &shape) == CUDA_SUCCESS) arrays_.push_back(array);
  }
  void Module() {
    if (!Grow(modules_)) {
      CU(cuModuleUnload)(Pick(&modules_));
      return;
    }
    CUmodule module = nullptr;
    if (CU(cuModuleLoadData)(&module, "x") == CUDA_SUCCESS) modules_.push_back(module);
  }
  void Pool() {
    if (!pools_.empty() && random_() % 2 == 0) {
      CU(cuMemPoolDestroy)(Pick(&pools_));
      return;
    }
    CUmemPoolProps properties{};
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    CUmemoryPool pool = nullptr;
    if (pools_.size() < 4 && CU(cuMemPoolCreate)(&pool, &properties) == CUDA_SUCCESS) {
      pools_.push_back(pool);
    }
  }

  std::mt19937_64 random_;
  CUcontext context_ = nullptr;
  std::vector<CUdeviceptr> plain_;
  std::vector<CUdeviceptr> async_;
  std::vector<CUmemGenericAllocationHandle> handles_;
  std::vector<CUarray> arrays_;
  std::vector<CUmodule> modules_;
  std::vector<CUmemoryPool> pools_;
};

// Processes that the test knows to have gone.
class Gone final : public Living {
 public:
  bool Alive(std::int32_t pid, std::uint64_t, std::uint64_t) override {
    return pids.count(pid) == 0;
  }
  std::set<std::int32_t> pids;
};

TEST(ShimRandomTest, OneProcessAgreesWithTheCardAfterEveryCall) {
  constexpr std::uint64_t kSeed = 4321;
  printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  TestSlice& slice = OwnSlice();
  Tenant tenant(kSeed);
  ASSERT_TRUE(tenant.Begin());
  for (int i = 0; i < 5000; ++i) {
    tenant.Step();
    // What was freed in a stream's order and not waited for may still be counted.
    const std::uint64_t truth = TruthOf(getpid());
    ASSERT_EQ(slice.held(), truth) << "after call " << i;
    ASSERT_LE(truth, slice.limits->memory_now);
  }
  tenant.End();
  EXPECT_EQ(slice.held(), kContextMiB * kMiB);
  EXPECT_EQ(TruthOf(getpid()), kContextMiB * kMiB);
  EXPECT_EQ(CU(cuDevicePrimaryCtxRelease_v2)(0), CUDA_SUCCESS);
  EXPECT_EQ(slice.held(), 0u);
}

constexpr int kTenants = 6;
constexpr int kRounds = 60;

// Six tenants make some calls each round, as fast as they can; in each round one of them is killed
// wherever it is and another takes its place. Between rounds nobody calls, and the ledger and the
// card must agree to the byte.
TEST(ShimRandomTest, ManyProcessesAndKills) {
  constexpr std::uint64_t kSeed = 777;
  printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  TestSlice& slice = OwnSlice();
  const std::uint64_t reaped_before = slice.segment->reaped;
  const std::uint64_t limit = slice.limits->memory_now;
  std::uint64_t most_used = 0;  // By the card's own word, and by the ledger's; the watcher's.
  std::uint64_t most_held = 0;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> looks{0};
  std::thread watcher([&] {
    while (!stop) {
      most_used = std::max(most_used, TruthOfAll());
      most_held = std::max(most_held, slice.held());
      ++looks;
    }
  });
  Child tenants[kTenants];
  const auto start = [&](Child* tenant) {
    *tenant = Start({Self(), "--tenant", std::to_string(random())});
    char ready = 0;
    ASSERT_EQ(read(tenant->out, &ready, 1), 1);
    ASSERT_EQ(ready, 'k');
  };
  Reaper reaper(slice.segment);
  int kills = 0;
  for (Child& tenant : tenants) start(&tenant);
  for (int round = 0; round < kRounds; ++round) {
    for (const Child& tenant : tenants) ASSERT_EQ(write(tenant.in, "g", 1), 1);
    const std::size_t victim = random() % kTenants;
    std::uint64_t waited = looks;
    while (looks < waited + random() % 3) std::this_thread::yield();
    kill(tenants[victim].pid, SIGKILL);
    Gone gone;
    gone.pids.insert(tenants[victim].pid);
    kills += WIFSIGNALED(Finish(&tenants[victim]).status);
    for (std::size_t i = 0; i < kTenants; ++i) {
      char done = 0;
      if (i == victim) continue;
      ASSERT_EQ(read(tenants[i].out, &done, 1), 1);
      ASSERT_EQ(done, 'k');
    }
    ASSERT_LE(TruthOfAll(), slice.held());
    ASSERT_EQ(reaper.Reap(&gone), 1u);
    ASSERT_EQ(slice.held(), TruthOfAll()) << "round " << round;
    ASSERT_EQ(reaper.SumOfCells(), slice.held());
    start(&tenants[victim]);
  }
  for (Child& tenant : tenants) {
    const pid_t pid = tenant.pid;
    EXPECT_EQ(Finish(&tenant).status, 0);  // Its input ends: it frees all and ends.
    Gone gone;
    gone.pids.insert(pid);
    EXPECT_EQ(reaper.Reap(&gone), 1u);
  }
  stop = true;
  watcher.join();
  EXPECT_LE(most_used, limit);
  EXPECT_LE(most_held, limit);
  EXPECT_EQ(kills, kRounds);
  EXPECT_EQ(slice.held(), 0u);
  EXPECT_EQ(TruthOfAll(), 0u);
  EXPECT_EQ(slice.segment->reaped - reaped_before, static_cast<std::uint64_t>(kRounds + kTenants));
  printf("%d kills, %llu looks at the card\n", kills,
         static_cast<unsigned long long>(looks.load()));
}

}  // namespace

// Says 'k' when ready, then after each batch that a byte on its input asks for.
int RunTenant(const std::string& seed) {
  Tenant tenant(strtoull(seed.c_str(), nullptr, 10));
  // A full slice may have no room for one more context: then it waits for the test to make some.
  if (!tenant.Begin()) return 3;
  for (char go = 0; write(1, "k", 1) == 1 && read(0, &go, 1) == 1;) {
    for (int i = 0; i < 60; ++i) tenant.Step();
  }
  tenant.End();
  CU(cuDevicePrimaryCtxRelease_v2)(0);
  return 0;
}

}  // namespace brim::vgpu
