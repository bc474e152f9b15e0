"""Servers under measurement: started on a free port of loopback, watched through /proc, always stopped."""
import atexit
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

START_SECONDS = 600  # A bound for a hung start, never a wait.
STOP_SECONDS = 30
_running = []


def _stop_all():
    for server in list(_running):
        server.stop()


atexit.register(_stop_all)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that prints a line once it serves. Use as a context manager or call stop()."""

    def __init__(self, name, command, log, port):
        self.name = name
        self.port = port
        self.log_path = pathlib.Path(log)
        self._log = open(log, "wb")
        begin = time.monotonic()
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=self._log)
        _running.append(self)
        ready, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        self.first_line = self.process.stdout.readline().decode() if ready else ""
        self.ready_seconds = time.monotonic() - begin
        if not self.first_line:
            self.stop()
            raise RuntimeError(f"{name} did not start; its log:\n{self.log_path.read_text(errors='replace')[-3000:]}")
        self.start_cpu_seconds = self.cpu_seconds()

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """The process's CPU clock: all threads, ended ones too, to the nanosecond."""
        return time.clock_gettime((~self.pid << 3) | 2)  # As clock_getcpuclockid(3) makes it.

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def rss_mb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def pss_mb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        if self in _running:
            _running.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Brim(Server):
    """`brim serve` on a directory; ready when it says what it serves."""

    def __init__(self, build, models, log, *flags, name="brim"):
        command = [build / "bin/brim", "serve", models, "--host", "127.0.0.1", "--port", "0", "--json",
                   "--log-level", "warn", *flags]
        super().__init__(name, command, log, 0)
        self.report = json.loads(self.first_line)
        self.port = self.report["ports"][0]
        if self.report["not_serving"]:
            self.stop()
            raise RuntimeError(f"brim does not serve {self.report['not_serving']}")

    def post(self, path, body=b"", timeout=120):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"POST {path}: {answer.status} {text[:300]!r}")
            return text
        finally:
            connection.close()

    def get_json(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


class Comparator(Server):
    """One of the bare servers; they take a port and print "ready"."""

    def __init__(self, build, program, log):
        port = free_port()
        super().__init__(program, [build / "bin" / program, port], log, port)
