"""What every part of bench/planner gets: the brim executable, the traces, seeds, and how results are printed.

A part is a module of this folder:

    \"\"\"inflation: allocation at 130 % of capacity, against the published table.\"\"\"
    NEEDS = ["alibaba-gpu-v2023", "fgd-expected"]      # folders of the traces; run is not called without them

    def run(context):
        plan = context.plan("pack", "--nodes", context.trace("alibaba-gpu-v2023/openb_node_list_gpu_node.csv"), ...)
        context.table(["trace", "allocation %"], [["default", plan["allocation"]]])
        context.goal("allocation, default", plan["allocation"], "within 0.5 of 95.4", abs(plan["allocation"] - 95.4) <= 0.5)
        return {"allocation": plan["allocation"]}       # lands in --json, with the goals
"""
import importlib.util
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_MAX = 3600

# Three digits that matter, aligned columns, and the machine's description are those of bench/serve.
_spec = importlib.util.spec_from_file_location("serve_report", ROOT / "bench/serve/report.py")
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)


class PlanFailed(RuntimeError):
    """`brim plan` ended with an error; the text is its message."""


class Context:
    def __init__(self, build, traces, smoke=False, seeds=10):
        self.brim = pathlib.Path(build) / "bin/brim"
        self.traces = pathlib.Path(traces) if traces else None
        self.smoke = smoke                              # One quick pass: does it run? Quote nothing.
        self.seeds = list(range(1, (2 if smoke else seeds) + 1))
        self.results = ROOT / "build/bench-results/planner"
        self.results.mkdir(parents=True, exist_ok=True)
        self.goals = []
        self.cpu_seconds = 0.0                          # Of the last plan(), user and system.
        self.wall_seconds = 0.0

    def trace(self, path):
        """A file of the traces, as text for a command line."""
        return str(self.traces / path)

    def plan(self, *arguments):
        """What `brim plan ARGUMENTS --json --timing` printed; PlanFailed with its error."""
        command = [str(self.brim), "plan", *[str(argument) for argument in arguments], "--json", "--timing"]
        self.progress(" ".join(pathlib.Path(word).name if "/" in word else word for word in command[1:])[:110])
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_seconds = time.monotonic() - start
        self.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.progress("")
        if done.returncode != 0:
            raise PlanFailed(f"{' '.join(command)}\n    {done.stderr.strip()}")
        return json.loads(done.stdout)

    def say(self, text=""):
        print(text, flush=True)

    def progress(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K  {text}", end="", file=sys.stderr, flush=True)

    def table(self, heads, rows):
        """Aligned; numbers with three digits that matter, None as "-". A text cell is printed as it is."""
        if rows:
            self.say(report.table(heads, rows))

    def goal(self, what, figure, goal, reached):
        """One line of the table of goals, printed at the end of the part: figure may be a number or a text."""
        self.goals.append({"what": what, "figure": figure, "goal": goal, "reached": bool(reached)})

    def print_goals(self):
        """Prints and forgets; returns them."""
        goals, self.goals = self.goals, []
        if goals:
            self.say()
            self.table(["goal", "figure", "to reach", "reached"],
                       [[g["what"], g["figure"], g["goal"], report.verdict(g["reached"])] for g in goals])
        return goals


def machine():
    return report.machine()


def version(build):
    done = subprocess.run([str(pathlib.Path(build) / "bin/brim"), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def default_traces():
    return os.environ.get("BRIM_TRACES", "")
