"""density: 1, 10, 50 and 200 copies of one small model, Zipf popularity, the same total rate (open loop, HTTP).

Each count gets a server of its own, started afresh in every round. Reach: threads the same for all counts, and CPU per
answer with 200 models at most 10 % above that with one. Triton 2.51, measured earlier: 627 threads, and 45 % more.

What grows is compared with two that do nothing but call the runtime, in turn with Brim, each with as many compiled copies.
"bare HTTP" gets the very same requests from the same client over as many connections: two epoll loops that skip all that
can be skipped. "growth added" is what Brim's growth per answer is beyond its. "loop" has no wire: as many threads as there
are cores draw arrivals of the same kind and sleep until each; "infer" is the CPU of its infer() alone.

"reading" is the same loop with no runtime at all: in place of an inference it reads the model's f32 weights once, one
stream of vector loads from as many sets of weights as there are models. "in a row" reads without ever sleeping, on one core,
which is the cheapest way. A server that reads f32 weights for each request grows by about as much at least: it can only hide
what it would otherwise compute with them behind the reading.
"""
import os
import pathlib

import loads
import report
from processes import Brim, Server, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
REACH = 1.10
COUNTS = (1, 10, 50, 200)
# name: (model file, load, requests a second)
MODELS = {
    "mlp": ("onnx/mlp.onnx", loads.Load("mlp", "input", [1, 150], 40), 4000),
    "cls": ("ocr/cls.onnx", loads.Load("cls", "x", [1, 3, 48, 192], 8), 500),
}
CONNECTIONS = 32


def run(bench):
    rows = []
    for name, (source, load, rate) in MODELS.items():
        if not bench.wants(name):
            continue
        results = {count: [] for count in COUNTS}
        bare = {count: [] for count in COUNTS}
        loop = {count: [] for count in COUNTS}
        reading = {count: [] for count in COUNTS}
        in_a_row = {count: [] for count in COUNTS}
        for count in COUNTS:
            models = bench.folder(f"density-{name}-{count}")
            for i in range(count):
                bench.copy_model(source, models / f"{name}_{i:03d}.onnx")
        for turn in range(bench.rounds):
            for count in COUNTS:
                bench.progress(f"density {name} N={count} round {turn + 1}")
                results[count].append(once(bench, name, load, rate, count, turn))
                bare[count].append(once_bare(bench, name, source, load, rate, count, turn))
                loop[count].append(once_loop(bench, source, load, rate, count, turn))
                reading[count].append(once_loop(bench, source, load, rate, count, turn, read=True))
                in_a_row[count].append(once_in_a_row(bench, source, load, count, turn))
        found = [{"model": name, "models": count, **report.summary(results[count]), "bare": report.summary(bare[count]),
                  "loop": report.summary(loop[count]), "reading": report.summary(reading[count]),
                  "reading_in_a_row": report.summary(in_a_row[count])} for count in COUNTS]
        for row in found:
            row["growth_us"] = row["cpu_us"] - found[0]["cpu_us"]
            row["bare_growth_us"] = row["bare"]["cpu_us"] - found[0]["bare"]["cpu_us"]
            for key in ("reading", "reading_in_a_row"):
                row[f"{key}_growth_us"] = row[key]["infer_cpu_us"] - found[0][key]["infer_cpu_us"]
            row["growth_added"] = (row["growth_us"] - row["bare_growth_us"]) / found[0]["cpu_us"]
            row["cpu_ratio"] = row["cpu_us"] / found[0]["cpu_us"]
            row["reached"] = row["cpu_ratio"] <= REACH and row["threads"] == found[0]["threads"]
        rows += found
        svg = bench.results / f"density-{name}.svg"
        report.plot(svg, f"{name}: number of models, Zipf 1.1, {rate} requests/s in all", COUNTS,
                    {"threads": [row["threads"] for row in found], "CPU us per answer": [row["cpu_us"] for row in found],
                     "resident MB": [row["rss_mb"] for row in found]})
        bench.say(f"  {name}, {rate}/s, plotted in {svg}")
        bench.say(report.table(
            ["models", "ready s", "CPU s", "threads", "idle MB", "RSS MB", "PSS MB", "MB/model", "CPU us", "of N=1",
             "reached", "p50 us", "p99 us", "p99.9 us", "lag p99 us"],
            [[str(row["models"]), row["ready_s"], row["ready_cpu_s"], row["threads"], row["idle_mb"], row["rss_mb"],
              row["pss_mb"], row["mb_per_model"], row["cpu_us"], row["cpu_ratio"], report.verdict(row["reached"]),
              row["p50_us"], row["p99_us"], row["p999_us"], row["lag_p99_us"]] for row in found]))
        bench.say(report.table(
            ["models", "brim us", "growth", "bare HTTP us", "growth", "of N=1", "growth added", "loop us", "infer us",
             "loop MB"],
            [[str(row["models"]), row["cpu_us"], row["growth_us"], row["bare"]["cpu_us"], row["bare_growth_us"],
              row["bare"]["cpu_us"] / found[0]["bare"]["cpu_us"], f"{100 * row['growth_added']:+.0f} %",
              row["loop"]["cpu_us"], row["loop"]["infer_cpu_us"], row["loop"]["rss_mb"]] for row in found]))
        bench.say(report.table(
            ["models", "reading us", "growth", "of brim", "of bare HTTP", "in a row us", "growth", "of brim",
             "of bare HTTP"],
            [[str(row["models"]), *(cell for key in ("reading", "reading_in_a_row")
                                    for cell in reading_cells(row, key, found[0]))] for row in found]))
        bench.say("  of brim, of bare HTTP: the growth over that one's CPU at N=1; 10 % is all that the reach leaves.")
    return rows


def reading_cells(row, key, one):
    growth = row[f"{key}_growth_us"]
    return [row[key]["infer_cpu_us"], growth, f"{100 * growth / one['cpu_us']:.0f} %",
            f"{100 * growth / one['bare']['cpu_us']:.0f} %"]


def once(bench, name, load, rate, count, turn):
    with Brim(bench.build, bench.folder(f"density-{name}-{count}", keep=True),
              bench.log(f"density-{name}-{count}")) as brim:
        idle = brim.rss_mb()
        result = loads.own(bench.build, brim, load, "http", CONNECTIONS, 1, max(2, bench.seconds), rate, count,
                           seed=turn + 1)
        return {**result, "ready_s": brim.ready_seconds, "ready_cpu_s": brim.start_cpu_seconds,
                "threads": brim.threads(), "idle_mb": idle, "rss_mb": brim.rss_mb(), "pss_mb": brim.pss_mb(),
                "mb_per_model": idle / count}


def once_bare(bench, name, source, load, rate, count, turn):
    port = free_port()
    command = [bench.build / "bin/bare_http", port, ROOT / ".deps/models" / source, load.dims, count]
    with Server("bare_http", command, bench.log(f"density-{name}-{count}-bare"), port) as server:
        return loads.own(bench.build, server, load, "http", CONNECTIONS, 1, max(2, bench.seconds), rate, count,
                         seed=turn + 1)


def once_loop(bench, source, load, rate, count, turn, read=False):
    return loads.bare_open(bench.build, ROOT / ".deps/models" / source, load.dims.split(","),
                           len(os.sched_getaffinity(0)), max(2, bench.seconds), rate, count, turn + 1, read)


def once_in_a_row(bench, source, load, count, turn):
    """Arrivals so many that the one caller never waits for the next."""
    return loads.bare_open(bench.build, ROOT / ".deps/models" / source, load.dims.split(","), 1, 1, 1e9, count, turn + 1,
                           read=True)
