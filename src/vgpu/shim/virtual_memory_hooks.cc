// Virtual memory management: physical memory (cuMemCreate) is charged when it is made and given
// back when nobody holds its handle and nothing maps it, as the driver frees it. Addresses are
// free. Memory imported from another process is charged to who made it.
//
// References are taken away before the driver's call and put back when it fails: after it the
// handle may be another thread's new memory.
#include "vgpu/shim/charge.h"

namespace brim::vgpu {
namespace {

void GiveBack(Process* process, const Allocation& left) {
  if (left.kind != Kind::kFree && left.references == 0) {
    process->ledger().Release(left.bytes, left.memory_class);
  }
}

// One reference fewer; with the last one the memory goes back.
void Unrefer(Process* process, std::uint64_t handle) {
  GiveBack(process, process->allocations().Refer(handle, Kind::kHandle, -1));
}

// A sparse array, a multicast object or an endpoint holds the memory: charged to the end of the
// process, since what they unbind is not followed.
void Hold(std::uint64_t handle) {
  Process& process = ThisProcess();
  if (process.attached()) process.allocations().Refer(handle, Kind::kHandle, 1);
}

void HoldMapped(std::uint64_t address) {
  Process& process = ThisProcess();
  if (!process.attached()) return;
  const Allocation mapping = process.allocations().Refer(address, Kind::kMapping, 0);
  if (mapping.kind != Kind::kFree) Hold(mapping.context);
}

// The result of a call that binds memory to a multicast object or an endpoint, by handle or by
// address: while bound it is held.
CUresult Bound(CUresult result, std::uint64_t handle) {
  if (result == CUDA_SUCCESS) Hold(handle);
  return result;
}
CUresult BoundAt(CUresult result, std::uint64_t address) {
  if (result == CUDA_SUCCESS) HoldMapped(address);
  return result;
}

template <typename Call>
CUresult MapArrays(const CUarrayMapInfo* list, unsigned int count, Call call) {
  const CUresult result = call();
  for (unsigned int i = 0; result == CUDA_SUCCESS && i < count; ++i) {
    if (list[i].memOperationType == CU_MEM_OPERATION_TYPE_MAP) Hold(list[i].memHandle.memHandle);
  }
  return result;
}

}  // namespace

CUresult Hook_cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                          const CUmemAllocationProp* properties, unsigned long long flags) {
  if (properties == nullptr || properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return BRIM_REAL(cuMemCreate)(handle, bytes, properties, flags);
  }
  Charge charge(bytes, MemoryClass::kVmm);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      BRIM_REAL(cuMemCreate)(handle, bytes, properties, flags), [&] { return *handle; },
      Kind::kHandle);
}

CUresult Hook_cuMemRelease(CUmemGenericAllocationHandle handle) {
  Process& process = ThisProcess();
  if (!process.attached()) return BRIM_REAL(cuMemRelease)(handle);
  Allocation left = process.allocations().Refer(handle, Kind::kHandle, -1);
  const CUresult result = BRIM_REAL(cuMemRelease)(handle);
  if (result == CUDA_SUCCESS) {
    GiveBack(&process, left);
  } else if (left.kind != Kind::kFree && left.references == 0) {
    left.references = 1;
    process.allocations().Add(left);
  } else if (left.kind != Kind::kFree) {
    process.allocations().Refer(handle, Kind::kHandle, 1);
  }
  return result;
}

CUresult Hook_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  const CUresult result = BRIM_REAL(cuMemRetainAllocationHandle)(handle, address);
  Process& process = ThisProcess();
  if (result == CUDA_SUCCESS && process.attached()) {
    process.allocations().Refer(*handle, Kind::kHandle, 1);
  }
  return result;
}

CUresult Hook_cuMemMap(CUdeviceptr at, size_t bytes, size_t offset,
                       CUmemGenericAllocationHandle handle, unsigned long long flags) {
  Process& process = ThisProcess();
  const bool known = process.attached() &&
                     process.allocations().Refer(handle, Kind::kHandle, 1).kind != Kind::kFree;
  const CUresult result = BRIM_REAL(cuMemMap)(at, bytes, offset, handle, flags);
  if (!known) return result;
  if (result != CUDA_SUCCESS) {
    Unrefer(&process, handle);
    return result;
  }
  Allocation mapping;
  mapping.key = at;
  mapping.bytes = bytes;
  mapping.context = handle;
  mapping.kind = Kind::kMapping;
  process.allocations().Add(mapping);
  return result;
}

CUresult Hook_cuMemUnmap(CUdeviceptr at, size_t bytes) {
  const CUresult result = BRIM_REAL(cuMemUnmap)(at, bytes);
  Process& process = ThisProcess();
  if (result != CUDA_SUCCESS || !process.attached()) return result;
  // Mostly one mapping from its start; a range may hold several.
  Allocation gone = process.allocations().Take(at, Kind::kMapping);
  bool whole = gone.kind != Kind::kFree && gone.bytes >= bytes;
  if (gone.kind != Kind::kFree) Unrefer(&process, gone.context);
  while (!whole) {
    gone = process.allocations().TakeWithin(at, bytes, Kind::kMapping);
    whole = gone.kind == Kind::kFree;
    if (!whole) Unrefer(&process, gone.context);
  }
  return result;
}

CUresult Hook_cuMemMapArrayAsync(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  return MapArrays(list, count, [&] { return BRIM_REAL(cuMemMapArrayAsync)(list, count, stream); });
}
CUresult Hook_cuMemMapArrayAsync_ptsz(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  return MapArrays(list, count,
                   [&] { return BRIM_REAL(cuMemMapArrayAsync_ptsz)(list, count, stream); });
}
CUresult Hook_cuMulticastBindMem(CUmemGenericAllocationHandle multicast, size_t at,
                                 CUmemGenericAllocationHandle handle, size_t offset, size_t bytes,
                                 unsigned long long flags) {
  return Bound(BRIM_REAL(cuMulticastBindMem)(multicast, at, handle, offset, bytes, flags), handle);
}
CUresult Hook_cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, size_t at,
                                  CUdeviceptr address, size_t bytes, unsigned long long flags) {
  return BoundAt(BRIM_REAL(cuMulticastBindAddr)(multicast, at, address, bytes, flags), address);
}
CUresult Hook_cuMulticastBindMem_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                                    size_t at, CUmemGenericAllocationHandle handle, size_t offset,
                                    size_t bytes, unsigned long long flags) {
  return Bound(
      BRIM_REAL(cuMulticastBindMem_v2)(multicast, device, at, handle, offset, bytes, flags),
      handle);
}
CUresult Hook_cuMulticastBindAddr_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                                     size_t at, CUdeviceptr address, size_t bytes,
                                     unsigned long long flags) {
  return BoundAt(BRIM_REAL(cuMulticastBindAddr_v2)(multicast, device, at, address, bytes, flags),
                 address);
}
CUresult Hook_cuLogicalEndpointBindMem(CUlogicalEndpointId endpoint, CUdevice device, cuuint64_t at,
                                       CUmemGenericAllocationHandle handle, cuuint64_t offset,
                                       cuuint64_t bytes, unsigned long long flags) {
  return Bound(
      BRIM_REAL(cuLogicalEndpointBindMem)(endpoint, device, at, handle, offset, bytes, flags),
      handle);
}
CUresult Hook_cuLogicalEndpointBindAddr(CUlogicalEndpointId endpoint, CUdevice device,
                                        cuuint64_t at, void* address, cuuint64_t bytes,
                                        unsigned long long flags) {
  return BoundAt(BRIM_REAL(cuLogicalEndpointBindAddr)(endpoint, device, at, address, bytes, flags),
                 reinterpret_cast<std::uint64_t>(address));
}

}  // namespace brim::vgpu
