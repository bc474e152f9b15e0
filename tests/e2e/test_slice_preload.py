"""`brim node run --inject preload`: public programs, unmodified, that find the driver where they always do, in slices of a
fake card; the limits and what the agent sees are those of the other way of injection."""
import json
import pathlib
import shutil
import subprocess

import pytest

from conftest import BUILD, DEPS, needs
from slice_node import BINDINGS, FAKE, GIB, MIB, Node, wait_held

CONTEXT = 256 * MIB  # The fake card's.
PRELOAD = BUILD / "slice/libbrim_preload.so"


@pytest.fixture(scope="module")
def python():
    return str(needs(DEPS / "venv/cuda/bin/python", "run `deps/fetch venv/cuda`"))


@pytest.fixture
def node():
    made = Node()
    made.environment["LD_LIBRARY_PATH"] = str(FAKE)  # Where this host's loader finds its driver.
    made.create("a", 25, "4GiB")
    made.create("b", 75, "8GiB")
    yield made
    made.finish()


def run(node, name, *command, inject=("--inject", "preload")):
    return node.printed("--slice", name, *inject, "--", *command)


def test_cuda_bindings_hits_the_limit_exactly(node, python):
    assert run(node, "a", python, "-c", BINDINGS + """
print(ok(cu.cuDeviceGetCount()), ok(cu.cuDeviceTotalMem(device)))
free, total = ok(cu.cuMemGetInfo())
print(free, total)
print(int(cu.cuMemAlloc(free + 1)[0]), int(cu.cuMemAlloc(free)[0]), int(cu.cuMemAlloc(1)[0]), *ok(cu.cuMemGetInfo()))
maps = open("/proc/self/maps").read()
print("libbrim_preload.so" in maps, "slice/libcuda.so.1" in maps)
""") == [f"1 {4 * GIB}", f"{4 * GIB - CONTEXT} {4 * GIB}", f"2 0 2 0 {4 * GIB}", "True False"]
    assert node.held("b") == 0


def test_cuda_bindings_launches_and_graphs(node, python):
    lines = run(node, "a", python, "-c", BINDINGS + """
import time
module = ok(cu.cuModuleLoadData(b"kernels\\0")); spin = ok(cu.cuModuleGetFunction(module, b"spin_2ms"))
stream = ok(cu.cuStreamCreate(0))
def launch(): ok(cu.cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, 0, 0))
ok(cu.cuStreamBeginCapture(stream, cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
for _ in range(10): launch()
graph = ok(cu.cuStreamEndCapture(stream)); print(ok(cu.cuGraphGetNodes(graph, 64))[1])
runnable = ok(cu.cuGraphInstantiate(graph, 0))
ok(cu.cuGraphLaunch(runnable, stream))
for _ in range(5): launch()
ok(cu.cuStreamSynchronize(stream))
""")
    assert lines == ["10"]
    assert node.slices()["a"]["launches"] == 6


def test_numba_finds_the_device_and_copies_arrays(node, python):
    lines = run(node, "a", python, "-c", """
import numpy, numba.cuda as cuda
print(len(cuda.gpus), cuda.current_context().device.name)
there = numpy.arange(1 << 20, dtype=numpy.float32)
on_card = cuda.to_device(there)
print(bool((on_card.copy_to_host() == there).all()), *cuda.current_context().get_memory_info())
try: cuda.device_array(5 << 30, numpy.uint8)
except cuda.cudadrv.driver.CudaAPIError as error: print("OUT_OF_MEMORY" in str(error))
""")
    assert lines == ["1 Fake Card 0", f"True {4 * GIB - CONTEXT - 4 * MIB} {4 * GIB}", "True"]


def test_nvidia_ml_py_sees_the_slice(node, python):
    assert run(node, "a", python, "-c", """
import pynvml as n
n.nvmlInit(); device = n.nvmlDeviceGetHandleByIndex(0)
memory = n.nvmlDeviceGetMemoryInfo(device); print(n.nvmlDeviceGetCount(), memory.total, memory.used)
print(len(n.nvmlDeviceGetComputeRunningProcesses(device)))
try: n.nvmlDeviceSetComputeMode(device, 3); print("set")
except n.NVMLError_NoPermission: print("refused")
""") == [f"1 {4 * GIB} 0", "0", "refused"]


def test_both_ways_share_one_limit(node, python):
    """Programs of one slice, some injected so and some so: together they hold what it has, and an agent takes out the dead."""
    node.agent()
    fill = BINDINGS + """
import sys
count = 0
while int(cu.cuMemAlloc(64 << 20)[0]) == 0: count += 1
print(count, flush=True); sys.stdin.read()
"""
    holders = []
    for inject in (["--inject", "preload"], []):
        holders.append(subprocess.Popen(node.command("run", "--slice", "a", *inject, "--", python, "-c", fill), text=True,
                                        env=node.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        if len(holders) == 1:
            assert int(holders[0].stdout.readline()) == (4 * GIB - CONTEXT) // (64 * MIB)
    assert holders[1].wait(timeout=60) != 0  # There is no room for its context.
    assert node.held("a") == 4 * GIB
    assert node.truth()[holders[0].pid] == 4 * GIB
    holders[0].kill()
    holders[0].wait()
    wait_held(node, "a", 0)


def test_a_replacing_run_inside_a_preloaded_one_counts_once(node, python):
    inner = node.command("run", "--slice", "b", "--", python, "-c", BINDINGS + """
ok(cu.cuMemAlloc(1 << 30)); print(*ok(cu.cuMemGetInfo()))
""")
    assert run(node, "a", *inner) == [f"{8 * GIB - CONTEXT - GIB} {8 * GIB}"]
    assert node.held("a") == 0 and node.held("b") == CONTEXT + GIB


def test_programs_without_cuda_are_left_alone(node):
    assert run(node, "a", "/bin/sh", "-c", "echo $LD_PRELOAD; grep -c libcuda /proc/self/maps || true") == [str(PRELOAD), "0"]
    assert node.slices()["a"]["processes"] == 0


def test_what_was_preloaded_before_stays(node):
    node.environment["LD_PRELOAD"] = "/lib/x86_64-linux-gnu/libm.so.6"
    assert run(node, "a", "/bin/sh", "-c", "echo $LD_PRELOAD") == [f"{PRELOAD}:/lib/x86_64-linux-gnu/libm.so.6"]
    assert run(node, "a", "/bin/sh", "-c", "echo $LD_PRELOAD", inject=()) == ["/lib/x86_64-linux-gnu/libm.so.6"]


def test_bad_input(node, tmp_path):
    said = node.brim("run", "--slice", "a", "--inject", "ptrace", "--", "/bin/true", code=2)
    assert "replace" in said and "preload" in said
    # A package that lacks the library, one in a folder that the loader cannot be told, and a copy that was cut.
    for folder, hint in (("lacks", "libbrim_preload.so is missing"), ("has a space", "a space or a colon"),
                         ("cut", "file too short")):
        root = tmp_path / folder
        (root / "bin").mkdir(parents=True)
        (root / "slice").mkdir()
        shutil.copy(BUILD / "bin/brim", root / "bin/brim")
        (root / "slice/libcuda.so.1").symlink_to(BUILD / "slice/libcuda.so.1")
        if folder == "has a space":
            (root / "slice/libbrim_preload.so").symlink_to(BUILD / "slice/libbrim_preload.so")
        elif folder == "cut":
            (root / "slice/libbrim_preload.so").write_bytes((BUILD / "slice/libbrim_preload.so").read_bytes()[:40])

        def brim(*words, root=root):
            return subprocess.run([root / "bin/brim", "node", *words], env=node.environment, capture_output=True, text=True,
                                  timeout=60, check=False)

        done = brim("run", "--slice", "a", "--inject", "preload", "--", "/bin/true")
        assert done.returncode == 1 and hint in done.stderr and "--inject replace" in done.stderr, done
        # Programs start the other way: it is told, and nothing is missing.
        done = brim("doctor", "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["preload_library"] == "unusable", done
        assert hint in done.stdout and "--inject replace" in done.stdout
        assert brim("run", "--slice", "a", "--", "/bin/true").returncode == 0
