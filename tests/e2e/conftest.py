"""Fixtures of the end-to-end tests: start `brim serve`, wait until it is ready, stop it, and see how it ended.

Run one file by hand: BRIM_BUILD=build/dev .deps/venv/clients/bin/python -m pytest tests/e2e/test_ocr.py
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = ROOT / ".deps"
MODELS = DEPS / "models"
BUILD = pathlib.Path(os.environ.get("BRIM_BUILD", ROOT / "build/dev")).resolve()
BRIM = BUILD / "bin/brim"
START_SECONDS = 120  # A bound for a hung start, never a wait: start-up is awaited by its own output.


class Server:
    """One `brim serve` on a port of the kernel's choice."""

    def __init__(self, path, *flags, log=None):
        self.log_path = log
        self.log = open(log, "wb") if log else subprocess.DEVNULL
        command = [str(BRIM), "serve", str(path), "--host", "127.0.0.1", "--port", "0", "--json", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        ready, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"brim did not start: {self.read_log()}")
        self.report = json.loads(line)
        self.port = self.report["ports"][0]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"

    def read_log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace") if self.log_path else "(no log kept)"

    @property
    def pid(self):
        return self.process.pid

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def alive(self):
        return self.process.poll() is None

    def stop(self, signal_number=signal.SIGTERM):
        """Sends the signal and returns the exit code."""
        if self.alive():
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.log_path:
                self.log.close()


class Servers:
    """Starts servers and makes sure that each has ended well when its test or module is over."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, path, *flags):
        server = Server(path, *flags, log=self.folder / f"brim-{len(self.running)}.log")
        self.running.append(server)
        return server

    def finish(self):
        for server in self.running:
            died = not server.alive() and not getattr(server, "expected_dead", False)
            code = server.stop()
            if died or (code != 0 and not getattr(server, "expected_dead", False)):
                raise AssertionError(f"brim ended with {code}:\n{server.read_log()[-4000:]}")


@pytest.fixture
def servers(tmp_path):
    """`servers.start(path, *flags)` gives a Server; every one must survive its test and exit with 0."""
    made = Servers(tmp_path)
    yield made
    made.finish()


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory):
    """As `servers`, shared by the tests of one file."""
    made = Servers(tmp_path_factory.mktemp("brim"))
    yield made
    made.finish()


def copy_models(destination, **models):
    """Puts model files or directories under destination/<name>; keyword: source path below .deps/models."""
    destination.mkdir(parents=True, exist_ok=True)
    for name, source in models.items():
        source = MODELS / source
        if source.is_dir():
            shutil.copytree(source, destination / name / "1")
        else:
            shutil.copy(source, destination / (name + source.suffix))
    return destination


def wait_until(condition, seconds=30, what="the condition"):
    """Polls a condition that another process brings about; fails after the bound."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about in {seconds} s")


def needs(path, hint):
    """Fails (never skips) with what to type when a pinned part is missing."""
    if not path.exists():
        pytest.fail(f"{path} is missing: {hint}")
    return path


FAKE_IDENTITY = """brim-fake 1
signature serving_default
input x FP32 -1,-1
output y FP32 -1,-1 identity x
"""
