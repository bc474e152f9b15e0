// A library whose constructor makes a CUDA call while it is being opened; see shim_next.cc, which
// says in the environment with whom. Opened without that, it does nothing.
#include <cuda.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

// Whether the thread hangs (proc(5), the state behind the name).
bool Hangs(const char* thread) {
  char path[64];
  char text[256];
  snprintf(path, sizeof(path), "/proc/self/task/%s/stat", thread);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = '\0';
  const char* const end = strrchr(text, ')');
  return end != nullptr && end[1] == ' ' && end[2] == 'S';
}

__attribute__((constructor)) void Open() {
  const char* const other = getenv("SHIM_OTHER");
  char mark = 0;
  if (other == nullptr) return;
  if (write(atoi(getenv("SHIM_BEGUN")), "b", 1) != 1) return;
  if (read(atoi(getenv("SHIM_GOING")), &mark, 1) != 1) return;
  while (!Hangs(other)) sched_yield();
  char result[16];
  snprintf(result, sizeof(result), "%d", static_cast<int>(cuInit(0)));
  setenv("SHIM_RESULT", result, 1);
}

}  // namespace
