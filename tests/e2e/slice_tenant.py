"""A program on the CUDA driver API that does what it is told: one command a line on standard input, one answer a line.

Standard library alone, by ctypes; started in a slice it finds the slice's libcuda.so.1 as any program would. Errors are
answered by their number, never raised: "2" is CUDA_ERROR_OUT_OF_MEMORY.

    context             makes the primary context current         -> 0
    alloc BYTES         cuMemAlloc                                -> 0 ADDRESS | ERROR
    free ADDRESS        cuMemFree                                 -> ERROR
    fill BYTES          allocates BYTES at a time until refused   -> COUNT
    info                cuMemGetInfo                              -> FREE TOTAL
    total               cuDeviceTotalMem                          -> BYTES
    launch NAME COUNT   launches and waits                        -> NANOSECONDS
    churn COUNT BYTES   allocates and frees, COUNT times          -> REFUSED
"""
import ctypes
import sys
import time


class Driver:
    def __init__(self, path="libcuda.so.1"):
        self.library = ctypes.CDLL(path)
        self.functions = {}

    def call(self, name, *arguments):
        return getattr(self.library, name)(*arguments)


def word(value=0):
    return ctypes.c_uint64(value)


class Tenant:
    def __init__(self, driver):
        self.driver = driver
        self.module = None

    def start(self):
        return self.driver.call("cuInit", 0)

    def context(self):
        context = ctypes.c_void_p()
        error = self.driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        return error or self.driver.call("cuCtxSetCurrent", context)

    def alloc(self, size):
        at = word()
        error = self.driver.call("cuMemAlloc_v2", ctypes.byref(at), ctypes.c_size_t(int(size)))
        return f"0 {at.value}" if error == 0 else error

    def free(self, address):
        return self.driver.call("cuMemFree_v2", word(int(address)))

    def fill(self, size):
        count = 0
        while not isinstance(self.alloc(size), int):
            count += 1
        return count

    def info(self):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        error = self.driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return error or f"{free.value} {total.value}"

    def total(self):
        size = ctypes.c_size_t()
        return self.driver.call("cuDeviceTotalMem_v2", ctypes.byref(size), 0) or size.value

    def launch(self, name, count):
        if self.module is None:
            self.module = ctypes.c_void_p()
            error = self.driver.call("cuModuleLoadData", ctypes.byref(self.module), b"kernels\0")
            if error != 0:
                return error
        function = ctypes.c_void_p()
        self.driver.call("cuModuleGetFunction", ctypes.byref(function), self.module, name.encode())
        begin = time.monotonic_ns()
        for _ in range(int(count)):
            error = self.driver.call("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
            if error != 0:
                return error
        return self.driver.call("cuCtxSynchronize") or time.monotonic_ns() - begin

    def churn(self, count, size):
        refused = 0
        for _ in range(int(count)):
            made = self.alloc(size)
            if isinstance(made, int):
                refused += 1
            else:
                self.free(made.split()[1])
        return refused


def main():
    tenant = Tenant(Driver())
    print(tenant.start(), flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(getattr(tenant, name)(*arguments), flush=True)


if __name__ == "__main__":
    main()
