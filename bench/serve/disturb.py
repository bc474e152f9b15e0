"""disturb: a neighbour at 200 requests a second (MLP, open loop, HTTP) while another model comes and goes.

OCR's recogniser is loaded and unloaded 20 times, one beginning every 0.62 s, over the repository API; the quiet run
before it is as long. Reach: p99 at most twice the quiet one. Triton 2.51, measured earlier: 5 to 250 ms against 1.
"""
import threading
import time

import loads
import report
from processes import Brim

REACH = 2.0
CYCLES = 20
EVERY_SECONDS = 0.62
RATE = 200
MLP = loads.Load("mlp", "input", [1, 150], 40)


def run(bench):
    models = bench.folder("disturb")
    bench.copy_model("onnx/mlp.onnx", models / "mlp.onnx")
    bench.copy_model("ocr/rec.onnx", models / "rec.onnx")
    cycles = 3 if bench.smoke else CYCLES
    seconds = cycles * EVERY_SECONDS
    times = []
    with Brim(bench.build, models, bench.log("disturb"), "--model-control", "explicit", "--load-model", "mlp") as brim:
        def load(seed):
            return loads.own(bench.build, brim, MLP, "http", 8, 1, seconds, RATE, seed=seed)

        def disturbed(seed):
            come_and_go = threading.Thread(target=cycle, args=(brim, cycles, times))
            come_and_go.start()
            try:
                return load(seed)
            finally:
                come_and_go.join()

        cycle(brim, 1, [])  # The first load maps the runtime's libraries, which no later one does.
        results = {"quiet": [], "loads": []}
        for turn in range(bench.rounds):
            bench.progress(f"disturb round {turn + 1}")
            results["quiet"].append(load(turn + 1))
            results["loads"].append(disturbed(turn + 1))
    failed = [error for error in times if isinstance(error, str)]
    if failed:
        raise loads.LoadFailed(f"load or unload of rec: {failed[0]}")
    row = {"neighbour": "mlp", **{name: report.summary(result) for name, result in results.items()},
           "load_ms_median": sorted(times)[len(times) // 2], "load_ms_max": max(times),
           "p99_ms_each": {name: [r["p99_us"] / 1000 for r in result] for name, result in results.items()}}
    row["ratio"] = row["loads"]["p99_us"] / row["quiet"]["p99_us"]
    row["reached"] = row["ratio"] <= REACH
    bench.say(report.table(
        ["neighbour", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "over 50 ms", "lag p99 ms"],
        [[name, *(f"{row[name][key] / 1000:.2f}" for key in ("p50_us", "p99_us", "p999_us", "max_us")),
          row[name]["slow_50ms"], f"{row[name]['lag_p99_us'] / 1000:.2f}"] for name in ("quiet", "loads")]))
    bench.say(f"  p99 {row['ratio']:.2f} times quiet, at most {REACH:.0f} reached: {report.verdict(row['reached'])}; a load took "
              f"{row['load_ms_median']:.0f} ms (median), {row['load_ms_max']:.0f} ms at most; {len(times)} loads.")
    return [row]


def cycle(brim, count, times):
    """Loads and unloads rec `count` times; appends each load's milliseconds, or the text of an error."""
    begin = time.monotonic()
    for i in range(count):
        try:
            time.sleep(max(0, begin + i * EVERY_SECONDS - time.monotonic()))
            start = time.monotonic()
            brim.post("/v2/repository/models/rec/load")
            times.append(1000 * (time.monotonic() - start))
            brim.post("/v2/repository/models/rec/unload")
        except (OSError, RuntimeError) as error:
            times.append(str(error))
            return
