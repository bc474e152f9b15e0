// The libraries of shim_next.cc, a program that the tests of the preloaded library start. Threads:
// any.
#pragma once

extern "C" {
// Of the first library; each of both has a `shim_who`.
const char* shim_who(void);
void* shim_first_next(const char* name);
void* shim_first_default(const char* name);
void* shim_first_in(void* handle, const char* name);
const char* shim_second_who(void);
}
