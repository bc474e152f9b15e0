"""replay: pods of two traces over nodes, and 86 models' requests on shared cards, in virtual time."""
import csv
import random

NEEDS = ["alibaba-gpu-v2023", "alibaba-gpu-v2025", "alibaba-genai-v2026"]
# The openb lifetimes are a sample: the whole trace needs 14 cards on average and 66 at its peak, so it is played on
# a small cluster of the same kind of nodes.
OPENB_NODES = 16
# The DLRM trace names no nodes: two kinds, large enough for what stands at once.
DLRM_NODES = [("hn", 480, 192_000, 2_097_152, 8, "GPU"), ("cn", 1800, 256_000, 2_097_152, 0, "")]


def rows(plan, name):
    table = plan[name]
    return table["rows"] if isinstance(table, dict) else table


def number(plan, name):
    value = plan[name]
    return value["value"] if isinstance(value, dict) else value


def openb(context):
    """Shares that come and go; what consolidation every six hours saves, and what it costs."""
    nodes = context.results / "replay_nodes.csv"
    with open(nodes, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "cpu_milli", "memory_mib", "cards", "card_model", "card_memory_mib"])
        for i in range(OPENB_NODES):
            writer.writerow([f"node-{i:02d}", 128_000, 786_432, 8, "G3", 0])
    pods = context.trace("alibaba-gpu-v2023/openb_pod_list_gpushare100.csv")
    policies = ["whole-card", "whole-card-most", "spread", "hami", "best-fit", "tightest", "fgd"]
    still = context.plan("replay", "--nodes", nodes, "--pods", pods, *[w for p in policies for w in ("--policy", p)])
    moved = context.plan("replay", "--nodes", nodes, "--pods", pods, "--consolidate-every", 21600,
                         *[w for p in policies[2:] for w in ("--policy", p)])
    context.say(f"\nopenb gpushare100 by its own times on {OPENB_NODES} nodes of 8 cards")
    table = [[row["policy"], "no", row["peak"], row["bound"], row["used"], row["declared"], row["refused_pods"], row["moves"],
              row["moving"]] for row in rows(still, "policies")]
    table += [[row["policy"], "6 h", row["peak"], row["bound"], row["used"], row["declared"], row["refused_pods"], row["moves"],
               row["moving"]] for row in rows(moved, "policies")]
    context.table(["policy", "consolidated", "peak cards", "bound", "used card-h", "declared card-h", "refused", "moves",
                   "moving card-h"], table)
    return table


def dlrm(context):
    """31 days of CPU and GPU instances with a limit per application and node."""
    nodes = context.results / "replay_dlrm_nodes.csv"
    with open(nodes, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "cpu_milli", "memory_mib", "cards", "card_model", "card_memory_mib"])
        for kind, count, cpu, memory, cards, model in DLRM_NODES:
            for i in range(count):
                writer.writerow([f"{kind}-{i:04d}", cpu, memory, cards, model, 0])
    policies = ["best-fit"] if context.smoke else ["spread", "best-fit", "tightest"]
    plan = context.plan("replay", "--nodes", nodes, "--pods", context.trace("alibaba-gpu-v2025/disaggregated_DLRM_trace.csv"),
                        "--separate-roles", *[w for p in policies for w in ("--policy", p)])
    context.say("\nDLRM v2025, 31 days, CPU and GPU roles, max_instance_per_node")
    table = [[row["policy"], row["peak"], row["bound"], row["used"], row["refused_pods"], row["peak_nodes"], row["nodes"]]
             for row in rows(plan, "policies")]
    context.table(["policy", "peak cards", "bound", "used card-h", "refused", "peak nodes", "node-h"], table)
    return {"window_h": number(plan, "window_h"), "arrived": number(plan, "arrived"), "rows": table,
            "refused": len(rows(plan, "refused"))}


def requests(context):
    """GenTD26's request stream with its measured base-model loads, residents or evictions, forecast errors."""
    stream = ["--requests", context.trace("alibaba-genai-v2026/lora_request_trace.tar.gz"),
              "--loads", context.trace("alibaba-genai-v2026/basemodel_update_latency_anon.tar.gz")]
    cards = [w for n in (4, 6, 8, 12, 16, 24) for w in ("--cards", n)]
    plan = context.plan("replay", *stream, *cards)
    context.say(f"\nGenTD26: {number(plan, 'requests')} requests for {number(plan, 'model_count')} models, 3 resident on a card, in time: "
                f"30 s of wait ({number(plan, 'not_ended')} never ended, {number(plan, 'without_model')} without a model: left out)")
    keys = ["plan", "cards", "saved", "goodput", "attainment", "worst_model", "worst", "cold_starts", "late", "refused", "in_flight",
            "wait_p99", "loading"]
    heads = ["plan", "cards", "card-h saved %", "good/h", "in time %", "worst model", "its %", "cold starts", "late", "refused",
             "in flight", "wait p99 s", "loading %"]
    table = [[row[key] for key in keys] for row in rows(plan, "plans")]
    context.table(heads, table)
    context.say("\nCards follow the forecast every hour (of 24, headroom 4), and the price of its error")
    sized = []
    for error in (0, 0.3, 1):
        values = []
        for seed in context.seeds[: 2 if context.smoke else 5]:
            got = context.plan("replay", *stream, "--cards", 24, "--evict", "cost", "--no-base", "--resize-every", 3600, "--headroom", 4,
                               "--forecast-error", error, "--seed", seed)
            values.append(rows(got, "plans")[0])
        mean = {key: sum(v[key] for v in values) / len(values) for key in ("card_hours", "attainment", "worst", "cold_starts", "migrations")}
        sized.append([error, mean["card_hours"], mean["attainment"], mean["worst"], mean["cold_starts"], mean["migrations"]])
    context.table(["forecast error", "card-h", "in time %", "worst model %", "cold starts", "migrations"], sized)
    return {"plans": rows(plan, "plans"), "resized": sized, "not_ended": number(plan, "not_ended")}


def consolidation(context):
    """A live layout made by spreading pods of openb over nodes at random; drains and search under a budget."""
    rng = random.Random(58)
    nodes, pods, layout = (context.results / f"replay_live_{name}.csv" for name in ("nodes", "pods", "layout"))
    declared = []
    with open(context.trace("alibaba-gpu-v2023/openb_pod_list_default.csv"), newline="", encoding="utf-8") as file:
        declared = [(row["name"], int(row["cpu_milli"]), int(row["memory_mib"]), int(row["gpu_milli"])) for row in csv.DictReader(file)
                    if row["num_gpu"] == "1" and int(row["gpu_milli"]) < 1000]
    rng.shuffle(declared)
    free = {(n, c): 1000 for n in range(40) for c in range(8)}
    host = {n: [96_000, 768_000] for n in range(40)}
    placed = []
    for name, cpu, memory, milli in declared[:300]:
        options = [key for key in free if free[key] >= milli and host[key[0]][0] >= cpu and host[key[0]][1] >= memory]
        if options:
            key = rng.choice(options)
            free[key] -= milli
            host[key[0]][0] -= cpu
            host[key[0]][1] -= memory
            placed.append((name, cpu, memory, milli, key))
    placed = [p for p in placed if rng.random() < 0.5]  # Half have left since.
    nodes.write_text("name,cpu_milli,memory_mib,cards,card_model,card_memory_mib\n"
                     + "".join(f"n{n:02d},96000,768000,8,T4,0\n" for n in range(40)))
    pods.write_text("name,cpu_milli,memory_mib,cards,card_milli\n" + "".join(f"{p[0]},{p[1]},{p[2]},1,{p[3]}\n" for p in placed))
    layout.write_text("pod,node,cards\n" + "".join(f"{p[0]},n{p[4][0]:02d},{p[4][1]}\n" for p in placed))
    table = []
    for budget in (60, 6, 2):
        plan = context.plan("consolidate", "--nodes", nodes, "--pods", pods, "--layout", layout, "--moves-per-hour", budget)
        table.append([budget, number(plan, "cards_before"), number(plan, "cards_after"), number(plan, "gap_cards"), number(plan, "move_count"),
                      number(plan, "gain_card_h"), number(plan, "cost_card_h")])
    context.say(f"\nConsolidation of {len(placed)} shares left scattered, load 22.7 s, horizon 24 h")
    context.table(["moves an hour", "cards before", "after", "above the bound", "moves", "gain card-h", "cost card-h"], table)
    return table


def run(context):
    result = {"openb": openb(context), "dlrm": dlrm(context), "requests": requests(context), "consolidation": consolidation(context)}
    plans = result["requests"]["plans"]
    base = plans[0]
    reached = [row for row in plans[1:] if row["attainment"] >= base["attainment"] - 0.1]
    best = max(reached, key=lambda row: row["saved"], default=None)
    context.goal("card-hours saved at in-time share of the base (-0.1 point), %", best["saved"] if best else "-", "more than 0", best is not None and best["saved"] > 0)
    still = {row[0]: row for row in result["openb"] if row[1] == "no"}
    moved = [row for row in result["openb"] if row[1] != "no"]
    lost = [row[0] for row in moved if row[4] + row[8] > still[row[0]][4] or row[6] > still[row[0]][6]]
    context.goal("policies that lose card-hours or pods by moving, price included", len(lost), "0", not lost)
    before, after = result["consolidation"][0][1], result["consolidation"][0][2]
    context.goal("cards freed by consolidation, 60 moves an hour", before - after, "more than 0", after < before)
    return result
