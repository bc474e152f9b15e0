// See card_probe.h. Types are declared here as <nvml.h> and <cuda.h> of CUDA 12 and 13 have them:
// the few functions used have kept their form since NVML 3 and CUDA 4.
#include "vgpu/agent/card_probe.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "vgpu/agent/driver_library.h"

namespace brim::vgpu {
namespace {

struct NvmlMemory {
  unsigned long long total, free, used;
};
struct NvmlProcess {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

// Bytes that NVML says this process holds on the card; 0 when it does not tell.
std::uint64_t OwnUse(const DriverLibrary& nvml, NvmlDevice device) {
  NvmlProcess rows[256];
  unsigned count = 256;
  if (nvml.Call("nvmlDeviceGetComputeRunningProcesses_v3", device, &count, &rows[0]) != 0) return 0;
  for (unsigned i = 0; i < count; ++i) {
    if (rows[i].pid == static_cast<unsigned>(getpid())) return rows[i].used;
  }
  return 0;
}

// The smallest module: PTX of one kernel that does nothing, for the oldest architecture that both
// CUDA 12 and 13 take.
constexpr const char* kEmptyKernel =
    ".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry brim_empty() { ret; }\n";

}  // namespace

Result<Probe> ProbeCards() {
  Probe probe;
  probe.driver.nvml_path = LibraryPath("BRIM_REAL_LIBNVIDIA_ML", "libnvidia-ml.so.1");
  const DriverLibrary nvml(probe.driver.nvml_path.c_str());
  if (!nvml.ok() || nvml.Call("nvmlInit_v2") != 0) {
    return Status(
        Code::kNotFound, "no_driver",
        fmt::format("{} cannot be {}: this host has no NVIDIA driver, or it is not loaded "
                    "(`nvidia-smi` shows it). BRIM_REAL_LIBNVIDIA_ML names another file",
                    probe.driver.nvml_path, nvml.ok() ? "started" : "opened"));
  }
  char text[128] = "";
  if (nvml.Call("nvmlSystemGetDriverVersion", &text[0], unsigned{sizeof(text)}) == 0) {
    probe.driver.driver_version = text;
  }
  int cuda = 0;
  if (nvml.Call("nvmlSystemGetCudaDriverVersion_v2", &cuda) == 0) {
    probe.driver.cuda_version = fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10);
  }
  unsigned count = 0;
  nvml.Call("nvmlDeviceGetCount_v2", &count);
  for (unsigned index = 0; index < count && index < 1024; ++index) {
    NvmlDevice device = nullptr;
    NvmlMemory memory = {};
    CardInfo card;
    card.index = index;
    if (nvml.Call("nvmlDeviceGetHandleByIndex_v2", index, &device) != 0) continue;
    if (nvml.Call("nvmlDeviceGetUUID", device, &text[0], unsigned{sizeof(text)}) == 0)
      card.uuid = text;
    if (nvml.Call("nvmlDeviceGetName", device, &text[0], unsigned{sizeof(text)}) == 0)
      card.name = text;
    if (nvml.Call("nvmlDeviceGetMemoryInfo", device, &memory) == 0) card.memory = memory.total;
    probe.cards.push_back(std::move(card));
  }
  nvml.Call("nvmlShutdown");
  return probe;
}

std::map<std::int32_t, std::uint64_t> UseByProcess(std::uint32_t card) {
  std::map<std::int32_t, std::uint64_t> use;
  const DriverLibrary nvml(LibraryPath("BRIM_REAL_LIBNVIDIA_ML", "libnvidia-ml.so.1").c_str());
  NvmlDevice device = nullptr;
  if (!nvml.ok() || nvml.Call("nvmlInit_v2") != 0) return use;
  std::vector<NvmlProcess> rows(4096);
  unsigned count = static_cast<unsigned>(rows.size());
  if (nvml.Call("nvmlDeviceGetHandleByIndex_v2", card, &device) == 0 &&
      nvml.Call("nvmlDeviceGetComputeRunningProcesses_v3", device, &count, rows.data()) == 0) {
    for (unsigned i = 0; i < count; ++i) {
      // All ones: "not available", as under WDDM.
      if (rows[i].used != ~0ull) use[static_cast<std::int32_t>(rows[i].pid)] = rows[i].used;
    }
  }
  nvml.Call("nvmlShutdown");
  return use;
}

int CalibrateChild(const std::string& uuid) {
  // Before CUDA starts: the card is then device 0.
  setenv("CUDA_VISIBLE_DEVICES", uuid.c_str(), 1);
  const DriverLibrary nvml(LibraryPath("BRIM_REAL_LIBNVIDIA_ML", "libnvidia-ml.so.1").c_str());
  const DriverLibrary cuda(LibraryPath("BRIM_REAL_LIBCUDA", "libcuda.so.1").c_str());
  NvmlDevice device = nullptr;
  void* context = nullptr;
  void* module = nullptr;
  if (!nvml.ok() || !cuda.ok() || nvml.Call("nvmlInit_v2") != 0) return 1;
  if (nvml.Call("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device) != 0) return 1;
  if (cuda.Call("cuInit", 0u) != 0) return 1;
  if (cuda.Call("cuDevicePrimaryCtxRetain", &context, 0) != 0) return 1;
  if (cuda.Call("cuCtxSetCurrent", context) != 0) return 1;
  const std::uint64_t with_context = OwnUse(nvml, device);
  if (cuda.Call("cuModuleLoadData", &module, static_cast<const void*>(kEmptyKernel)) != 0) return 1;
  const std::uint64_t with_module = OwnUse(nvml, device);
  std::printf(
      "%llu %llu\n", static_cast<unsigned long long>(with_context),
      static_cast<unsigned long long>(with_module > with_context ? with_module - with_context : 0));
  return 0;
}

void Calibrate(CardInfo* card) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (length <= 0) return;
  self[length] = '\0';
  int pipe_fds[2];
  if (pipe(pipe_fds) != 0) return;
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_fds[1], STDOUT_FILENO);
    close(pipe_fds[0]);
    execl(self, self, "node", "calibrate", card->uuid.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(pipe_fds[1]);
  char text[256];
  std::size_t have = 0;
  while (child > 0 && have < sizeof(text) - 1) {
    const ssize_t more = read(pipe_fds[0], text + have, sizeof(text) - 1 - have);
    if (more <= 0) break;
    have += static_cast<std::size_t>(more);
  }
  close(pipe_fds[0]);
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  text[have] = '\0';
  unsigned long long context = 0;
  unsigned long long module = 0;
  if (status == 0 && std::sscanf(text, "%llu %llu", &context, &module) == 2) {
    card->context_bytes = context;
    card->module_bytes = module;
  }
}

}  // namespace brim::vgpu
