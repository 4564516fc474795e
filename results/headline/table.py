"""Puts the headline's figures together: table.py REPORTS COST_TABLES OUT writes OUT/table.md and OUT/figures.json."""

import json
import pathlib
import sys

NETWORKS = {
    "resnet18-3x3-stem": "ResNet-18, 3×3 stem (the publication's), one image of 224×224",
    "resnet18": "ResNet-18, 7×7 stem, one image of 224×224",
    "resnet20": "ResNet-20, one image of 32×32",
}
MLS = ["e2m4", "e2m1"]
BASELINES = ["fp32", "fp16", "bf16", "fp8", "int8"]
LINES = ["operations_only", "computing"]

# Multiplications and additions in binary32 of what is no convolution, for each element each way: batch normalization
# (sums of x and x² and one multiply-add; backward two sums of products and two multiply-adds), and for each
# parameter one update with momentum and weight decay.
BATCH_NORM = {"forward": (2, 3), "backward": (3, 4)}
UPDATE = (3, 3)


def rest_of_step(counts, multiply, add):
    """Energy in pJ of one step's work outside the convolutions, all of it in binary32."""
    multiplies = adds = 0
    for way, (m, a) in BATCH_NORM.items():
        multiplies += m * counts["batch_norm"][way]
        adds += a * counts["batch_norm"][way]
        adds += counts["element_add"][way] + counts["gradient_add"][way] + counts["pooling"][way]
        multiplies += counts["linear"][way]
        adds += counts["linear"][way]
    multiplies += UPDATE[0] * counts["weight_update"]["parameters"]
    adds += UPDATE[1] * counts["weight_update"]["parameters"]
    return multiplies * multiply + adds * add


def fp32_prices(tables, name):
    figures = json.loads((tables / f"{name}.json").read_text())["figures"]
    return [
        next(f["energy_pj"] for f in figures if f["operation"] == operation and f.get("format") == "fp32")
        for operation in ("float_multiply", "float_add")
    ]


def network_figures(reports, tables, network):
    runs = {f: json.loads((reports / f"{network}.{f}.json").read_text()) for f in MLS}
    table = runs["e2m4"]["cost_table"]
    counts = json.loads((reports / f"{network}.counts.json").read_text())
    rest = rest_of_step(counts, *fp32_prices(tables, table))
    formats = {}
    for name in BASELINES + MLS:
        total = runs[name if name in MLS else "e2m4"]["results"][0]["totals"]["all"]
        source = total["energy"] if name in MLS else total["baselines"][name]
        formats[name] = {line: source[f"{line}_pj"]["value"] for line in LINES + ["memory"]}
        formats[name]["step"] = formats[name]["computing"] + rest
    ratios = {}
    for mls in MLS:
        result = runs[mls]["results"][0]
        for baseline in BASELINES:
            entry = result["totals"]["all"]["baselines"][baseline]
            spread = result["table_range"][baseline]
            ratios[f"{baseline}/{mls}"] = {
                line: {"bars": entry[f"{line}_ratio"], "tables": spread[f"{line}_ratio"]} for line in LINES
            } | {"step": formats[baseline]["step"] / formats[mls]["step"]}
    return {"cost_table": table, "rest_of_step_pj": rest, "energy_pj": formats, "ratios": ratios}


def markdown(figures):
    text = []
    for network, title in NETWORKS.items():
        found = figures[network]
        text += [
            f"## {title}",
            "",
            "| format | operations only | all computing of the convolutions | and the float rest of the step | memory "
            "| takes of e2m4: operations | all computing | whole step |",
            "|---|---|---|---|---|---|---|---|",
        ]
        own = found["energy_pj"]["e2m4"]
        for name in BASELINES + MLS:
            row = found["energy_pj"][name]
            cells = [f"{row[line] / 1e9:.4g} mJ" for line in LINES + ["step", "memory"]]
            cells += [f"{row[line] / own[line]:.2f}" for line in LINES + ["step"]]
            text.append("| " + " | ".join([name] + cells) + " |")
        text += [
            "",
            "| ratio | operations only | error bars | range over the tables | all computing | error bars | range |",
            "|---|---|---|---|---|---|---|",
        ]
        for mls in MLS:
            for baseline in ("fp32", "fp8", "int8"):
                cells = [f"{baseline} / {mls}"]
                for line in LINES:
                    ratio = found["ratios"][f"{baseline}/{mls}"][line]
                    bars, tables = ratio["bars"], ratio["tables"]
                    cells += [
                        f"{bars['value']:.2f}",
                        f"{bars['low']:.1f}–{bars['high']:.1f}",
                        f"{tables['low']:.2f}–{tables['high']:.2f}",
                    ]
                text.append("| " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


def main():
    reports, tables, out = (pathlib.Path(argument) for argument in sys.argv[1:4])
    figures = {network: network_figures(reports, tables, network) for network in NETWORKS}
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "table.md").write_text("# Energy of one training step\n\n" + markdown(figures))


main()
