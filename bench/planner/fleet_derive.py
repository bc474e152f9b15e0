"""Derives the measured part of fleet.json from the traces: popularity, day, memory, declared shares.

fleet.json is fixed before any run; this only shows where its numbers came from (fleet.py prints whether they still
agree), and adds the measured profiles, which stay with the traces.
"""
import collections
import csv
import io
import math
import tarfile

MODELS = ["bert", "densenet121", "densenet169", "densenet201", "inceptionv3", "mobilenetv2", "resnet101", "resnet152",
          "resnet50", "vgg16", "vgg19"]  # The order of the columns in SLO_latency.csv.
SLO_ROW = 3  # Of SLO_latency.csv, from 0: scenario S4, the middle one of the three sets of objectives.
SHARES = {1: 142, 2: 285, 3: 428, 4: 571, 7: 1000}  # Sevenths of an A100 in thousandths, rounded down: seven fit.


def tar_rows(path):
    """The rows of the one CSV in a .tar.gz."""
    with tarfile.open(path) as archive:
        member = next(m for m in archive.getmembers() if m.isfile() and not m.name.split("/")[-1].startswith("."))
        yield from csv.DictReader(io.TextIOWrapper(archive.extractfile(member), encoding="utf-8"))


def csv_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def popularity(traces):
    """Zipf and Mandelbrot's exponent and shift with the greatest likelihood for the request stream."""
    rows = tar_rows(traces / "alibaba-genai-v2026/lora_request_trace.tar.gz")
    counts = collections.Counter(row["checkpoint_model_version_id"] for row in rows)
    counts.pop("", None)
    sizes = [n for _, n in counts.most_common()]

    def likelihood(exponent, shift):
        weights = [(rank + shift) ** -exponent for rank in range(1, len(sizes) + 1)]
        total = sum(weights)
        return sum(n * math.log(w / total) for n, w in zip(sizes, weights))

    fits = ((likelihood(e / 100, s / 5), e / 100, s / 5) for s in range(0, 51) for e in range(50, 400, 2))
    _, exponent, shift = max(fits)
    return {"models": len(sizes), "zipf": exponent, "zipf_shift": shift}


def hours(traces):
    """Requests by hour of the one recorded day, over the busiest hour."""
    sums = collections.Counter()
    for row in tar_rows(traces / "alibaba-genai-v2026/qps.tar.gz"):
        sums[int(float(row["timestamp_anon"]) // 3600)] += float(row["value"])
    first = min(sums)
    values = [sums[first + h] for h in range(24)]
    return [round(v / max(values), 3) for v in values]


def memory(traces, pods=16):
    """GiB of pods at even ranks of their peak: what stays (5th percentile) and the peak, to half a GiB."""
    series = collections.defaultdict(list)
    for row in tar_rows(traces / "alibaba-genai-v2026/pod_gpu_memory_used_bytes_anon.tar.gz"):
        series[row["container_ip"]].append(float(row["value"]) / 2**30)
    pairs = []
    for values in series.values():
        values = sorted(v for v in values if v > 0.2)
        if len(values) >= 200:
            pairs.append((values[-1], values[len(values) // 20]))
    pairs.sort()
    picked = [pairs[(2 * i + 1) * len(pairs) // (2 * pods)] for i in range(pods)]
    return {"resident_gib": [round(2 * low) / 2 for _, low in picked],
            "peak_gib": [round(2 * high) / 2 for high, _ in picked]}


def declared_shares(traces, count=16):
    """Thousandths of a card at even ranks of what owners of shared pods asked for."""
    rows = csv_rows(traces / "alibaba-gpu-v2023/openb_pod_list_default.csv")
    milli = sorted(int(r["gpu_milli"]) for r in rows if r["num_gpu"] == "1" and int(r["gpu_milli"]) < 1000)
    return [milli[(2 * i + 1) * len(milli) // (2 * count)] for i in range(count)]


def profiles(traces, cpu_ms):
    """The measured profiles with one process per share, their objectives, and the CPU's cost where known."""
    folder = traces / "parvagpu-profiles"
    slo = (folder / "SLO/SLO_latency.csv").read_text().split("\n")[SLO_ROW].split(",")
    result = []
    for name, slo_ms in zip(MODELS, slo):
        rows = []
        for row in csv_rows(folder / "prof_data" / f"{name}.csv"):
            throughput = float(row["Throughput"])
            if int(row["Workload Number"]) == 1 and throughput > 0:
                # Throughput has more digits than the latency column.
                batch = int(row["Batch size"])
                rows.append([SHARES[int(row["Mig instance"])], batch, round(1000 * batch / throughput, 4)])
        result.append({"name": name, "slo_ms": float(slo_ms), "rows": rows, "cpu_ms": cpu_ms.get(name, 0)})
    return result
