"""mlp: a 150-256-256-10 network, over gRPC and binary HTTP, at concurrency 1, 8 and 32, batching off and on.

Nothing is measured beside it. Triton 2.51 with OpenVINO, measured earlier on a 2-core machine of this kind, took these
CPU microseconds per request at concurrency 1 / 8 / 32: gRPC 205-228 / 84-87 / 75-81, HTTP 156-163 / 78 / 72-77, and
40-51 batched at 32. The aim is a third of that.
"""
import loads
import report
from processes import Brim

MLP = loads.Load("mlp", "input", [1, 150], 40)
BATCH_ROWS = "32"
TRITON_US = {("grpc", 1): 205, ("grpc", 8): 84, ("grpc", 32): 75, ("http", 1): 156, ("http", 8): 78, ("http", 32): 72}
TRITON_BATCHED_US = 40
DIVISOR = 3


def run(bench):
    models = bench.folder("mlp")
    bench.copy_model("onnx/mlp.onnx", models / "mlp.onnx")
    rows = []
    with Brim(bench.build, models, bench.log("mlp-off"), name="off") as off, \
            Brim(bench.build, models, bench.log("mlp-on"), "--batch-max", BATCH_ROWS, name="on") as on:
        for protocol in ("grpc", "http"):
            for concurrency in (1, 8, 32):
                label = f"{protocol} c={concurrency}"
                if not bench.wants(label):
                    continue
                bench.progress(f"mlp {label}")
                results = loads.interleave(
                    {server.name: lambda s=server, p=protocol, c=concurrency: loads.own(
                        bench.build, s, MLP, p, c, 1, bench.seconds) for server in (off, on)}, bench.rounds)
                for server in (off, on):
                    row = {"load": label, "batching": server.name,
                           **report.summary(results[server.name]), "threads": server.threads(),
                           "rss_mb": server.rss_mb()}
                    row["triton_us"] = TRITON_US[protocol, concurrency]
                    if server is on and concurrency == 32:
                        row["triton_us"] = TRITON_BATCHED_US
                    row["reached"] = row["cpu_us"] <= row["triton_us"] / DIVISOR
                    rows.append(row)
    bench.say(report.table(
        ["load", "batching", "CPU us", "Triton / 3", "reached", "req/s", "p50 us", "p99 us", "RSS MB", "threads"],
        [[row["load"], row["batching"], row["cpu_us"], row["triton_us"] / DIVISOR, report.verdict(row["reached"]),
          row["rate"], row["p50_us"], row["p99_us"], row["rss_mb"], row["threads"]] for row in rows]))
    bench.say("  Triton: lower end of what was measured earlier on a machine of this kind, not in this run.")
    return rows
