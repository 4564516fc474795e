"""Sums the layers of JSON reports by kind: table.py REPORTS NETWORKS OUT VARIANTS writes OUT's table.md, figures.json and energy.svg."""

import json
import pathlib
import sys

NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2"}
KINDS = ["K×K", "1×1", "depthwise"]
BASELINES = ["fp32", "fp8", "fp8-acc16", "int8"]
SHARINGS = {"one": 1, "eight": 8, "all": 256}


def kinds_of(networks, network):
    layers = json.loads((networks / f"{network}.json").read_text())["layers"]
    kinds = {}
    for layer in layers:
        # What stays in binary32 is no layer of the array.
        if layer["type"] == "conv2d" and layer.get("format") != "fp32":
            depthwise = layer["groups"] > 1
            kinds[layer["name"]] = "depthwise" if depthwise else "1×1" if layer["kernel"] == [1, 1] else "K×K"
    return kinds


def sum_of(report, kinds, kind):
    """Sums over the layers of a kind, or over all."""
    total = {"multiply_adds": 0, "group_scales": 0, "array_cycles": 0, "scaler_stalls": 0, "pj": dict.fromkeys(["own"] + BASELINES, 0.0)}
    for layer in report["layers"]:
        if kind not in ("all", kinds[layer["name"]]):
            continue
        for record in layer["passes"].values():
            total["multiply_adds"] += record["multiply_adds"]
            total["array_cycles"] += record["array_cycles"]
            total["scaler_stalls"] += record["scaler_stalls"]
            total["group_scales"] += record["energy"]["operations"]["float_add"]["count"]
            total["pj"]["own"] += record["energy"]["computing_pj"]["value"]
            for baseline in BASELINES:
                total["pj"][baseline] += record["baselines"][baseline]["computing_pj"]["value"]
    return total


def figures_of(reports, networks, variants):
    figures = {}
    for network in NETWORKS:
        kinds = kinds_of(networks, network)
        for variant in variants:
            for sharing in SHARINGS:
                report = json.loads((reports / f"{network}.{variant}.{sharing}.json").read_text())["results"][0]
                found = {kind: sum_of(report, kinds, kind) for kind in KINDS + ["all"] if kind == "all" or kind in kinds.values()}
                figures.setdefault(network, {}).setdefault(variant, {})[sharing] = {
                    "kinds": found,
                    "accumulator_bits": report["accumulator_bits"],
                    "step_pj": {name: entry["computing_pj"]["value"] for name, entry in report["training_step"]["machines"].items()},
                    "computing_area_um2": report["machines"]["own"]["computing_area_um2"],
                    "seconds": report["machines"]["own"]["seconds"],
                    "tops_per_mm2": report["machines"]["own"]["tops_per_mm2"],
                }
    return figures


def energy_table(figures, variants):
    text = []
    for network, title in NETWORKS.items():
        text += [
            f"## {title}: energy",
            "",
            "| grouping of activation, weight, error | layers | share of the multiply-adds | multiply-adds a use of the group-scale unit "
            "| pJ a multiply-add | " + " | ".join(f"{name} /" for name in BASELINES) + " |",
            "|---|---|" + "---|" * (3 + len(BASELINES)),
        ]
        for variant in variants:
            found = figures[network][variant]["eight"]["kinds"]
            for position, (kind, total) in enumerate(found.items()):
                own = total["pj"]["own"]
                cells = [variant.replace("-", ", ") if position == 0 else "", kind]
                cells += [
                    f"{100 * total['multiply_adds'] / found['all']['multiply_adds']:.1f} %",
                    f"{total['multiply_adds'] / total['group_scales']:.3g}",
                    f"{own / total['multiply_adds']:.3f}",
                ]
                cells += [f"{total['pj'][name] / own:.2f}" for name in BASELINES]
                text.append("| " + " | ".join(cells) + " |")
        text.append("")
    return text


def time_table(figures, variants):
    text = [
        "## Time and area",
        "",
        "All passes, 16 × 16 elements. Stalls are a share of the array's cycles; the area is that of what computes.",
        "",
        "| network | grouping | elements to a unit | array cycles | scaler stalls | mm² | TOPS/mm² |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, title in NETWORKS.items():
        for variant in variants:
            for sharing, elements in SHARINGS.items():
                found = figures[network][variant][sharing]
                total = found["kinds"]["all"]
                text.append(
                    f"| {title if sharing == 'one' and variant == variants[0] else ''} | {variant.replace('-', ', ') if sharing == 'one' else ''} "
                    f"| {elements} | {total['array_cycles'] / 1e6:.1f} M | {100 * total['scaler_stalls'] / total['array_cycles']:.0f} % "
                    f"| {found['computing_area_um2'] / 1e6:.2f} | {found['tops_per_mm2']:.3f} |"
                )
    return text + [""]


def error_table(reports):
    text = [
        "## Error",
        "",
        "SQNR on the shipped trace (3×3 layers of ResNet-20, real tensors), mean over the layers, dB.",
        "",
        "| grouping | forward | backward data | backward weight |",
        "|---|---|---|---|",
    ]
    for point in json.loads((reports / "errors.json").read_text())["points"]:
        grouping = ", ".join(point[operand].rsplit("/", 1)[1] for operand in ("activation", "weight", "error"))
        cells = [f"{entry['sqnr_db']:.1f}" for entry in point["passes"].values()]
        text.append("| " + " | ".join([grouping] + cells) + " |")
    return text + [""]


def bar_chart(figures, variants):
    """pJ a multiply-add by kind of layer and grouping, with two baselines as lines."""
    colours = dict(zip(variants, ["#d55e00", "#e69f00", "#009e73", "#0072b2", "#cc79a7"]))
    groups = [(network, kind) for network in NETWORKS for kind in figures[network][variants[0]]["eight"]["kinds"] if kind != "all"]
    left, top, height, bar, gap = 64, 56, 260, 16, 26
    width = left + len(groups) * (len(variants) * bar + gap) + 20
    largest = 2.5
    scale = height / largest
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + height + 56}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{top + height + 56}" fill="#fff"/>',
        f'<text x="{left}" y="18">pJ a multiply-add, all computing of the convolutions, e2m4; lines: fp8 (upper) and fp8 with fp16 sums</text>',
    ]
    x = left
    for variant in variants:
        lines.append(f'<rect x="{x}" y="28" width="12" height="12" fill="{colours[variant]}"/>')
        lines.append(f'<text x="{x + 17}" y="39">{variant.replace("-", ", ")}</text>')
        x += 120
    for step in range(6):
        y = top + height - step * 0.5 * scale
        lines.append(f'<line x1="{left}" x2="{width - 10}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{step * 0.5:.1f}</text>')
    x = left + gap / 2
    for network, kind in groups:
        begin = x
        for variant in variants:
            total = figures[network][variant]["eight"]["kinds"][kind]
            tall = total["pj"]["own"] / total["multiply_adds"] * scale
            lines.append(f'<rect x="{x}" y="{top + height - tall:.1f}" width="{bar - 2}" height="{tall:.1f}" fill="{colours[variant]}"/>')
            x += bar
        first = figures[network][variants[0]]["eight"]["kinds"][kind]
        for name in ("fp8", "fp8-acc16"):
            y = top + height - first["pj"][name] / first["multiply_adds"] * scale
            lines.append(f'<line x1="{begin - 4}" x2="{x + 2}" y1="{y:.1f}" y2="{y:.1f}" stroke="#222" stroke-width="1.5"/>')
        middle = (begin + x) / 2
        lines.append(f'<text x="{middle}" y="{top + height + 18}" text-anchor="middle">{kind}</text>')
        lines.append(f'<text x="{middle}" y="{top + height + 36}" text-anchor="middle">{NETWORKS[network]}</text>')
        x += gap
    return "\n".join(lines + ["</svg>"]) + "\n"


def main():
    reports, networks, out = (pathlib.Path(argument) for argument in sys.argv[1:4])
    variants = sys.argv[4].split()
    figures = figures_of(reports, networks, variants)
    text = ["# Groups of one product", ""] + energy_table(figures, variants) + time_table(figures, variants) + error_table(reports)
    (out / "table.md").write_text("\n".join(text))
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (out / "energy.svg").write_text(bar_chart(figures, variants))


main()
