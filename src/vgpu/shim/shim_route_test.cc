// Every way into libcuda leads to the shim: named at link time, opened in every fashion, asked for
// address by address, after fork and exec. Each runs in a process of its own.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

#define FROM(library, name) (reinterpret_cast<decltype(&::name)>(dlsym(library, #name)))

struct Form {
  const char* asked;
  bool per_thread;
  int since;
  const char* exported;
};
constexpr Form kForms[] = {
#define V(asked, per_thread, since, exported) {asked, per_thread, since, #exported},
#include "cu_versions.inc"
#undef V
};
const std::set<std::string> kHooks = {
#define BRIM_HOOK(name) #name,
#include "vgpu/shim/cu_hooks.inc"
#undef BRIM_HOOK
};

std::string Use(void* library) {
  if (library == nullptr) return dlerror();
  return UseCuda([library](const char* name) { return dlsym(library, name); });
}

int Say(const std::string& text) {
  printf("%s\n", text.c_str());
  fflush(stdout);
  return 0;
}

// All forms that a program may ask for: where each leads, as "library+offset", by asking with the
// old and the new function.
int PrintAddresses() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  FROM(library, cuInit)(0);
  for (const Form& form : kForms) {
    const cuuint64_t flags = form.per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                                             : CU_GET_PROC_ADDRESS_LEGACY_STREAM;
    void* one = nullptr;
    void* two = nullptr;
    CUdriverProcAddressQueryResult status{};
    const int result =
        FROM(library, cuGetProcAddress_v2)(form.asked, &two, form.since, flags, &status);
    const int old = FROM(library, cuGetProcAddress)(form.asked, &one, form.since, flags);
    Dl_info info{};
    if (dladdr(two, &info) == 0) info.dli_fname = "private";
    printf("%s %d %s %d %d %d %s %zu\n", form.asked, form.since, form.exported, result, old,
           one == two, info.dli_fname,
           static_cast<std::size_t>(static_cast<char*>(two) - static_cast<char*>(info.dli_fbase)));
  }
  return 0;
}

int ForkBefore() {
  const pid_t pid = fork();
  if (pid == 0) _exit(Say(Use(dlopen("libcuda.so.1", RTLD_NOW))));
  waitpid(pid, nullptr, 0);
  return Say(std::to_string(Reaper(OwnSlice().segment).LiveCells()));
}

// The child gets a cell of its own when it asks for memory; the parent's stays as it is.
int ForkAfter() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  CUcontext context = nullptr;
  CUdeviceptr at = 0;
  FROM(library, cuInit)(0);
  FROM(library, cuDevicePrimaryCtxRetain)(&context, 0);
  FROM(library, cuCtxSetCurrent)(context);
  FROM(library, cuMemAlloc_v2)(&at, 10 * kMiB);
  const TestSlice& slice = OwnSlice();
  const auto held_by = [&](pid_t pid) {
    std::int64_t units = -1;
    for (const Cell& cell : slice.segment->cell) {
      if (cell.owner >> 32 == static_cast<std::uint64_t>(pid)) units = cell.held;
    }
    return units < 0 ? -1 : units * static_cast<std::int64_t>(kUnitBytes / 512) / 2048;
  };
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    const std::int64_t none = held_by(getpid());
    CUdeviceptr mine = 0;
    const int got = FROM(library, cuMemAlloc_v2)(&mine, 3 * kMiB);
    // The parent's memory is not the child's to give back.
    FROM(library, cuMemFree_v2)(at);
    printf("child %ld %d %ld parent %ld\n", static_cast<long>(none), got,
           static_cast<long>(held_by(getpid())), static_cast<long>(held_by(parent)));
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  printf("parent %ld", static_cast<long>(held_by(parent)));
  FROM(library, cuMemFree_v2)(at);
  return Say(" then " + std::to_string(held_by(parent)));
}

// A forked child for which there is no cell gets nothing, rather than everything.
int ForkFull() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  CUcontext context = nullptr;
  FROM(library, cuInit)(0);
  FROM(library, cuDevicePrimaryCtxRetain)(&context, 0);
  FROM(library, cuCtxSetCurrent)(context);
  const TestSlice& slice = OwnSlice();
  for (bool more = true; more;) {
    Ledger ledger;
    ledger.Attach(slice.limits, slice.segment);
    more = ledger.Claim(4711, 1, 1);
  }
  const pid_t pid = fork();
  if (pid == 0) {
    CUdeviceptr at = 0;
    CUcontext other = nullptr;
    printf("%d %d %d %d\n", FROM(library, cuMemAlloc_v2)(&at, 1),
           FROM(library, cuMemAllocAsync)(&at, 1, nullptr),
           FROM(library, cuCtxCreate_v2)(&other, 0, 0),
           FROM(library, cuDevicePrimaryCtxRetain)(&other, 0));
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  return 0;
}

int VforkExec() {
  const std::string self = Self();
  const pid_t pid = vfork();
  if (pid == 0) {
    execl(self.c_str(), self.c_str(), "--route", "dlopen", nullptr);
    _exit(9);
  }
  waitpid(pid, nullptr, 0);
  return 0;
}

// The second copy has a cell of its own; both count in one total.
int TwoCopies() {
  Say(Use(dlopen("libcuda.so.1", RTLD_NOW)));
  void* const copy = dlmopen(LM_ID_NEWLM, "libcuda.so.1", RTLD_NOW);
  if (copy == nullptr) return Say(dlerror());
  CUcontext context = nullptr;
  const int start = FROM(copy, cuInit)(0);
  const int retain = FROM(copy, cuDevicePrimaryCtxRetain)(&context, 0);
  return Say("copy " + std::to_string(start) + " " + std::to_string(retain) + " cells " +
             std::to_string(Reaper(OwnSlice().segment).LiveCells()));
}

// Starts as another user, who must not read the limits.
int StartAsNobody() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  int version = 0;
  FROM(library, cuDriverGetVersion)(&version);
  if (setresuid(65534, 65534, 65534) != 0) return 4;
  return Say("cuInit " + std::to_string(FROM(library, cuInit)(0)));
}

class Nobody final : public Living {
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

const std::string kUnsliced =
    "total " + std::to_string(std::uint64_t{16} << 30) + " whole 2 left 0\n";

class ShimRouteTest : public testing::Test {
 protected:
  ~ShimRouteTest() override {
    Nobody nobody;
    Reaper reaper(slice_.segment);
    reaper.Reap(&nobody);
    EXPECT_EQ(slice_.held(), 0u);
    EXPECT_EQ(reaper.SumOfCells(), 0u);
  }
  std::string Route(const std::string& route, const Environment& environment = {}) {
    Child child = Start({Self(), "--route", route}, environment);
    const Ended ended = Finish(&child);
    EXPECT_EQ(ended.status, 0) << ended.said;
    return ended.said;
  }
  std::string Whole() const {
    return "total " + std::to_string(slice_.limits->memory_now) + " whole 2 left 0\n";
  }

  TestSlice& slice_ = OwnSlice();
};

TEST_F(ShimRouteTest, NamedAtLinkTime) {
  Child child = Start({BRIM_SHIM_LINKED});
  EXPECT_EQ(Finish(&child).said, Whole());
}
TEST_F(ShimRouteTest, Opened) { EXPECT_EQ(Route("dlopen"), Whole()); }
TEST_F(ShimRouteTest, OpenedLazily) { EXPECT_EQ(Route("lazy"), Whole()); }
TEST_F(ShimRouteTest, OpenedWithDeepBinding) { EXPECT_EQ(Route("deepbind"), Whole()); }
// What is preloaded does not enter another namespace: there the program has the driver as it is.
TEST_F(ShimRouteTest, OpenedInANamespaceOfItsOwn) {
  EXPECT_EQ(Route("dlmopen"), Preloaded() ? kUnsliced : Whole());
}
TEST_F(ShimRouteTest, OpenedByPath) { EXPECT_EQ(Route("path"), Whole()); }
TEST_F(ShimRouteTest, ForkedBeforeTheStart) { EXPECT_EQ(Route("fork-before"), Whole() + "1\n"); }
TEST_F(ShimRouteTest, VforkAndExec) { EXPECT_EQ(Route("vfork-exec"), Whole()); }

// Its own context is not there in the child, so 3 MiB is all that the child holds.
TEST_F(ShimRouteTest, ForkedAfterTheStart) {
  const long context = kContextMiB;
  std::ostringstream want;
  want << "child -1 0 3 parent " << context + 10 << "\n";
  want << "parent " << context + 10 << " then " << context << "\n";
  EXPECT_EQ(Route("fork-after"), want.str());
}

TEST_F(ShimRouteTest, ForkedAfterTheStartWithoutACell) {
  EXPECT_EQ(Route("fork-full"), "2 2 2 802\n");
}

TEST_F(ShimRouteTest, TwoCopiesInOneProcessShareTheLimit) {
  EXPECT_EQ(Route("two"), Whole() + (Preloaded() ? "copy 0 0 cells 1\n" : "copy 0 2 cells 2\n"));
}

TEST_F(ShimRouteTest, WithoutASliceEverythingIsTheVendors) {
  EXPECT_EQ(Route("dlopen", {{"BRIM_SLICE", nullptr}}), kUnsliced);
}

TEST_F(ShimRouteTest, WithoutTheVendorsLibraryThereIsNoDevice) {
  if (Preloaded()) GTEST_SKIP() << "the program's own libcuda.so.1 is used";
  EXPECT_EQ(Route("dlopen", {{"BRIM_REAL_LIBCUDA", "/nowhere/libcuda.so.1"}}), "cuInit 100\n");
  EXPECT_EQ(Route("dlopen", {{"BRIM_REAL_LIBCUDA", BRIM_SHIM_FOLDER "/libcuda.so.1"}}),
            "cuInit 100\n");
}

// Each form of each function, by both askers: a hooked one leads into the shim, and to the same
// place whether the driver's address was an exported one or not; any other is the driver's own.
TEST_F(ShimRouteTest, EachAddressThatIsAskedFor) {
  const std::string plain = Route("addresses");
  const std::string hidden = Route("addresses", {{"FAKE_CUDA_PRIVATE_ADDRESSES", "1"}});
  std::istringstream plain_lines(plain);
  std::istringstream hidden_lines(hidden);
  std::map<std::string, std::size_t> places;
  int hooked = 0;
  int rows = 0;
  for (std::string line, other;
       std::getline(plain_lines, line) && std::getline(hidden_lines, other);) {
    std::istringstream words(line);
    std::string asked, exported, file;
    int since = 0, result = 0, old = 0, same = 0;
    std::size_t offset = 0;
    words >> asked >> since >> exported >> result >> old >> same >> file >> offset;
    ++rows;
    ASSERT_EQ(result, 0) << line;
    ASSERT_EQ(old, 0) << line;
    ASSERT_EQ(same, 1) << line;
    if (kHooks.count(exported) == 0) {
      EXPECT_EQ(file, BRIM_FAKE_FOLDER "/libcuda.so.1") << line;
      EXPECT_NE(other.find(" private "), std::string::npos) << other;
      continue;
    }
    ++hooked;
    EXPECT_EQ(file, HookFile()) << line;
    EXPECT_EQ(line, other);
    // Different forms are different hooks.
    const auto [place, fresh] = places.emplace(exported, offset);
    EXPECT_EQ(place->second, offset) << line;
  }
  std::set<std::size_t> distinct;
  for (const auto& [name, offset] : places) distinct.insert(offset);
  EXPECT_EQ(distinct.size(), places.size());
  EXPECT_EQ(rows, static_cast<int>(sizeof(kForms) / sizeof(kForms[0])));
  EXPECT_GE(hooked, 80);
  printf("%d forms asked for twice, %d of them hooked\n", rows, hooked);
}

}  // namespace

int RunRoute(const std::string& route) {
  const char* const name = "libcuda.so.1";
  const std::map<std::string, std::function<int()>> routes = {
      {"dlopen", [&] { return Say(Use(dlopen(name, RTLD_NOW | RTLD_LOCAL))); }},
      {"lazy", [&] { return Say(Use(dlopen(name, RTLD_LAZY | RTLD_GLOBAL))); }},
      {"deepbind", [&] { return Say(Use(dlopen(name, RTLD_NOW | RTLD_DEEPBIND))); }},
      {"dlmopen", [&] { return Say(Use(dlmopen(LM_ID_NEWLM, name, RTLD_NOW))); }},
      {"path", [&] { return Say(Use(dlopen(BRIM_SHIM_FOLDER "/libcuda.so.1", RTLD_NOW))); }},
      {"fork-before", ForkBefore},
      {"fork-after", ForkAfter},
      {"fork-full", ForkFull},
      {"vfork-exec", VforkExec},
      {"two", TwoCopies},
      {"addresses", PrintAddresses},
      {"nobody", StartAsNobody},
      {"start",
       [&] { return Say("cuInit " + std::to_string(FROM(dlopen(name, RTLD_NOW), cuInit)(0))); }},
  };
  const auto found = routes.find(route);
  return found == routes.end() ? RunPreloadRoute(route) : found->second();
}

}  // namespace brim::vgpu
