// The preloaded library: the doors by which programs reach the driver through it, the C library's
// rules that it keeps, both ways of injection in one process, and programs that are none of its
// business. All of the shim's other tests run with it as well (`vgpu_shim_test --preload`).
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

constexpr const char* kPreload = BRIM_SHIM_FOLDER "/libbrim_preload.so";
constexpr const char* kLibraries = BRIM_FAKE_FOLDER ":" BRIM_SHIM_LIBRARIES;

int Say(const std::string& text) {
  printf("%s\n", text.c_str());
  fflush(stdout);
  return 0;
}

std::string FileOf(void* address) {
  Dl_info info;
  if (address == nullptr) return "none";
  if (dladdr(address, &info) == 0) return "unknown";
  return strrchr(info.dli_fname, '/') + 1;
}

// In the order in which all libraries are searched, which the driver joins.
int InOrder(void* where) {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) == nullptr) return Say(dlerror());
  return Say(UseCuda([where](const char* name) { return dlsym(where, name); }));
}

// As programs do that are built on the runtime: one function by name, all others through it.
int ByProcAddress() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  const auto ask =
      reinterpret_cast<decltype(&::cuGetProcAddress_v2)>(dlsym(library, "cuGetProcAddress_v2"));
  return Say(UseCuda([ask](const char* name) {
    std::string base = name;
    if (base.ends_with("_v2")) base.resize(base.size() - 3);
    void* found = nullptr;
    ask(base.c_str(), &found, 13000, CU_GET_PROC_ADDRESS_DEFAULT, nullptr);
    return found;
  }));
}

// With a dlsym() that was found by name itself, as interposers and foreign-function layers do.
int ByFoundDoor() {
  using Door = void* (*)(void*, const char*);
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* const libc = dlopen("libc.so.6", RTLD_NOW);
  for (void* const found : {dlsym(libc, "dlsym"), dlsym(RTLD_NEXT, "dlsym"),
                            dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5")}) {
    const auto door = reinterpret_cast<Door>(found);
    printf("%s ", FileOf(door(library, "cuMemAlloc_v2")).c_str());
  }
  const auto door = reinterpret_cast<Door>(dlsym(libc, "dlsym"));
  return Say(UseCuda([&](const char* name) { return door(library, name); }));
}

// A program that has nothing to do with CUDA: nothing is loaded, mapped, or answered differently.
int Plain() {
  std::ifstream file("/proc/self/maps");
  const std::string maps((std::istreambuf_iterator<char>(file)), {});
  dlerror();
  void* const none = dlsym(RTLD_DEFAULT, "cuInit");
  const char* const error = dlerror();
  const bool told = error != nullptr && strstr(error, "undefined symbol: cuInit") != nullptr;
  void* const next = dlsym(RTLD_NEXT, "nvmlDeviceGetCount_v2");
  void* const own = dlopen(nullptr, RTLD_NOW);
  printf("%d %d %d %d %d", maps.find("libcuda.so") == maps.npos, none == nullptr, told,
         next == nullptr, dlsym(own, "cuMemAlloc_v2") == nullptr);
  dlerror();
  const bool same = dlsym(RTLD_DEFAULT, "printf") == reinterpret_cast<void*>(&printf) &&
                    dlvsym(RTLD_DEFAULT, "printf", "GLIBC_2.2.5") != nullptr;
  printf(" %d %d", same, dlerror() == nullptr);
  void* const missing = dlsym(RTLD_DEFAULT, "no_such_function");
  return Say(std::string(" ") + (missing == nullptr ? dlerror() : "found"));
}

// After a good answer there is no error, as the common way to ask expects.
int NoError() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  dlerror();
  void* const found = dlsym(library, "cuMemAlloc_v2");
  const char* const after = dlerror();
  void* const plain = dlsym(library, "cuStreamCreate");
  void* const none = dlsym(library, "cuNoSuch");
  const char* const error = dlerror();
  return Say(FileOf(found) + " " + (after == nullptr ? "none" : after) + " " + FileOf(plain) + " " +
             FileOf(none) + " " + (error == nullptr ? "none" : "told"));
}

// What one door gave goes back by another; the ledger has it once, in one cell.
int TwoDoors() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* const vendor = dlopen(getenv("BRIM_REAL_LIBCUDA"), RTLD_NOW);
#define BY(library, name) (reinterpret_cast<decltype(&::name)>(dlsym(library, #name)))
  CUcontext context = nullptr;
  CUdeviceptr one = 0;
  CUdeviceptr two = 0;
  BY(library, cuInit)(0);
  BY(library, cuDevicePrimaryCtxRetain)(&context, 0);
  BY(library, cuCtxSetCurrent)(context);
  void* found = nullptr;
  BY(library, cuGetProcAddress_v2)
  ("cuMemAlloc", &found, 13000, CU_GET_PROC_ADDRESS_DEFAULT, nullptr);
  const int first = reinterpret_cast<decltype(&::cuMemAlloc_v2)>(found)(&one, 10 * kMiB);
  const int second = BY(vendor, cuMemAlloc_v2)(&two, 20 * kMiB);
  const TestSlice& slice = OwnSlice();
  printf("%d %d %zu %zu", first, second, static_cast<std::size_t>(slice.held() / kMiB),
         static_cast<std::size_t>(TruthOf(getpid()) / kMiB));
  BY(RTLD_DEFAULT, cuMemFree_v2)(one);
  BY(library, cuMemFree_v2)(two);
#undef BY
  return Say(" then " + std::to_string(slice.held() / kMiB) + " cells " +
             std::to_string(Reaper(slice.segment).LiveCells()));
}

// The versions of symbols are the C library's business; what is found is ours to look at.
int Versioned() {
  void* const library = dlopen(BRIM_SHIM_LIBRARIES "/libshim_versioned.so", RTLD_NOW);
  if (library == nullptr) return Say(dlerror());
  void* const found = dlvsym(library, "cuInit", "SHIM_1");
  void* const other = dlvsym(library, "cuInit", "SHIM_2");
  const int result = reinterpret_cast<int (*)(unsigned)>(found)(0);
  return Say(FileOf(found) + " " + FileOf(other) + " " + std::to_string(result));
}

// What a library finds that was opened as usual, and one that prefers its own dependencies.
int DeepBound() {
  void* const cuda = dlopen("libcuda.so.1", RTLD_NOW);
  std::string said;
  for (const auto& [file, mode] :
       {std::pair(BRIM_SHIM_LIBRARIES "/libshim_first.so", 0),
        std::pair(BRIM_SHIM_LIBRARIES "/libshim_deep.so", RTLD_DEEPBIND)}) {
    void* const library = dlopen(file, RTLD_NOW | mode);
    if (library == nullptr) return Say(dlerror());
    const auto ask =
        reinterpret_cast<void* (*)(void*, const char*)>(dlsym(library, "shim_first_in"));
    said += FileOf(ask(cuda, "cuMemAlloc_v2")) + " ";
  }
  return Say(said);
}

class Nobody final : public Living {
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

class ShimPreloadTest : public testing::Test {
 protected:
  std::string Run(const std::vector<std::string>& program, Environment more = {}) {
    Environment environment = {{"LD_PRELOAD", kPreload}, {"LD_LIBRARY_PATH", kLibraries}};
    environment.insert(environment.end(), more.begin(), more.end());
    Child child = Start(program, environment);
    const Ended ended = Finish(&child);
    EXPECT_EQ(ended.status, 0) << ended.said;
    cells_ = Reaper(slice_.segment).LiveCells();
    Nobody nobody;
    Reaper(slice_.segment).Reap(&nobody);
    EXPECT_EQ(slice_.held(), 0u);
    EXPECT_EQ(Reaper(slice_.segment).SumOfCells(), 0u);
    return ended.said;
  }
  std::string Route(const std::string& route, const Environment& more = {}) {
    return Run({Self(), "--route", route}, more);
  }
  std::string Whole() const {
    return "total " + std::to_string(slice_.limits->memory_now) + " whole 2 left 0\n";
  }

  // Both ways at once, as in a slice of the other kind that a preloaded program is started in.
  const Environment both_ = {{"LD_LIBRARY_PATH", BRIM_SHIM_FOLDER ":" BRIM_SHIM_LIBRARIES}};
  TestSlice& slice_ = OwnSlice();
  std::uint32_t cells_ = 0;  // That the last one left.
};

TEST_F(ShimPreloadTest, NamedAtLinkTime) { EXPECT_EQ(Run({BRIM_SHIM_LINKED}), Whole()); }
TEST_F(ShimPreloadTest, Opened) { EXPECT_EQ(Route("dlopen"), Whole()); }
TEST_F(ShimPreloadTest, OpenedWithDeepBinding) { EXPECT_EQ(Route("deepbind"), Whole()); }
TEST_F(ShimPreloadTest, AskedForInTheOrderOfAll) { EXPECT_EQ(Route("default"), Whole()); }
TEST_F(ShimPreloadTest, AskedForAsTheNext) { EXPECT_EQ(Route("next"), Whole()); }
TEST_F(ShimPreloadTest, AskedForOneByOne) { EXPECT_EQ(Route("proc-address"), Whole()); }
TEST_F(ShimPreloadTest, ExecutedAgain) { EXPECT_EQ(Route("vfork-exec"), Whole()); }

TEST_F(ShimPreloadTest, AskedByADoorThatWasAskedFor) {
  const std::string hook = "libbrim_preload.so ";
  EXPECT_EQ(Route("found-door"), hook + hook + hook + Whole());
}

// RTLD_NEXT is what comes after who asks, whoever stands between; a driver's function is the hook.
TEST_F(ShimPreloadTest, NextIsAfterWhoAsks) {
  EXPECT_EQ(Run({BRIM_SHIM_NEXT, "next", "-"}),
            "second libbrim_preload.so libshim_second.so libcuda.so.1 none\n"
            "libbrim_preload.so libbrim_preload.so libcuda.so.1\n"
            "libbrim_preload.so libc.so.6\n");
}

// One thread has the loader's lock and wants the hooks, the other the other way round.
TEST_F(ShimPreloadTest, AFirstCallInsideAnotherOnesOpening) {
  const char* const library = BRIM_SHIM_LIBRARIES "/libshim_constructor.so";
  EXPECT_EQ(Run({BRIM_SHIM_NEXT, "constructor", library}), "0 0\n");
  EXPECT_EQ(Run({BRIM_SHIM_NEXT, "constructor", library}, both_), "0 0\n");
  const Environment replaced = {{"LD_PRELOAD", nullptr}, both_.front()};
  EXPECT_EQ(Run({BRIM_SHIM_NEXT, "constructor", library}, replaced), "0 0\n");
}

TEST_F(ShimPreloadTest, ManyAskWhileOthersOpenAndFork) {
  EXPECT_EQ(Run({BRIM_SHIM_NEXT, "crowd", BRIM_SHIM_LIBRARIES "/libshim_constructor.so"}),
            "libbrim_preload.so 0\n");
}

// Not reached: such a library has the C library's own dlsym.
TEST_F(ShimPreloadTest, WhatADeeplyBoundLibraryAsksIsNotReached) {
  EXPECT_EQ(Route("deep-bound"), "libbrim_preload.so libcuda.so.1 \n");
}

// Not reached: the copy of the driver in another namespace is the driver as it is.
TEST_F(ShimPreloadTest, AnotherNamespaceIsNotReached) {
  EXPECT_EQ(Route("dlmopen"),
            "total " + std::to_string(std::uint64_t{16} << 30) + " whole 2 left 0\n");
}

TEST_F(ShimPreloadTest, AProgramWithoutCudaIsLeftAlone) {
  const std::string plain = Route("plain");
  EXPECT_EQ(plain.substr(0, 14), "1 1 1 1 1 1 1 ") << plain;
  EXPECT_EQ(plain, Route("plain", {{"LD_PRELOAD", nullptr}}));
  EXPECT_EQ(cells_, 0u);
  EXPECT_EQ(Run({"/bin/true"}), "");
  EXPECT_EQ(cells_, 0u);
}

TEST_F(ShimPreloadTest, AnAnswerLeavesNoError) {
  EXPECT_EQ(Route("no-error"), "libbrim_preload.so none libcuda.so.1 none told\n");
}

TEST_F(ShimPreloadTest, AskedForInAVersion) {
  EXPECT_EQ(Route("versioned"), "libbrim_preload.so none 4712\n");
}

// The preloaded library does the work; the replacements pass on.
TEST_F(ShimPreloadTest, WithTheReplacementsNothingIsCountedTwice) {
  EXPECT_EQ(Run({BRIM_SHIM_LINKED}, both_), Whole());
  for (const char* route : {"dlopen", "deepbind", "default", "next", "proc-address"}) {
    EXPECT_EQ(Route(route, both_), Whole()) << route;
  }
  const std::string context = std::to_string(kContextMiB);
  const std::string with = std::to_string(kContextMiB + 30);
  const std::string want = "0 0 " + with + " " + with + " then " + context + " cells 1\n";
  EXPECT_EQ(Route("two-doors"), want);
  EXPECT_EQ(Route("two-doors", both_), want);
}

TEST_F(ShimPreloadTest, WithoutASliceEverythingIsTheVendors) {
  EXPECT_EQ(Route("dlopen", {{"BRIM_SLICE", nullptr}}),
            "total " + std::to_string(std::uint64_t{16} << 30) + " whole 2 left 0\n");
}

}  // namespace

int RunPreloadRoute(const std::string& route) {
  const std::map<std::string, std::function<int()>> routes = {
      {"default", [] { return InOrder(RTLD_DEFAULT); }},
      {"next", [] { return InOrder(RTLD_NEXT); }},
      {"proc-address", ByProcAddress},
      {"found-door", ByFoundDoor},
      {"plain", Plain},
      {"no-error", NoError},
      {"two-doors", TwoDoors},
      {"versioned", Versioned},
      {"deep-bound", DeepBound},
  };
  const auto found = routes.find(route);
  return found == routes.end() ? 5 : found->second();
}

}  // namespace brim::vgpu
