// The fake libnvidia-ml: reads the same state file, so it tells the truth about memory and time.
#include <nvml.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "groups.h"
#include "state.h"

#define FAKE_API extern "C" __attribute__((visibility("default")))

namespace fake {
namespace {

std::string UuidText(int card) {
  char text[64];
  snprintf(text, sizeof(text), "GPU-fa4e0000-0000-4000-8000-%012d", card);
  return text;
}
nvmlDevice_t Handle(int card) {
  return reinterpret_cast<nvmlDevice_t>(static_cast<std::uintptr_t>(0x1000 + card));
}
bool CardOf(nvmlDevice_t handle, int* card) {
  *card = static_cast<int>(reinterpret_cast<std::uintptr_t>(handle)) - 0x1000;
  return *card >= 0 && *card < Shared().settings.cards;
}
nvmlReturn_t Text(char* out, unsigned length, const std::string& text) {
  if (length <= text.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(out, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

template <typename Row>
nvmlReturn_t Processes(nvmlDevice_t device, unsigned* count, Row* rows) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  unsigned found = 0;
  for (ProcessEntry& entry : Shared().process) {
    const std::int32_t pid = entry.pid;
    if (pid == 0 || entry.used[card] == 0 || !Alive(pid, entry.start)) continue;
    if (rows != nullptr && found < *count) {
      memset(&rows[found], 0, sizeof(Row));
      rows[found].pid = static_cast<unsigned>(pid);
      rows[found].usedGpuMemory = entry.used[card];
    }
    ++found;
  }
  const bool fits = rows != nullptr && found <= *count;
  *count = found;
  return fits || found == 0 ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

}  // namespace

FAKE_API nvmlReturn_t nvmlInit_v2() { return Shared(), NVML_SUCCESS; }
FAKE_API nvmlReturn_t nvmlInit() { return nvmlInit_v2(); }
FAKE_API nvmlReturn_t nvmlInitWithFlags(unsigned int) { return nvmlInit_v2(); }
FAKE_API nvmlReturn_t nvmlShutdown() { return NVML_SUCCESS; }
FAKE_API const char* nvmlErrorString(nvmlReturn_t code) {
  return code == NVML_SUCCESS               ? "Success"
         : code == NVML_ERROR_NOT_SUPPORTED ? "Not Supported"
                                            : "Error";
}
FAKE_API nvmlReturn_t nvmlSystemGetDriverVersion(char* out, unsigned length) {
  return Text(out, length, LimitsMode() == Mode::kOff ? "580.00.00" : "615.00.00");
}
FAKE_API nvmlReturn_t nvmlSystemGetNVMLVersion(char* out, unsigned length) {
  return Text(out, length, "13.580.00");
}
FAKE_API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  return *version = 13000, NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned* count) {
  return *count = static_cast<unsigned>(Shared().settings.cards), NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetCount(unsigned* count) { return nvmlDeviceGetCount_v2(count); }
FAKE_API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* device) {
  if (index >= static_cast<unsigned>(Shared().settings.cards)) return NVML_ERROR_INVALID_ARGUMENT;
  return *device = Handle(static_cast<int>(index)), NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByIndex_v2(index, device);
}
FAKE_API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  for (int card = 0; card < Shared().settings.cards; ++card) {
    if (UuidText(card) == uuid) return *device = Handle(card), NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}
FAKE_API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned* index) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  return *index = static_cast<unsigned>(card), NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* out, unsigned length) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  return Text(out, length, UuidText(card));
}
FAKE_API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* out, unsigned length) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  return Text(out, length, "Fake Card " + std::to_string(card));
}
FAKE_API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  memory->total = Shared().settings.memory;
  memory->used = std::min<std::uint64_t>(UsedOn(card), memory->total);
  memory->free = memory->total - memory->used;
  return NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  if (memory->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  nvmlMemory_t old;
  const nvmlReturn_t result = nvmlDeviceGetMemoryInfo(device, &old);
  memory->total = old.total;
  memory->reserved = 0;
  memory->free = old.free;
  memory->used = old.used;
  return result;
}
FAKE_API nvmlReturn_t nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t device,
                                                   nvmlSetMemoryLimits_v1_t* limits) {
  int card = 0;
  if (!CardOf(device, &card) || limits == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (LimitsMode() == Mode::kOff) return NVML_ERROR_NOT_SUPPORTED;
  if (LimitsMode() == Mode::kDenied) return NVML_ERROR_NO_PERMISSION;
  const std::uint64_t memory = Shared().settings.memory;
  const bool none = limits->hardLimit == NVML_DEVICE_MEMORY_LIMIT_MAX;
  if (limits->softLimit > limits->hardLimit || (!none && limits->hardLimit > memory)) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  switch (SetGroupLimit(card, limits->nameSpace, limits->softLimit, limits->hardLimit)) {
    case GroupAnswer::kDone:
      return NVML_SUCCESS;
    case GroupAnswer::kNoGroup:
      return NVML_ERROR_OPERATING_SYSTEM;
    default:
      return NVML_ERROR_UNKNOWN;
  }
}
FAKE_API nvmlReturn_t nvmlDeviceGetMemoryLimits_v1(nvmlDevice_t device,
                                                   nvmlGetMemoryLimits_v1_t* limits) {
  int card = 0;
  if (!CardOf(device, &card) || limits == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (LimitsMode() == Mode::kOff) return NVML_ERROR_NOT_SUPPORTED;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  std::uint64_t used = 0;
  switch (GetGroupLimit(card, limits->nameSpace, &soft, &hard, &used)) {
    case GroupAnswer::kDone:
      break;
    case GroupAnswer::kNoGroup:
      return NVML_ERROR_OPERATING_SYSTEM;
    default:
      return NVML_ERROR_NOT_FOUND;
  }
  limits->softLimit = soft;
  limits->hardLimit = hard;
  limits->currentUsed = used;
  return NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* use) {
  int card = 0;
  if (!CardOf(device, &card)) return NVML_ERROR_INVALID_ARGUMENT;
  use->gpu = Busy(Shared().card[card].timeline) ? 100 : 0;
  use->memory = 0;
  return NVML_SUCCESS;
}
FAKE_API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned* count,
                                                              nvmlProcessInfo_t* rows) {
  return Processes(device, count, rows);
}
FAKE_API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned* count,
                                                              nvmlProcessInfo_v2_t* rows) {
  return Processes(device, count, rows);
}
FAKE_API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned* count,
                                                           nvmlProcessInfo_v1_t* rows) {
  return Processes(device, count, rows);
}
FAKE_API nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t, unsigned* count,
                                                               nvmlProcessInfo_t*) {
  return *count = 0, NVML_SUCCESS;
}

}  // namespace fake
