"""Sets the headline's figures: table.py REPORTS OUT writes OUT/table.md and OUT/figures.json from JSON reports."""

import json
import pathlib
import sys

NETWORKS = {
    "resnet18-3x3-stem": "ResNet-18, 3×3 stem (the publication's), one image of 224×224",
    "resnet18": "ResNet-18, 7×7 stem, one image of 224×224",
    "resnet20": "ResNet-20, one image of 32×32",
}
MLS = ["e2m4", "e2m1"]
BASELINES = ["fp32", "fp16", "bf16", "fp8", "fp8-acc16", "int8"]
LINES = ["operations_only", "computing"]

def network_figures(reports, network):
    runs = {f: json.loads((reports / f"{network}.{f}.json").read_text()) for f in MLS}
    steps = {f: runs[f]["results"][0]["training_step"] for f in MLS}
    formats = {}
    for name in BASELINES + MLS:
        run = name if name in MLS else "e2m4"
        total = runs[run]["results"][0]["totals"]["all"]
        source = total["energy"] if name in MLS else total["baselines"][name]
        step = steps[run]["machines"]["own" if name in MLS else name]
        formats[name] = {line: source[f"{line}_pj"]["value"] for line in LINES + ["memory"]}
        formats[name]["step"] = step["computing_pj"]["value"]
    ratios = {}
    for mls in MLS:
        result = runs[mls]["results"][0]
        for baseline in BASELINES:
            entry = result["totals"]["all"]["baselines"][baseline]
            spread = result["table_range"][baseline]
            ratios[f"{baseline}/{mls}"] = {
                line: {"bars": entry[f"{line}_ratio"], "tables": spread[f"{line}_ratio"]} for line in LINES
            } | {"step": steps[mls]["machines"][baseline]["computing_ratio"]["value"]}
    return {
        "cost_table": runs["e2m4"]["cost_table"],
        "rest_of_step_pj": steps["e2m4"]["rest_pj"]["value"],
        "rest_of_step_parts_pj": {name: part["pj"]["value"] for name, part in steps["e2m4"]["parts"].items()},
        "energy_pj": formats,
        "ratios": ratios,
    }


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
            for baseline in ("fp32", "fp8", "fp8-acc16", "int8"):
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
    reports, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
    figures = {network: network_figures(reports, network) for network in NETWORKS}
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "table.md").write_text("# Energy of one training step\n\n" + markdown(figures))


main()
