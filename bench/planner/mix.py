"""mix: ParvaGPU's scenarios on A100s, its placement and ours under one simulation, and the same models at a tenth of the rates.

Two kinds of slices. `mig`: ParvaGPU's rules exactly (its MIG grid, measured points, one model a segment, a batch within half of
90 % of the objective); the optimum under these rules is proven. `units`: 1/100 of a card and shared processes; latencies
between measured shares are interpolated, so these columns are a forecast, not a comparison.
"""
import csv
import io
import pathlib

NEEDS = ["parvagpu-profiles"]

GOALS = [2, 3, 5, 7, 13, 16]        # Cards of ParvaGPU's own placements.
TENTH = 4                           # Times fewer than one model per MIG slice.
SETS = 10                           # Tenants with models of their own, so that whole cards can be counted.

# Parameters, from the models' own pages (torchvision's model table; BERT-large); 4 bytes each, as ParvaGPU's scripts run them.
PARAMETERS = {"bert": 335141888, "densenet121": 7978856, "densenet169": 14149480, "densenet201": 20013928,
              "inceptionv3": 27161264, "mobilenetv2": 3504872, "resnet101": 44549160, "resnet152": 60192808,
              "resnet50": 25557032, "vgg16": 138357544, "vgg19": 143667240}
SLICE_MIB = {1: 10240, 2: 20480, 3: 40960, 4: 40960, 7: 81920}


def worst(plan):
    return min(row["attainment"] for row in plan["models"])


def bound(plan, name):
    return next((row["cards"] for row in plan["bounds"] if row["bound"] == name), None)


def process_mib(profile):
    """What the profile proves of one process: p of them ran in a slice, so each needs at most 1/p of it."""
    least = SLICE_MIB[7]
    for row in csv.DictReader(io.StringIO(pathlib.Path(profile).read_text())):
        if float(row["Throughput"]) > 0:
            least = min(least, SLICE_MIB[int(row["Mig instance"])] / int(row["Workload Number"]))
    return least


def write_memory(context):
    """Weights by parameter count; all else that a process held (context, workspace) once per process."""
    lines = ["model,weights_mib,workspace_mib"]
    for model, parameters in PARAMETERS.items():
        weights = parameters * 4 / 2**20
        held = process_mib(context.trace(f"parvagpu-profiles/prof_data/{model}.csv"))
        lines.append(f"{model},{weights:.1f},{max(0.0, held - weights):.1f}")
    path = context.results / "mix_memory.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def scenarios(context, folder):
    rows, figures, met = [], {}, 0
    for number in [2] if context.smoke else range(1, 7):
        base = ["mix", "--parvagpu", folder, "--scenario", number]
        again = ["--judge-again", 0 if context.smoke else 2]
        ours = context.plan(*base, "--slices", "mig", "--alone", *again)
        theirs = context.plan(*base, "--slices", "mig", "--published")
        three = context.plan(*base, "--slices", "mig", "--alone", "--processes-max", 3)
        shared = context.plan(*base, "--slices", "mig")
        units = context.plan(*base, "--slices", "units")
        optimum, goal = bound(ours, "optimum"), GOALS[number - 1]
        met += optimum is not None and ours["cards"] == optimum
        rate = sum(row["rate"] for row in ours["models"])
        fresh = ours.get("fresh_worst_attainment", worst(ours))
        rows.append([f"S{number}", round(rate), goal, theirs["cards"], 100 * worst(theirs), ours["cards"], optimum,
                     bound(ours, "whole instances"), bound(ours, "area"), 100 * worst(ours), 100 * fresh, three["cards"],
                     bound(three, "optimum"), shared["cards"], units["cards"]])
        figures[f"S{number}"] = {
            "rate": rate, "published": theirs["cards"], "published_worst": worst(theirs), "published_accepted": theirs["accepted"],
            "cards": ours["cards"], "optimum": optimum, "bounds": ours["bounds"], "worst": worst(ours), "fresh_worst": fresh,
            "accepted": ours["accepted"], "three_processes": {"cards": three["cards"], "optimum": bound(three, "optimum")},
            "shared_mig": {"cards": shared["cards"], "worst": worst(shared), "accepted": shared["accepted"]},
            "units_interpolated": {"cards": units["cards"], "share": units["share_used"], "worst": worst(units), "accepted": units["accepted"]},
            "attainment": {row["model"]: row["attainment"] for row in ours["models"]}}
        context.goal(f"S{number}: cards", ours["cards"], f"<= {goal}", ours["cards"] <= goal and ours["accepted"] == "yes")
        context.goal(f"S{number}: attainment of the worst model, %", 100 * min(worst(ours), fresh), ">= 99", min(worst(ours), fresh) >= 0.99)
    context.table(["", "req/s", "ParvaGPU", "published", "worst %", "ours", "optimum", "whole inst.", "area", "worst %", "fresh %",
                   "ours p<=3", "opt. p<=3", "mig shared", "units"], rows)
    if not context.smoke:
        context.goal("scenarios where the plan is the proven optimum", met, ">= 4", met >= 4)
    return figures


def tenth(context, folder):
    """S2's models, the low-traffic case: one set in slices, and ten sets in whole cards."""
    memory = write_memory(context)
    base = ["mix", "--parvagpu", folder, "--scenario", 2, "--rate-scale", 0.1]
    rows, figures = [], {}
    for sets in [1] if context.smoke else [1, SETS]:
        alone = context.plan(*base, "--slices", "mig", "--alone", "--sets", sets)
        entry = {"alone": {"cards": alone["cards"], "gpcs": alone["share_used"], "optimum": bound(alone, "optimum")}}
        rows.append([sets, "one model per MIG slice", alone["cards"], alone["share_used"] / 7, 1.0, 1.0, 100 * worst(alone)])
        for name, words in [("shared, memory as measured", ["--slices", "mig"]),
                            ("shared, memory by parameters", ["--slices", "mig", "--memory", memory]),
                            ("units (interpolated), as measured", ["--slices", "units"]),
                            ("units (interpolated), by parameters", ["--slices", "units", "--memory", memory])]:
            plan = context.plan(*base, "--sets", sets, *words)
            slices = plan["share_used"] / (7 if "mig" in words else 100)
            times = alone["cards"] / plan["cards"]
            rows.append([sets, name, plan["cards"], slices, times, alone["share_used"] / 7 / slices, 100 * worst(plan)])
            entry[name] = {"cards": plan["cards"], "card_shares": slices, "times_fewer_cards": times, "worst": worst(plan),
                           "accepted": plan["accepted"], "bounds": plan["bounds"]}
            if sets == SETS and name == "shared, memory as measured":
                context.goal(f"a tenth of S2, {SETS} sets: times fewer cards", times, f">= {TENTH}", times >= TENTH and plan["accepted"] == "yes")
        figures[f"{sets} sets"] = entry
    context.table(["sets", "at a tenth of S2's rates", "cards", "card shares", "fewer cards", "fewer shares", "worst %"], rows)
    return figures


def run(context):
    folder = context.trace("parvagpu-profiles")
    return {"scenarios": scenarios(context, folder), "tenth": tenth(context, folder)}
