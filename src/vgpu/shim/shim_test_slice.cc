// See shim_test_slice.h.
#include "vgpu/shim/shim_test_slice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "state.h"

namespace brim::vgpu {
namespace {

[[noreturn]] void Die(const std::string& what) {
  perror(what.c_str());
  _exit(71);
}

template <typename T>
T* MapWhole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(T)) != 0) Die(path);
  void* const at = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) Die(path);
  close(fd);
  return static_cast<T*>(at);
}

}  // namespace

void* CudaSymbol(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    _exit(72);
  }
  void* const found = dlsym(library, name);
  if (found == nullptr) Die(name);
  return found;
}

std::string UseCuda(const FindFunction& find) {
#define BY(name) (reinterpret_cast<decltype(&::name)>(find(#name)))
  CUcontext context = nullptr;
  CUdeviceptr at = 0;
  size_t free = 0;
  size_t total = 0;
  if (find("cuInit") == nullptr) return dlerror();
  if (const int start = BY(cuInit)(0)) return "cuInit " + std::to_string(start);
  BY(cuDevicePrimaryCtxRetain)(&context, 0);
  BY(cuCtxSetCurrent)(context);
  BY(cuMemGetInfo_v2)(&free, &total);
  const int whole = BY(cuMemAlloc_v2)(&at, total);
  const int left = BY(cuMemAlloc_v2)(&at, free);
#undef BY
  return "total " + std::to_string(total) + " whole " + std::to_string(whole) + " left " +
         std::to_string(left);
}

TestSlice OpenSlice(const std::string& folder) {
  TestSlice slice;
  slice.folder = folder;
  slice.limits = MapWhole<SliceLimits>(folder + "/limits");
  slice.segment = MapWhole<SliceSegment>(folder + "/segment");
  slice.table = MapWhole<CardTable>(folder + "/table");
  slice.card = MapWhole<CardSegment>(folder + "/card");
  return slice;
}

TestSlice MakeSlice(const std::string& folder, std::uint64_t memory_mib) {
  mkdir(folder.c_str(), 0755);
  const TestSlice slice = OpenSlice(folder);
  slice.table->magic = kTableMagic;
  slice.table->version = kSegmentVersion;
  slice.table->bytes = sizeof(CardTable);
  slice.table->rows = 1;
  slice.table->row[0].cores = 100;
  slice.table->row[0].share = Share::kElastic;
  slice.card->magic = kCardMagic;
  slice.card->version = kSegmentVersion;
  slice.card->rows = kSlicesPerCard;
  slice.card->bytes = sizeof(CardSegment);
  SliceLimits& limits = *slice.limits;
  limits.magic = kLimitsMagic;
  limits.version = kSegmentVersion;
  limits.bytes = sizeof(SliceLimits);
  limits.memory_now = limits.memory_soft = limits.memory_hard = memory_mib * kMiB;
  limits.cores = 100;
  limits.share = Share::kElastic;
  limits.context_bytes = kContextMiB * kMiB;
  limits.module_bytes = kModuleMiB * kMiB;
  strcpy(limits.card_uuid, "GPU-fa4e0000-0000-4000-8000-000000000000");
  InitSegment(slice.segment);
  return slice;
}

TestSlice& OwnSlice() {
  static TestSlice slice = OpenSlice(getenv("BRIM_SLICE"));
  return slice;
}

std::uint64_t TruthOf(pid_t pid) {
  for (const fake::ProcessEntry& entry : fake::Shared().process) {
    if (entry.pid == pid && fake::Alive(pid, entry.start)) return entry.used[0];
  }
  return 0;
}

std::uint64_t TruthOfAll() { return fake::UsedOn(0); }

Child Start(const std::vector<std::string>& program, const Environment& environment) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) Die("pipe2");
  std::vector<char*> arguments;
  for (const std::string& word : program) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    for (const auto& [name, value] : environment) {
      value == nullptr ? unsetenv(name) : setenv(name, value, 1);
    }
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(out[1], 2);
    execv(arguments[0], arguments.data());
    Die(program[0]);
  }
  close(in[0]);
  close(out[1]);
  return {pid, in[1], out[0]};
}

Ended Finish(Child* child) {
  Ended ended;
  close(child->in);
  char text[4096];
  for (ssize_t length = 0; (length = read(child->out, text, sizeof(text))) > 0;) {
    ended.said.append(text, static_cast<std::size_t>(length));
  }
  close(child->out);
  if (waitpid(child->pid, &ended.status, 0) != child->pid) Die("waitpid");
  child->pid = -1;
  return ended;
}

bool Preloaded() { return getenv("LD_PRELOAD") != nullptr; }

std::string HookFile() {
  return Preloaded() ? BRIM_SHIM_FOLDER "/libbrim_preload.so" : BRIM_SHIM_FOLDER "/libcuda.so.1";
}

std::string Self() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0) Die("readlink");
  return std::string(path, static_cast<std::size_t>(length));
}

std::string TemporaryFolder() {
  std::string pattern = "/dev/shm/brim-shim-test-" + std::to_string(getpid()) + "-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) Die("mkdtemp");
  return pattern;
}

void RemoveFolder(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

}  // namespace brim::vgpu
