"""Loads: runs the load generators and the bare loop, and returns what each measured as a dictionary.

rate (answers a second), cpu_us (of the server per answer), p50_us, p99_us, ... and errors. A load with any wrong
answer raises, because its figures would mean nothing.
"""
import json
import re
import subprocess
import time


class LoadFailed(RuntimeError):
    pass


class Load:
    """What is asked for: a model, its input and its shape; answers have at least answer_bytes."""

    def __init__(self, model, input_name, dims, answer_bytes=1):
        self.model = model
        self.input = input_name
        self.dims = ",".join(str(dim) for dim in dims)
        self.answer_bytes = answer_bytes

    def words(self, answer_bytes=None):
        return ["--model", self.model, "--input", self.input, "--dims", self.dims,
                "--answer-bytes", str(answer_bytes or self.answer_bytes)]


def _json_of(command, timeout, may_fail=False):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, check=False)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise LoadFailed(f"{' '.join(str(word) for word in command)}: {done.stderr.strip() or done.stdout}") from None
    if not may_fail and (done.returncode != 0 or result.get("errors", 0) > 0):
        raise LoadFailed(f"{result['errors']} errors, first: {result['first_error']}")
    return result


def own(build, server, load, protocol="http", connections=1, streams=1, seconds=3, rate=0, models=0, seed=1,
        may_fail=False, shared=None):
    """Closed loop, or open loop at `rate` requests a second, with bench/serve/loadgen.

    `shared`, an output's name and bytes: gRPC carries neither tensor, they lie in system shared memory.
    """
    command = [build / "bin/loadgen", "--port", server.port, "--pid", server.pid, "--protocol", protocol,
               "--connections", connections, "--streams", streams, "--seconds", seconds, "--seed", seed,
               *load.words(1 if shared else None)]
    if shared:
        command += ["--shared-output", shared[0], "--shared-bytes", shared[1]]
    if rate:
        command += ["--rate", f"{rate:.3f}"]
    if models:
        command += ["--models", models]
    try:
        return _json_of(command, seconds + 150, may_fail)
    except LoadFailed as error:
        ended = server.process.poll()
        state = "is running" if ended is None else f"ended with {ended}, its log is {server.log_path}"
        raise LoadFailed(f"{server.name} ({state}), {load.model} over {protocol}, {connections}x{streams}: {error}") from None


def h2load(build, server, load, work, connections=1, streams=1, seconds=3):
    """gRPC closed loop with nghttp2's h2load, a client that nobody here wrote.

    It counts an HTTP/2 answer as success whatever its grpc-status; a failed call has no message, so the number of
    data bytes tells whether all succeeded.
    """
    probe = own(build, server, load, "grpc", seconds=0.05)
    frame, log = work / "frame.bin", work / "h2load.log"
    subprocess.run([str(word) for word in [build / "bin/loadgen", "--dump", frame, *load.words()]], check=True)
    log.unlink(missing_ok=True)
    cpu = server.cpu_seconds()
    done = subprocess.run(
        ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(max(1, round(seconds))), "-d", str(frame),
         "-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={log}",
         f"http://127.0.0.1:{server.port}/inference.GRPCInferenceService/ModelInfer"],
        capture_output=True, text=True, timeout=seconds + 60, check=False)
    cpu = server.cpu_seconds() - cpu
    answers = int(re.search(r"(\d+) succeeded", done.stdout).group(1))
    data = int(re.search(r"headers .*?, \S+ \((\d+)\) data", done.stdout).group(1))
    failed = int(re.search(r"(\d+) failed", done.stdout).group(1))
    if answers == 0 or failed or data < answers * probe["answer_bytes"]:
        raise LoadFailed(f"h2load: {answers} answers, {failed} failed, {data} bytes, each should have "
                         f"{probe['answer_bytes']}")
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    log.unlink()
    wall = float(re.search(r"finished in ([\d.]+)s", done.stdout).group(1))
    return {"rate": answers / wall, "cpu_us": 1e6 * cpu / answers, "p50_us": times[len(times) // 2],
            "p99_us": times[len(times) * 99 // 100], "answers": answers, "errors": 0,
            "answer_bytes": probe["answer_bytes"]}


def bare(build, model, dims, callers, seconds, static=False, sockets=0):
    """OpenVINO in a loop, no server: rate, cpu_us, infer_cpu_us, p50_us, p99_us; `sockets` connections carry the bytes."""
    command = [build / "bin/bare_openvino", "--model", model, "--shape", ",".join(str(dim) for dim in dims),
               "--callers", callers, "--seconds", seconds, "--sockets", sockets]
    return _json_of(command + (["--static"] if static else []), seconds + 60)


def bare_open(build, model, dims, callers, seconds, rate, models, seed, read=False):
    """The same in open loop: `models` compiled copies, Zipf popularity, Poisson arrivals at `rate` in all.

    `read`: nothing is inferred, the model's weights are read; infer_cpu_us is then the CPU of that.
    """
    return _json_of([build / "bin/bare_openvino", "--model", model, "--shape", ",".join(str(dim) for dim in dims),
                     "--callers", callers, "--seconds", seconds, "--rate", rate, "--models", models, "--seed", seed]
                    + (["--read"] if read else []), seconds + 150)


def interleave(sides, rounds, pause=0.2):
    """{name: call} to {name: [result of each round]}: A B C, A B C, ..., so that a slow minute hits all alike."""
    results = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            results[name].append(call())
            time.sleep(pause)
    return results
