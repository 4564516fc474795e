"""Cycles of both dataflows beside SCALE-Sim's formula: table.py RESULTS NETWORK OUT, RESULTS as run.sh writes them."""

import json
import pathlib
import sys

ROWS = COLUMNS = 16
FORMATS = ["e2m4/none", "e2m4", "nvfp4"]
DATAFLOWS = ["output-stationary", "weight-stationary"]


def ceiling(value, divisor):
    return -(-value // divisor)


def scale_sim(dataflow, layer):
    """Samajdar et al., ISPASS 2020: folds of S_R × S_C on the array, each of 2 R + C + T - 2 cycles."""
    size = [(layer["in_size"][a] + 2 * layer["padding"][a] - layer["kernel"][a]) // layer["stride"][a] + 1 for a in (0, 1)]
    positions = size[0] * size[1]
    window = layer["in_channels"] // layer.get("groups", 1) * layer["kernel"][0] * layer["kernel"][1]
    filters = layer["out_channels"]
    if dataflow == "output-stationary":
        on_rows, on_columns, steps = positions, filters, window
    else:
        on_rows, on_columns, steps = window, filters, positions
    return ceiling(on_rows, ROWS) * ceiling(on_columns, COLUMNS) * (2 * ROWS + COLUMNS + steps - 2)


def shape_text(layer):
    kernel, stride = layer["kernel"], layer["stride"]
    return f"{layer['in_channels']} → {layer['out_channels']}, {kernel[0]}×{kernel[1]}" + (f" / {stride[0]}" if stride[0] > 1 else "") + f", {layer['in_size'][0]}²"


def cycles_of(folder, dataflow, format_name):
    results = json.loads((folder / f"{dataflow}.{format_name.replace('/', '-')}.json").read_text())
    return {layer["name"]: layer["passes"][0]["cycles"]["array"] for layer in results["layers"]}


def kinds_of(network):
    """Layers of the array that are alike, under the name of their first, with how many there are."""
    kinds = {}
    for layer in json.loads(network.read_text())["layers"]:
        if layer["type"] == "conv2d" and layer.get("format") != "fp32":
            key = json.dumps({k: layer[k] for k in ("in_channels", "out_channels", "in_size", "kernel", "stride", "padding")})
            kinds.setdefault(key, [layer, 0])[1] += 1
    return kinds.values()


def main(folder, network, out):
    cycles = {(d, f): cycles_of(folder, d, f) for d in DATAFLOWS for f in FORMATS}
    lines = [
        "| layer | times | OS: SCALE-Sim | OS: `none` | OS: `nc` | OS: `nvfp4` | WS: SCALE-Sim | WS: `none` | WS: `nc` | WS: `nvfp4` |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    totals = [0] * (2 * (1 + len(FORMATS)))
    for layer, times in kinds_of(network):
        figures = []
        for dataflow in DATAFLOWS:
            figures.append(scale_sim(dataflow, layer))
            figures += [cycles[dataflow, f][layer["name"]] for f in FORMATS]
        totals = [total + times * figure for total, figure in zip(totals, figures)]
        lines.append(f"| {shape_text(layer)} | {times} | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    lines.append("| all | | " + " | ".join(f"{total / 1e6:.2f} M" for total in totals) + " |")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:4]))
