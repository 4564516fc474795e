"""Formats on machines with real memories.

table.py runs WORK lists what is to be simulated, and writes the arrays that are variations of a machine's; table.py
write WORK OUT makes OUT/table.md, OUT/figures.json and WORK/machines.points of the reports of these runs. To add a
machine, a line in MACHINES is enough; to add a step that a machine may take, one in STEPS.
"""

import json
import pathlib
import sys

# Name, what it is, its array.
MACHINES = [
    ("edge", "8×8, 0.5 GHz, LPDDR4 12.8 GB/s, 128 kB", "sim/configs/edge-8x8-lpddr4.json"),
    ("default", "16×16, LPDDR5 25.6 GB/s, 512 kB", "sim/configs/default-16x16-lpddr5.json"),
    ("desktop", "32×32, DDR4 25.6 GB/s, 2 MB", "results/machines/arrays/desktop-32x32-ddr4.json"),
    ("card", "64×64, GDDR6 448 GB/s, 8 MB", "results/machines/arrays/card-64x64-gddr6.json"),
    ("large", "32×32, HBM2E 460.8 GB/s, 2 MB", "sim/configs/large-32x32-hbm2e.json"),
]
NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2"}
FORMATS = ["fp32", "fp8", "int8", "e2m4", "e2m1/b32", "nvfp4"]
BATCH = 32

# What a machine may change, one after the other, each with those before: a name, keys of its array, and a factor of its
# feeders' buffers and of its SRAM.
CODES = {"results": "codes"}
KEPT = CODES | {"keep_between_layers": True}
STEPS = [
    ("as it is", {}, 1, 1),
    ("feeders' buffers 8 times as large", {}, 8, 1),
    ("and the SRAM 16 times as large", {}, 8, 16),
    ("and codes alone", CODES, 8, 16),
    ("and kept between layers", KEPT, 8, 16),
]
# Machine and batch.
STEPPED = [("default", BATCH), ("card", BATCH), ("default", 1)]
STEPPED_FORMATS = ["fp32", "fp8", "e2m4", "e2m1/b32", "nvfp4"]


def slug(*parts):
    return "-".join(str(part) for part in parts).replace("/", "_").replace(" ", "_")


def runs():
    """Name, machine, step, network, batch and format of each."""
    base = [(machine, 0, BATCH, FORMATS) for machine, _, _ in MACHINES]
    base += [(machine, step, batch, STEPPED_FORMATS) for machine, batch in STEPPED for step in range(len(STEPS))]
    seen = set()
    for machine, step, batch, formats in base:
        for network in NETWORKS:
            for name in formats:
                run = slug(machine, step, network, batch, name)
                if run not in seen:
                    seen.add(run)
                    yield run, machine, step, network, batch, name


def list_runs(work):
    for machine, _, file in MACHINES:
        array = json.loads(pathlib.Path(file).read_text())
        for step, (_, keys, buffers, sram) in enumerate(STEPS):
            varied = array | keys | {"global_sram_bytes": array["global_sram_bytes"] * sram}
            for feeder in ("row_feeder", "column_feeder"):
                varied[feeder] = array[feeder] | {"buffer_elements": array[feeder]["buffer_elements"] * buffers}
            if "results" in keys:
                varied.pop("quantize_results", None)
            (work / f"{slug(machine, step)}.array.json").write_text(json.dumps(varied))
    for name, machine, step, network, batch, number_format in runs():
        print(name, work / f"{slug(machine, step)}.array.json", network, batch, number_format)


def figures_of(report):
    """Of a training step: energies in J, a time in s. The float rest has no time of its own."""
    result = report["results"][0]
    own = result["machines"]["own"]
    step = result["training_step"]["machines"]["own"]
    return {
        "step_j": step["with_memory_pj"]["value"] * 1e-12,
        "convolutions_j": own["with_memory_pj"]["value"] * 1e-12,
        "computing_j": (own["with_memory_pj"]["value"] * (1 - own["memory_share"])) * 1e-12,
        "rest_j": result["training_step"]["rest_pj"]["value"] * 1e-12,
        "parts_j": {part: pj * 1e-12 for part, pj in own["parts_pj"].items()},
        "seconds": own["seconds"],
        "edp_js": own["energy_delay_js"],
        "bound_by": own["bound_by"],
        "cycle_shares": own["cycle_shares"],
        "utilization": own["utilization"],
    }


def energy(joules):
    return f"{joules:.3g} J" if joules >= 1 else f"{joules * 1e3:.3g} mJ"


def machine_table(figures, network):
    text = [
        "| machine | format | step, with memory | of it DRAM | fp32 takes | fp8 takes | computing alone: fp32, fp8 | time of the convolutions, s | bound by | EDP, J·s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for machine, title, _ in MACHINES:
        for name in FORMATS:
            of = lambda other: figures[slug(machine, 0, network, BATCH, other)]
            own = of(name)
            ratio = lambda key, other: f"{of(other)[key] / own[key]:.2f}"
            cells = [
                f"{machine}: {title}" if name == FORMATS[0] else "",
                name,
                energy(own["step_j"]),
                f"{own['parts_j']['dram'] / own['step_j']:.0%}",
                ratio("step_j", "fp32"),
                ratio("step_j", "fp8"),
                f"{ratio('computing_j', 'fp32')}, {ratio('computing_j', 'fp8')}",
                f"{own['seconds']:.3g}",
                own["bound_by"],
                f"{own['edp_js']:.3g}",
            ]
            text.append("| " + " | ".join(cells) + " |")
    return text


def step_table(figures, machine, batch, network):
    names = [name for name in STEPPED_FORMATS if name not in ("fp32", "fp8")]
    text = [
        "| | fp32 | fp8 | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]

    def row(title, step, key):
        of = lambda name: figures[slug(machine, step, network, batch, name)][key]
        cells = [title, energy(of("fp32")), energy(of("fp8"))]
        cells += [f"{energy(of(n))}: {of('fp32') / of(n):.2f}, {of('fp8') / of(n):.2f}" for n in names]
        text.append("| " + " | ".join(cells) + " |")

    for step, (title, *_) in enumerate(STEPS):
        row(title, step, "step_j")
    row("computing of the convolutions alone", 0, "computing_j")
    return text


def markdown(figures):
    text = ["# Training steps on machines with real memories", ""]
    text += ["\"X takes\" is the energy of format X as a multiple of that of the line's, on the same machine.", ""]
    for network, title in NETWORKS.items():
        text += [f"## {title}, a step of {BATCH} images", ""] + machine_table(figures, network) + [""]
    for machine, batch in STEPPED:
        images = "one image" if batch == 1 else f"{batch} images"
        text += [f"## What it takes: {machine}, {images}", ""]
        text += ["Energy of the step with memory, and what fp32 and fp8 take of it.", ""]
        for network, title in NETWORKS.items():
            text += [f"### {title}", ""] + step_table(figures, machine, batch, network) + [""]
    return "\n".join(text)


def points(figures):
    """Blocks of the picture, one a network and format: place, computing alone, step with memory, machine, bound by."""
    lines = []
    for network in NETWORKS:
        for name in FORMATS[1:]:
            for place, (machine, _, _) in enumerate(MACHINES):
                base = figures[slug(machine, 0, network, BATCH, "fp32")]
                own = figures[slug(machine, 0, network, BATCH, name)]
                computing = base["computing_j"] / own["computing_j"]
                step = base["step_j"] / own["step_j"]
                lines.append(f"{place} {computing:.4f} {step:.4f} {machine} {own['bound_by']}")
            lines += ["", ""]
    return "\n".join(lines)


def write(work, out):
    figures = {name: figures_of(json.loads((work / f"{name}.json").read_text())) for name, *_ in runs()}
    lines = [f"  {json.dumps(name)}: {json.dumps(figure)}" for name, figure in figures.items()]
    (out / "figures.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (out / "table.md").write_text(markdown(figures))
    (work / "machines.points").write_text(points(figures))


def main():
    folders = [pathlib.Path(argument) for argument in sys.argv[2:]]
    list_runs(*folders) if sys.argv[1] == "runs" else write(*folders)


main()
