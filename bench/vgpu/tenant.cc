// tenant: a program on the CUDA driver API that loads the card in a stated way and prints what it
// saw as one line of JSON. The same binary runs on the fake card, natively, in a slice, and on a
// real card; bench/vgpu and tests/gpu start it.
//
//   tenant loop    --kernel-us N --pattern async|sync|graph --seconds S [--request N
//                  --idle-us N]   launches from the time that its input says
//   tenant hooks   [--kernel-us N]      each line of input says how many calls of each kind to time
//   tenant start                        starts, makes a context, says how long that took
//   tenant memory  --way W --step N     takes memory by one kind of allocation until refused
//   tenant hold    --bytes N            holds memory until standard input closes
//   tenant churn   --seconds S --most N allocates and frees at random until it is killed
//
// It finds libcuda.so.1 as any program does. Single-threaded; ends with 3 when CUDA fails, saying
// what and how, and 4 when there is no libcuda.so.1.
#include "tenant.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace tenant {

std::int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void SleepUntil(std::int64_t at) {
  const timespec until{at / 1'000'000'000, at % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

void Fail(const char* what, int code) {
  printf("{\"failed\":\"%s\",\"code\":%d}\n", what, code);
  fflush(stdout);
  _exit(3);
}

Options::Options(int count, char** words) {
  for (int i = 0; i + 1 < count; i += 2) {
    if (strncmp(words[i], "--", 2) == 0) values_[words[i] + 2] = words[i + 1];
  }
}

std::string Options::Text(const char* name, const char* otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

double Options::Number(const char* name, double otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : strtod(found->second.c_str(), nullptr);
}

void* Function(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    printf("{\"failed\":\"no libcuda.so.1\",\"code\":-1}\n");
    fflush(stdout);
    _exit(4);
  }
  void* const found = dlsym(library, name);
  if (found == nullptr) Fail(name, -2);
  return found;
}

// A kernel that spins until the card's own clock (globaltimer, nanoseconds; its step is about a
// microsecond) has advanced by its argument. One thread in one block: what is shared is time.
constexpr const char* kSpin =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry NAME(.param .u64 nanoseconds)\n{\n"
    ".reg .u64 %rd<5>;\n.reg .pred %p<2>;\n"
    "ld.param.u64 %rd1, [nanoseconds];\n"
    "mov.u64 %rd2, %globaltimer;\n"
    "LOOP:\n"
    "mov.u64 %rd3, %globaltimer;\n"
    "sub.u64 %rd4, %rd3, %rd2;\n"
    "setp.lt.u64 %p1, %rd4, %rd1;\n"
    "@%p1 bra LOOP;\n"
    "ret;\n}\n";

Card::Card() {
  Check("cuInit", BRIM_CALL(cuInit)(0));
  Check("cuDeviceGet", BRIM_CALL(cuDeviceGet)(&device, 0));
  Check("cuDevicePrimaryCtxRetain", BRIM_CALL(cuDevicePrimaryCtxRetain)(&context, device));
  Check("cuCtxSetCurrent", BRIM_CALL(cuCtxSetCurrent)(context));
}

Kernel::Kernel(std::int64_t nanoseconds) : nanoseconds_(static_cast<std::uint64_t>(nanoseconds)) {
  // The fake card takes the kernel's time from its name.
  const std::string name = "spin_" + std::to_string(nanoseconds / 1000) + "us";
  std::string text = kSpin;
  text.replace(text.find("NAME"), 4, name);
  CUmodule module = nullptr;
  Check("cuModuleLoadData", BRIM_CALL(cuModuleLoadData)(&module, text.c_str()));
  Check("cuModuleGetFunction", BRIM_CALL(cuModuleGetFunction)(&function_, module, name.c_str()));
}

void Kernel::Launch(CUstream stream) {
  static const auto launch = BRIM_CALL(cuLaunchKernel);
  void* parameters[] = {&nanoseconds_};
  Check("cuLaunchKernel", launch(function_, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr));
}

}  // namespace tenant

int main(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "";
  const tenant::Options options(count - 2, words + 2);
  if (what == "loop") return tenant::Loop(options);
  if (what == "hooks") return tenant::Hooks(options);
  if (what == "start") return tenant::Start(options);
  if (what == "memory") return tenant::Memory(options);
  if (what == "hold") return tenant::Hold(options);
  if (what == "churn") return tenant::Churn(options);
  fprintf(stderr, "usage: tenant loop|hooks|start|memory|hold|churn [--NAME VALUE]...\n");
  return 2;
}
