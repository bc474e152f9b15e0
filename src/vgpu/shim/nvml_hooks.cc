// What a tenant sees through NVML: one card, the slice's memory, its own processes, and its use of
// its own share. It can change nothing of the card.
#include <string.h>
#include <time.h>

#include <atomic>

#include "vgpu/abi/card_segment.h"
#include "vgpu/ledger/ledger.h"
#include "vgpu/shim/map_file.h"
#include "vgpu/shim/nvml_table.h"

namespace brim::vgpu {
namespace {

// The slice of this process; null in none, or in one that cannot be used (libcuda refuses to start
// in it, so nothing is hidden).
struct View {
  const SliceLimits* limits;
  const SliceSegment* segment;
  const CardSegment* card;
};

// The first mapping stays; one that another thread made meanwhile is given back.
template <typename T>
void Keep(const T** place, const T* mapped) {
  const T* none = nullptr;
  if (mapped == nullptr || __atomic_compare_exchange_n(place, &none, mapped, false,
                                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    return;
  }
  munmap(const_cast<T*>(mapped), sizeof(T));
}

// Nobody waits for another: in a forked child there may be nobody.
const View* Slice() {
  static View view;
  static std::atomic<int> state{0};  // 0 not looked, 1 none, 2 there.
  const int known = state.load(std::memory_order_acquire);
  if (known != 0) return known == 2 ? &view : nullptr;
  bool told = false;
  const char* const folder = SliceFolder(&told);
  if (told || access(folder, F_OK) == 0) {
    Keep(&view.limits, MapFile<const SliceLimits>(folder, "limits", false, CheckLimits));
    Keep(&view.segment, MapFile<const SliceSegment>(folder, "segment", false, CheckSegment));
    Keep(&view.card, MapFile<const CardSegment>(folder, "card", false, CheckCard));
  }
  const bool all = view.limits != nullptr && view.segment != nullptr && view.card != nullptr;
  state.store(all ? 2 : 1, std::memory_order_release);
  return all ? &view : nullptr;
}

}  // namespace

bool InSlice() { return Slice() != nullptr; }

namespace {

nvmlReturn_t OwnCard(const View& slice, nvmlDevice_t* device) {
  return BRIM_REAL_NVML(nvmlDeviceGetHandleByUUID)(slice.limits->card_uuid, device);
}

template <typename Call>
nvmlReturn_t Count(unsigned int* count, Call call) {
  if (Slice() == nullptr) return call(count);
  return *count = 1, NVML_SUCCESS;
}

template <typename Call>
nvmlReturn_t ByIndex(unsigned int index, nvmlDevice_t* device, Call call) {
  const View* const slice = Slice();
  if (slice == nullptr) return call(index, device);
  if (index != 0 || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return OwnCard(*slice, device);
}

// The vendor finds a device by what it is called; only the slice's is shown.
template <typename Call>
nvmlReturn_t ByName(const char* name, nvmlDevice_t* device, Call call) {
  const View* const slice = Slice();
  const nvmlReturn_t found = call(name, device);
  if (slice == nullptr || found != NVML_SUCCESS) return found;
  nvmlDevice_t own = nullptr;
  if (OwnCard(*slice, &own) != NVML_SUCCESS || own != *device) return NVML_ERROR_NOT_FOUND;
  return NVML_SUCCESS;
}

// The slice's memory in place of the card's; free is never more than the card has.
template <typename Memory, typename Call>
nvmlReturn_t SliceMemory(nvmlDevice_t device, Memory* memory, Call call) {
  const View* const slice = Slice();
  const nvmlReturn_t result = call(device, memory);
  if (slice == nullptr || result != NVML_SUCCESS) return result;
  memory->used = HeldBytes(*slice->segment);
  memory->total = slice->limits->memory_now.load(std::memory_order_relaxed);
  const std::uint64_t left = memory->total > memory->used ? memory->total - memory->used : 0;
  if (left < memory->free) memory->free = left;
  return result;
}

bool IsOwnProcess(const View& slice, unsigned int pid) {
  for (const Cell& cell : slice.segment->cell) {
    const std::uint64_t owner = cell.owner.load(std::memory_order_relaxed);
    if ((owner & 0xff) == static_cast<std::uint64_t>(CellPhase::kLive) && owner >> 32 == pid)
      return true;
  }
  return false;
}

// Asks for all processes and keeps the slice's own. As NVML does: too little room is an error that
// tells how much is needed.
template <typename Row, typename Call>
nvmlReturn_t OwnProcesses(nvmlDevice_t device, unsigned int* count, Row* rows, Call call) {
  const View* const slice = Slice();
  if (slice == nullptr) return call(device, count, rows);
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  constexpr unsigned kMost = 1024;
  Row all[kMost];
  unsigned found = kMost;
  const nvmlReturn_t result = call(device, &found, all);
  if (result != NVML_SUCCESS) return result;
  unsigned own = 0;
  for (unsigned i = 0; i < found && i < kMost; ++i) {
    if (!IsOwnProcess(*slice, all[i].pid)) continue;
    if (rows != nullptr && own < *count) rows[own] = all[i];
    ++own;
  }
  const bool fits = own == 0 || (rows != nullptr && own <= *count);
  *count = own;
  return fits ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

// Time used since the last question over the slice's share of it.
unsigned int OwnUtilization(const View& slice) {
  static std::atomic<std::int64_t> asked_at{0};
  static std::atomic<std::int64_t> used_then{0};
  static std::atomic<unsigned int> last{0};
  timespec clock;
  clock_gettime(CLOCK_MONOTONIC, &clock);
  const std::int64_t now = std::int64_t{clock.tv_sec} * 1'000'000'000 + clock.tv_nsec;
  const std::int64_t used = slice.card->row[slice.limits->row].gpu.load(std::memory_order_relaxed);
  const std::int64_t before = asked_at.load();
  // NVML's own period is between 1/6 s and 1 s.
  if (before != 0 && now - before < 166'000'000) return last.load();
  asked_at.store(now);
  const std::int64_t spent = used - used_then.exchange(used);
  if (before == 0 || spent <= 0) return last.exchange(0), 0;
  const double share = slice.limits->cores.load(std::memory_order_relaxed) / 100.0;
  const double use = static_cast<double>(spent) / static_cast<double>(now - before) / share * 100;
  const unsigned int percent = use > 100 ? 100 : static_cast<unsigned int>(use);
  last.store(percent);
  return percent;
}

}  // namespace

nvmlReturn_t Hook_nvmlDeviceGetCount(unsigned int* count) {
  return Count(count, BRIM_REAL_NVML(nvmlDeviceGetCount));
}
nvmlReturn_t Hook_nvmlDeviceGetCount_v2(unsigned int* count) {
  return Count(count, BRIM_REAL_NVML(nvmlDeviceGetCount_v2));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t* device) {
  return ByIndex(index, device, BRIM_REAL_NVML(nvmlDeviceGetHandleByIndex));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  return ByIndex(index, device, BRIM_REAL_NVML(nvmlDeviceGetHandleByIndex_v2));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  return ByName(uuid, device, BRIM_REAL_NVML(nvmlDeviceGetHandleByUUID));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleByPciBusId(const char* bus, nvmlDevice_t* device) {
  return ByName(bus, device, BRIM_REAL_NVML(nvmlDeviceGetHandleByPciBusId));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleByPciBusId_v2(const char* bus, nvmlDevice_t* device) {
  return ByName(bus, device, BRIM_REAL_NVML(nvmlDeviceGetHandleByPciBusId_v2));
}
nvmlReturn_t Hook_nvmlDeviceGetHandleBySerial(const char* serial, nvmlDevice_t* device) {
  return ByName(serial, device, BRIM_REAL_NVML(nvmlDeviceGetHandleBySerial));
}
nvmlReturn_t Hook_nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  if (Slice() == nullptr) return BRIM_REAL_NVML(nvmlDeviceGetIndex)(device, index);
  return *index = 0, NVML_SUCCESS;
}

nvmlReturn_t Hook_nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  return SliceMemory(device, memory, BRIM_REAL_NVML(nvmlDeviceGetMemoryInfo));
}
nvmlReturn_t Hook_nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  const nvmlReturn_t result =
      SliceMemory(device, memory, BRIM_REAL_NVML(nvmlDeviceGetMemoryInfo_v2));
  if (result == NVML_SUCCESS && InSlice()) memory->reserved = 0;
  return result;
}
nvmlReturn_t Hook_nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* use) {
  const View* const slice = Slice();
  const nvmlReturn_t result = BRIM_REAL_NVML(nvmlDeviceGetUtilizationRates)(device, use);
  if (slice == nullptr || result != NVML_SUCCESS) return result;
  use->gpu = OwnUtilization(*slice);
  if (use->gpu == 0) use->memory = 0;
  return result;
}

#define BRIM_OWN_PROCESSES(name, Row)                                             \
  nvmlReturn_t Hook_##name(nvmlDevice_t device, unsigned int* count, Row* rows) { \
    return OwnProcesses(device, count, rows, BRIM_REAL_NVML(name));               \
  }
BRIM_OWN_PROCESSES(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t)
BRIM_OWN_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
BRIM_OWN_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_t)
BRIM_OWN_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t)
BRIM_OWN_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t)
BRIM_OWN_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t)
#undef BRIM_OWN_PROCESSES

// Samples of all tenants' processes: none of this tenant's business, and not to be had apart.
nvmlReturn_t Hook_nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                                  nvmlProcessUtilizationSample_t* samples,
                                                  unsigned int* count, unsigned long long since) {
  if (Slice() != nullptr) return NVML_ERROR_NOT_SUPPORTED;
  return BRIM_REAL_NVML(nvmlDeviceGetProcessUtilization)(device, samples, count, since);
}

}  // namespace brim::vgpu
