"""A card to measure on: the fake one or this host's, a node with slices on it, and tenants in and beside them.

Everything that is started dies with this process, and close() waits for it; no setting of the card is touched.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

ANSWER_SECONDS = 180
MIB = 1 << 20


class Failed(RuntimeError):
    """A program ended with an error, or gave no answer; the text says which and how."""


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Program:
    """One tenant, answering by lines of text."""

    def __init__(self, command, environment, cpus=None):
        self.command = command
        prefix = ["taskset", "-c", cpus] if cpus else []
        self.process = subprocess.Popen(prefix + command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
        self.pending = b""

    @property
    def pid(self):
        return self.process.pid

    def line(self, seconds=ANSWER_SECONDS):
        """The next line of its output."""
        end = time.monotonic() + seconds
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                self.process.kill()
                error = self.process.stderr.read().decode(errors="replace")
                raise Failed(f"{' '.join(self.command)} gave no answer: {error.strip()[-400:]}")
            self.pending += piece
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def answer(self, seconds=ANSWER_SECONDS):
        """The next line as JSON; Failed when it tells of an error."""
        found = json.loads(self.line(seconds))
        if "failed" in found:
            raise Failed(f"{' '.join(self.command)}: {found['failed']} gives {found['code']}")
        return found

    def tell(self, text):
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:  # It is gone, and what was not yet written with it.
                pass
        return self.process.wait(timeout=60)


class NvmlProcess(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong), ("instance", ctypes.c_uint), ("part", ctypes.c_uint)]


class NvmlMemory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Nvml:
    """The truth about the card, from the vendor's own library."""

    def __init__(self, path):
        self.nvml = ctypes.CDLL(path)
        self.device = ctypes.c_void_p()
        if self.nvml.nvmlInit_v2() != 0 or self.nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device)) != 0:
            raise Failed(f"{path} does not start: no card, or its driver is not loaded")

    def text(self, name, *arguments):
        out = ctypes.create_string_buffer(256)
        error = getattr(self.nvml, name)(*arguments, out, 256)
        return out.value.decode() if error == 0 else f"unknown ({error})"

    def memory(self):
        out = NvmlMemory()
        self.nvml.nvmlDeviceGetMemoryInfo(self.device, ctypes.byref(out))
        return {"total": out.total, "free": out.free, "used": out.used}

    def processes(self):
        """{pid: bytes}."""
        rows, count = (NvmlProcess * 4096)(), ctypes.c_uint(4096)
        error = self.nvml.nvmlDeviceGetComputeRunningProcesses_v3(self.device, ctypes.byref(count), rows)
        none = (1 << 64) - 1
        return {rows[i].pid: 0 if rows[i].used == none else rows[i].used for i in range(count.value)} if error == 0 else {}


def _own_driver(file):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/usr/lib"):
        if (path := pathlib.Path(folder) / file).exists():
            return str(path)
    return file


class Card:
    """fake: a card of its own in a fresh state file, with these FAKE_CUDA_ settings. Else card 0 of this host."""

    def __init__(self, build, fake=True, **settings):
        self.build = pathlib.Path(build).resolve()
        self.fake = fake
        self.brim_path = self.build / "bin/brim"
        self.tenant_path = self.build / "bin/tenant"
        for path in (self.brim_path, self.tenant_path, self.build / "slice/libcuda.so.1"):
            if not path.exists():
                raise Failed(f"{path} is missing: build the targets brim, brim_shim_cuda, brim_shim_nvml and tenant")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-bench-", dir="/dev/shm"))
        driver = self.build / "fake_driver"
        self.libcuda = str(driver / "libcuda.so.1") if fake else _own_driver("libcuda.so.1")
        self.libnvml = str(driver / "libnvidia-ml.so.1") if fake else _own_driver("libnvidia-ml.so.1")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("BRIM_", "FAKE_CUDA_", "CUDA_MPS"))}
        self.environment |= {"BRIM_NODE_DIR": str(self.folder / "node"), "BRIM_REAL_LIBCUDA": self.libcuda,
                             "BRIM_REAL_LIBNVIDIA_ML": self.libnvml}
        # Of a build that was made elsewhere: tests/gpu/run --pack.
        self.carried = [str(self.build / "carried")] if (self.build / "carried").is_dir() else []
        if self.carried:
            before = [self.environment["LD_LIBRARY_PATH"]] if self.environment.get("LD_LIBRARY_PATH") else []
            self.environment["LD_LIBRARY_PATH"] = ":".join(self.carried + before)
        if fake:
            self.environment["FAKE_CUDA_STATE"] = str(self.folder / "fake")
            self.environment |= {f"FAKE_CUDA_{k.upper()}": str(v) for k, v in settings.items()}
            os.environ |= {k: v for k, v in self.environment.items() if k.startswith("FAKE_CUDA_")}
        self.programs = []
        self.agent_process = None
        self.nvml = Nvml(self.libnvml)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def about(self):
        return {"card": self.nvml.text("nvmlDeviceGetName", self.nvml.device) + (" (fake card)" if self.fake else ""),
                "driver": self.nvml.text("nvmlSystemGetDriverVersion"), "memory_mib": self.nvml.memory()["total"] // MIB,
                "fake": self.fake}

    def brim(self, *words):
        done = subprocess.run([str(self.brim_path), "node", *map(str, words)], env=self.environment, capture_output=True,
                              text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failed(f"brim node {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def slice(self, name, cores, memory_mib, *more):
        self.brim("slices", "create", name, "--cores", cores, "--memory", f"{memory_mib}MiB", *more)

    def remove(self, *names):
        for name in names:
            self.brim("slices", "remove", name)

    def held(self, name):
        """Bytes that the ledger says the slice holds."""
        rows = json.loads(self.brim("slices", "list", "--json"))["slices"]
        return next(round(row["held"] * MIB) for row in rows if row["slice"] == name)

    def agent(self):
        self.agent_process = subprocess.Popen([str(self.brim_path), "node", "--port", "0"], env=self.environment,
                                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                              preexec_fn=_die_with_parent)
        while b"metrics" not in (line := self.agent_process.stdout.readline()):
            if not line:
                raise Failed("the agent did not start")

    @contextlib.contextmanager
    def settings(self, agent=True, **more):
        """With these variables in the environment of all that is started in the block, and of the agent (or not of it)."""
        before, again = self.environment, agent and self.agent_process is not None
        self.environment = before | more
        if again:
            self.end_agent()
            self.agent()
        try:
            yield
        finally:
            self.environment = before
            if again:
                self.end_agent()
                self.agent()

    def command(self, name, *words, inject=None):
        words = list(map(str, words))
        way = ["--inject", inject] if inject else []
        return words if name is None else [str(self.brim_path), "node", "run", "--slice", name, *way, "--", *words]

    def run(self, name, *words, cpus=None, inject=None, **environment):
        """A program in a slice, or with None natively."""
        own = self.environment | environment
        if name is None and self.fake:
            own["LD_LIBRARY_PATH"] = ":".join([str(pathlib.Path(self.libcuda).parent), *self.carried])
        self.programs.append(Program(self.command(name, *words, inject=inject), own, cpus))
        return self.programs[-1]

    def tenant(self, name, *words, cpus=None, **environment):
        return self.run(name, self.tenant_path, *words, cpus=cpus, **environment)

    def wait(self, condition, seconds=30):
        """Whether the condition came about in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def finish(self):
        """Ends what was started on the card; the agent stays."""
        for program in self.programs:
            if program.process.poll() is None:
                program.process.kill()
            program.end()
        self.programs.clear()

    def end_agent(self):
        if self.agent_process:
            self.agent_process.terminate()
            self.agent_process.wait(timeout=30)
            self.agent_process.stdout.close()
            self.agent_process = None

    def close(self):
        self.finish()
        self.end_agent()
        shutil.rmtree(self.folder, ignore_errors=True)
