"""joint: GenTD26's pods together on cards, by the p99 of each card's summed use, against proven bounds.

Full day: use and memory peaks known (what a perfect forecast would do). Learned and tested: packed by one half of the day,
judged on the other. Overload is card-time with a summed duty above 100 %.
"""
from rightsize import ALIVE, SPLITS, usage

NEEDS = ["alibaba-genai-v2026"]
GOALS = {48: None, 80: 61, 96: 53, 141: 45}  # Cards; 48 GiB is the row where nothing can be saved.
OVERLOAD = 0.1                               # Percent of card-time.


def pack(context, *flags):
    cards = [word for gib in GOALS for word in ("--cards-memory", gib)]
    plan = context.plan("rightsize", *usage(context), "--alive", ALIVE, *cards, *flags)
    return plan["pods"], {round(row["card_memory"] / 1024): row for row in plan["joint"]}, plan["joint_bounds"]


def lines(name, packed):
    return [[f"{name}, {gib} GiB", row["cards"], row["refused"], row["bound"], row["gap"], row["first_fit"],
             f"{row['overload']:.4f}", f"{row['overload_worst_card']:.3f}", f"{row['memory_over']:.4f}", row["mean_use"]]
            for gib, row in packed.items()]


def run(context):
    pods, full, bounds = pack(context, "--pack-memory", "peak", "--floor-share", 0)
    seconds = context.cpu_seconds
    rows = lines("full day, memory peaks", full)
    figures = {"full": full, "bounds": bounds, "cpu_seconds": seconds}
    rows += lines("full day, memory proposals", pack(context, "--floor-share", 0)[1])
    for name, split in SPLITS.items():
        figures[name] = pack(context, "--pack-memory", "peak", "--split", split)[1]
        rows += lines(name, figures[name])
    context.say(f"  {pods} pods, whole cards today: {pods}; the full-day packings took {seconds:.1f} s of CPU")
    context.table(["packing", "cards", "refused", "bound", "gap", "first fit", "overload %", "worst card %", "memory over %",
                   "mean use %"], rows)
    for gib, goal in GOALS.items():
        row = full[gib]
        if goal is None:
            context.goal(f"{gib} GiB: cards", row["cards"], f"loses: the bound is {row['bound']}", row["cards"] < pods)
            continue
        context.goal(f"{gib} GiB: cards", row["cards"], f"at most {goal}", row["cards"] <= goal)
        context.goal(f"{gib} GiB: % of card-time overloaded", f"{row['overload']:.4f}", f"at most {OVERLOAD}",
                     row["overload"] <= OVERLOAD)
    for name in SPLITS:
        for gib, goal in GOALS.items():
            if goal is None:
                continue
            row = figures[name][gib]
            context.goal(f"{name}, {gib} GiB: cards and overload %", f"{row['cards']}, {row['overload']:.4f}",
                         f"{goal}, {OVERLOAD} (not promised: a forecast)",
                         row["cards"] <= goal and row["overload"] <= OVERLOAD)
    return figures
