"""batching: off against on, for a model that gains from it (MLP) and one that does not (OCR's recogniser).

Capacity: closed loop of 32 over HTTP. Then open loop at 0.5 and 0.8 of the capacity without batching, the same rate on
both. Reach: p99 with batching on is not worse at 0.5 (10 % allowed for noise), and capacity is not lower (5 %).
"""
import loads
import report
from processes import Brim

P99_SLACK = 1.10
CAPACITY_SLACK = 0.95
# name: (model file, load, largest batch)
MODELS = {
    "mlp": ("onnx/mlp.onnx", loads.Load("mlp", "input", [1, 150], 40), 32),
    "rec": ("ocr/rec.onnx", loads.Load("rec", "x", [1, 3, 48, 320], 1_000_000), 8),
}
CONNECTIONS = 64


def run(bench):
    rows = []
    for name, (source, load, batch_max) in MODELS.items():
        models = bench.folder(f"batching-{name}")
        bench.copy_model(source, models / f"{name}.onnx")
        with Brim(bench.build, models, bench.log(f"batching-{name}-off"), name="off") as off, \
                Brim(bench.build, models, bench.log(f"batching-{name}-on"), "--batch-max", batch_max, name="on") as on:
            rows += compare(bench, name, load, (off, on))
    bench.say(report.table(
        ["load", "off: req/s", "CPU us", "p50 us", "p99 us", "on: req/s", "CPU us", "p50 us", "p99 us", "on/off", "reached"],
        [[row["load"], *(row[side][key] for side in ("off", "on") for key in ("rate", "cpu_us", "p50_us", "p99_us")),
          row["ratio"], row["reached"] if isinstance(row["reached"], str) else report.verdict(row["reached"])]
         for row in rows]))
    bench.say("  on/off: of req/s at capacity, of p99 below it.")
    return rows


def compare(bench, name, load, servers):
    def point(label, connections, rate):
        bench.progress(f"batching {name} {label}")
        results = loads.interleave(
            {server.name: lambda s=server: loads.own(bench.build, s, load, "http", connections, 1, bench.seconds, rate)
             for server in servers}, bench.rounds)
        return {"load": f"{name} {label}", "offered": rate,
                **{side: report.summary(result) for side, result in results.items()}}

    capacity = point("capacity", 32, 0)
    capacity["ratio"] = capacity["on"]["rate"] / capacity["off"]["rate"]
    capacity["reached"] = capacity["ratio"] >= CAPACITY_SLACK
    rows = [capacity]
    for part in (0.5, 0.8):
        row = point(f"at {part}", CONNECTIONS, part * capacity["off"]["rate"])
        row["ratio"] = row["on"]["p99_us"] / row["off"]["p99_us"]
        row["reached"] = row["ratio"] <= P99_SLACK if part == 0.5 else "-"
        rows.append(row)
    return rows
