"""What is measured on a card, fake or real, natively and in slices, in turn. Each function gives what lands in the JSON."""
import json
import statistics
import time

from card import MIB, Failed

SHARES = [[10, 90], [30, 70], [50, 50], [25, 25, 25, 25]]
KERNELS_US = [20, 1000, 100000]
PATTERNS = ["async", "sync", "graph"]
WAYS = ["plain", "pitched", "managed", "pool", "physical", "array", "graph"]


def cells(shares=None, kernels=None, patterns=None, processes=(1, 4)):
    return [{"cores": share, "kernel_us": kernel, "pattern": pattern, "processes": count}
            for share in shares or SHARES for kernel in kernels or KERNELS_US for pattern in patterns or PATTERNS
            for count in processes]


def loops(card, slices, cell, seconds, own_cards=False):
    """Runs the cell's tenants together; of each slice the GPU nanoseconds per second, as the kernels themselves count,
    and the part of the time that its threads were ready to run and had no core. own_cards: a fake card for each slice."""
    def start(index, name):
        own = {"FAKE_CUDA_STATE": str(card.folder / f"own{index}")} if own_cards else {}
        return card.tenant(name, "loop", "--kernel-us", cell["kernel_us"], "--pattern", cell["pattern"], "--seconds", seconds,
                           "--settle", settle, **own)

    # What they launch at first is known only when it has run, the card going round them: a slice of few units then gets
    # more than its share, and has to wait for as long as it takes to make up for it.
    settle = max(0.5, cell["processes"] * step_seconds(cell) * sum(cell["cores"]) / min(cell["cores"]))
    programs = [(index, start(index, name)) for index, name in enumerate(slices) for _ in range(cell["processes"])]
    for _, program in programs:
        if (said := program.line()) != "ready":
            raise Failed(f"tenant: {said}")
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 100_000_000
    for _, program in programs:
        program.tell(begin)
    rates, waits = [0.0] * len(slices), [0.0] * len(slices)
    for index, program in programs:
        answer = program.answer(seconds + settle + 120)
        rates[index] += answer["gpu_ns"] / max(1, answer["window_ns"])
        waits[index] += answer.get("host_wait_ns", 0) / max(1, answer["window_ns"]) / cell["processes"]
    card.finish()
    return rates, waits


def best_shares(cores, wants):
    """What an arbiter without fault would give: each in proportion to its units, nobody more than it can use of a card of
    its own; what one leaves goes to the others in the same way. In percent of what is given."""
    got, open_, left = [0.0] * len(cores), set(range(len(cores))), 1.0
    while open_:
        units = sum(cores[i] for i in open_)
        full = {i for i in open_ if wants[i] <= left * cores[i] / units}
        for i in full or open_:
            got[i] = wants[i] if full else left * cores[i] / units
        left -= sum(got[i] for i in full)
        open_ = open_ - full if full else set()
    return [100 * part / max(1e-9, sum(got)) for part in got]


def exact_ceiling(cell, wants):
    """The busiest a card can be with exact shares among loops that wait for each kernel, where a kernel is never cut, by
    what each loop uses of a card of its own: src/vgpu/sim/share_cells.h has the reasoning. A part of the card's time."""
    kernel, ceiling = cell["kernel_us"], 1.0
    for units, want in zip(cell["cores"], wants):
        share = units / sum(cell["cores"])
        if cell["processes"] > 1:
            ceiling = min(ceiling, want / share)
            continue
        gap, others = kernel / max(1e-3, want) - kernel, (1 - share) / share
        idle = [max(0.0, gap - count * kernel) for count in (int(others), int(others) + 1)]
        lost = idle[0] + (others - int(others)) * (idle[1] - idle[0])
        ceiling = min(ceiling, (1 + others) * kernel / ((1 + others) * kernel + lost))
    return ceiling


def step_seconds(cell):
    """GPU time of a launch; a graph of the longest kernels has two of them."""
    kernels = 1 if cell["pattern"] != "graph" else 2 if cell["kernel_us"] >= 50_000 else 20
    return cell["kernel_us"] / 1e6 * kernels


def seconds_for(cell, base):
    """Long steps need a longer look: fifty of them, of all slices together, in place of each second."""
    return max(base, 50 * base * step_seconds(cell))


def share_cell(card, cell, base_seconds=2.0):
    """One cell: shares received in slices, and the same programs without slices. On the fake card, where each waits for
    each of its kernels, also what their hosts let them use: the same programs, each with a card of its own."""
    names = [f"s{i}" for i in range(len(cell["cores"]))]
    memory = card.nvml.memory()["total"] // MIB // (len(names) + 1)
    seconds = seconds_for(cell, base_seconds)
    out = dict(cell)
    out["none_rates"], _ = loops(card, [None] * len(names), cell, seconds)
    if card.fake and cell["pattern"] == "sync":
        out["wants"], _ = loops(card, [None] * len(names), cell, seconds / 2, own_cards=True)
        out["best"] = best_shares(cell["cores"], out["wants"])
        out["ceiling"] = exact_ceiling(cell, out["wants"])
    for name, cores in zip(names, cell["cores"]):
        card.slice(name, cores, memory)
    try:
        out["ours_rates"], out["host_wait"] = loops(card, names, cell, seconds)
    finally:
        card.finish()
        card.remove(*names)
    for side in ("none", "ours"):
        rates = out[f"{side}_rates"]
        out[side] = {"busy": sum(rates), "got": [100 * rate / max(1e-9, sum(rates)) for rate in rates]}
        del out[f"{side}_rates"]
    return out


def alone_cell(card, cell, base_seconds=2.0):
    """A slice of 10 units alone on the card against the same program natively, in turn."""
    seconds = seconds_for(cell, base_seconds)
    memory = card.nvml.memory()["total"] // MIB // 2
    one = {**cell, "cores": [10]}
    native, sliced = [], []
    card.slice("alone", 10, memory)
    try:
        for _ in range(2):
            native.append(sum(loops(card, [None], one, seconds)[0]))
            sliced.append(sum(loops(card, ["alone"], one, seconds)[0]))
    finally:
        card.finish()
        card.remove("alone")
    return {**one, "none": {"busy": max(native), "got": [100]}, "ours": {"busy": max(sliced), "got": [100]}}


CALLS = ("launch_ns", "alloc_ns", "free_ns")
PARTS = {"median": 0.5, "p90": 0.9, "p99": 0.99}
WARM_CALLS = 256


def quantiles(counts):
    """Of a histogram {low edge in ns: calls}."""
    edges, total = sorted(counts), sum(counts.values())
    out = {}
    for part, share in PARTS.items():
        left = share * total
        for edge in edges:
            left -= counts[edge]
            if left < 0:
                break
        out[part] = edge if edges else 0
    return out


def turn(programs, calls):
    """All programs at once; for each kind of call the quantiles over all of them, of all calls and of the quiet ones."""
    for program in programs:
        program.tell(calls)
    answers = [program.answer() for program in programs]
    out = {}
    for call in CALLS:
        quiet, every = {}, {}
        for answer in answers:
            for kind in ("quiet", "disturbed"):
                for low, count in answer[call][kind].items():
                    every[int(low)] = every.get(int(low), 0) + count
                    if kind == "quiet":
                        quiet[int(low)] = quiet.get(int(low), 0) + count
        out[call] = {"all": quantiles(every), "quiet": quantiles(quiet),
                     **{word: sum(answer[call][word] for answer in answers) for word in ("groups", "quiet_groups", "taken", "given")}}
    return out


def paired(pairs, call, which):
    """Medians over the turns of each side, and of the difference within each pair of turns."""
    out = {side: {part: statistics.median(pair[side][call][which][part] for pair in pairs) for part in PARTS}
           for side in ("native", "slice")}
    apart = {part: sorted(pair["slice"][call][which][part] - pair["native"][call][which][part] for pair in pairs)
             for part in PARTS}
    out["added"] = {part: statistics.median(values) for part, values in apart.items()}
    # Of the difference in p99: what three quarters of the pairs stay above, and below.
    out["added_p99_quartiles"] = [apart["p99"][len(pairs) // 4], apart["p99"][-1 - len(pairs) // 4]]
    return out


def hooks(card, turns=40, calls=4096, processes=1, cpus=None, kernel_us=0):
    """Nanoseconds of each call natively and in a slice. The programs of both sides stay and take turns, so that the two
    turns of a pair are a fraction of a second apart; figures are medians over the pairs."""
    memory = card.nvml.memory()["total"] // MIB // 2
    card.slice("hooks", 100, memory)
    try:
        sides = {side: [card.tenant(name, "hooks", "--kernel-us", kernel_us, cpus=cpus) for _ in range(processes)]
                 for side, name in (("native", None), ("slice", "hooks"))}
        for side in sides.values():
            for program in side:
                if (said := program.line()) != "ready":
                    raise Failed(f"tenant: {said}")
            turn(side, WARM_CALLS)
        pairs = []
        for number in range(turns):
            order = ("native", "slice") if number % 2 == 0 else ("slice", "native")
            pairs.append({side: turn(sides[side], calls) for side in order})
    finally:
        card.finish()
        card.remove("hooks")
    out = {"processes": processes, "turns": turns, "calls": calls}
    for call in CALLS:
        switches = {side: {word: sum(pair[side][call][word] for pair in pairs)
                           for word in ("groups", "quiet_groups", "taken", "given")} for side in ("native", "slice")}
        out[call] = {**paired(pairs, call, "all"), "quiet": paired(pairs, call, "quiet"), "switches": switches}
    return out


def start_storm(card, count, rounds=2):
    """`count` processes start at once and stay; seconds until all have a context, natively and in slices, in turn."""
    memory = card.nvml.memory()["total"] // MIB
    card.slice("storm", 100, memory)
    seconds = {"native": [], "slice": []}
    each = {"native": [], "slice": []}
    try:
        for _ in range(rounds):
            for side, name in (("native", None), ("slice", "storm")):
                begin = time.monotonic()
                programs = [card.tenant(name, "start") for _ in range(count)]
                each[side] += [program.answer()["start_ns"] / 1e6 for program in programs]
                seconds[side].append(time.monotonic() - begin)
                card.finish()
                card.wait(lambda: card.held("storm") == 0)
    finally:
        card.finish()
        card.wait(lambda: card.held("storm") == 0)
        card.remove("storm")
    return {"processes": count, "rounds": rounds, **{f"{side}_s": statistics.median(seconds[side]) for side in seconds},
            "added_s": statistics.median(seconds["slice"]) - statistics.median(seconds["native"]),
            **{f"{side}_each_ms": statistics.median(each[side]) for side in each}}


def kill_storm(card, count=16, rounds=3):
    """Processes that allocate and free at random are all killed at once; the ledger must come back to nothing."""
    memory = min(4096 + 600 * count, card.nvml.memory()["free"] // MIB // 2)
    card.slice("kills", 100, memory)
    over, left, reaped_s = 0, [], []
    try:
        for round_number in range(rounds):
            programs = [card.tenant("kills", "churn", "--seconds", 60, "--seed", round_number * 100 + i) for i in range(count)]
            for program in programs:
                program.line()
            pids = {program.pid for program in programs}
            for _ in range(10):
                used = sum(size for pid, size in card.nvml.processes().items() if pid in pids)
                over += used > memory * MIB
                time.sleep(0.05)
            for program in programs:
                program.process.kill()
            begin = time.monotonic()
            card.wait(lambda: card.held("kills") == 0, 10)
            reaped_s.append(time.monotonic() - begin)
            left.append(card.held("kills"))
            card.finish()
    finally:
        card.finish()
        card.wait(lambda: card.held("kills") == 0, 10)
        card.remove("kills")
    return {"processes": count, "rounds": rounds, "limit_mib": memory, "looks_over_limit": over,
            "bytes_left_after_reaping": max(left), "reaped_s": max(reaped_s)}


def memory_matrix(card, limit_mib=2048, step_mib=64):
    """Each way of allocating until refused, in a slice: what was given, and what the card's own driver says is used."""
    rows = []
    for way in WAYS:
        card.slice("memory", 50, limit_mib)
        try:
            rows.append(_one_way(card, way, limit_mib, step_mib))
        except Failed as failed:
            rows.append({"way": way, "failed": str(failed)})
        finally:
            card.finish()
            card.wait(lambda: card.held("memory") == 0)
            card.remove("memory")
    return {"limit_mib": limit_mib, "step_mib": step_mib, "rows": rows}


def _one_way(card, way, limit_mib, step_mib):
    program = card.tenant("memory", "memory", "--way", way, "--step", step_mib * MIB, "--most", 4 * limit_mib * MIB)
    answer = program.answer()
    truth = card.nvml.processes().get(program.pid, 0)
    return {"way": way, "taken_mib": answer["taken"] / MIB, "code": answer["code"], "truth_mib": truth / MIB,
            "held_mib": card.held("memory") / MIB, "over_bytes": max(0, truth - limit_mib * MIB),
            "seen_total_mib": answer["total"] / MIB, "seen_free_mib": answer["free"] / MIB}


def shared_limit(card, count=4, limit_mib=4096):
    """Several processes fill one slice together; what they hold at the end by the driver's own count."""
    card.slice("shared", 50, limit_mib)
    try:
        programs = [card.tenant("shared", "memory", "--way", "plain", "--step", 7 * MIB, "--wait", 1) for _ in range(count)]
        for program in programs:
            program.line()
        for program in programs:
            program.tell("go")
        taken = sum(program.answer()["taken"] for program in programs)
        truth = card.nvml.processes()
        used = sum(truth.get(program.pid, 0) for program in programs)
        return {"processes": count, "limit_mib": limit_mib, "taken_mib": taken / MIB, "truth_mib": used / MIB,
                "over_bytes": max(0, used - limit_mib * MIB)}
    finally:
        card.finish()
        card.wait(lambda: card.held("shared") == 0)
        card.remove("shared")


def online(card, seconds=5.0, cases=((500, 40, 10000, 1000), (500, 20, 5000, 1000), (50, 20, 20000, 1000))):
    """p99 of requests alone, beside an offline slice, and beside the same program without slices."""
    rows = []
    memory = card.nvml.memory()["total"] // MIB // 4
    card.slice("online", 50, memory)
    card.slice("offline", 50, memory, "--priority", "offline")
    try:
        for kernel, count, idle, other in cases:
            row = {"kernel_us": kernel, "kernels": count, "idle_us": idle, "offline_us": other}
            for side, names in (("alone", ("online", None)), ("ours", ("online", "offline")), ("none", (None, ""))):
                row[side] = _requests(card, names, kernel, count, idle, other, seconds)
            rows.append(row)
    finally:
        card.finish()
        card.remove("online", "offline")
    return {"cases": rows}


def _requests(card, names, kernel, count, idle, other, seconds):
    """names: of the slice with requests, and of the other (None: there is none; "": beside all slices)."""
    programs = [card.tenant(names[0], "loop", "--kernel-us", kernel, "--request", count, "--idle-us", idle, "--seconds", seconds)]
    if names[1] is not None:
        programs.append(card.tenant(names[1] or None, "loop", "--kernel-us", other, "--seconds", seconds))
    for program in programs:
        program.line()
    start = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 100_000_000
    for program in programs:
        program.tell(start)
    answers = [program.answer(seconds + 120) for program in programs]
    card.finish()
    latency = answers[0]["latency_ns"]
    offline = answers[1]["gpu_ns"] / answers[1]["window_ns"] if len(answers) > 1 else 0.0
    return {"p50_ms": latency["median"] / 1e6, "p99_ms": latency["p99"] / 1e6, "requests": latency["calls"],
            "offline_gpu": offline}


def overhead(card):
    """What a context and a module take: as the node calibrated it, and as the driver's own count says now."""
    state = json.loads(card.brim("slices", "list", "--json"))
    card.slice("overhead", 50, 4096)
    try:
        program = card.tenant("overhead", "hold", "--bytes", MIB)
        program.answer()
        truth = card.nvml.processes().get(program.pid, 0)
        shown = json.loads(card.brim("slices", "show", "overhead", "--json"))
        held = {row["class"]: row["held"] for row in shown["memory"]}
        return {"context_charged_mib": held["context"] / MIB, "truth_mib": truth / MIB,
                "drift_bytes": truth - sum(held.values()), "slices_before": len(state["slices"])}
    finally:
        card.finish()
        card.wait(lambda: card.held("overhead") == 0)
        card.remove("overhead")
