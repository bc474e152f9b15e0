"""Public programs, unmodified, in a slice of a fake card: cuda-bindings (which resolves every function through
cuGetProcAddress), numba-cuda, and nvidia-ml-py see the slice alone, and its limits hold for them, over processes and kills."""
import time

import pytest

from conftest import DEPS, needs, wait_until
from slice_node import BINDINGS, GIB, MIB, Node, wait_held

CONTEXT = 256 * MIB  # The fake card's.


@pytest.fixture(scope="module")
def python():
    return str(needs(DEPS / "venv/cuda/bin/python", "run `deps/fetch venv/cuda`"))


@pytest.fixture
def node():
    made = Node()
    made.create("a", 25, "4GiB")
    made.create("b", 75, "8GiB")
    yield made
    made.finish()


def run(node, name, python, script):
    return node.printed("--slice", name, "--", python, "-c", script)


def test_cuda_bindings_hits_the_limit_exactly(node, python):
    assert run(node, "a", python, BINDINGS + """
print(ok(cu.cuDeviceGetCount()), ok(cu.cuDeviceTotalMem(device)))
free, total = ok(cu.cuMemGetInfo())
print(free, total)
print(int(cu.cuMemAlloc(free + 1)[0]), int(cu.cuMemAlloc(free)[0]), int(cu.cuMemAlloc(1)[0]), *ok(cu.cuMemGetInfo()))
""") == [f"1 {4 * GIB}", f"{4 * GIB - CONTEXT} {4 * GIB}", f"2 0 2 0 {4 * GIB}"]
    assert node.held("b") == 0


def test_cuda_bindings_pools_physical_memory_and_arrays_are_counted(node, python):
    node.agent()
    lines = run(node, "a", python, BINDINGS + """
import subprocess, os
stream = ok(cu.cuStreamCreate(0))
at = ok(cu.cuMemAllocAsync(100 << 20, stream)); ok(cu.cuStreamSynchronize(stream)); print(ok(cu.cuMemGetInfo())[0])
ok(cu.cuMemFreeAsync(at, stream)); ok(cu.cuStreamSynchronize(stream))
shape = cu.CUmemAllocationProp(); shape.type = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
shape.location.type = cu.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE; shape.location.id = 0
handle = ok(cu.cuMemCreate(512 << 20, shape, 0)); print(ok(cu.cuMemGetInfo())[0]); ok(cu.cuMemRelease(handle))
managed = ok(cu.cuMemAllocManaged(1 << 30, 1)); print(ok(cu.cuMemGetInfo())[0]); ok(cu.cuMemFree(managed))
print(int(cu.cuMemCreate(4 << 30, shape, 0)[0]), int(cu.cuMemAllocAsync(4 << 30, stream)[0]), int(cu.cuMemAllocManaged(4 << 30, 1)[0]))
""")
    room = 4 * GIB - CONTEXT
    assert 100 * MIB <= room - int(lines[0]) <= 128 * MIB  # A pool grows in steps.
    assert 512 * MIB <= room - int(lines[1]) <= 512 * MIB + 128 * MIB
    assert GIB <= room - int(lines[2]) <= GIB + 128 * MIB
    assert lines[3] == "2 2 2"
    wait_held(node, "a", 0)


def test_cuda_bindings_launches_and_graphs(node, python):
    lines = run(node, "a", python, BINDINGS + """
import time
module = ok(cu.cuModuleLoadData(b"kernels\\0")); spin = ok(cu.cuModuleGetFunction(module, b"spin_2ms"))
stream = ok(cu.cuStreamCreate(0))
def launch(): ok(cu.cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, 0, 0))
launch(); ok(cu.cuStreamSynchronize(stream))
begin = time.monotonic()
for _ in range(20): launch()
ok(cu.cuStreamSynchronize(stream)); print(time.monotonic() - begin)
ok(cu.cuStreamBeginCapture(stream, cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
for _ in range(10): launch()
graph = ok(cu.cuStreamEndCapture(stream)); print(ok(cu.cuGraphGetNodes(graph, 64))[1])
runnable = ok(cu.cuGraphInstantiate(graph, 0))
begin = time.monotonic(); ok(cu.cuGraphLaunch(runnable, stream)); ok(cu.cuStreamSynchronize(stream)); print(time.monotonic() - begin)
""")
    assert float(lines[0]) >= 0.039 and float(lines[2]) >= 0.019
    assert lines[1] == "10"  # The limiter put nothing into the capture.
    node.agent()
    wait_until(lambda: node.slices()["a"]["launches"] == 22, what="21 kernels and a graph counted")


def test_numba_finds_the_device_and_copies_arrays(node, python):
    """Kernels need NVIDIA's compiler libraries, which are not fetched; all else of the driver layer is used."""
    lines = run(node, "a", python, """
import numpy, numba.cuda as cuda
print(len(cuda.gpus), cuda.current_context().device.name)
there = numpy.arange(1 << 20, dtype=numpy.float32)
on_card = cuda.to_device(there)
print(bool((on_card.copy_to_host() == there).all()), *cuda.current_context().get_memory_info())
stream = cuda.stream(); second = cuda.device_array(1 << 20, numpy.uint8, stream=stream); stream.synchronize()
try: cuda.device_array(5 << 30, numpy.uint8)
except cuda.cudadrv.driver.CudaAPIError as error: print("OUT_OF_MEMORY" in str(error))
print(cuda.current_context().get_memory_info()[0])
""")
    assert lines[0] == "1 Fake Card 0"
    assert lines[1] == f"True {4 * GIB - CONTEXT - 4 * MIB} {4 * GIB}"
    assert lines[2] == "True"
    assert int(lines[3]) == 4 * GIB - CONTEXT - 5 * MIB


NVML = """
import pynvml as n
n.nvmlInit(); device = n.nvmlDeviceGetHandleByIndex(0)
"""


def test_nvidia_ml_py_sees_the_slice(node, python):
    a, b = node.tenant("a"), node.tenant("b")
    for tenant, size in ((a, GIB), (b, 2 * GIB)):
        assert tenant.ask("context") == "0" and tenant.alloc(size) is not None
    lines = run(node, "a", python, NVML + """
print(n.nvmlDeviceGetCount(), n.nvmlDeviceGetUUID(device))
memory = n.nvmlDeviceGetMemoryInfo(device); print(memory.total, memory.used, memory.free)
memory = n.nvmlDeviceGetMemoryInfo(device, version=n.nvmlMemory_v2); print(memory.total, memory.used, memory.free)
print(*[f"{row.pid}:{row.usedGpuMemory}" for row in n.nvmlDeviceGetComputeRunningProcesses(device)])
for index in (1, 2):
    try: n.nvmlDeviceGetHandleByIndex(index); print("there")
    except n.NVMLError: print("none")
try: n.nvmlDeviceSetComputeMode(device, 3); print("set")
except n.NVMLError_NoPermission: print("refused")
""")
    used = GIB + CONTEXT
    assert lines == ["1 GPU-fa4e0000-0000-4000-8000-000000000000", f"{4 * GIB} {used} {4 * GIB - used}",
                     f"{4 * GIB} {used} {4 * GIB - used}", f"{a.pid}:{used}", "none", "none", "refused"]


def test_utilisation_is_of_the_slice(node, python):
    """A slice of 25 units that has all of the card's time for itself is fully used; an idle one not at all."""
    look = NVML + """
import time
n.nvmlDeviceGetUtilizationRates(device); time.sleep(0.5); print(n.nvmlDeviceGetUtilizationRates(device).gpu)
"""
    tenant = node.tenant("a")
    assert tenant.ask("context") == "0"
    assert run(node, "a", python, look) == ["0"]
    tenant.ask("launch", "spin_1ms", 10)
    tenant.send("launch", "spin_1ms", 1500)
    assert int(run(node, "a", python, look)[0]) >= 90
    assert run(node, "b", python, look) == ["0"]
    tenant.kill()


def test_the_limit_holds_over_processes(node, python):
    """Four programs of one slice fill it at the same time; together they hold what it has, to the last megabyte."""
    tenants = [node.tenant("b") for _ in range(3)]
    tenants += [node.tenant("b", python=python)]
    for tenant in tenants:
        assert tenant.ask("context") == "0"
    for tenant in tenants:
        tenant.send("fill", MIB)
    filled = sum(int(tenant.read()) for tenant in tenants)
    assert filled == (8 * GIB - 4 * CONTEXT) // MIB
    assert node.held("b") == 8 * GIB
    truth = node.truth()
    assert sum(truth[tenant.pid] for tenant in tenants) == 8 * GIB
    assert node.held("a") == 0


def test_killed_in_a_storm_all_is_given_back(node, python):
    agent = node.agent()
    for _ in range(3):
        tenants = [node.tenant("b") for _ in range(8)]
        for tenant in tenants:
            assert tenant.ask("context") == "0"
            tenant.send("churn", 10_000_000, 64 * MIB)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            assert sum(node.truth().values()) <= 8 * GIB
        for tenant in tenants:
            tenant.process.kill()
        for tenant in tenants:
            tenant.process.wait()
        wait_held(node, "b", 0)
        assert node.classes("b") == dict.fromkeys(node.classes("b"), 0)
    assert agent.of("brim_slice_reaped_total", "b") == 24
    assert node.truth() == {}
