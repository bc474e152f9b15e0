"""rec: OCR's text recogniser through gRPC against the same runtime called in a bare loop.

The bare loop has as many callers as the load is deep, at most the cores. Brim serves the model as it is, with its
dynamic width; so does the loop it is compared with. The loop with the shape fixed is shown too. Reach: 95 %. The load
generator runs on the same cores and each answer is a megabyte, so the loop's advantage is partly the generator's cost.
"""
import os

import loads
import report
from processes import Brim

REACH = 0.95
DIMS = [1, 3, 48, 320]
REC = loads.Load("rec", "x", DIMS, 1_000_000)


def run(bench):
    models = bench.folder("rec")
    bench.copy_model("ocr/rec.onnx", models / "rec.onnx")
    rows = []
    cores = len(os.sched_getaffinity(0))
    seconds = max(2, bench.seconds)
    with Brim(bench.build, models, bench.log("rec-brim")) as brim:
        for concurrency in (1, 4, 32):
            callers = min(concurrency, cores)
            bench.progress(f"rec c={concurrency}")
            sides = {
                "brim": lambda c=concurrency: loads.own(bench.build, brim, REC, "grpc", c, 1, seconds),
                "bare": lambda n=callers: loads.bare(bench.build, models / "rec.onnx", DIMS, n, seconds),
                "bare_static": lambda n=callers: loads.bare(bench.build, models / "rec.onnx", DIMS, n, seconds, True),
            }
            results = loads.interleave(sides, bench.rounds)
            row = {"load": f"gRPC c={concurrency}", "callers": callers,
                   **{name: report.summary(result) for name, result in results.items()}}
            row["ratio"] = row["brim"]["rate"] / row["bare"]["rate"]
            row["cpu_ratio"] = row["brim"]["cpu_us"] / row["bare"]["cpu_us"]
            row["reached"] = row["ratio"] >= REACH
            rows.append(row)
        threads, rss = brim.threads(), brim.rss_mb()
    bench.say(report.table(
        ["load", "brim /s", "bare /s", "bare static /s", "brim/bare", "reached", "brim CPU ms", "bare", "static",
         "brim p50/p99 ms"],
        [[row["load"], row["brim"]["rate"], row["bare"]["rate"], row["bare_static"]["rate"], row["ratio"],
          report.verdict(row["reached"]), row["brim"]["cpu_us"] / 1000, row["bare"]["cpu_us"] / 1000,
          row["bare_static"]["cpu_us"] / 1000,
          f"{row['brim']['p50_us'] / 1000:.1f}/{row['brim']['p99_us'] / 1000:.1f}"] for row in rows]))
    bench.say(f"  brim afterwards: {threads} threads, {rss:.0f} MB resident. reached: at least {REACH:.0%}.")
    return rows
