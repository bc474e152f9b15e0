// The start, contexts, modules, and what a process is told of its card.
//
// What the driver takes for a context and a module cannot be asked cheaply; the agent has measured
// both on this card with this driver (SliceLimits), and that is charged.
#include "vgpu/shim/charge.h"
#include "vgpu/shim/launches.h"
#include "vgpu/shim/pools.h"

namespace brim::vgpu {
namespace {

template <typename Call>
CUresult CreateContext(CUcontext* context, Call call) {
  Process& process = ThisProcess();
  Charge charge(process.attached() ? process.limits().context_bytes : 0, MemoryClass::kContext);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      call(), [&] { return reinterpret_cast<std::uint64_t>(*context); }, Kind::kContext);
}

template <typename Call>
CUresult DestroyContext(CUcontext context, Call call) {
  const auto key = reinterpret_cast<std::uint64_t>(context);
  ThisLaunches().ContextEnds(key);
  const CUresult result = Free(key, Kind::kContext, call);
  if (result == CUDA_SUCCESS) DischargeContext(key);
  ThisPools().Trimmed();
  return result;
}

template <typename Handle, typename Call>
CUresult LoadModule(Handle* module, Call call) {
  Process& process = ThisProcess();
  Charge charge(process.attached() ? process.limits().module_bytes : 0, MemoryClass::kModule);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      call(), [&] { return reinterpret_cast<std::uint64_t>(*module); }, Kind::kModule);
}

template <typename Call>
CUresult ReleasePrimary(CUdevice device, Call call) {
  Process& process = ThisProcess();
  if (!process.attached()) return call();
  const ThreadLocked locked(&process.primary());
  const auto key = static_cast<std::uint64_t>(device);
  const Allocation primary = process.allocations().Refer(key, Kind::kPrimary, 0);
  if (primary.references == 1) ThisLaunches().ContextEnds(primary.context);
  const CUresult result = call();
  if (result != CUDA_SUCCESS || primary.kind == Kind::kFree) return result;
  if (process.allocations().Refer(key, Kind::kPrimary, -1).references == 0) {
    DischargeContext(primary.context);
    process.ledger().Release(primary.bytes, primary.memory_class);
    ThisPools().Trimmed();
  }
  return result;
}

// A reset frees what the context held; who retained it still has it.
template <typename Call>
CUresult ResetPrimary(CUdevice device, Call call) {
  Process& process = ThisProcess();
  if (!process.attached()) return call();
  const ThreadLocked locked(&process.primary());
  const Allocation primary =
      process.allocations().Refer(static_cast<std::uint64_t>(device), Kind::kPrimary, 0);
  if (primary.kind != Kind::kFree) ThisLaunches().ContextEnds(primary.context);
  const CUresult result = call();
  if (result == CUDA_SUCCESS && primary.kind != Kind::kFree) DischargeContext(primary.context);
  ThisPools().Trimmed();
  return result;
}

// Free is what the slice has left, but never more than the card has.
template <typename Size, typename Call>
CUresult SeeMemory(Size* free, Size* total, Call call) {
  const CUresult result = call();
  Process& process = ThisProcess();
  if (result != CUDA_SUCCESS || !process.attached()) return result;
  const std::uint64_t limit = process.ledger().limit_bytes();
  const std::uint64_t held = process.ledger().held_bytes();
  const std::uint64_t left = limit > held ? limit - held : 0;
  if (free != nullptr && left < *free) *free = static_cast<Size>(left);
  if (total != nullptr && limit < *total) *total = static_cast<Size>(limit);
  return result;
}

template <typename Size, typename Call>
CUresult SeeTotal(Size* bytes, Call call) {
  const CUresult result = call();
  Process& process = ThisProcess();
  if (result != CUDA_SUCCESS || bytes == nullptr || !process.attached()) return result;
  const std::uint64_t limit = process.limits().memory_hard.load(std::memory_order_relaxed);
  if (limit < *bytes) *bytes = static_cast<Size>(limit);
  return result;
}

}  // namespace

CUresult Hook_cuInit(unsigned int flags) {
  if (ThisProcess().Attach() == Attachment::kUnusable) return CUDA_ERROR_SYSTEM_NOT_READY;
  return BRIM_REAL(cuInit)(flags);
}

CUresult Hook_cuCtxCreate(CUcontext* context, unsigned int flags, CUdevice device) {
  return CreateContext(context, [&] { return BRIM_REAL(cuCtxCreate)(context, flags, device); });
}
CUresult Hook_cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  return CreateContext(context, [&] { return BRIM_REAL(cuCtxCreate_v2)(context, flags, device); });
}
CUresult Hook_cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam* affinity, int affinities,
                             unsigned int flags, CUdevice device) {
  return CreateContext(context, [&] {
    return BRIM_REAL(cuCtxCreate_v3)(context, affinity, affinities, flags, device);
  });
}
CUresult Hook_cuCtxCreate_v4(CUcontext* context, CUctxCreateParams* parameters, unsigned int flags,
                             CUdevice device) {
  return CreateContext(
      context, [&] { return BRIM_REAL(cuCtxCreate_v4)(context, parameters, flags, device); });
}
CUresult Hook_cuCtxDestroy(CUcontext context) {
  return DestroyContext(context, [&] { return BRIM_REAL(cuCtxDestroy)(context); });
}
CUresult Hook_cuCtxDestroy_v2(CUcontext context) {
  return DestroyContext(context, [&] { return BRIM_REAL(cuCtxDestroy_v2)(context); });
}

CUresult Hook_cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  Process& process = ThisProcess();
  const auto key = static_cast<std::uint64_t>(device);
  if (process.barred()) return CUDA_ERROR_SYSTEM_NOT_READY;
  if (!process.attached()) return BRIM_REAL(cuDevicePrimaryCtxRetain)(context, device);
  const ThreadLocked locked(&process.primary());
  if (process.allocations().Refer(key, Kind::kPrimary, 0).kind != Kind::kFree) {
    const CUresult again = BRIM_REAL(cuDevicePrimaryCtxRetain)(context, device);
    if (again == CUDA_SUCCESS) process.allocations().Refer(key, Kind::kPrimary, 1);
    return again;
  }
  const std::uint64_t bytes = process.limits().context_bytes;
  if (process.ledger().Reserve(bytes, MemoryClass::kContext) != Answer::kYes) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const CUresult result = BRIM_REAL(cuDevicePrimaryCtxRetain)(context, device);
  if (result != CUDA_SUCCESS) {
    process.ledger().Release(bytes, MemoryClass::kContext);
    return result;
  }
  Allocation primary;
  primary.key = key;
  primary.bytes = bytes;
  primary.context = reinterpret_cast<std::uint64_t>(*context);
  primary.kind = Kind::kPrimary;
  primary.memory_class = MemoryClass::kContext;
  process.allocations().Add(primary);
  return result;
}
CUresult Hook_cuDevicePrimaryCtxRelease(CUdevice device) {
  return ReleasePrimary(device, [&] { return BRIM_REAL(cuDevicePrimaryCtxRelease)(device); });
}
CUresult Hook_cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return ReleasePrimary(device, [&] { return BRIM_REAL(cuDevicePrimaryCtxRelease_v2)(device); });
}
CUresult Hook_cuDevicePrimaryCtxReset(CUdevice device) {
  return ResetPrimary(device, [&] { return BRIM_REAL(cuDevicePrimaryCtxReset)(device); });
}
CUresult Hook_cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return ResetPrimary(device, [&] { return BRIM_REAL(cuDevicePrimaryCtxReset_v2)(device); });
}

CUresult Hook_cuModuleLoad(CUmodule* module, const char* file) {
  return LoadModule(module, [&] { return BRIM_REAL(cuModuleLoad)(module, file); });
}
CUresult Hook_cuModuleLoadData(CUmodule* module, const void* image) {
  return LoadModule(module, [&] { return BRIM_REAL(cuModuleLoadData)(module, image); });
}
CUresult Hook_cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int options,
                                 CUjit_option* keys, void** values) {
  return LoadModule(
      module, [&] { return BRIM_REAL(cuModuleLoadDataEx)(module, image, options, keys, values); });
}
CUresult Hook_cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return LoadModule(module, [&] { return BRIM_REAL(cuModuleLoadFatBinary)(module, image); });
}
CUresult Hook_cuModuleUnload(CUmodule module) {
  return Free(reinterpret_cast<std::uint64_t>(module), Kind::kModule,
              [&] { return BRIM_REAL(cuModuleUnload)(module); });
}
CUresult Hook_cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit_keys,
                                void** jit_values, unsigned int jit_options, CUlibraryOption* keys,
                                void** values, unsigned int options) {
  return LoadModule(library, [&] {
    return BRIM_REAL(cuLibraryLoadData)(library, code, jit_keys, jit_values, jit_options, keys,
                                        values, options);
  });
}
CUresult Hook_cuLibraryLoadFromFile(CUlibrary* library, const char* file, CUjit_option* jit_keys,
                                    void** jit_values, unsigned int jit_options,
                                    CUlibraryOption* keys, void** values, unsigned int options) {
  return LoadModule(library, [&] {
    return BRIM_REAL(cuLibraryLoadFromFile)(library, file, jit_keys, jit_values, jit_options, keys,
                                            values, options);
  });
}
CUresult Hook_cuLibraryUnload(CUlibrary library) {
  return Free(reinterpret_cast<std::uint64_t>(library), Kind::kModule,
              [&] { return BRIM_REAL(cuLibraryUnload)(library); });
}

CUresult Hook_cuMemGetInfo(unsigned int* free, unsigned int* total) {
  return SeeMemory(free, total, [&] { return BRIM_REAL(cuMemGetInfo)(free, total); });
}
CUresult Hook_cuMemGetInfo_v2(size_t* free, size_t* total) {
  return SeeMemory(free, total, [&] { return BRIM_REAL(cuMemGetInfo_v2)(free, total); });
}
CUresult Hook_cuDeviceTotalMem(unsigned int* bytes, CUdevice device) {
  return SeeTotal(bytes, [&] { return BRIM_REAL(cuDeviceTotalMem)(bytes, device); });
}
CUresult Hook_cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return SeeTotal(bytes, [&] { return BRIM_REAL(cuDeviceTotalMem_v2)(bytes, device); });
}

}  // namespace brim::vgpu
