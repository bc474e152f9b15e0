"""speed: what a placement costs. A full inflation run on the open trace's cluster, and the same mix on made clusters of
1,000 to 100,000 nodes: the trace's nodes repeated, ten pods a node up to 20,000 pods."""
import csv
import pathlib
import tempfile

NEEDS = ["alibaba-gpu-v2023"]
NODES = "alibaba-gpu-v2023/openb_node_list_gpu_node.csv"
PODS = "alibaba-gpu-v2023/openb_pod_list_default.csv"
POLICIES = ["fgd", "brim", "best-fit", "tightest"]
SECONDS_MAX = 0.2


def grown(context, folder, nodes):
    """Files with so many of the trace's nodes and pods, repeated in turn under new names."""
    paths = []
    for path, key, count in ((NODES, "sn", nodes), (PODS, "name", min(10 * nodes, 20_000))):
        with open(context.trace(path), newline="") as file:
            rows = list(csv.DictReader(file))
        paths.append(pathlib.Path(folder) / f"{key}-{nodes}.csv")
        with open(paths[-1], "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            for i in range(count):
                row = dict(rows[i * 7919 % len(rows)])         # A prime step: every part of the trace.
                row[key] = f"{row[key]}-{i}"
                writer.writerow(row)
    return paths


def run(context):
    full = context.plan("pack", "--mode", "inflate", "--runs", len(context.seeds), "--seed", 42,
                        "--nodes", context.trace(NODES), "--pods", context.trace(PODS),
                        *[word for policy in POLICIES for word in ("--policy", policy)])
    seconds = {row["policy"]: row["placement_seconds"] for row in full["policies"]}
    arrivals = {row["policy"]: row["arrivals"] for row in full["runs"]}
    context.table(["policy", "pods", "nodes", "CPU s a run", "us a placement"],
                  [[name, arrivals[name], 1213, value, 1e6 * value / arrivals[name]] for name, value in seconds.items()])
    context.goal("fgd, 10,600 pods on 1,213 nodes, CPU seconds a run", seconds["fgd"], f"at most {SECONDS_MAX}",
                 seconds["fgd"] <= SECONDS_MAX)
    context.goal("brim against fgd, CPU time", seconds["brim"] / seconds["fgd"], "at most 3 times (wished)",
                 seconds["brim"] <= 3 * seconds["fgd"])
    curve = []
    sizes = [1_000, 3_000] if context.smoke else [1_000, 3_000, 10_000, 30_000, 100_000]
    with tempfile.TemporaryDirectory() as folder:
        for nodes in sizes:
            paths = grown(context, folder, nodes)
            for policy in ("fgd", "brim"):
                plan = context.plan("pack", "--nodes", paths[0], "--pods", paths[1], "--policy", policy)
                row = plan["policies"][0]
                curve.append([policy, nodes, plan["pods"], row["placement_seconds"],
                              1e6 * row["placement_seconds"] / plan["pods"],
                              1e9 * row["placement_seconds"] / plan["pods"] / nodes])
    curve.sort(key=lambda line: line[0])
    context.table(["policy", "nodes", "pods", "CPU s", "us a placement", "ns a placement and node"], curve)
    for policy in ("fgd", "brim"):
        line = [row for row in curve if row[0] == policy]
        growth = line[-1][4] / line[0][4]
        context.goal(f"{policy}: cost a placement, {line[-1][1]:,} against {line[0][1]:,} nodes", f"{growth:.1f} times",
                     f"at most {line[-1][1] / line[0][1]:.0f} times", growth <= line[-1][1] / line[0][1])
    return {"seconds": seconds, "curve": curve}
