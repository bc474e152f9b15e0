// dlsym() and dlvsym() of libbrim_preload.so: the door of programs that find the vendor's functions
// by name.
//
// Programs that name libcuda.so.1 at link time get our hooks since a preloaded library comes first;
// only hooked functions are exported. Others open it and ask dlsym(), so we stand before that as
// well, and answer as the C library does, but for one thing: when it finds a hooked function in a
// library that calls itself libcuda.so.1 or libnvidia-ml.so.1, the answer is the hook. (And when it
// finds the C library's dlsym itself, the answer is ours.)
//
// Who asks matters: RTLD_NEXT is what comes after the asking library, and the C library knows it by
// the return address. So a name that is none of ours goes on by a jump, with the caller's return
// address in place: the C library does all, as without us. A name of ours with RTLD_NEXT or
// RTLD_DEFAULT has to come back to be looked at; then the C library is called with the address of a
// `ret` in the caller's own code as return address, so that it sees the caller still. No table of
// threads, no lock, no heap.
//
// A function that is asked for by the vendor's own libraries is given as it is. So is what lies in
// another namespace (dlmopen): its copy of the driver is not the one that our hooks would call. A
// library opened with RTLD_DEEPBIND asks the C library itself and is not seen.
//
// Threads: any, also inside dlopen() of others and in forked children.
#pragma once

extern "C" {
// Of preload_entry.S: our dlsym and dlvsym by names that nobody else has.
__attribute__((visibility("hidden"))) void* brim_dlsym(void* handle, const char* name);
__attribute__((visibility("hidden"))) void* brim_dlvsym(void* handle, const char* name,
                                                        const char* version);
__attribute__((visibility("hidden"))) void* brim_call_as(void* handle, const char* name,
                                                         const char* version, void* function,
                                                         const void* ret);
// For it: where a question for this name goes.
__attribute__((visibility("hidden"))) void* brim_dlsym_route(const char* name);
__attribute__((visibility("hidden"))) void* brim_dlvsym_route(const char* name);
}
