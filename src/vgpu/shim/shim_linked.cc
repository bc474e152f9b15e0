// A program with libcuda.so.1 as a dependency of its own, for the shim's tests. Without an argument
// it says what it sees of its slice's memory and what it gets. With "start" it starts, with "hold"
// it also makes a context; then it says so and waits for the end of its input.
#include <cuda.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char** arguments) {
  CUcontext context = nullptr;
  CUdeviceptr at = 0;
  size_t free = 0;
  size_t total = 0;
  const int start = cuInit(0);
  if (start != 0) return printf("cuInit %d\n", start), 1;
  if (count > 1) {
    char none = 0;
    if (arguments[1][0] == 'h') cuDevicePrimaryCtxRetain(&context, 0);
    if (write(1, "k", 1) != 1) return 2;
    return read(0, &none, 1) == 0 ? 0 : 3;
  }
  cuDevicePrimaryCtxRetain(&context, 0);
  cuCtxSetCurrent(context);
  cuMemGetInfo(&free, &total);
  const int whole = cuMemAlloc(&at, total);
  const int left = cuMemAlloc(&at, free);
  printf("total %zu whole %d left %d\n", total, whole, left);
  return 0;
}
