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


def error_of_best(cell):
    """How far a share is outside of what was asked and what an arbiter without fault would give, where that was measured:
    a program whose host lets it use less than its share leaves the rest to others."""
    best = cell.get("best", cell["cores"])
    return max(max(0, min(a, b) - got, got - max(a, b)) for got, a, b in zip(cell["ours"]["got"], cell["cores"], best))


def possible(cell):
    """The busiest the card can be with exact shares, of unsliced."""
    none = max(1e-9, cell["none"]["busy"])
    return min(cell.get("ceiling", 1), none) / none


def of_unsliced(cell, side="ours"):
    """Where long kernels of many programs end just inside the window, more seems done than there was time for."""
    return min(1.0, cell[side]["busy"]) / max(1e-9, min(1.0, cell["none"]["busy"]))


def name_of(cell):
    late = f", {cell['late_us']} us late{', stalls' if cell['stalls'] else ''}" if "late_us" in cell else ""
    return f"{'/'.join(map(str, cell['cores']))} {cell['pattern']} x{cell['processes']}{late}"


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
        ratio = [of_unsliced(cell, side) for cell in cells]
        rows.append([NAMES[side], sum(errors) / len(errors), max(errors), f"{name_of(worst)}, {size(worst['kernel_us'])}",
                     100 * min(ratio), 100 * sum(ratio) / len(ratio)])
    book.table(["limiter", "mean error, points", "worst", "worst cell", "least throughput, %", "mean throughput, %"], rows)
    _losing(book, [c for c in cells if every or error_of(c, "ours") > 3 or of_unsliced(c) < 0.97], every)
    errors = [error_of(cell, "ours") for cell in cells]
    book.goal("share error, mean of all cells, points", sum(errors) / len(errors), "<= 3", sum(errors) / len(errors) <= 3)
    book.goal("share error, worst cell, points", max(errors), "<= 8", max(errors) <= 8)
    if any("best" in cell for cell in cells):
        errors = [error_of_best(cell) for cell in cells]
        what = "the same without what the programs' hosts do not let them use"
        book.goal(f"{what}, mean", sum(errors) / len(errors), "<= 3", sum(errors) / len(errors) <= 3)
        book.goal(f"{what}, worst cell", max(errors), "<= 8", max(errors) <= 8)
    ratio = [of_unsliced(cell) for cell in cells]
    book.goal("total throughput of unsliced, mean of all cells, %", 100 * sum(ratio) / len(ratio), ">= 97",
              sum(ratio) / len(ratio) >= 0.97)
    book.goal("total throughput of unsliced, worst cell, %", 100 * min(ratio), ">= 97", min(ratio) >= 0.97)
    if any("ceiling" in cell for cell in cells):
        least = min(of_unsliced(cell) / possible(cell) for cell in cells if "ceiling" in cell)
        book.goal("total throughput of what exact shares leave possible, worst cell, %", 100 * least, ">= 97", least >= 0.97)


def _losing(book, cells, every):
    if not cells:
        return
    heads = ["cell", "kernel", "got", "error", "throughput, %"]
    columns = [name_of, lambda c: size(c["kernel_us"]), lambda c: "/".join(f"{got:.1f}" for got in c["ours"]["got"]),
               lambda c: error_of(c, "ours"), lambda c: 100 * of_unsliced(c)]
    if any("ceiling" in c for c in cells):
        heads.append("possible with exact shares, %")
        columns.append(lambda c: 100 * possible(c) if "ceiling" in c else None)
    if any("best" in c for c in cells):
        heads += ["best on these hosts", "error without that"]
        columns += [lambda c: "/".join(f"{best:.1f}" for best in c["best"]) if "best" in c else None, error_of_best]
    if any("host_wait" in c for c in cells):
        heads.append("waits for a core, %")
        columns.append(lambda c: "/".join(f"{100 * wait:.0f}" for wait in c.get("host_wait", [])))
    book.say("\n  every cell:" if every else "\n  cells that lose (error over 3 points, or throughput under 97 %):")
    book.table(heads, [[column(c) for column in columns] for c in cells])


def alone(book, found):
    loss = [(100 * (1 - c["ours"]["busy"] / max(1e-9, c["none"]["busy"])), c) for c in found["cells"]]
    book.table(["a slice of 10 units alone", "kernel", "loss, %"],
               [[f"{c['pattern']} x{c['processes']}", size(c["kernel_us"]), lost] for lost, c in loss])
    book.goal("loss alone on the card, worst, %", max(lost for lost, _ in loss), "<= 1", max(lost for lost, _ in loss) <= 1)


def hooks(book, found):
    rows, quiet = [], []
    for run in found["runs"]:
        for call in ("launch_ns", "alloc_ns", "free_ns"):
            row = run[call]
            name = f"{call[:-3]}, {run['processes']} process{'es' if run['processes'] > 1 else ''}"
            rows.append([name, row["native"]["median"], row["slice"]["median"], row["added"]["median"], row["native"]["p99"],
                         row["slice"]["p99"], row["added"]["p99"]])
            if "quiet" in row:
                own, low_high = row["quiet"], row["quiet"]["added_p99_quartiles"]
                disturbed = [100 * (1 - row["switches"][side]["quiet_groups"] / max(1, row["switches"][side]["groups"]))
                             for side in ("native", "slice")]
                given = [1e6 * row["switches"][side]["given"] / max(1, 32 * row["switches"][side]["groups"])
                         for side in ("native", "slice")]
                quiet.append([name, own["native"]["p99"], own["slice"]["p99"], own["added"]["p99"],
                              f"{low_high[0]:.0f} to {low_high[1]:.0f}", *disturbed, *given])
    book.table(["call, ns", "native median", "slice median", "added", "native p99", "slice p99", "added p99"], rows)
    if quiet:
        book.say("\n  the same in groups of 32 calls in which the thread kept its processor:")
        book.table(["call, ns", "native p99", "slice p99", "added p99", "half of the pairs", "native: other groups, %",
                    "slice", "native: waits in a million calls", "slice"], quiet)
    single, several = found["runs"][0], found["runs"][-1]
    added = single["launch_ns"]["added"]["median"]
    book.goal("added to a launch, median, ns", added, "<= 150", added <= 150)
    added = single["alloc_ns"]["added"]["median"]
    book.goal("added to an allocation, median, ns", added, "<= 300", added <= 300)
    if several["processes"] > 1:
        for call in ("launch_ns", "alloc_ns"):
            row, name = several[call], f"added to {call[:-3]}, {several['processes']} processes, p99, ns"
            if "quiet" in row:
                added = row["quiet"]["added"]["p99"]
                book.goal(f"{name}, without a switch", added, "<= 2000", added <= 2000)
                name += f", all calls (native {row['native']['p99']:.0f})"
            added = row["added"]["p99"]
            book.goal(name, added, "<= 2000", added <= 2000)


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
    rows, goals = [], []
    for case in found["cases"]:
        alone, ours = case["alone"]["p99_ms"], case["ours"]["p99_ms"]
        worse = 100 * (ours / alone - 1)
        least = 100 * (case["ours"].get("least_p99_ms", alone) / alone - 1)
        when = "random" if case.get("random") else "regular"
        used = case["ours"].get("pauses_used")
        name = f"{case['kernels']} x {size(case['kernel_us'])}, {when}, beside {size(case['offline_us'])}"
        rows.append([name, alone, ours, worse, least, case["none"]["p99_ms"], 100 * case["ours"]["offline_gpu"],
                     None if used is None else 100 * used])
        if case["offline_us"] <= 1000:
            goals.append((name, worse, least))
    book.table(["request, next one, neighbour", "p99 alone, ms", "beside offline", "more, %", "least possible", "without slices",
                "card used by offline, %", "of the pauses, %"], rows)
    for name, worse, least in goals:
        forbidden = f" (at least {least:.0f} in any case)" if least > 10 else ""
        book.goal(f"p99 of {name}: more than alone, %{forbidden}", worse, "<= 10", worse <= 10)


def memory(book, found, what="worst way of allocating"):
    book.table(["allocation", "given, MiB", "answer", "driver says, MiB", "ledger says", "bytes over"], [
        [row["way"], None, row["failed"], None, None, None] if "failed" in row else
        [row["way"], row["taken_mib"], row["code"], row["truth_mib"], row["held_mib"], row["over_bytes"]]
        for row in found["rows"]])
    over = max((row.get("over_bytes", 0) for row in found["rows"]), default=0)
    failed = [row["way"] for row in found["rows"] if "failed" in row]
    book.goal(f"bytes over the limit, {what}", over, "0", over == 0 and not failed)


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


def routes(book, found):
    memory(book, found, "worst way into a program")
    book.goal("both ways in give a program the same", "alike" if found["alike"] else "not alike", "alike", found["alike"])


def native(book, found):
    memory(book, found, "the driver holds it")


def mps_slices(book, found):
    book.table(["cell", "units", "got", "card busy, %"],
               [[name_of(c), "/".join(map(str, c["cores"])), "/".join(f"{got:.1f}" for got in c["ours"]["got"]),
                 100 * c["ours"]["busy"]] for c in found["cells"]])
    if not found["shares"]:
        book.say("  a fake daemon: it shares nothing out, only the way there is shown")


TABLES = {"matrix": matrix, "late": matrix, "live": matrix, "share": matrix, "alone": alone, "live_alone": alone, "hooks": hooks, "start": start,
          "ledger": ledger, "online": online, "memory": memory, "shared": shared, "kills": kills, "overhead": overhead,
          "routes": routes, "native": native, "mps_slices": mps_slices}


def show(book, name, found):
    """The table of a part, or why there is none."""
    if "failed" in found or "skipped" in found:
        book.say(f"  {'FAILED' if 'failed' in found else 'skipped'}: {found.get('failed') or found.get('skipped')}")
        if "failed" in found:
            book.goal(name, "failed", "runs", False)
        return
    TABLES.get(name, plain)(book, found)
