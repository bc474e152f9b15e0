// cuInit, cuGetProcAddress, errors, devices.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>
#include <mutex>

#include "engine.h"
#include "objects.h"
#include "state.h"

namespace fake {
namespace {

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

// CUDA_VISIBLE_DEVICES as the driver reads it: indices or UUIDs, up to the first that is wrong.
std::vector<int> Visible() {
  std::vector<int> cards;
  const char* const text = getenv("CUDA_VISIBLE_DEVICES");
  const int all = Shared().settings.cards;
  if (text == nullptr) {
    for (int i = 0; i < all; ++i) cards.push_back(i);
    return cards;
  }
  std::string rest = text;
  while (!rest.empty()) {
    const std::string one = rest.substr(0, rest.find(','));
    rest = one.size() == rest.size() ? "" : rest.substr(one.size() + 1);
    int found = -1;
    for (int i = 0; i < all; ++i) {
      if (one == std::to_string(i) || (one.size() > 4 && UuidText(i).rfind(one, 0) == 0)) found = i;
    }
    if (found < 0) break;
    cards.push_back(found);
  }
  return cards;
}

bool CardOf(CUdevice device, int* card) {
  World& world = TheWorld();
  if (device < 0 || device >= static_cast<int>(world.visible.size())) return false;
  *card = world.visible[static_cast<std::size_t>(device)];
  return true;
}

// Another address of the function, as a driver may give that does not export what it hands out: a
// jump to it, made once for each.
void* Private(void* function) {
  constexpr std::size_t kThunks = 1024;
  constexpr std::size_t kBytes = 16;
  static std::mutex mutex;
  static std::map<void*, void*> made;
  static char* const page =
      static_cast<char*>(mmap(nullptr, kThunks * kBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const std::lock_guard lock(mutex);
  const auto found = made.find(function);
  if (found != made.end()) return found->second;
  if (page == MAP_FAILED || made.size() >= kThunks) return function;
  char* const at = page + made.size() * kBytes;
  const char code[] = {'\xff', '\x25', 0, 0, 0, 0};  // jmp *(%rip): to the address that follows.
  memcpy(at, code, sizeof(code));
  memcpy(at + sizeof(code), &function, sizeof(function));
  return made[function] = at;
}

CUresult Find(const char* symbol, void** function, int version, cuuint64_t flags,
              CUdriverProcAddressQueryResult* status) {
  if (symbol == nullptr || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  const Form* best = nullptr;
  bool known = false;
  for (const Form& form : kForms) {
    if (strcmp(form.asked, symbol) != 0) continue;
    known = true;
    if (form.since > version || (form.per_thread && !per_thread)) continue;
    if (best == nullptr || form.per_thread > best->per_thread ||
        (form.per_thread == best->per_thread && form.since > best->since)) {
      best = &form;
    }
  }
  // Of this very library, not of whoever stands before it.
  Dl_info own;
  dladdr(reinterpret_cast<void*>(&Find), &own);
  static void* const self = dlopen(own.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  *function = best == nullptr ? nullptr : dlsym(self, best->exported);
  static const bool is_private = getenv("FAKE_CUDA_PRIVATE_ADDRESSES") != nullptr;
  if (is_private && *function != nullptr) *function = Private(*function);
  if (status != nullptr) {
    *status = *function != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS
              : known              ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                                   : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  }
  return *function != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

struct ErrorRow {
  CUresult code;
  const char* name;
  const char* text;
};
constexpr ErrorRow kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_SYSTEM_NOT_READY, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
};

}  // namespace

World& TheWorld() {
  static World* const world = new World;  // Used by detached threads until the very end.
  return *world;
}

CUresult Ready() { return TheWorld().initialised ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED; }

std::uint64_t Rounded(std::uint64_t bytes, std::uint64_t step) {
  return step == 0 ? bytes : (bytes + step - 1) / step * step;
}

std::int64_t GpuTimeOf(const std::string& name) {
  const std::size_t at = name.find_last_of('_');
  long value = 0;
  char unit[8] = "";
  if (at != std::string::npos && sscanf(name.c_str() + at + 1, "%ld%7s", &value, unit) == 2) {
    if (strcmp(unit, "us") == 0) return value * 1'000;
    if (strcmp(unit, "ms") == 0) return value * 1'000'000;
  }
  return Shared().settings.kernel_ns;
}

std::string UuidText(int card) {
  char text[64];
  snprintf(text, sizeof(text), "GPU-fa4e0000-0000-4000-8000-%012d", card);
  return text;
}

void UuidBytes(int card, char bytes[16]) {
  const unsigned char base[16] = {0xfa, 0x4e, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0};
  memcpy(bytes, base, 16);
  bytes[15] = static_cast<char>(card);
}

FAKE_API CUresult cuInit(unsigned int flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  Mine();
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  world.visible = Visible();
  if (world.visible.empty()) return CUDA_ERROR_NO_DEVICE;
  world.initialised = true;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = 13000;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGetProcAddress(const char* symbol, void** function, int version,
                                   cuuint64_t flags) {
  return Find(symbol, function, version, flags, nullptr);
}
FAKE_API CUresult cuGetProcAddress_v2(const char* symbol, void** function, int version,
                                      cuuint64_t flags, CUdriverProcAddressQueryResult* status) {
  return Find(symbol, function, version, flags, status);
}
FAKE_API CUresult cuGetErrorName(CUresult error, const char** text) {
  for (const ErrorRow& row : kErrors) {
    if (row.code == error) return *text = row.name, CUDA_SUCCESS;
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
FAKE_API CUresult cuGetErrorString(CUresult error, const char** text) {
  for (const ErrorRow& row : kErrors) {
    if (row.code == error) return *text = row.text, CUDA_SUCCESS;
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

FAKE_API CUresult cuDeviceGetCount(int* count) {
  if (Ready() != CUDA_SUCCESS) return Ready();
  *count = static_cast<int>(TheWorld().visible.size());
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  int card = 0;
  if (Ready() != CUDA_SUCCESS) return Ready();
  if (!CardOf(ordinal, &card)) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  int card = 0;
  if (!CardOf(device, &card)) return CUDA_ERROR_INVALID_DEVICE;
  snprintf(name, static_cast<std::size_t>(length), "Fake Card %d", card);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  int card = 0;
  if (!CardOf(device, &card)) return CUDA_ERROR_INVALID_DEVICE;
  UuidBytes(card, uuid->bytes);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return cuDeviceGetUuid(uuid, device);
}
FAKE_API CUresult cuDeviceGetPCIBusId(char* text, int length, CUdevice device) {
  int card = 0;
  if (!CardOf(device, &card)) return CUDA_ERROR_INVALID_DEVICE;
  snprintf(text, static_cast<std::size_t>(length), "0000:%02x:00.0", card + 1);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice) {
  *major = 9;
  *minor = 0;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  int card = 0;
  if (!CardOf(device, &card)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = Shared().settings.memory;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceTotalMem(unsigned int* bytes, CUdevice device) {
  size_t whole = 0;
  const CUresult result = cuDeviceTotalMem_v2(&whole, device);
  if (result == CUDA_SUCCESS)
    *bytes = whole > 0xffffffffu ? 0xffffffffu : static_cast<unsigned>(whole);
  return result;
}
FAKE_API CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  int card = 0;
  if (!CardOf(device, &card)) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = 9;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = 0;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = 100;
      break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *value = 32;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      *value = 1024;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      *value = 64;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      *value = 0x7fffffff;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      *value = 65535;
      break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
      *value = 1;
      break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      *value = card + 1;
      break;
    default:
      *value = 0;
      break;
  }
  return CUDA_SUCCESS;
}

}  // namespace fake
