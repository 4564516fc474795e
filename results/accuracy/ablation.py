"""Accuracy beside bits and energy: `ablation.py formats` names the formats to price, `ablation.py table METRICS SWEEP
POINTS` prints the tables of short runs and writes what the plot needs to POINTS."""
import json
import pathlib
import sys

GRID = [f"e{ex}m{mx}" for ex in (0, 1, 2) for mx in (1, 2, 3, 4)]
GROUPED = [(mg, g) for mg in (1, 0) for g in ("nc", "n", "c", "none")]
# Names of the metrics file, formats as A+W+E.
MIXED = [
    ("activation-e2m4", "e2m4+e2m1+e2m1", "activations e2m4"),
    ("weight-e2m4", "e2m1+e2m4+e2m1", "weights e2m4"),
    ("error-e2m4", "e2m1+e2m1+e2m4", "errors e2m4"),
]
ROUNDING = [
    ("e2m1", "e2m1", "nearest, nearest, stochastic (default)"),
    ("e2m1-all-nearest", "e2m1", "nearest on all"),
    ("e2m1-activation-stochastic", "e2m1", "stochastic, nearest, stochastic"),
    ("e2m1-weight-stochastic", "e2m1", "nearest, stochastic, stochastic"),
    ("e2m1-all-stochastic", "e2m1", "stochastic on all"),
    ("e2m1-all-stochastic-evaluation-training", "e2m1", "stochastic on all, in evaluation too"),
    ("e2m4", "e2m4", "nearest, nearest, stochastic (default)"),
    ("e2m4-all-nearest", "e2m4", "nearest on all"),
]
# Names of the metrics file, formats as A+W+E, bits.
BASELINES = [("fp32", "fp32", 32), ("bf16", "bf16", 16), ("fp8", "fp8-e4m3+fp8-e4m3+fp8-e5m2", 8), ("int8", "int8", 8)]


def grouped(mg, grouping):
    return f"e2m1/g8m{mg}/{grouping}"


def formats():
    return GRID + [grouped(*g) for g in GROUPED if g != (1, "nc")] + [f for _, f, _ in MIXED + BASELINES]


def table(metrics, sweep, points_path):
    def accuracy(name):
        lines = (pathlib.Path(metrics) / f"short-{name}.jsonl").read_text().splitlines()
        return 100 * json.loads(lines[-1])["test_accuracy"]

    # mJ a training step; the points come in the order of the formats.
    points = json.load(open(sweep))["points"]
    assert len(points) == len(formats())
    energy = {
        name: (p["operations_only_pj"] * 1e-9, p["computing_pj"] * 1e-9) for name, p in zip(formats(), points)
    }

    def row(*cells):
        print("| " + " | ".join(cells) + " |")

    def energies(name):
        return [f"{energy[name][0]:.1f}", f"{energy[name][1]:.1f}"]

    with open(points_path, "w") as plot:
        print("## Element formats\n")
        row("Ex", *(f"Mx = {mx}" for mx in (1, 2, 3, 4)))
        row(*["---"] * 5)
        for ex in (0, 1, 2):
            row(str(ex), *(f"{accuracy(f'e{ex}m{mx}'):.2f} %" for mx in (1, 2, 3, 4)))
        print()
        row("format", "bits of an element", "test accuracy", "operations only, mJ", "all computing, mJ")
        row(*["---"] * 5)
        for name in GRID:
            row(f"`{name}`", str(1 + int(name[1]) + int(name[3])), f"{accuracy(name):.2f} %", *energies(name))
            plot.write(f"{energy[name][1]} {accuracy(name)} {name} {name[1]}\n")
        for name, priced, bits in BASELINES:
            row(f"`{name}`", str(bits), f"{accuracy(name):.2f} %", *energies(priced))
            plot.write(f"{energy[priced][1]} {accuracy(name)} {name} 3\n")

        print("\n## Groups of `e2m1`\n")
        row("grouping", "accuracy, Mg = 1", "Mg = 0", "all computing, mJ, Mg = 1", "Mg = 0")
        row(*["---"] * 5)
        for grouping in ("nc", "n", "c", "none"):
            names = ["e2m1" if (mg, grouping) == (1, "nc") else grouped(mg, grouping) for mg in (1, 0)]
            runs = ["e2m1" if n == "e2m1" else n.replace("/", "-") for n in names]
            row(
                f"`{grouping}`",
                *(f"{accuracy(r):.2f} %" for r in runs),
                *(f"{energy[n][1]:.1f}" for n in names),
            )

        print("\n## One operand of `e2m1` in `e2m4`\n")
        row("", "test accuracy", "operations only, mJ", "all computing, mJ")
        row(*["---"] * 4)
        row("none", f"{accuracy('e2m1'):.2f} %", *energies("e2m1"))
        for name, mixed, label in MIXED:
            row(label, f"{accuracy('e2m1-' + name):.2f} %", *energies(mixed))
        row("all", f"{accuracy('e2m4'):.2f} %", *energies("e2m4"))

        print("\n## Rounding\n")
        row("format", "activation, weight, error", "test accuracy")
        row(*["---"] * 3)
        for run, name, label in ROUNDING:
            row(f"`{name}`", label, f"{accuracy(run):.2f} %")

        print("\n## Seeds\n")
        row("format", "seed 1", "seed 2")
        row(*["---"] * 3)
        for name in ("fp32", "e2m1"):
            row(f"`{name}`", f"{accuracy(name):.2f} %", f"{accuracy(name + '-seed2'):.2f} %")


if sys.argv[1] == "formats":
    print(",".join(formats()))
else:
    table(*sys.argv[2:5])
