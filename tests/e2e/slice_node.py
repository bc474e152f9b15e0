"""What the tests of GPU slices share: a node of its own on a fake card of its own, its agent, and programs in slices."""
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

from conftest import BRIM, BUILD, wait_until

MIB = 1 << 20
GIB = 1 << 30
FAKE = BUILD / "fake_driver"
TENANT = pathlib.Path(__file__).resolve().parent / "slice_tenant.py"
ANSWER_SECONDS = 60

# What scripts of cuda-bindings begin with.
BINDINGS = """
from cuda.bindings import driver as cu
def ok(answer):
    assert answer[0] == cu.CUresult.CUDA_SUCCESS, answer
    return answer[1] if len(answer) == 2 else answer[1:]
ok(cu.cuInit(0)); device = ok(cu.cuDeviceGet(0)); context = ok(cu.cuDevicePrimaryCtxRetain(device)); ok(cu.cuCtxSetCurrent(context))
"""


class Process:
    """A tenant (slice_tenant.py) in a slice, or, with slice None, beside all slices."""

    def __init__(self, node, name, python=sys.executable, script=TENANT):
        command = [python, str(script)]
        if name is not None:
            command = node.command("run", "--slice", name, "--", *command)
        environment = dict(node.environment)
        if name is None:
            environment["LD_LIBRARY_PATH"] = str(FAKE)
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.started = int(self.read())

    @property
    def pid(self):
        return self.process.pid

    def read(self):
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        line = self.process.stdout.readline() if ready else ""
        assert line, "the tenant gave no answer"
        return line.strip()

    def send(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def alloc(self, size):
        """The address, or None when it was refused for lack of memory."""
        answer = self.ask("alloc", size).split()
        assert answer[0] in ("0", "2"), answer
        return int(answer[1]) if answer[0] == "0" else None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(timeout=ANSWER_SECONDS)


class Agent:
    """`brim node` on a port of the kernel's choice."""

    def __init__(self, node):
        self.process = subprocess.Popen(node.command("--port", "0"), env=node.environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stdout:
            if found := re.match(r"metrics: http://[^:]+:(\d+)/metrics", line):
                self.port = int(found.group(1))
                break
        assert self.port, self.process.stderr.read()

    def page(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def metrics(self):
        """{(name, {label: value}): number}, the labels as a frozen set of pairs."""
        out = {}
        for line in self.page().splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            out[name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels or ""))] = float(value)
        return out

    def of(self, name, slice_name):
        """The one value of a family for a slice (the sum over classes)."""
        values = [v for (n, labels), v in self.metrics().items() if n == name and ("slice", slice_name) in labels]
        assert values, f"no {name} for {slice_name}"
        return sum(values)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


class Node:
    def __init__(self, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-e2e-", dir="/dev/shm"))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("BRIM_", "FAKE_CUDA_", "CUDA_"))}
        self.environment |= {"BRIM_NODE_DIR": str(self.folder / "node"), "FAKE_CUDA_STATE": str(self.folder / "fake"),
                             "BRIM_REAL_LIBCUDA": str(FAKE / "libcuda.so.1"),
                             "BRIM_REAL_LIBNVIDIA_ML": str(FAKE / "libnvidia-ml.so.1"), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment |= {f"FAKE_CUDA_{name.upper()}": str(value) for name, value in settings.items()}
        self.made = []

    def command(self, *words):
        return [str(BRIM), "node", *map(str, words)]

    def brim(self, *words, code=0, environment=None):
        """Runs `brim node WORDS`, checks the exit code; what it printed (on failure: on standard error, alone)."""
        done = subprocess.run(self.command(*words), env=self.environment | (environment or {}), capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert code == 0 or done.stderr, f"{words} failed without a word"
        return done.stdout if code == 0 else done.stderr

    def printed(self, *words):
        """The lines that a program prints under `brim node run WORDS`; it must end well and say nothing else."""
        done = subprocess.run(self.command("run", *words), env=self.environment, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0 and done.stderr == "", f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.split("\n")[:-1]

    def create(self, name, cores, memory, *more):
        return self.brim("slices", "create", name, "--cores", cores, "--memory", memory, *more)

    def slices(self):
        return {row["slice"]: row for row in json.loads(self.brim("slices", "list", "--json"))["slices"]}

    def held(self, name):
        """Bytes that the slice holds, exactly."""
        return round(self.slices()[name]["held"] * MIB)

    def classes(self, name):
        shown = json.loads(self.brim("slices", "show", name, "--json"))
        return {row["class"]: row["held"] for row in shown["memory"]}

    def tenant(self, name, **options):
        self.made.append(Process(self, name, **options))
        return self.made[-1]

    def agent(self):
        self.made.append(Agent(self))
        return self.made[-1]

    def truth(self):
        """Bytes in use by process, as the card has them: {pid: bytes}."""
        script = ("import ctypes as c\nl=c.CDLL('libnvidia-ml.so.1');l.nvmlInit_v2();d=c.c_void_p()\n"
                  "l.nvmlDeviceGetHandleByIndex_v2(0,c.byref(d));n=c.c_uint(4096)\n"
                  "class R(c.Structure): _fields_=[('p',c.c_uint),('u',c.c_ulonglong),('g',c.c_uint),('i',c.c_uint)]\n"
                  "r=(R*4096)();l.nvmlDeviceGetComputeRunningProcesses_v3(d,c.byref(n),r)\n"
                  "print(*[f'{r[i].p}:{r[i].u}' for i in range(n.value)])\n")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                              env=self.environment | {"LD_LIBRARY_PATH": str(FAKE)})
        return {int(p): int(u) for p, u in (row.split(":") for row in done.stdout.split())}

    def finish(self):
        for made in self.made:
            if made.process.poll() is None:
                made.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_held(node, name, held):
    wait_until(lambda: node.held(name) == held, what=f"{held} bytes held by {name}")
