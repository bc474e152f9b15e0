"""wire: an empty model (the fake runtime's identity), so that only the wire and the engine cost anything.

Beside it the least server that can be written on the same parts, and grpc++; one load after the other on each, in
turn. Reach: at most 1.6 times the bare echo's CPU per answer, and below grpc++'s everywhere.
"""
import loads
import report
from processes import Brim, Comparator

REACH = 1.6
FAKE = "brim-fake 1\ninput INPUT0 FP32 {dims}\noutput OUTPUT0 FP32 {dims} identity INPUT0\n"
SMALL = loads.Load("small", "INPUT0", [1, 150], 600)
BIG = loads.Load("big", "INPUT0", [1, 3, 224, 224], 602112)

# (protocol, load, connections, streams)
POINTS = [
    ("grpc", SMALL, 1, 1), ("grpc", SMALL, 8, 1), ("grpc", SMALL, 8, 4), ("grpc", SMALL, 1, 32),
    ("grpc", BIG, 1, 1), ("grpc", BIG, 8, 1), ("grpc", BIG, 8, 4),
    ("http", SMALL, 1, 1), ("http", SMALL, 8, 1), ("http", SMALL, 32, 1), ("http", BIG, 1, 1), ("http", BIG, 8, 1),
]


def run(bench):
    models = bench.folder("wire")
    (models / "small.fake").write_text(FAKE.format(dims="-1,150"))
    (models / "big.fake").write_text(FAKE.format(dims="-1,3,224,224"))
    rows = []
    with Brim(bench.build, models, bench.log("wire-brim")) as brim, \
            Comparator(bench.build, "echo_nghttp2", bench.log("echo_nghttp2")) as nghttp2, \
            Comparator(bench.build, "echo_http1", bench.log("echo_http1")) as http1, \
            Comparator(bench.build, "echo_grpcpp", bench.log("echo_grpcpp")) as grpcpp:
        for protocol, load, connections, streams in POINTS:
            label = f"{protocol} {load.model} {connections}" + (f"x{streams}" if streams > 1 else "")
            if not bench.wants(label):
                continue
            servers = [brim, nghttp2, grpcpp] if protocol == "grpc" else [brim, http1]
            rows.append(measure(bench, label, servers, protocol, load, connections, streams))
    bench.say(report.table(
        ["load", "brim us", "echo us", "ratio", "grpc++ us", "reached", "brim req/s", "echo", "grpc++", "brim p50/p99 us",
         "echo"], [line(row) for row in rows]))
    bench.say(f"  us: CPU of the server per answer. reached: at most {REACH} times the bare echo and below grpc++.")
    return rows


def measure(bench, label, servers, protocol, load, connections, streams):
    def call(server):
        if protocol == "grpc" and bench.client == "h2load":
            return lambda: loads.h2load(bench.build, server, load, bench.work, connections, streams, bench.seconds)
        return lambda: loads.own(bench.build, server, load, protocol, connections, streams, bench.seconds)

    bench.progress(label)
    results = loads.interleave({server.name: call(server) for server in servers}, bench.rounds)
    row = {"load": label, **{name: report.summary(result) for name, result in results.items()}}
    echo = row["echo_nghttp2" if protocol == "grpc" else "echo_http1"]
    row["ratio"] = row["brim"]["cpu_us"] / echo["cpu_us"]
    row["reached"] = row["ratio"] <= REACH and row["brim"]["cpu_us"] < row.get("echo_grpcpp", {}).get("cpu_us", 1e9)
    return row


def line(row):
    echo = row.get("echo_nghttp2") or row["echo_http1"]
    grpcpp = row.get("echo_grpcpp", {})

    def times(side):
        return f"{report.number(side['p50_us'])}/{report.number(side['p99_us'])}"

    return [row["load"], row["brim"]["cpu_us"], echo["cpu_us"], row["ratio"], grpcpp.get("cpu_us"),
            report.verdict(row["reached"]), row["brim"]["rate"], echo["rate"], grpcpp.get("rate"), times(row["brim"]),
            times(echo)]
