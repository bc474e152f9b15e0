// cuGetProcAddress, by which everything built on CUDA 11.3 and later finds its functions.
//
// The vendor answers; then, if the answer is a function that has a hook, the program gets the hook.
// That is decided by the address: one name stands for several functions (a signature changed at
// some CUDA version; streams may be per thread), and only the vendor knows which one this program,
// with its version and flags, is to get. Should a driver answer with an address that it does not
// export, the version table of the headers tells which form was asked for.
#include <string.h>

#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/process.h"

namespace brim::vgpu {
namespace {

struct Form {
  const char* asked;
  bool per_thread;
  int since;  // CUDA version, e.g. 3020.
  std::uint32_t index;
};

// Sorted by name, then version: as symbols.py writes them.
constexpr Form kForms[] = {
#define V(asked, per_thread, since, exported) {asked, per_thread, since, kCu_##exported},
#include "cu_versions.inc"
#undef V
};

bool PerThread(cuuint64_t flags) {
  return (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
}

// The newest form not newer than `version`; a name without a per-thread form has the plain one.
const Form* FormFor(const char* symbol, int version, bool per_thread) {
  const Form* found = nullptr;
  for (const Form& form : kForms) {
    if (form.since > version || strcmp(form.asked, symbol) != 0) continue;
    if (form.per_thread && !per_thread) continue;
    if (found == nullptr || form.per_thread > found->per_thread ||
        (form.per_thread == found->per_thread && form.since > found->since)) {
      found = &form;
    }
  }
  return found;
}

void* AnswerFor(const char* symbol, void* real, int version, cuuint64_t flags) {
  if (real == nullptr || symbol == nullptr) return real;
  void* const hook = HookOf(real);
  if (hook != real) return hook;
  const Form* const form = FormFor(symbol, version, PerThread(flags));
  if (form == nullptr) {
    if (LooksLikeWork(symbol)) ThisProcess().CountUnknown(symbol);
    return real;
  }
  // An exported function without a hook, or one that is not exported under this address.
  void* const exported = brim_cu_real[form->index];
  return exported == real ? real : HookOf(exported) != exported ? HookOf(exported) : real;
}

}  // namespace

CUresult Hook_cuGetProcAddress(const char* symbol, void** function, int version, cuuint64_t flags) {
  const CUresult result = BRIM_REAL(cuGetProcAddress)(symbol, function, version, flags);
  if (result == CUDA_SUCCESS && function != nullptr) {
    *function = AnswerFor(symbol, *function, version, flags);
  }
  return result;
}

CUresult Hook_cuGetProcAddress_v2(const char* symbol, void** function, int version,
                                  cuuint64_t flags, CUdriverProcAddressQueryResult* status) {
  const CUresult result = BRIM_REAL(cuGetProcAddress_v2)(symbol, function, version, flags, status);
  if (result == CUDA_SUCCESS && function != nullptr) {
    *function = AnswerFor(symbol, *function, version, flags);
  }
  return result;
}

// Private tables of functions for NVIDIA's own libraries: passed on, and counted, since what goes
// through them is not seen here.
CUresult Hook_cuGetExportTable(const void** table, const CUuuid* id) {
  ThisProcess().CountExportTable();
  return BRIM_REAL(cuGetExportTable)(table, id);
}

}  // namespace brim::vgpu
