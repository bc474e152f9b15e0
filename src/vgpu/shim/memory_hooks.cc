// Plain, pitched and managed memory, and arrays.
//
// Each form of a function that drivers still export is its own hook: old binaries call the old
// ones.
#include "vgpu/shim/charge.h"

namespace brim::vgpu {
namespace {

// What an array takes is known only to the driver; this is what its elements take, each row rounded
// up to 32 bytes and the whole to 512, as linear layouts are. The agent's reconciliation shows what
// the driver adds.
std::uint64_t ArrayBytes(std::uint64_t width, std::uint64_t height, std::uint64_t depth,
                         CUarray_format format, unsigned channels) {
  std::uint64_t element = 4;
  if (format == CU_AD_FORMAT_UNSIGNED_INT8 || format == CU_AD_FORMAT_SIGNED_INT8) element = 1;
  if (format == CU_AD_FORMAT_UNSIGNED_INT16 || format == CU_AD_FORMAT_SIGNED_INT16 ||
      format == CU_AD_FORMAT_HALF) {
    element = 2;
  }
  const std::uint64_t rows = (height == 0 ? 1 : height) * (depth == 0 ? 1 : depth);
  std::uint64_t row = 0;
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(width, element * (channels == 0 ? 1 : channels), &row) ||
      __builtin_mul_overflow((row + 31) / 32 * 32, rows, &bytes) || bytes > ~std::uint64_t{511}) {
    return ~std::uint64_t{0};
  }
  return (bytes + 511) / 512 * 512;
}

// Sparse arrays and those mapped later take nothing by themselves: their memory is cuMemCreate's.
template <typename Shape>
std::uint64_t Array3dBytes(const Shape* shape) {
  if (shape == nullptr || (shape->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))) {
    return 0;
  }
  return ArrayBytes(shape->Width, shape->Height, shape->Depth, shape->Format, shape->NumChannels);
}

// All levels, each half of the one before in every direction (at least one element).
std::uint64_t MipmapBytes(const CUDA_ARRAY3D_DESCRIPTOR& top, unsigned levels) {
  std::uint64_t bytes = 0;
  std::uint64_t width = top.Width;
  std::uint64_t height = top.Height;
  std::uint64_t depth = top.Depth;
  for (unsigned level = 0; level < levels && level < 32; ++level) {
    const std::uint64_t more = ArrayBytes(width, height, depth, top.Format, top.NumChannels);
    if (__builtin_add_overflow(bytes, more, &bytes)) return ~std::uint64_t{0};
    width = width > 1 ? width / 2 : 1;
    height = height > 1 ? height / 2 : height;
    depth = depth > 1 ? depth / 2 : depth;
  }
  return bytes;
}

template <typename Call>
CUresult AllocateArray(std::uint64_t bytes, CUarray* array, Call call) {
  Charge charge(bytes, MemoryClass::kArray);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      call(), [&] { return reinterpret_cast<std::uint64_t>(*array); }, Kind::kArray);
}

// The pitch is the driver's choice: at least the width is reserved before, the rest after; when
// that does not fit the memory goes back.
template <typename Pointer, typename Pitch, typename Call, typename Free>
CUresult AllocatePitched(Pointer* at, Pitch* pitch, std::uint64_t width, std::uint64_t height,
                         Call call, Free free) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(width, height, &bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  Charge charge(bytes, MemoryClass::kBuffer);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result == CUDA_SUCCESS && !charge.Become(std::uint64_t{*pitch} * height)) {
    free(*at);
    charge.GiveBack();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return charge.Keep(
      result, [&] { return *at; }, Kind::kPointer);
}

}  // namespace

CUresult Hook_cuMemAlloc(CUdeviceptr_v1* at, unsigned int bytes) {
  Charge charge(bytes, MemoryClass::kBuffer);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      BRIM_REAL(cuMemAlloc)(at, bytes), [&] { return *at; }, Kind::kPointer);
}

CUresult Hook_cuMemAlloc_v2(CUdeviceptr* at, size_t bytes) {
  Charge charge(bytes, MemoryClass::kBuffer);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      BRIM_REAL(cuMemAlloc_v2)(at, bytes), [&] { return *at; }, Kind::kPointer);
}

// Counted whole: what of it is on the card changes with every access.
CUresult Hook_cuMemAllocManaged(CUdeviceptr* at, size_t bytes, unsigned int flags) {
  Charge charge(bytes, MemoryClass::kBuffer);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      BRIM_REAL(cuMemAllocManaged)(at, bytes, flags), [&] { return *at; }, Kind::kPointer);
}

CUresult Hook_cuMemAllocPitch(CUdeviceptr_v1* at, unsigned int* pitch, unsigned int width,
                              unsigned int height, unsigned int element) {
  return AllocatePitched(
      at, pitch, width, height,
      [&] { return BRIM_REAL(cuMemAllocPitch)(at, pitch, width, height, element); },
      [](CUdeviceptr_v1 pointer) { BRIM_REAL(cuMemFree)
                                   (pointer); });
}

CUresult Hook_cuMemAllocPitch_v2(CUdeviceptr* at, size_t* pitch, size_t width, size_t height,
                                 unsigned int element) {
  return AllocatePitched(
      at, pitch, width, height,
      [&] { return BRIM_REAL(cuMemAllocPitch_v2)(at, pitch, width, height, element); },
      [](CUdeviceptr pointer) { BRIM_REAL(cuMemFree_v2)
                                (pointer); });
}

CUresult Hook_cuArrayCreate(CUarray* array, const CUDA_ARRAY_DESCRIPTOR_v1* shape) {
  const std::uint64_t bytes = shape == nullptr ? 0
                                               : ArrayBytes(shape->Width, shape->Height, 0,
                                                            shape->Format, shape->NumChannels);
  return AllocateArray(bytes, array, [&] { return BRIM_REAL(cuArrayCreate)(array, shape); });
}

CUresult Hook_cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* shape) {
  const std::uint64_t bytes = shape == nullptr ? 0
                                               : ArrayBytes(shape->Width, shape->Height, 0,
                                                            shape->Format, shape->NumChannels);
  return AllocateArray(bytes, array, [&] { return BRIM_REAL(cuArrayCreate_v2)(array, shape); });
}

CUresult Hook_cuArray3DCreate(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR_v1* shape) {
  return AllocateArray(Array3dBytes(shape), array,
                       [&] { return BRIM_REAL(cuArray3DCreate)(array, shape); });
}

CUresult Hook_cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* shape) {
  return AllocateArray(Array3dBytes(shape), array,
                       [&] { return BRIM_REAL(cuArray3DCreate_v2)(array, shape); });
}

CUresult Hook_cuArrayDestroy(CUarray array) {
  return Free(reinterpret_cast<std::uint64_t>(array), Kind::kArray,
              [&] { return BRIM_REAL(cuArrayDestroy)(array); });
}

CUresult Hook_cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* shape,
                                     unsigned int levels) {
  Charge charge(Array3dBytes(shape) == 0 ? 0 : MipmapBytes(*shape, levels), MemoryClass::kArray);
  if (!charge.ok()) return CUDA_ERROR_OUT_OF_MEMORY;
  return charge.Keep(
      BRIM_REAL(cuMipmappedArrayCreate)(array, shape, levels),
      [&] { return reinterpret_cast<std::uint64_t>(*array); }, Kind::kArray);
}

CUresult Hook_cuMipmappedArrayDestroy(CUmipmappedArray array) {
  return Free(reinterpret_cast<std::uint64_t>(array), Kind::kArray,
              [&] { return BRIM_REAL(cuMipmappedArrayDestroy)(array); });
}

}  // namespace brim::vgpu
