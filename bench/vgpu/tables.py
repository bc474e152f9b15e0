"""Turns what was measured into tables with their goals; the same for a run just made and for a JSON from another machine."""
import importlib.util
import pathlib

_spec = importlib.util.spec_from_file_location(
    "serve_report", pathlib.Path(__file__).resolve().parents[1] / "serve/report.py")
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)

NAMES = {"ours": "ours", "none": "no limiter", "poll2018": "poll and sleep, 2018"}


class Book:
    """Prints tables and keeps goals."""

    def __init__(self, where):
        self.where = where  # "virtual time", "fake card", or the card's name: beside every goal.
        self.goals = []

    def say(self, text=""):
        print(text, flush=True)

    def table(self, heads, rows):
        self.say(report.table(heads, rows))

    def goal(self, what, figure, reach, reached):
        self.goals.append({"what": what, "figure": figure, "goal": reach, "reached": bool(reached), "on": self.where})

    def print_goals(self):
        if self.goals:
            self.say()
            self.table(["goal", "figure", "to reach", "reached", "on"],
                       [[g["what"], g["figure"], g["goal"], report.verdict(g["reached"]), g["on"]] for g in self.goals])


def error_of(cell, side):
    """The largest difference between share received and asked, in points of the card."""
    return max(abs(got - asked) for got, asked in zip(cell[side]["got"], cell["cores"]))


def name_of(cell):
    return f"{'/'.join(map(str, cell['cores']))} {cell['pattern']} x{cell['processes']}"


def size(microseconds):
    return f"{microseconds} us" if microseconds < 1000 else f"{microseconds // 1000} ms"


def matrix(book, found, sides=("ours", "none", "poll2018"), every=False):
    """Share errors and throughput of all cells; the worst ones by name, or with `every` each cell."""
    cells = found["cells"]
    sides = [side for side in sides if side in cells[0]]
    rows = []
    for side in sides:
        errors = [error_of(cell, side) for cell in cells]
        worst = max(cells, key=lambda cell: error_of(cell, side))
        ratio = [cell[side]["busy"] / max(1e-9, cell["none"]["busy"]) for cell in cells]
        rows.append([NAMES[side], sum(errors) / len(errors), max(errors), f"{name_of(worst)}, {size(worst['kernel_us'])}",
                     100 * min(ratio), 100 * sum(ratio) / len(ratio)])
    book.table(["limiter", "mean error, points", "worst", "worst cell", "least throughput, %", "mean throughput, %"], rows)
    losing = [c for c in cells if every or error_of(c, "ours") > 3 or c["ours"]["busy"] < 0.97 * c["none"]["busy"]]
    if losing:
        book.say("\n  every cell:" if every else "\n  cells that lose (error over 3 points, or throughput under 97 %):")
        book.table(["cell", "kernel", "got", "error", "throughput, %"], [
            [name_of(c), size(c["kernel_us"]), "/".join(f"{got:.1f}" for got in c["ours"]["got"]), error_of(c, "ours"),
             100 * c["ours"]["busy"] / max(1e-9, c["none"]["busy"])] for c in losing])
    errors = [error_of(cell, "ours") for cell in cells]
    book.goal("share error, mean of all cells, points", sum(errors) / len(errors), "<= 3", sum(errors) / len(errors) <= 3)
    book.goal("share error, worst cell, points", max(errors), "<= 8", max(errors) <= 8)
    mean = sum(c["ours"]["busy"] / max(1e-9, c["none"]["busy"]) for c in cells) / len(cells)
    least = min(c["ours"]["busy"] / max(1e-9, c["none"]["busy"]) for c in cells)
    book.goal("total throughput of unsliced, mean of all cells, %", 100 * mean, ">= 97", mean >= 0.97)
    book.goal("total throughput of unsliced, worst cell, %", 100 * least, ">= 97", least >= 0.97)


def alone(book, found):
    loss = [(100 * (1 - c["ours"]["busy"] / max(1e-9, c["none"]["busy"])), c) for c in found["cells"]]
    book.table(["a slice of 10 units alone", "kernel", "loss, %"],
               [[f"{c['pattern']} x{c['processes']}", size(c["kernel_us"]), lost] for lost, c in loss])
    book.goal("loss alone on the card, worst, %", max(lost for lost, _ in loss), "<= 1", max(lost for lost, _ in loss) <= 1)


def hooks(book, found):
    rows = []
    for run in found["runs"]:
        for call in ("launch_ns", "alloc_ns", "free_ns"):
            row = run[call]
            rows.append([f"{call[:-3]}, {run['processes']} process{'es' if run['processes'] > 1 else ''}",
                         row["native"]["median"], row["slice"]["median"], row["added"]["median"], row["native"]["p99"],
                         row["slice"]["p99"], row["added"]["p99"]])
    book.table(["call, ns", "native median", "slice median", "added", "native p99", "slice p99", "added p99"], rows)
    single, several = found["runs"][0], found["runs"][-1]
    added = single["launch_ns"]["added"]["median"]
    book.goal("added to a launch, median, ns", added, "<= 150", added <= 150)
    added = single["alloc_ns"]["added"]["median"]
    book.goal("added to an allocation, median, ns", added, "<= 300", added <= 300)
    if several["processes"] > 1:
        for call in ("launch_ns", "alloc_ns"):
            added = several[call]["added"]["p99"]
            book.goal(f"added to {call[:-3]}, {several['processes']} processes, p99, ns", added, "<= 2000", added <= 2000)


def start(book, found):
    book.table(["processes", "native, s", "in a slice, s", "added, s", "added each, ms"],
               [[run["processes"], run["native_s"], run["slice_s"], run["added_s"], 1000 * run["added_s"] / run["processes"]]
                for run in found["runs"]])
    last = found["runs"][-1]
    book.goal(f"{last['processes']} processes start, added in all, s", last["added_s"], "<= 2", last["added_s"] <= 2)


def ledger(book, found):
    book.table(["calls", "processes", "kills", "refused", "times over the limit", "bytes left", "million calls a second"],
               [[found["calls"], found["processes"], found["kills"], found["refused"], found["times_over"], found["drift"],
                 found["calls"] / found["seconds"] / 1e6]])
    book.goal("times over the limit", found["times_over"], "0", found["times_over"] == 0)
    clean = found["drift"] == 0 and found["cells"] == 0 and found["wrong_exits"] == 0
    book.goal("bytes left after reaping", found["drift"], "0", clean)


def online(book, found):
    rows = []
    for case in found["cases"]:
        worse = 100 * (case["ours"]["p99_ms"] / case["alone"]["p99_ms"] - 1)
        rows.append([f"{case['kernels']} x {size(case['kernel_us'])}, beside {size(case['offline_us'])}",
                     case["alone"]["p99_ms"], case["ours"]["p99_ms"], worse, case["none"]["p99_ms"],
                     100 * case["ours"]["offline_gpu"]])
    book.table(["request", "p99 alone, ms", "beside offline", "more, %", "without slices", "card used by offline, %"], rows)
    for row, case in zip(rows, found["cases"]):
        if case["offline_us"] <= 1000:
            book.goal(f"p99 of {row[0]}: more than alone, %", row[3], "<= 10", row[3] <= 10)


def memory(book, found):
    book.table(["allocation", "given, MiB", "answer", "driver says, MiB", "ledger says", "bytes over"], [
        [row["way"], None, row["failed"], None, None, None] if "failed" in row else
        [row["way"], row["taken_mib"], row["code"], row["truth_mib"], row["held_mib"], row["over_bytes"]]
        for row in found["rows"]])
    over = max((row.get("over_bytes", 0) for row in found["rows"]), default=0)
    failed = [row["way"] for row in found["rows"] if "failed" in row]
    book.goal("bytes over the limit, worst way of allocating", over, "0", over == 0 and not failed)


def shared(book, found):
    book.table(["processes", "limit, MiB", "given, MiB", "driver says, MiB", "bytes over"],
               [[found["processes"], found["limit_mib"], found["taken_mib"], found["truth_mib"], found["over_bytes"]]])
    book.goal("bytes over a limit shared by processes", found["over_bytes"], "0", found["over_bytes"] == 0)


def kills(book, found):
    book.table(["processes", "rounds", "looks over the limit", "bytes left", "given back after, s"],
               [[found["processes"], found["rounds"], found["looks_over_limit"], found["bytes_left_after_reaping"],
                 found["reaped_s"]]])
    good = found["looks_over_limit"] == 0 and found["bytes_left_after_reaping"] == 0
    book.goal("bytes left after a kill storm", found["bytes_left_after_reaping"], "0", good)


def overhead(book, found):
    book.table(["context charged, MiB", "driver says with 1 MiB held", "drift, bytes"],
               [[found["context_charged_mib"], found["truth_mib"], found["drift_bytes"]]])


def plain(book, found):
    for key, value in found.items():
        book.say(f"  {key}: {value}")


TABLES = {"matrix": matrix, "live": matrix, "share": matrix, "alone": alone, "hooks": hooks, "start": start,
          "ledger": ledger, "online": online, "memory": memory, "shared": shared, "kills": kills, "overhead": overhead}


def show(book, name, found):
    """The table of a part, or why there is none."""
    if "failed" in found or "skipped" in found:
        book.say(f"  {'FAILED' if 'failed' in found else 'skipped'}: {found.get('failed') or found.get('skipped')}")
        if "failed" in found:
            book.goal(name, "failed", "runs", False)
        return
    TABLES.get(name, plain)(book, found)
