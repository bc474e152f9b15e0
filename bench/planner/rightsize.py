"""rightsize: requests for GenTD26's pods, learned on one half of a day and judged on the other, both ways.

The first half is busy (57 % of samples active), the second quiet (10 %). Parameters are tuned on the learning half and then
frozen. Slack is what is held and not used: less is better; recovered is the card less the mean request: more is better.
"""
NEEDS = ["alibaba-genai-v2026"]
FILES = ["pod_gpu_duty_cycle_anon.tar.gz", "pod_gpu_memory_used_bytes_anon.tar.gz"]
ALIVE = 0.9           # Pods with samples in more than this share of the steps: 94 of 144.
CARD_GIB = 48         # The smallest card that holds the fleet's largest sample; only the column "recovered" uses it.
SPLITS = {"busy to quiet": "learn-first-half", "quiet to busy": "learn-second-half"}
# What the operator may set: the objective's weights. The goals are judged with the defaults.
VARIED = [[], ["--weight-changes", 0.00125], ["--weight-changes", 0.02], ["--weight-underrun", 2.5],
          ["--weight-underrun", 40], ["--weight-overrun", 4]]


def usage(context):
    return [word for name in FILES for word in ("--usage", context.trace(f"alibaba-genai-v2026/{name}"))]


def pick(plan, rule, resource, mode):
    return next(row for row in plan["safety"]
                if (row["rule"], row["resource"], row["mode"]) == (rule, resource, mode))


def gib(mib):
    return mib / 1024


def show(context, name, plan):
    context.say(f"\n  learned {name}: {plan['pods']} pods, {plan['left_out']} left out, {plan['cycles_seen']:.3f} cycles seen; "
                f"{context.wall_seconds:.1f} s, of CPU {context.cpu_seconds:.1f} s")
    for row in plan["tuned"]:
        context.say(f"    {row['what']}: {row['chosen']}")
    context.table(["compute, fixed", "% of active over", "mean request %", "recovered %", "slack %", "pods over", "worst pod %"],
                  [[row["rule"], row["over_of_active"], row["limit_mean"], 100 - row["limit_mean"], row["slack"],
                    row["pods_over"], row["worst"]] for row in plan["safety"] if row["resource"] == "compute"])
    context.table(["memory", "% of samples over", "kills", "kills pod-day", "mean limit GiB", "recovered %", "slack %",
                   "changes pod", "pods over"],
                  [[f"{row['rule']}, {row['mode']}", f"{row['over_of_samples']:.4f}", row["events"],
                    row["events"] / plan["pods"] / plan["tested_hours"] * 24, gib(row["limit_mean"]),
                    100 - 100 * gib(row["limit_mean"]) / CARD_GIB, row["slack"], row["changes"], row["pods_over"]]
                   for row in plan["safety"] if row["resource"] == "memory"])
    context.say(f"    fixed limits over in 0.1 % of samples: at least {gib(plan['memory_least_all_knowing']):.1f} GiB in the mean "
                f"knowing each pod's future, {gib(plan['memory_least_pod_blind']):.1f} knowing the test half but not which pod; "
                f"a pod's peaks of the two halves correlate by {plan['memory_peak_correlation']:.2f}")


def judge(context, name, plan):
    compute, peak = pick(plan, "brim", "compute", "fixed"), pick(plan, "peak", "compute", "fixed")
    context.goal(f"compute, {name}: % of active samples over", compute["over_of_active"], "at most 1",
                 compute["over_of_active"] <= 1)
    context.goal(f"compute, {name}: % of a card recovered", 100 - compute["limit_mean"],
                 f"peak+15 %: {100 - peak['limit_mean']:.1f}", compute["limit_mean"] <= peak["limit_mean"])
    peak = pick(plan, "peak", "memory", "fixed")
    bound = gib(plan["memory_least_pod_blind"])
    for mode in ("in force", "fixed"):
        memory = pick(plan, "brim", "memory", mode)
        proof = "" if mode == "in force" else f" (pod-blind: {bound:.1f} GiB or more)"
        context.goal(f"memory {mode}, {name}: % of samples over", f"{memory['over_of_samples']:.4f}", "at most 0.1" + proof,
                     memory["over_of_samples"] <= 0.1)
        context.goal(f"memory {mode}, {name}: mean limit GiB", gib(memory["limit_mean"]),
                     f"peak+15 %: {gib(peak['limit_mean']):.2f}", memory["limit_mean"] <= peak["limit_mean"])


def run(context):
    figures = {"splits": {}, "weights": []}
    for name, split in SPLITS.items():
        plan = context.plan("rightsize", *usage(context), "--alive", ALIVE, "--split", split)
        show(context, name, plan)
        judge(context, name, plan)
        figures["splits"][name] = {key: plan[key] for key in (
            "pods", "cycles_seen", "tuned", "safety", "memory_least_all_knowing", "memory_least_pod_blind",
            "memory_peak_correlation")} | {"cpu_seconds": context.cpu_seconds}
    rows = []
    for flags in VARIED[:2] if context.smoke else VARIED:
        row = [" ".join(map(str, flags)) or "defaults"]
        for split in SPLITS.values():
            plan = context.plan("rightsize", *usage(context), "--alive", ALIVE, "--split", split, *flags)
            compute, memory = pick(plan, "brim", "compute", "fixed"), pick(plan, "brim", "memory", "in force")
            row += [compute["over_of_active"], compute["limit_mean"], f"{memory['over_of_samples']:.4f}",
                    gib(memory["limit_mean"]), memory["changes"]]
        rows.append(row)
        figures["weights"].append(row)
    context.say("\n  other weights of the objective (not tuned to; both ways: compute % over, mean %; memory % over, mean GiB, changes)")
    context.table(["weights", "c over", "c mean", "m over", "m GiB", "chg", "c over", "c mean", "m over", "m GiB", "chg"], rows)
    return figures
