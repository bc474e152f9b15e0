// Built as libshim_first.so (and again as libshim_deep.so) and libshim_second.so: see shim_next.cc.
#include <dlfcn.h>

#include "vgpu/shim/shim_next.h"

#ifdef SHIM_FIRST

// The answer is kept, so that the question is no jump: it must come from here.
extern "C" const char* shim_who(void) { return "first"; }
extern "C" void* shim_first_next(const char* name) {
  void* volatile answer = dlsym(RTLD_NEXT, name);
  return answer;
}
extern "C" void* shim_first_default(const char* name) {
  void* volatile answer = dlsym(RTLD_DEFAULT, name);
  return answer;
}
extern "C" void* shim_first_in(void* handle, const char* name) {
  void* volatile answer = dlsym(handle, name);
  return answer;
}

#else

extern "C" const char* shim_who(void) { return "second"; }
extern "C" const char* shim_second_who(void) { return "second"; }
// As a profiler does: a function of the driver's own name before the driver.
extern "C" __attribute__((visibility("default"))) int cuArrayDestroy(void*) { return 4711; }

#endif
