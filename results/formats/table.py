"""Formats side by side: `table.py formats` names those to sweep; `table.py write SWEEPS OUT` writes table.md and figures.json
to OUT, and the points of the pictures to SWEEPS."""

import json
import math
import pathlib
import statistics
import sys

# Label, formats of activation, weight and error, kind (as picture.gp has them), name of its training metrics.
FORMATS = [
    ("e2m4 nc", "e2m4", 0, "e2m4"),
    ("e2m1 nc", "e2m1", 0, "e2m1"),
    ("e2m1 fit nc", "e2m1/fit/nc", 0, "e2m1-fit"),
    ("e2m1 n, none", "e2m1/n+e2m1/none+e2m1/n", 0, None),
    ("e2m4 b32", "e2m4/b32", 1, None),
    ("e2m1 b16", "e2m1/b16", 1, "e2m1-b16"),
    ("e2m1 b32", "e2m1/b32", 1, None),
    ("e2m1 k16", "e2m1/k16", 1, "e2m1-k16"),
    ("e2m1 k32", "e2m1/k32", 1, None),
    ("e2m1 k16, w 16×16", "e2m1/k16+e2m1/t16x16x1x1+e2m1/k16", 1, "e2m1-k16-w16x16"),
    ("mxfp8", "mxfp8", 2, "mxfp8"),
    ("mxfp6-e2m3", "mxfp6-e2m3", 2, "mxfp6-e2m3"),
    ("mxfp6-e3m2", "mxfp6-e3m2", 2, None),
    ("mxfp4", "mxfp4", 2, "mxfp4"),
    ("mxint8", "mxint8", 2, "mxint8"),
    ("nvfp4, w 16×16", "nvfp4+nvfp4/t16x16x1x1+nvfp4", 2, "nvfp4-w16x16"),
    ("int8", "int8", 3, "int8"),
    ("fp8", "fp8", 3, "fp8"),
    ("bf16", "bf16", 3, "bf16"),
    ("fp32", "fp32", 3, "fp32"),
]
# Points that lie under others in the picture of errors, and have no label there.
UNLABELLED = {"e2m1 n, none", "e2m1 b32", "e2m1 k32", "e2m1 k16"}
# Labels of the picture of accuracies that others leave no room for above and to the right: 1 to the left, 2 below.
SIDES = {"nvfp4, w 16×16": 1, "mxint8": 1, "int8": 2, "e2m1 fit nc": 2}
NETWORKS = {"resnet20": "ResNet-20, 128 images", "resnet18": "ResNet-18, 32 images", "resnet50": "ResNet-50, 32 images",
            "mobilenetv2": "MobileNetV2, 32 images"}
PASSES = ["forward", "backward_data", "backward_weight"]


def points_of(sweeps, name):
    points = json.loads((sweeps / f"{name}.json").read_text())["points"]
    assert len(points) == len(FORMATS)
    return points


def accuracies(folders):
    """Test accuracy in percent of every seed, at the last of 60 epochs."""
    found = {}
    for label, _, _, name in FORMATS:
        files = [file for folder in folders for file in folder.glob(f"{name}-seed*.jsonl")] if name else []
        for file in sorted(files, key=lambda file: file.name):
            last = json.loads(file.read_text().splitlines()[-1])
            if last["epoch"] == 60:
                found.setdefault(label, []).append(100 * last["test_accuracy"])
    return found


def decibels(value):
    return "-" if value is None else value if isinstance(value, str) else f"{value:.1f}"


def each(point, key):
    return point[key] / point["multiply_adds"]


def mark_front(rows):
    """Rows that no other has more value for less energy than."""
    return [row for row in rows if not any(o["pj"] <= row["pj"] and o["value"] >= row["value"] and o != row for o in rows)]


def error_table(sweeps):
    heads = ["ResNet-20 (trace)", "ResNet-18", "ResNet-50", "MobileNetV2"]
    files = ["trace", "resnet18-errors", "resnet50-errors", "mobilenetv2-errors"]
    text = ["## SQNR in dB: forward, backward data, backward weight", "", "| format | " + " | ".join(heads) + " |", "|---" * 5 + "|"]
    columns = [points_of(sweeps, file) for file in files]
    for i, (label, *_) in enumerate(FORMATS):
        cells = [" · ".join(decibels(column[i]["passes"][p]["sqnr_db"]) for p in PASSES) for column in columns]
        text.append(f"| {label} | " + " | ".join(cells) + " |")
    return text + [""]


def price_table(sweeps, network, title):
    text = [f"## {title}: a training step's convolutions", "",
            "| format | operations only, pJ a multiply-add | all computing | with memory | step with memory, mJ | million cycles | area, mm² | accumulator, bits |",
            "|---" * 8 + "|"]
    for (label, *_), point in zip(FORMATS, points_of(sweeps, f"{network}-prices")):
        memory = point["computing_pj"] + point["memory_pj"]
        area = "-" if point["area_um2"] is None else f"{point['area_um2'] / 1e6:.2f}"
        text.append(f"| {label} | {each(point, 'operations_only_pj'):.3f} | {each(point, 'computing_pj'):.3f} | "
                    f"{memory / point['multiply_adds']:.3f} | {memory / 1e9:.1f} | {point['cycles'] / 1e6:.1f} | {area} | "
                    f"{point['accumulator_bits'] or '-'} |")
    return text + [""]


def standard_error(values):
    """Of the mean; nothing where one seed has no spread."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def accuracy_table(sweeps, found):
    prices = dict(zip((label for label, *_ in FORMATS), points_of(sweeps, "resnet20-prices")))
    text = ["## ResNet-20 on CIFAR-10: test accuracy after 60 epochs", "",
            "| format | accuracy, % (mean) | standard error | seeds | below fp32 | standard error | all computing, pJ a multiply-add |", "|---" * 7 + "|"]
    reference = found.get("fp32")
    for label, values in sorted(found.items(), key=lambda entry: -statistics.mean(entry[1])):
        mean, own = statistics.mean(values), standard_error(values)
        below = between = ""
        if reference is not None and label != "fp32":
            below, other = f"{statistics.mean(reference) - mean:.2f}", standard_error(reference)
            between = "-" if own is None or other is None else f"{math.hypot(own, other):.2f}"
        error = "-" if own is None else f"{own:.2f}"
        text.append(f"| {label} | {mean:.2f} | {error} | {len(values)} | {below} | {between} | {each(prices[label], 'computing_pj'):.3f} |")
    return text + [""]


def write_points(path, rows, sides):
    front = mark_front(rows)
    def line(row):
        label = "" if row["label"] in UNLABELLED else row["label"]
        return f"{row['pj']:.4f} {row['value']:.3f} \"{label}\" {row['kind']} {sides.get(row['label'], 0)}\n"

    path.write_text("".join(line(row) for row in rows))
    path.with_suffix(".front").write_text("".join(line(row) for row in sorted(front, key=lambda r: r["pj"])))
    return [r["label"] for r in sorted(front, key=lambda r: r["pj"])]


def main():
    if sys.argv[1] == "formats":
        print(",".join(formats for _, formats, _, _ in FORMATS))
        return
    sweeps, out = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    found = accuracies([out / "metrics", out.parent / "accuracy" / "metrics"])
    prices = points_of(sweeps, "resnet20-prices")
    rows = [{"label": label, "pj": each(price, "computing_pj"), "value": error["mean_sqnr_db"], "kind": kind}
            for (label, _, kind, _), price, error in zip(FORMATS, prices, points_of(sweeps, "trace")) if label != "fp32"]
    error_front = write_points(sweeps / "errors.points", rows, {})
    rows = [{"label": label, "pj": each(price, "computing_pj"), "value": statistics.mean(found[label]), "kind": kind}
            for (label, _, kind, _), price in zip(FORMATS, prices) if label in found]
    accuracy_front = write_points(sweeps / "accuracy.points", rows, SIDES)
    text = ["# Formats side by side", "", "Written by run.sh; README.md says what it shows.", "",
            "Front of energy and SQNR (ResNet-20): " + ", ".join(error_front) + ".", ""]
    if accuracy_front:
        text += ["Front of energy and accuracy: " + ", ".join(accuracy_front) + ".", ""]
        text += accuracy_table(sweeps, found)
    text += error_table(sweeps)
    for network, title in NETWORKS.items():
        text += price_table(sweeps, network, title)
    (out / "table.md").write_text("\n".join(text))
    figures = {network: {label: {key: point[key] for key in ("multiply_adds", "operations_only_pj", "computing_pj", "memory_pj", "cycles", "area_um2", "accumulator_bits")}
                         for (label, *_), point in zip(FORMATS, points_of(sweeps, f"{network}-prices"))} for network in NETWORKS}
    errors = {name: {label: point["passes"] for (label, *_), point in zip(FORMATS, points_of(sweeps, file))}
              for name, file in [("resnet20", "trace")] + [(n, f"{n}-errors") for n in ("resnet18", "resnet50", "mobilenetv2")]}
    (out / "figures.json").write_text(json.dumps({"prices": figures, "errors": errors, "accuracy": found}, indent=1) + "\n")


main()
