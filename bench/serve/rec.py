"""rec: OCR's text recogniser through gRPC against the same runtime called in a bare loop.

The bare loop has as many callers as the load is deep, at most the cores. Brim serves the model as it is, with its
dynamic width; so does the loop it is compared with. The loop with the shape fixed is shown too. Reach: 95 %.

The bare loop takes no bytes in and gives none out, while an answer is a megabyte and the load generator reads it on the
same two cores. "sockets" is the same loop behind TCP: a peer in the process sends the same number of bytes and reads the
answer's, with no protocol at all. No server over TCP can do better than that. Neither client looks at an answer's bytes:
both count what TCP drops (MSG_TRUNC) and sleep until a large frame is there (SO_RCVLOWAT). "fixed" is Brim with this shape declared in
the model's option fixed_shapes. "shared" is Brim as it is, with the client's tensors in system shared memory, as a client on
the same machine may send them: gRPC then carries their places alone. "by CPU": the rate against the bare loop's that the CPU per answer of server and client
together allows on full cores; other work on the machine disturbs that less than the rates.
"""
import contextlib
import json
import os

import loads
import report
from processes import Brim

REACH = 0.95
NAMES = ("brim", "shared", "fixed", "sockets")
DIMS = [1, 3, 48, 320]
REC = loads.Load("rec", "x", DIMS, 1_000_000)
OUTPUT_BYTES = 40 * 6625 * 4


def run(bench):
    models = bench.folder("rec")
    bench.copy_model("ocr/rec.onnx", models / "rec.onnx")
    fixed_models = bench.folder("rec-fixed")
    (fixed_models / "rec/1").mkdir(parents=True)
    bench.copy_model("ocr/rec.onnx", fixed_models / "rec/1/model.onnx")
    shape = "x".join(str(dim) for dim in DIMS)
    (fixed_models / "rec/brim.json").write_text(json.dumps({"options": {"fixed_shapes": shape}}))
    rows = []
    cores = len(os.sched_getaffinity(0))
    seconds = max(2, bench.seconds)
    with contextlib.ExitStack() as servers:
        brim = servers.enter_context(Brim(bench.build, models, bench.log("rec-brim"), "--shared-memory", "/"))
        output = brim.get_json("/v2/models/rec")["outputs"][0]["name"]
        fixed = servers.enter_context(Brim(bench.build, fixed_models, bench.log("rec-fixed")))
        for concurrency in (1, 4, 32):
            callers = min(concurrency, cores)
            bench.progress(f"rec c={concurrency}")
            # A copy for each worker is made after a second of load, and given back after half a minute without.
            for server in (brim, fixed):
                loads.own(bench.build, server, REC, "grpc", concurrency, 1, 2.5)
            sides = {
                "brim": lambda c=concurrency: loads.own(bench.build, brim, REC, "grpc", c, 1, seconds),
                "shared": lambda c=concurrency: loads.own(bench.build, brim, REC, "grpc", c, 1, seconds,
                                                          shared=(output, OUTPUT_BYTES)),
                "fixed": lambda c=concurrency: loads.own(bench.build, fixed, REC, "grpc", c, 1, seconds),
                "bare": lambda n=callers: loads.bare(bench.build, models / "rec.onnx", DIMS, n, seconds),
                "sockets": lambda n=callers, c=concurrency: loads.bare(bench.build, models / "rec.onnx", DIMS, n, seconds,
                                                                       sockets=c),
                "bare_static": lambda n=callers: loads.bare(bench.build, models / "rec.onnx", DIMS, n, seconds, True),
            }
            results = loads.interleave(sides, bench.rounds)
            row = {"load": f"gRPC c={concurrency}", "callers": callers,
                   **{name: report.summary(result) for name, result in results.items()}}
            for name in NAMES:
                row[f"{name}_ratio"] = row[name]["rate"] / row["bare"]["rate"]
                row[f"{name}_by_cpu"] = row["bare"]["cpu_us"] / (row[name]["cpu_us"] + row[name]["client_cpu_us"])
            row["reached"] = row["brim_ratio"] >= REACH
            row["shared_reached"] = row["shared_ratio"] >= REACH
            rows.append(row)
        threads, rss = brim.threads(), brim.rss_mb()
    bench.say(report.table(
        ["load", "bare /s", "static /s", *(f"{name} /s" for name in NAMES), "brim/bare", "reached", "shared/bare",
         "reached", "fixed/bare", "sockets/bare", "brim p50/p99 ms"],
        [[row["load"], row["bare"]["rate"], row["bare_static"]["rate"], *(row[name]["rate"] for name in NAMES),
          row["brim_ratio"], report.verdict(row["reached"]), row["shared_ratio"],
          report.verdict(row["shared_reached"]), row["fixed_ratio"], row["sockets_ratio"],
          f"{row['brim']['p50_us'] / 1000:.1f}/{row['brim']['p99_us'] / 1000:.1f}"] for row in rows]))
    bench.say("  CPU ms per answer, server + client, and what it allows on full cores")
    bench.say(report.table(
        ["load", "bare", "static", *NAMES, *(f"{name}/bare by CPU" for name in NAMES)],
        [[row["load"], row["bare"]["cpu_us"] / 1000, row["bare_static"]["cpu_us"] / 1000,
          *(f"{row[name]['cpu_us'] / 1000:.2f} + {row[name]['client_cpu_us'] / 1000:.2f}" for name in NAMES),
          *(row[f"{name}_by_cpu"] for name in NAMES)] for row in rows]))
    bench.say(f"  brim afterwards: {threads} threads, {rss:.0f} MB resident. reached: at least {REACH:.0%}.")
    return rows
