// Stream-ordered allocation, and the calls in which the driver gives a pool's memory back.
#include "vgpu/shim/charge.h"
#include "vgpu/shim/launches.h"
#include "vgpu/shim/pools.h"

namespace brim::vgpu {
namespace {

// Pools of host memory are none of the slice's business; the driver refuses the question for them.
bool OnDevice(CUmemoryPool pool) {
  cuuint64_t reserved = 0;
  return BRIM_REAL(cuMemPoolGetAttribute)(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved) ==
         CUDA_SUCCESS;
}

// The pool that cuMemAllocAsync takes from: its device's current one.
CUmemoryPool CurrentPool() {
  CUdevice device = 0;
  CUmemoryPool pool = nullptr;
  if (BRIM_REAL(cuCtxGetDevice)(&device) != CUDA_SUCCESS) return nullptr;
  return BRIM_REAL(cuDeviceGetMemPool)(&pool, device) == CUDA_SUCCESS ? pool : nullptr;
}

template <typename Call, typename Undo>
CUresult Allocate(CUmemoryPool pool, size_t bytes, std::uint64_t capture, Call call, Undo undo) {
  if (ThisProcess().barred()) return CUDA_ERROR_OUT_OF_MEMORY;
  if (!ThisProcess().attached() || pool == nullptr || !OnDevice(pool)) return call();
  if (capture == 0) return ThisPools().Allocate(pool, bytes, call, undo);
  // While a stream is captured this makes a memory node, which goes to the graph in the end.
  const std::uint64_t node = Pools::NodeBytes(bytes);
  if (!ThisPools().Promise(node)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result == CUDA_SUCCESS) {
    ThisLaunches().CapturedBytes(capture, node);
  } else {
    ThisPools().Unpromise(node);
  }
  return result;
}

// What has no note may be a pool's.
template <typename Call>
CUresult FreePointer(CUdeviceptr pointer, Call call) {
  return Free(
      pointer, Kind::kPointer, call, [] { ThisPools().Freed(); }, Discharge);
}

// The result of a call that waited: pools may have shrunk in it.
CUresult Waited(CUresult result) {
  ThisPools().Synchronized();
  return result;
}

}  // namespace

CUresult Hook_cuMemAllocAsync(CUdeviceptr* at, size_t bytes, CUstream stream) {
  return Allocate(
      CurrentPool(), bytes, ThisLaunches().CaptureOf(stream, false),
      [&] { return BRIM_REAL(cuMemAllocAsync)(at, bytes, stream); },
      [&] {
        BRIM_REAL(cuMemFreeAsync)
        (*at, stream);
      });
}
CUresult Hook_cuMemAllocAsync_ptsz(CUdeviceptr* at, size_t bytes, CUstream stream) {
  return Allocate(
      CurrentPool(), bytes, ThisLaunches().CaptureOf(stream, true),
      [&] { return BRIM_REAL(cuMemAllocAsync_ptsz)(at, bytes, stream); },
      [&] {
        BRIM_REAL(cuMemFreeAsync_ptsz)
        (*at, stream);
      });
}
CUresult Hook_cuMemAllocFromPoolAsync(CUdeviceptr* at, size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  return Allocate(
      pool, bytes, ThisLaunches().CaptureOf(stream, false),
      [&] { return BRIM_REAL(cuMemAllocFromPoolAsync)(at, bytes, pool, stream); },
      [&] {
        BRIM_REAL(cuMemFreeAsync)
        (*at, stream);
      });
}
CUresult Hook_cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* at, size_t bytes, CUmemoryPool pool,
                                           CUstream stream) {
  return Allocate(
      pool, bytes, ThisLaunches().CaptureOf(stream, true),
      [&] { return BRIM_REAL(cuMemAllocFromPoolAsync_ptsz)(at, bytes, pool, stream); },
      [&] {
        BRIM_REAL(cuMemFreeAsync_ptsz)
        (*at, stream);
      });
}

CUresult Hook_cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  return FreePointer(pointer, [&] { return BRIM_REAL(cuMemFreeAsync)(pointer, stream); });
}
CUresult Hook_cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream) {
  return FreePointer(pointer, [&] { return BRIM_REAL(cuMemFreeAsync_ptsz)(pointer, stream); });
}
// Also frees what came from a pool, and waits: the pool may shrink at once.
CUresult Hook_cuMemFree_v2(CUdeviceptr pointer) {
  return Waited(FreePointer(pointer, [&] { return BRIM_REAL(cuMemFree_v2)(pointer); }));
}
CUresult Hook_cuMemFree(CUdeviceptr_v1 pointer) {
  return Waited(FreePointer(pointer, [&] { return BRIM_REAL(cuMemFree)(pointer); }));
}

CUresult Hook_cuMemPoolDestroy(CUmemoryPool pool) {
  return ThisPools().Destroy(pool, [&] { return BRIM_REAL(cuMemPoolDestroy)(pool); });
}
CUresult Hook_cuMemPoolTrimTo(CUmemoryPool pool, size_t keep) {
  const CUresult result = BRIM_REAL(cuMemPoolTrimTo)(pool, keep);
  ThisPools().Trimmed();
  return result;
}
CUresult Hook_cuStreamSynchronize(CUstream stream) {
  return Waited(BRIM_REAL(cuStreamSynchronize)(stream));
}
CUresult Hook_cuStreamSynchronize_ptsz(CUstream stream) {
  return Waited(BRIM_REAL(cuStreamSynchronize_ptsz)(stream));
}
CUresult Hook_cuEventSynchronize(CUevent event) {
  return Waited(BRIM_REAL(cuEventSynchronize)(event));
}
CUresult Hook_cuCtxSynchronize() { return Waited(BRIM_REAL(cuCtxSynchronize)()); }
CUresult Hook_cuCtxSynchronize_v2(CUcontext context) {
  return Waited(BRIM_REAL(cuCtxSynchronize_v2)(context));
}

}  // namespace brim::vgpu
