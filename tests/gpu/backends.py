"""Parts of tests/gpu/run about the ways to hold a slice: both ways into a program, and the backends of the driver where
`brim node doctor` says that they work. On the fake card the fakes of the repository stand in: tests/fakes/libcuda keeps
memory limits of control groups (folders may stand for those), tests/fakes/mps answers and shares nothing out."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess

import measure
from card import MIB, Failed

FAKE_MPS = pathlib.Path(__file__).resolve().parents[1] / "fakes/mps"
LIMIT_MIB = 2048


def offer(card, backend):
    """What doctor says of the backend on the first card; Failed when there is no such row."""
    done = subprocess.run(card.command(None, card.brim_path, "node", "doctor", "--json"), env=card.environment,
                          capture_output=True, text=True, timeout=60, check=False)
    for row in json.loads(done.stdout).get("backends", []):
        if row["backend"] == backend and row["card"] == 0:
            return row
    raise Failed(f"brim node doctor says nothing of {backend}: {done.stdout}{done.stderr}")


def fill(card, way, name, *options, around=False, inject=None):
    """A program fills a slice made with `options`; what it was given and saw, and what the driver says it holds. around: it
    finds the vendor's library and not ours, in the same slice."""
    card.slice(name, 50, LIMIT_MIB, *options)
    try:
        words = ["memory", "--way", "plain", "--step", 16 * MIB, "--most", 2 * LIMIT_MIB * MIB]
        if around:
            folders = [str(pathlib.Path(card.libcuda).parent)] if card.fake else []
            found = "LD_LIBRARY_PATH=" + ":".join(folders + card.carried)
            program = card.run(name, "env", found, card.tenant_path, *words)
        else:
            program = card.run(name, card.tenant_path, *words, inject=inject)
        answer = program.answer()
        truth = card.nvml.processes().get(program.pid, 0)
        return {"way": way, "taken_mib": answer["taken"] / MIB, "code": answer["code"], "truth_mib": truth / MIB,
                "held_mib": card.held(name) / MIB, "over_bytes": max(0, truth - LIMIT_MIB * MIB),
                "seen_total_mib": answer["total"] / MIB}
    finally:
        card.finish()
        card.wait(lambda: card.held(name) == 0)
        # The driver may take a moment to see that a program has ended.
        card.wait(lambda: _removed(card, name), 10)


def _removed(card, name):
    try:
        card.remove(name)
        return True
    except Failed as failed:
        if "process" not in str(failed):
            raise
        return False


def routes(card):
    """The same program by both ways in: the same answers, the same counts."""
    rows = []
    for inject in ("replace", "preload"):
        before = {"LD_LIBRARY_PATH": str(pathlib.Path(card.libcuda).parent)} if card.fake else {}
        with card.settings(agent=False, **before):  # Where this host's loader finds its driver.
            rows.append(fill(card, inject, "route", inject=inject))
    alike = all(row[key] == rows[0][key] for row in rows for key in ("taken_mib", "code", "held_mib", "seen_total_mib"))
    return {"limit_mib": LIMIT_MIB, "step_mib": 16, "rows": rows, "alike": alike}


@contextlib.contextmanager
def limits(card):
    """On the fake card: its driver limits memory by control group, and a folder stands in for their tree."""
    if not card.fake:
        yield
        return
    groups = pathlib.Path(card.folder) / "groups"
    groups.mkdir(exist_ok=True)
    with card.settings(BRIM_CGROUP_ROOT=str(groups), FAKE_CUDA_MEMORY_LIMITS="on"):
        yield


def native(card):
    """Out of memory in a slice that the driver itself limits: by the shim, and by a program that goes round it."""
    with limits(card):
        found = offer(card, "native")
        if not found["works"]:
            return {"skipped": f"brim node doctor: {found['reason']}"}
        own = ("--memory-backend", "native")
        return {"limit_mib": LIMIT_MIB, "step_mib": 16, "reason": found["reason"],
                "rows": [fill(card, "plain", "native", *own), fill(card, "round the shim", "native", *own, around=True)]}


@contextlib.contextmanager
def mps_daemon(card):
    """The control daemon of MPS, ours alone, for as long as the block runs; gives its environment, or why there is none."""
    path = f"{FAKE_MPS}:{os.environ.get('PATH', '')}" if card.fake else os.environ.get("PATH", "")
    control = shutil.which("nvidia-cuda-mps-control", path=path)
    if control is None:
        yield None, "nvidia-cuda-mps-control is not installed"
        return
    folder = pathlib.Path(card.folder) / "mps"
    folder.mkdir(exist_ok=True)
    own = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder), "PATH": path}
    started = subprocess.run([control, "-d"], env=card.environment | own, capture_output=True, text=True, timeout=30, check=False)
    if started.returncode != 0:
        yield None, f"nvidia-cuda-mps-control does not start here: {(started.stdout + started.stderr).strip()[:200]}"
        return
    try:
        yield own, ""
    finally:
        card.finish()
        subprocess.run([control], env=card.environment | own, input="quit\n", text=True, capture_output=True, timeout=60, check=False)


def mps_slices(card, seconds):
    """The share case in slices whose cores MPS holds; on the fake card it only shows that programs start and end so."""
    with mps_daemon(card) as (own, why):
        if own is None:
            return {"skipped": why}
        with card.settings(**own):
            found = offer(card, "mps")
            if not found["works"]:
                return {"skipped": f"brim node doctor: {found['reason']}"}
            cells = measure.cells([[30, 70]], [1000], ["async"], (1,))
            return {"reason": found["reason"], "shares": not card.fake, "cells": [_mps_cell(card, cell, seconds) for cell in cells]}


def _mps_cell(card, cell, seconds):
    names = [f"m{index}" for index in range(len(cell["cores"]))]
    memory = card.nvml.memory()["total"] // MIB // (len(names) + 1)
    for name, cores in zip(names, cell["cores"]):
        card.slice(name, cores, memory, "--cores-backend", "mps")
    try:
        rates, _ = measure.loops(card, names, cell, measure.seconds_for(cell, seconds))
    finally:
        card.finish()
        card.remove(*names)
    return {**cell, "ours": {"busy": sum(rates), "got": [100 * rate / max(1e-9, sum(rates)) for rate in rates]}}
