// Memory: plain, pitched, managed, arrays, pools, virtual memory. Device addresses are host
// addresses that are touched only when copied to, so copies really copy.
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "engine.h"
#include "objects.h"
#include "state.h"

namespace fake {
namespace {

void* Backing(std::uint64_t bytes, bool low) {
  void* const at = mmap(nullptr, Rounded(bytes == 0 ? 1 : bytes, 4096), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (low ? MAP_32BIT : 0), -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void Unback(CUdeviceptr at, std::uint64_t bytes) {
  munmap(reinterpret_cast<void*>(at), Rounded(bytes == 0 ? 1 : bytes, 4096));
}

CUresult Allocate(CUdeviceptr* out, std::uint64_t bytes, bool low) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > Shared().settings.memory) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::uint64_t charged = Rounded(bytes, Shared().settings.grain);
  if (!Take(context->card, charged)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* const at = Backing(bytes, low);
  if (at == nullptr) {
    Give(context->card, charged);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out = reinterpret_cast<CUdeviceptr>(at);
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().blocks[*out] = {bytes, charged, context, nullptr, context->card, low};
  return CUDA_SUCCESS;
}

// A destroyed pool ends with the last memory of it. Under the world's lock.
void EndIfLeft(Pool* pool) {
  if (!pool->leaving || pool->used > 0) return;
  Give(pool->card, pool->reserved);
  TheWorld().pools.erase(pool);
  delete pool;
}

CUresult FreeNow(CUdeviceptr at) {
  World& world = TheWorld();
  Block block;
  {
    const std::lock_guard lock(world.mutex);
    const auto found = world.blocks.find(at);
    if (found == world.blocks.end()) return at == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    block = found->second;
    world.blocks.erase(found);
    if (block.pool != nullptr) {
      block.pool->used -= block.bytes;
      EndIfLeft(block.pool);
    }
  }
  Give(block.card, block.charged);
  Unback(at, block.bytes);
  return CUDA_SUCCESS;
}

CUresult Free(CUdeviceptr at) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  WaitForStream(context->card, 0);
  return FreeNow(at);
}

// ---- pools: memory is reserved in steps and kept until a synchronisation or a trim --------------
void Shrink(Pool* pool, std::uint64_t keep) {
  keep = std::max(keep, Rounded(pool->used, Shared().settings.pool_step));
  if (keep >= pool->reserved) return;
  Give(pool->card, pool->reserved - keep);
  pool->reserved = keep;
}

Pool* PoolOf(int card) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  if (world.pool[card] == nullptr) {
    world.pool[card] = world.default_pool[card] = new Pool{card};
    world.pools.insert(world.pool[card]);
  }
  return world.pool[card];
}

CUresult FromPool(CUdeviceptr* out, std::uint64_t bytes, Pool* pool, Stream* stream) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > Shared().settings.memory) return CUDA_ERROR_OUT_OF_MEMORY;
  void* const at = Backing(bytes, false);
  if (at == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = reinterpret_cast<CUdeviceptr>(at);
  if (stream->capture != nullptr) {
    auto* const node = new Node{CU_GRAPH_NODE_TYPE_MEM_ALLOC, 0, NodeBytes(bytes), *out};
    stream->capture->nodes.push_back(node);
    stream->capture->has_memory = true;
    return CUDA_SUCCESS;
  }
  const std::uint64_t charged = Rounded(bytes, 512);
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  if (pool->used + charged > pool->reserved) {
    const std::uint64_t more =
        Rounded(pool->used + charged - pool->reserved, Shared().settings.pool_step);
    if (!Take(pool->card, more)) {
      Unback(*out, bytes);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pool->reserved += more;
  }
  pool->used += charged;
  pool->high = std::max(pool->high, pool->used);
  world.blocks[*out] = {charged, 0, nullptr, pool, pool->card, false};
  return CUDA_SUCCESS;
}

CUresult AllocateAsync(CUdeviceptr* out, std::uint64_t bytes, Stream* stream) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return FromPool(out, bytes, PoolOf(context->card), stream);
}

CUresult FreeAsync(CUdeviceptr at, Stream* stream) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (stream->capture != nullptr) {
    stream->capture->nodes.push_back(new Node{CU_GRAPH_NODE_TYPE_MEM_FREE, 0, 0, at});
    return CUDA_SUCCESS;
  }
  {
    const std::lock_guard lock(TheWorld().mutex);
    if (TheWorld().blocks.count(at) == 0) return CUDA_ERROR_INVALID_VALUE;
  }
  const std::uint64_t number =
      Enqueue(context->card, {stream->id, 0, [at](std::int64_t) { FreeNow(at); }, true});
  return number != 0 ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

CUresult MakeArray(void** out, std::uint64_t width, std::uint64_t height, std::uint64_t depth,
                   CUarray_format format, unsigned channels, unsigned levels) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::uint64_t element =
      (format == CU_AD_FORMAT_FLOAT || format == CU_AD_FORMAT_UNSIGNED_INT32 ||
       format == CU_AD_FORMAT_SIGNED_INT32)
          ? 4
      : (format == CU_AD_FORMAT_UNSIGNED_INT8 || format == CU_AD_FORMAT_SIGNED_INT8) ? 1
                                                                                     : 2;
  std::uint64_t bytes = 0;
  for (unsigned level = 0; level < levels; ++level) {
    const std::uint64_t rows =
        std::max<std::uint64_t>(height, 1) * std::max<std::uint64_t>(depth, 1);
    bytes += Rounded(Rounded(width * element * channels, 32) * rows, 512);
    width = std::max<std::uint64_t>(width / 2, 1);
    height = height > 1 ? height / 2 : height;
    depth = depth > 1 ? depth / 2 : depth;
  }
  if (!Take(context->card, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  auto* const array = new Array{bytes, context};
  *out = array;
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().arrays.insert(array);
  return CUDA_SUCCESS;
}

CUresult EndArray(void* array) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(TheWorld().mutex);
  const auto found = TheWorld().arrays.find(static_cast<Array*>(array));
  if (found == TheWorld().arrays.end()) return CUDA_ERROR_INVALID_HANDLE;
  Give(context->card, (*found)->bytes);
  delete *found;
  TheWorld().arrays.erase(found);
  return CUDA_SUCCESS;
}

void DropPhysical(Physical* physical) {
  if (--physical->references > 0) return;
  Give(physical->card, physical->bytes);
  TheWorld().physicals.erase(physical);
  delete physical;
}

}  // namespace

FAKE_API CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *total = Shared().settings.memory;
  *free = Shared().settings.memory - std::min<std::uint64_t>(UsedOn(context->card), *total);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemGetInfo(unsigned int* free, unsigned int* total) {
  size_t wide_free = 0;
  size_t wide_total = 0;
  const CUresult result = cuMemGetInfo_v2(&wide_free, &wide_total);
  *free = static_cast<unsigned>(std::min<size_t>(wide_free, 0xffffffffu));
  *total = static_cast<unsigned>(std::min<size_t>(wide_total, 0xffffffffu));
  return result;
}
FAKE_API CUresult cuMemAlloc_v2(CUdeviceptr* at, size_t bytes) {
  return Allocate(at, bytes, false);
}
FAKE_API CUresult cuMemAlloc(CUdeviceptr_v1* at, unsigned int bytes) {
  CUdeviceptr wide = 0;
  const CUresult result = Allocate(&wide, bytes, true);
  *at = static_cast<CUdeviceptr_v1>(wide);
  return result;
}
FAKE_API CUresult cuMemAllocManaged(CUdeviceptr* at, size_t bytes, unsigned int) {
  return Allocate(at, bytes, false);
}
FAKE_API CUresult cuMemAllocPitch_v2(CUdeviceptr* at, size_t* pitch, size_t width, size_t height,
                                     unsigned int) {
  *pitch = Rounded(width, 512);
  return Allocate(at, *pitch * height, false);
}
FAKE_API CUresult cuMemAllocPitch(CUdeviceptr_v1* at, unsigned int* pitch, unsigned int width,
                                  unsigned int height, unsigned int) {
  CUdeviceptr wide = 0;
  *pitch = static_cast<unsigned>(Rounded(width, 512));
  const CUresult result = Allocate(&wide, std::uint64_t{*pitch} * height, true);
  *at = static_cast<CUdeviceptr_v1>(wide);
  return result;
}
FAKE_API CUresult cuMemFree_v2(CUdeviceptr at) { return Free(at); }
FAKE_API CUresult cuMemFree(CUdeviceptr_v1 at) { return Free(at); }
FAKE_API CUresult cuMemAllocHost_v2(void** at, size_t bytes) {
  *at = Backing(bytes, false);
  return *at == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}
FAKE_API CUresult cuMemHostAlloc(void** at, size_t bytes, unsigned int) {
  return cuMemAllocHost_v2(at, bytes);
}
FAKE_API CUresult cuMemFreeHost(void*) { return CUDA_SUCCESS; }
FAKE_API CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr at) {
  const std::lock_guard lock(TheWorld().mutex);
  auto found = TheWorld().blocks.upper_bound(at);
  if (found == TheWorld().blocks.begin()) return CUDA_ERROR_INVALID_VALUE;
  --found;
  if (at - found->first >= found->second.bytes) return CUDA_ERROR_INVALID_VALUE;
  if (base != nullptr) *base = found->first;
  if (bytes != nullptr) *bytes = found->second.bytes;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr at) {
  CUdeviceptr base = 0;
  size_t bytes = 0;
  if (cuMemGetAddressRange_v2(&base, &bytes, at) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(data) = CU_MEMORYTYPE_DEVICE;
      break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      *static_cast<CUdeviceptr*>(data) = at;
      break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(data) = 0;
      break;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      *static_cast<CUcontext*>(data) = reinterpret_cast<CUcontext>(Current());
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

FAKE_API CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* s) {
  return MakeArray(reinterpret_cast<void**>(array), s->Width, s->Height, 0, s->Format,
                   s->NumChannels, 1);
}
FAKE_API CUresult cuArrayCreate(CUarray* array, const CUDA_ARRAY_DESCRIPTOR_v1* s) {
  return MakeArray(reinterpret_cast<void**>(array), s->Width, s->Height, 0, s->Format,
                   s->NumChannels, 1);
}
FAKE_API CUresult cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* s) {
  return MakeArray(reinterpret_cast<void**>(array), s->Width, s->Height, s->Depth, s->Format,
                   s->NumChannels, 1);
}
FAKE_API CUresult cuArray3DCreate(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR_v1* s) {
  return MakeArray(reinterpret_cast<void**>(array), s->Width, s->Height, s->Depth, s->Format,
                   s->NumChannels, 1);
}
FAKE_API CUresult cuArrayDestroy(CUarray array) { return EndArray(array); }
FAKE_API CUresult cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* s,
                                         unsigned int levels) {
  return MakeArray(reinterpret_cast<void**>(array), s->Width, s->Height, s->Depth, s->Format,
                   s->NumChannels, levels);
}
FAKE_API CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) { return EndArray(array); }

#define FAKE_BOTH(name, parameters, ...)     \
  FAKE_API CUresult name parameters {        \
    constexpr bool per_thread = false;       \
    __VA_ARGS__                              \
  }                                          \
  FAKE_API CUresult name##_ptsz parameters { \
    constexpr bool per_thread = true;        \
    __VA_ARGS__                              \
  }
FAKE_BOTH(cuMemAllocAsync, (CUdeviceptr * at, size_t bytes, CUstream stream),
          return AllocateAsync(at, bytes, StreamOf(stream, per_thread));)
FAKE_BOTH(cuMemAllocFromPoolAsync,
          (CUdeviceptr * at, size_t bytes, CUmemoryPool pool, CUstream stream),
          return FromPool(at, bytes, reinterpret_cast<Pool*>(pool), StreamOf(stream, per_thread));)
FAKE_BOTH(cuMemFreeAsync, (CUdeviceptr at, CUstream stream),
          return FreeAsync(at, StreamOf(stream, per_thread));)

FAKE_API CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
  *pool = reinterpret_cast<CUmemoryPool>(
      PoolOf(TheWorld().visible.at(static_cast<std::size_t>(device))));
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  const int card = TheWorld().visible.at(static_cast<std::size_t>(device));
  PoolOf(card);
  *pool = reinterpret_cast<CUmemoryPool>(TheWorld().default_pool[card]);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
  TheWorld().pool[TheWorld().visible.at(static_cast<std::size_t>(device))] =
      reinterpret_cast<Pool*>(pool);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* properties) {
  if (properties == nullptr || properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto* const made =
      new Pool{TheWorld().visible.at(static_cast<std::size_t>(properties->location.id))};
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().pools.insert(made);
  *pool = reinterpret_cast<CUmemoryPool>(made);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemPoolDestroy(CUmemoryPool handle) {
  auto* const pool = reinterpret_cast<Pool*>(handle);
  WaitForStream(pool->card, 0);
  const std::lock_guard lock(TheWorld().mutex);
  if (TheWorld().pools.count(pool) == 0 || pool->leaving) return CUDA_ERROR_INVALID_VALUE;
  if (pool == TheWorld().default_pool[pool->card]) return CUDA_ERROR_INVALID_VALUE;
  if (pool == TheWorld().pool[pool->card]) {
    TheWorld().pool[pool->card] = TheWorld().default_pool[pool->card];
  }
  pool->leaving = true;
  Shrink(pool, 0);
  EndIfLeft(pool);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemPoolTrimTo(CUmemoryPool handle, size_t keep) {
  const std::lock_guard lock(TheWorld().mutex);
  Shrink(reinterpret_cast<Pool*>(handle), keep);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute,
                                        void* value) {
  const std::lock_guard lock(TheWorld().mutex);
  const Pool* const pool = reinterpret_cast<Pool*>(handle);
  auto* const out = static_cast<cuuint64_t*>(value);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      *out = pool->reserved;
      break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      *out = pool->used;
      break;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      *out = pool->high;
      break;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      *out = pool->threshold;
      break;
    default:
      *static_cast<int*>(value) = 1;
      break;
  }
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute,
                                        void* value) {
  const std::lock_guard lock(TheWorld().mutex);
  if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
    reinterpret_cast<Pool*>(handle)->threshold = *static_cast<cuuint64_t*>(value);
  }
  return CUDA_SUCCESS;
}

FAKE_API CUresult cuMemGetAllocationGranularity(size_t* bytes, const CUmemAllocationProp*,
                                                CUmemAllocationGranularity_flags) {
  return *bytes = std::size_t{2} << 20, CUDA_SUCCESS;
}
FAKE_API CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                              const CUmemAllocationProp* properties, unsigned long long) {
  if (bytes == 0 || bytes % (std::size_t{2} << 20) != 0) return CUDA_ERROR_INVALID_VALUE;
  const int card = TheWorld().visible.at(static_cast<std::size_t>(properties->location.id));
  if (!Take(card, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  auto* const physical = new Physical{bytes, card};
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().physicals.insert(physical);
  *handle = reinterpret_cast<CUmemGenericAllocationHandle>(physical);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  const std::lock_guard lock(TheWorld().mutex);
  auto* const physical = reinterpret_cast<Physical*>(handle);
  if (TheWorld().physicals.count(physical) == 0) return CUDA_ERROR_INVALID_VALUE;
  DropPhysical(physical);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  const std::lock_guard lock(TheWorld().mutex);
  const auto found = TheWorld().mappings.find(reinterpret_cast<CUdeviceptr>(address));
  if (found == TheWorld().mappings.end()) return CUDA_ERROR_INVALID_VALUE;
  ++found->second.first->references;
  *handle = reinterpret_cast<CUmemGenericAllocationHandle>(found->second.first);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemAddressReserve(CUdeviceptr* at, size_t bytes, size_t, CUdeviceptr,
                                      unsigned long long) {
  void* const backing = Backing(bytes, false);
  if (backing == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  *at = reinterpret_cast<CUdeviceptr>(backing);
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().reservations[*at] = bytes;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemAddressFree(CUdeviceptr at, size_t bytes) {
  const std::lock_guard lock(TheWorld().mutex);
  if (TheWorld().reservations.erase(at) == 0) return CUDA_ERROR_INVALID_VALUE;
  Unback(at, bytes);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemMap(CUdeviceptr at, size_t bytes, size_t,
                           CUmemGenericAllocationHandle handle, unsigned long long) {
  const std::lock_guard lock(TheWorld().mutex);
  auto* const physical = reinterpret_cast<Physical*>(handle);
  if (TheWorld().physicals.count(physical) == 0) return CUDA_ERROR_INVALID_VALUE;
  ++physical->references;
  TheWorld().mappings[at] = {physical, bytes};
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuMemUnmap(CUdeviceptr at, size_t bytes) {
  const std::lock_guard lock(TheWorld().mutex);
  auto& mappings = TheWorld().mappings;
  bool any = false;
  for (auto found = mappings.lower_bound(at);
       found != mappings.end() && found->first - at < bytes;) {
    DropPhysical(found->second.first);
    found = mappings.erase(found);
    any = true;
  }
  return any ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
FAKE_API CUresult cuMemSetAccess(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) {
  return CUDA_SUCCESS;
}

// ---- copies: at once, after what was launched before -------------------------------------------
namespace {
CUresult Copy(void* to, const void* from, std::size_t bytes) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  WaitForStream(context->card, 0);
  memmove(to, from, bytes);
  return CUDA_SUCCESS;
}
CUresult Fill(CUdeviceptr at, const void* value, std::size_t width, std::size_t count) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  WaitForStream(context->card, 0);
  for (std::size_t i = 0; i < count; ++i)
    memcpy(reinterpret_cast<char*>(at) + i * width, value, width);
  return CUDA_SUCCESS;
}
void* P(CUdeviceptr at) { return reinterpret_cast<void*>(at); }
}  // namespace

#define FAKE_COPY(name, parameters, to, from) \
  FAKE_API CUresult name parameters { return Copy(to, from, bytes); }
FAKE_COPY(cuMemcpyHtoD_v2, (CUdeviceptr d, const void* h, size_t bytes), P(d), h)
FAKE_COPY(cuMemcpyHtoD_v2_ptds, (CUdeviceptr d, const void* h, size_t bytes), P(d), h)
FAKE_COPY(cuMemcpyDtoH_v2, (void* h, CUdeviceptr d, size_t bytes), h, P(d))
FAKE_COPY(cuMemcpyDtoH_v2_ptds, (void* h, CUdeviceptr d, size_t bytes), h, P(d))
FAKE_COPY(cuMemcpyDtoD_v2, (CUdeviceptr d, CUdeviceptr s, size_t bytes), P(d), P(s))
FAKE_COPY(cuMemcpyDtoD_v2_ptds, (CUdeviceptr d, CUdeviceptr s, size_t bytes), P(d), P(s))
FAKE_COPY(cuMemcpy, (CUdeviceptr d, CUdeviceptr s, size_t bytes), P(d), P(s))
FAKE_COPY(cuMemcpyHtoDAsync_v2, (CUdeviceptr d, const void* h, size_t bytes, CUstream), P(d), h)
FAKE_COPY(cuMemcpyHtoDAsync_v2_ptsz, (CUdeviceptr d, const void* h, size_t bytes, CUstream), P(d),
          h)
FAKE_COPY(cuMemcpyDtoHAsync_v2, (void* h, CUdeviceptr d, size_t bytes, CUstream), h, P(d))
FAKE_COPY(cuMemcpyDtoHAsync_v2_ptsz, (void* h, CUdeviceptr d, size_t bytes, CUstream), h, P(d))
FAKE_COPY(cuMemcpyDtoDAsync_v2, (CUdeviceptr d, CUdeviceptr s, size_t bytes, CUstream), P(d), P(s))
FAKE_API CUresult cuMemsetD8_v2(CUdeviceptr at, unsigned char value, size_t n) {
  return Fill(at, &value, 1, n);
}
FAKE_API CUresult cuMemsetD32_v2(CUdeviceptr at, unsigned int value, size_t n) {
  return Fill(at, &value, 4, n);
}
FAKE_API CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t n, CUstream) {
  return Fill(at, &value, 1, n);
}
FAKE_API CUresult cuMemsetD32Async(CUdeviceptr at, unsigned int value, size_t n, CUstream) {
  return Fill(at, &value, 4, n);
}

}  // namespace fake
