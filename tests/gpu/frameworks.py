"""Parts of tests/gpu/run that need more than the driver: cuda-bindings, libcudart, PyTorch, MPS. Each says when what it
needs is not there; none of them installs anything."""
import json
import subprocess

import backends
import measure
from card import MIB, Failed

LIMIT_MIB = 4096

BINDINGS = """
import json
from cuda.bindings import driver as cu
def ok(answer):
    assert int(answer[0]) == 0, answer
    return answer[1] if len(answer) == 2 else answer[1:]
ok(cu.cuInit(0)); device = ok(cu.cuDeviceGet(0)); ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(device))))
free, total = ok(cu.cuMemGetInfo())
step, taken = 64 << 20, 0
while int(cu.cuMemAlloc(step)[0]) == 0: taken += step
print(json.dumps({"total": total, "free": free, "taken": taken, "seen": ok(cu.cuDeviceTotalMem(device))}), flush=True)
input()
"""

RUNTIME = """
import json
from cuda.bindings import runtime as rt
def ok(answer):
    assert int(answer[0]) == 0, answer
    return answer[1] if len(answer) == 2 else answer[1:]
free, total = ok(rt.cudaMemGetInfo())
step, taken = 64 << 20, 0
while int(rt.cudaMalloc(step)[0]) == 0: taken += step
print(json.dumps({"total": total, "free": free, "taken": taken}), flush=True)
input()
"""

# A convolutional network or a transformer's encoder in half precision, forward alone, each answer waited for.
TORCH = """
import json, sys, time, torch
from torch import nn
kind, seconds = sys.argv[1], float(sys.argv[2])
def block(a, b): return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
if kind == "convolution":
    net = nn.Sequential(block(3, 64), block(64, 128), block(128, 256), block(256, 512), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(512, 1000)); x = torch.randn(32, 3, 224, 224)
else:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True), 12); x = torch.randn(8, 256, 768)
net, x = net.half().cuda().eval(), x.half().cuda()
with torch.inference_mode():
    for _ in range(5): net(x)
    torch.cuda.synchronize(); print("ready", flush=True); start = int(input())
    while time.clock_gettime_ns(time.CLOCK_MONOTONIC) < start: time.sleep(0.001)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        net(x); torch.cuda.synchronize(); count += 1
print(json.dumps({"answers": count, "per_second": count / seconds}), flush=True)
"""


def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _fill(card, python, script):
    """A program fills a slice; what it got, saw, and what the driver says it holds."""
    card.slice("program", 50, LIMIT_MIB)
    try:
        program = card.run("program", python, "-c", script)
        answer = program.answer()
        truth = card.nvml.processes().get(program.pid, 0)
        return {"limit_mib": LIMIT_MIB, "total_mib": answer["total"] / MIB, "taken_mib": answer["taken"] / MIB,
                "truth_mib": truth / MIB, "held_mib": card.held("program") / MIB,
                "over_bytes": max(0, truth - LIMIT_MIB * MIB)}
    finally:
        card.finish()
        card.wait(lambda: card.held("program") == 0)
        card.remove("program")


def bindings(card, python):
    if not has(python, "cuda.bindings.driver"):
        return {"skipped": f"{python} has no cuda-bindings; --python names another"}
    return _fill(card, python, BINDINGS)


def runtime(card, python):
    if card.fake:
        return {"skipped": "libcudart asks for private tables that the fake driver has not"}
    if not has(python, "cuda.bindings.runtime"):
        return {"skipped": f"{python} has no cuda-bindings; --python names another"}
    return _fill(card, python, RUNTIME)


def torch(card, python, seconds):
    """Answers per second of two networks: natively alone, together without slices, and in slices of 30 and 70."""
    if card.fake:
        return {"skipped": "PyTorch is built on libcudart, which the fake driver cannot serve"}
    if not has(python, "torch"):
        return {"skipped": f"{python} has no PyTorch; --python names another"}
    out = {}
    for kind in ("convolution", "transformer"):
        alone = _answers(card, python, kind, seconds, [None])[0]
        together = _answers(card, python, kind, seconds, [None, None])
        memory = card.nvml.memory()["total"] // MIB // 3
        card.slice("t30", 30, memory)
        card.slice("t70", 70, memory)
        try:
            sliced = _answers(card, python, kind, seconds, ["t30", "t70"])
        finally:
            card.finish()
            card.remove("t30", "t70")
        out[kind] = {"alone_per_s": alone, "without_slices_per_s": together, "slices_30_70_per_s": sliced,
                     "share_of_30": 100 * sliced[0] / max(1e-9, sum(sliced)),
                     "throughput_percent": 100 * sum(sliced) / max(1e-9, sum(together))}
    return out


def _answers(card, python, kind, seconds, names):
    programs = [card.run(name, python, "-c", TORCH, kind, seconds) for name in names]
    for program in programs:
        program.line()
    start = measure.time.clock_gettime_ns(measure.time.CLOCK_MONOTONIC) + 200_000_000
    for program in programs:
        program.tell(start)
    rates = [json.loads(program.line())["per_second"] for program in programs]
    card.finish()
    return rates


def mps(card, seconds):
    """The same share cells under MPS with active-thread percentages, without slices."""
    if card.fake:
        return {"skipped": "there is no MPS on the fake card"}
    with backends.mps_daemon(card) as (own, why):
        if own is None:
            return {"skipped": why}
        try:
            return {"cells": [_mps_cell(card, own, cell, seconds) for cell in measure.cells([[10, 90], [30, 70]], [1000], ["async"], (1,))]}
        except Failed as failed:
            return {"failed": str(failed)}


def _mps_cell(card, own, cell, seconds):
    programs = [card.tenant(None, "loop", "--kernel-us", cell["kernel_us"], "--pattern", cell["pattern"], "--seconds", seconds,
                            **own, CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=str(cores)) for cores in cell["cores"]]
    for program in programs:
        program.line()
    start = measure.time.clock_gettime_ns(measure.time.CLOCK_MONOTONIC) + 100_000_000
    for program in programs:
        program.tell(start)
    rates = [answer["gpu_ns"] / answer["window_ns"] for answer in (program.answer(seconds + 60) for program in programs)]
    card.finish()
    return {**cell, "got": [100 * rate / max(1e-9, sum(rates)) for rate in rates], "busy": sum(rates)}
