// A program with libshim_first.so, libshim_second.so and libcuda.so.1 as dependencies, in this
// order, for the tests of the preloaded library.
//
//   next         what RTLD_NEXT finds, asked from the first library and from here: in which file
//   constructor  a first CUDA call inside dlopen() while another thread makes one too
//   crowd        threads that ask dlsym() while others open and close libraries and fork
#include "vgpu/shim/shim_next.h"

#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace {

std::string FileOf(const void* address) {
  Dl_info info;
  if (address == nullptr) return "none";
  if (dladdr(address, &info) == 0) return "unknown";
  const char* const slash = strrchr(info.dli_fname, '/');
  return slash == nullptr ? info.dli_fname : slash + 1;
}

int Next() {
  const auto who = reinterpret_cast<const char* (*)()>(shim_first_next("shim_who"));
  printf("%s", who == nullptr ? "none" : who());
  for (const char* name : {"cuMemAlloc_v2", "cuArrayDestroy", "cuStreamCreate", "cuNoSuch"}) {
    printf(" %s", FileOf(shim_first_next(name)).c_str());
  }
  printf("\n");
  // From here, and in the order of all.
  printf("%s %s %s\n", FileOf(dlsym(RTLD_NEXT, "cuArrayDestroy")).c_str(),
         FileOf(shim_first_default("cuMemAlloc_v2")).c_str(),
         FileOf(dlsym(RTLD_DEFAULT, "cuStreamCreate")).c_str());
  // The C library's own door, asked for as an interposer does.
  void* const door = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
  printf("%s %s\n", FileOf(door).c_str(),
         FileOf(reinterpret_cast<decltype(&dlsym)>(door)(RTLD_DEFAULT, "printf")).c_str());
  return 0;
}

// The other thread begins its first CUDA call when the constructor runs, and the constructor makes
// its own when the other one hangs on the loader's lock, which the constructor's thread has.
int Constructor(const char* library) {
  int begun[2];
  int going[2];
  if (pipe(begun) != 0 || pipe(going) != 0) return 2;
  std::atomic<int> other{-1};
  std::atomic<int> other_id{0};
  std::thread thread([&] {
    char mark = 0;
    other_id = static_cast<int>(syscall(SYS_gettid));
    if (read(begun[0], &mark, 1) != 1 || write(going[1], "g", 1) != 1) return;
    other = cuInit(0);
  });
  while (other_id == 0) sched_yield();
  setenv("SHIM_BEGUN", std::to_string(begun[1]).c_str(), 1);
  setenv("SHIM_GOING", std::to_string(going[0]).c_str(), 1);
  setenv("SHIM_OTHER", std::to_string(other_id).c_str(), 1);
  void* const opened = dlopen(library, RTLD_NOW);
  if (opened == nullptr) return printf("%s\n", dlerror()), 3;
  thread.join();
  printf("%d %s\n", other.load(), getenv("SHIM_RESULT"));
  return 0;
}

int Crowd(const char* library) {
  constexpr int kRounds = 300;
  constexpr int kForks = 30;
  std::atomic<int> wrong{0};
  void* const cuda = dlopen("libcuda.so.1", RTLD_NOW);
  void* const alloc = dlsym(cuda, "cuMemAlloc_v2");
  const std::string hooked = FileOf(alloc);
  std::atomic<bool> forked{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds || !forked; ++round) {
        wrong += FileOf(dlsym(cuda, "cuLaunchKernel")) != hooked;
        wrong += dlsym(RTLD_DEFAULT, "cuNoSuch") != nullptr;
        wrong += FileOf(shim_first_next("cuMemFree_v2")) != hooked;
        wrong += dlsym(RTLD_DEFAULT, "printf") == nullptr;
      }
    });
  }
  // A child asks at once, whatever the others are doing; a hung one ends by its alarm.
  for (int round = 0; round < kForks; ++round) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      _exit(dlsym(cuda, "cuMemAlloc_v2") == alloc ? 0 : 1);
    }
    int status = 0;
    wrong += waitpid(pid, &status, 0) != pid || status != 0;
  }
  forked = true;
  for (int round = 0; round < kRounds; ++round) {
    void* const opened = dlopen(library, RTLD_NOW);
    wrong += opened == nullptr || dlclose(opened) != 0;
  }
  for (std::thread& thread : threads) thread.join();
  printf("%s %d\n", hooked.c_str(), wrong.load());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 9;
  alarm(60);
  // Each dependency is used.
  if (strcmp(shim_who(), "first") != 0 || strcmp(shim_second_who(), "second") != 0) return 8;
  const std::string what = arguments[1];
  if (what == "next") return Next();
  return what == "constructor" ? Constructor(arguments[2]) : Crowd(arguments[2]);
}
