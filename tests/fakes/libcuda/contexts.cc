// Contexts, modules, functions.
#include <string.h>

#include <algorithm>
#include <iterator>

#include "engine.h"
#include "objects.h"
#include "state.h"

namespace fake {
namespace {

thread_local std::vector<Context*> stack;

CUresult Make(CUcontext* out, CUdevice device) {
  World& world = TheWorld();
  if (Ready() != CUDA_SUCCESS) return Ready();
  if (device < 0 || device >= static_cast<int>(world.visible.size()))
    return CUDA_ERROR_INVALID_DEVICE;
  const int card = world.visible[static_cast<std::size_t>(device)];
  if (!Take(card, Shared().settings.context)) return CUDA_ERROR_OUT_OF_MEMORY;
  auto* const context = new Context;
  context->card = card;
  const std::lock_guard lock(world.mutex);
  world.contexts.insert(context);
  *out = reinterpret_cast<CUcontext>(context);
  return CUDA_SUCCESS;
}

CUresult Create(CUcontext* out, CUdevice device) {
  const CUresult result = Make(out, device);
  if (result == CUDA_SUCCESS) stack.push_back(reinterpret_cast<Context*>(*out));
  return result;
}

// Frees all that belongs to the context, as the driver does.
CUresult End(Context* context) {
  World& world = TheWorld();
  {
    const std::lock_guard lock(world.mutex);
    if (world.contexts.count(context) == 0) return CUDA_ERROR_INVALID_CONTEXT;
  }
  WaitForStream(context->card, 0);
  const std::lock_guard lock(world.mutex);
  for (auto at = world.blocks.begin(); at != world.blocks.end();) {
    if (at->second.context == context && at->second.pool == nullptr) {
      Give(at->second.card, at->second.charged);
      at = world.blocks.erase(at);
    } else {
      ++at;
    }
  }
  for (auto at = world.arrays.begin(); at != world.arrays.end();) {
    Array* const array = *at;
    at = array->context == context ? world.arrays.erase(at) : std::next(at);
    if (array->context != context) continue;
    Give(context->card, array->bytes);
    delete array;
  }
  // A module's handle is dead with its context, a library's may still be unloaded: both stay.
  for (Module* const module : world.modules) {
    if (module->context != context || !module->charged) continue;
    Give(context->card, Shared().settings.module);
    module->charged = false;
  }
  world.contexts.erase(context);
  Give(context->card, Shared().settings.context);
  stack.erase(std::remove(stack.begin(), stack.end(), context), stack.end());
  return CUDA_SUCCESS;
}

CUresult Load(Module** out) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (!Take(context->card, Shared().settings.module)) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = new Module;
  (*out)->context = context;
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().modules.insert(*out);
  return CUDA_SUCCESS;
}

CUresult Unload(Module* module) {
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const std::lock_guard lock(TheWorld().mutex);
  if (TheWorld().modules.erase(module) == 0) return CUDA_ERROR_INVALID_HANDLE;
  if (module->charged) Give(module->context->card, Shared().settings.module);
  for (Function* function : module->functions) delete function;
  delete module;
  return CUDA_SUCCESS;
}

Function* FunctionOf(Module* module, const char* name) {
  const std::lock_guard lock(TheWorld().mutex);
  for (Function* function : module->functions) {
    if (function->name == name) return function;
  }
  module->functions.push_back(new Function{name, module, GpuTimeOf(name)});
  return module->functions.back();
}

}  // namespace

Context* Current() { return stack.empty() ? nullptr : stack.back(); }

FAKE_API CUresult cuCtxCreate(CUcontext* c, unsigned int, CUdevice device) {
  return Create(c, device);
}
FAKE_API CUresult cuCtxCreate_v2(CUcontext* c, unsigned int, CUdevice device) {
  return Create(c, device);
}
FAKE_API CUresult cuCtxCreate_v3(CUcontext* c, CUexecAffinityParam*, int, unsigned int,
                                 CUdevice device) {
  return Create(c, device);
}
FAKE_API CUresult cuCtxCreate_v4(CUcontext* c, CUctxCreateParams*, unsigned int, CUdevice device) {
  return Create(c, device);
}
FAKE_API CUresult cuCtxDestroy(CUcontext c) { return End(reinterpret_cast<Context*>(c)); }
FAKE_API CUresult cuCtxDestroy_v2(CUcontext c) { return End(reinterpret_cast<Context*>(c)); }
FAKE_API CUresult cuCtxGetCurrent(CUcontext* c) {
  *c = reinterpret_cast<CUcontext>(Current());
  return Ready();
}
FAKE_API CUresult cuCtxSetCurrent(CUcontext c) {
  if (stack.empty()) {
    if (c != nullptr) stack.push_back(reinterpret_cast<Context*>(c));
  } else if (c == nullptr) {
    stack.pop_back();
  } else {
    stack.back() = reinterpret_cast<Context*>(c);
  }
  return Ready();
}
FAKE_API CUresult cuCtxPushCurrent_v2(CUcontext c) {
  if (c == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  stack.push_back(reinterpret_cast<Context*>(c));
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuCtxPopCurrent_v2(CUcontext* c) {
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (c != nullptr) *c = reinterpret_cast<CUcontext>(stack.back());
  stack.pop_back();
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuCtxGetDevice(CUdevice* device) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::vector<int>& visible = TheWorld().visible;
  *device =
      static_cast<int>(std::find(visible.begin(), visible.end(), context->card) - visible.begin());
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuCtxGetFlags(unsigned int* flags) { return *flags = 0, CUDA_SUCCESS; }
FAKE_API CUresult cuCtxGetApiVersion(CUcontext, unsigned int* version) {
  return *version = 13000, CUDA_SUCCESS;
}
FAKE_API CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuCtxGetLimit(size_t* value, CUlimit) { return *value = 1024, CUDA_SUCCESS; }
FAKE_API CUresult cuCtxSetLimit(CUlimit, size_t) { return CUDA_SUCCESS; }
FAKE_API CUresult cuCtxSynchronize() {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  WaitForStream(context->card, 0);
  for (Pool* pool : TheWorld().pools) {
    const std::uint64_t keep =
        std::max(Rounded(pool->used, Shared().settings.pool_step), pool->threshold);
    if (keep < pool->reserved) {
      Give(pool->card, pool->reserved - keep);
      pool->reserved = keep;
    }
  }
  return CUDA_SUCCESS;
}

FAKE_API CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice device) {
  World& world = TheWorld();
  if (Ready() != CUDA_SUCCESS) return Ready();
  if (device < 0 || device >= static_cast<int>(world.visible.size()))
    return CUDA_ERROR_INVALID_DEVICE;
  Context*& primary = world.primary[world.visible[static_cast<std::size_t>(device)]];
  if (primary == nullptr) {
    const CUresult result = Make(c, device);
    if (result != CUDA_SUCCESS) return result;
    primary = reinterpret_cast<Context*>(*c);
    primary->primary = true;
  }
  ++primary->retained;
  *c = reinterpret_cast<CUcontext>(primary);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  World& world = TheWorld();
  if (device < 0 || device >= static_cast<int>(world.visible.size()))
    return CUDA_ERROR_INVALID_DEVICE;
  Context*& primary = world.primary[world.visible[static_cast<std::size_t>(device)]];
  if (primary == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (--primary->retained > 0) return CUDA_SUCCESS;
  Context* const ended = primary;
  primary = nullptr;
  return End(ended);
}
FAKE_API CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  return cuDevicePrimaryCtxRelease_v2(device);
}
// What the context holds goes, the context stays for who retained it.
FAKE_API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  World& world = TheWorld();
  if (device < 0 || device >= static_cast<int>(world.visible.size()))
    return CUDA_ERROR_INVALID_DEVICE;
  Context* const primary = world.primary[world.visible[static_cast<std::size_t>(device)]];
  if (primary == nullptr) return CUDA_SUCCESS;
  const std::vector<Context*> before = stack;
  End(primary);
  stack = before;
  const std::lock_guard lock(world.mutex);
  world.contexts.insert(primary);
  Take(primary->card, Shared().settings.context);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  return cuDevicePrimaryCtxReset_v2(device);
}
FAKE_API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int* flags, int* active) {
  *flags = 0;
  *active = TheWorld().primary[TheWorld().visible.at(static_cast<std::size_t>(device))] != nullptr;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice, unsigned int) { return CUDA_SUCCESS; }

FAKE_API CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Load(reinterpret_cast<Module**>(module));
}
FAKE_API CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int,
                                     CUjit_option*, void**) {
  return cuModuleLoadData(module, image);
}
FAKE_API CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return cuModuleLoadData(module, image);
}
FAKE_API CUresult cuModuleLoad(CUmodule* module, const char* file) {
  return cuModuleLoadData(module, file);
}
FAKE_API CUresult cuModuleUnload(CUmodule module) {
  return Unload(reinterpret_cast<Module*>(module));
}
FAKE_API CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  *function = reinterpret_cast<CUfunction>(FunctionOf(reinterpret_cast<Module*>(module), name));
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuLibraryLoadData(CUlibrary* library, const void* image, CUjit_option*, void**,
                                    unsigned int, CUlibraryOption*, void**, unsigned int) {
  if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Load(reinterpret_cast<Module**>(library));
}
FAKE_API CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* file, CUjit_option*, void**,
                                        unsigned int, CUlibraryOption*, void**, unsigned int) {
  if (file == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Load(reinterpret_cast<Module**>(library));
}
FAKE_API CUresult cuLibraryUnload(CUlibrary library) {
  return Unload(reinterpret_cast<Module*>(library));
}
FAKE_API CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  *kernel = reinterpret_cast<CUkernel>(FunctionOf(reinterpret_cast<Module*>(library), name));
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  *function = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuFuncGetAttribute(int* value, CUfunction_attribute, CUfunction) {
  return *value = 1024, CUDA_SUCCESS;
}
FAKE_API CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

}  // namespace fake
