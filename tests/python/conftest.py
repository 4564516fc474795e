"""What the tests share: the command, random layers and formats, worked examples."""

import json
import os
import pathlib
import subprocess

import numpy as np
from hypothesis import settings

SOURCE = pathlib.Path(os.environ["MLSIM_SOURCE_DIR"])

# The same examples each time, and no folder of them beside the tests.
settings.register_profile("mlsim", derandomize=True, database=None, deadline=None)
settings.load_profile("mlsim")

NAMED_FORMATS = [
    "e2m4", "e2m1/g8m0/n", "e0m3/g4m2/c", "e4m2/g8m3/none", "e3m2/fit/nc", "e1m6/g2m1/k3", "e2m1/b4", "e2m3/t2x3x1x1",
    "e0m1/t1x2x*x1", "mxfp4", "mxfp6-e2m3/ceil", "mxfp6-e3m2/even/k4", "mxfp8-e4m3/rceil/b3", "mxfp8-e5m2/k5",
    "mxint8/nc", "mxint8/t3x2x1x1", "nvfp4", "nvfp4/k3", "nvfp4/t16x16x1x1", "nvfp4/none",
]  # fmt: skip
BASELINES = ["fp32", "fp16", "bf16", "fp8-e4m3", "fp8-e5m2", "int8"]
OPERANDS = {
    "forward": ("activation", "weight"),
    "backward_data": ("error", "weight"),
    "backward_weight": ("error", "activation"),
}


def run_command(*arguments, folder):
    """The command's standard output; it must succeed."""
    done = subprocess.run(
        [os.environ["MLSIM_COMMAND"], *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused_by_command(*arguments, folder):
    """The sentence with which the command refuses."""
    done = subprocess.run(
        [os.environ["MLSIM_COMMAND"], *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    return done.stderr.removeprefix("mlsim: error: ").removesuffix("\n")


def vectors(name):
    return json.loads((SOURCE / "tests" / "vectors" / f"{name}.json").read_text())


def floats(bits, shape):
    return np.array([int(one, 16) for one in bits], dtype=np.uint32).view(np.float32).reshape(shape)


def same_bits(left, right):
    """Whether two float arrays are equal bit by bit; NaNs are alike."""
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    kind = {4: np.uint32, 8: np.uint64}[left.dtype.itemsize]
    return bool(np.all((left.view(kind) == right.view(kind)) | (np.isnan(left) & np.isnan(right))))


def random_tensor(random, shape):
    """Values of a random kind: normal, far apart, with zeros, subnormal, on a grid with ties, all zeros."""
    values = random.standard_normal(shape)
    kind = random.integers(0, 6)
    if kind == 1:
        values = np.ldexp(values, random.integers(-100, 60, shape))
    elif kind == 2:
        values = np.maximum(values, 0) * np.ldexp(1.0, random.integers(-12, 1, (*shape[:2], *[1] * (len(shape) - 2))))
    elif kind == 3:
        values = values * 2.0**-140
    elif kind == 4:
        values = random.integers(-64, 65, shape) / 64
    elif kind == 5:
        values = np.where(random.random(shape) < 0.02, values, 0)
    return values.astype(np.float32)


def random_layer(random, index):
    """A small convolution or, now and then, linear layer, as a workload has it."""
    groups = int(random.integers(2, 4)) if random.random() < 0.3 else 1
    layer = {
        "name": f"layer{index}",
        "type": "conv2d",
        "batch": int(random.integers(1, 4)),
        "in_channels": groups * int(random.integers(1, 5)),
        "out_channels": groups * int(random.integers(1, 6)),
        "groups": groups,
    }
    if random.random() < 0.15:
        return {**layer, "type": "linear"}
    kernel = [int(one) for one in random.choice([1, 2, 3, 3, 5], 2)]
    dilation = [int(one) for one in random.choice([1, 1, 1, 2, 3], 2)]
    padding = [[int(one) for one in random.integers(0, 4, 2)] for _ in range(2)]
    if random.random() < 0.7:
        padding = [sides[0] for sides in padding]
    sizes = []
    for axis in range(2):
        zeros = sum(padding[axis]) if isinstance(padding[axis], list) else 2 * padding[axis]
        smallest = max(dilation[axis] * (kernel[axis] - 1) + 1 - zeros, 1)
        sizes.append(smallest + int(random.integers(0, 7)))
    return {
        **layer,
        "kernel": kernel,
        "dilation": dilation,
        "padding": padding,
        "stride": [int(one) for one in random.integers(1, 4, 2)],
        "in_size": sizes,
    }


def geometry(layer):
    """The arguments of a pass that say where its taps are."""
    if layer["type"] == "linear":
        return {"groups": layer["groups"]}
    return {key: layer.get(key, default) for key, default in
            (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))}  # fmt: skip


def shapes(layer):
    activation = [layer["batch"], layer["in_channels"]]
    weight = [layer["out_channels"], layer["in_channels"] // layer["groups"]]
    error = [layer["batch"], layer["out_channels"]]
    if layer["type"] == "conv2d":
        activation += layer["in_size"]
        weight += layer["kernel"]
        for axis in range(2):
            zeros = layer["padding"][axis]
            zeros = sum(zeros) if isinstance(zeros, list) else 2 * zeros
            extent = layer.get("dilation", [1, 1])[axis] * (layer["kernel"][axis] - 1) + 1
            error.append((layer["in_size"][axis] + zeros - extent) // layer["stride"][axis] + 1)
    return {"activation": tuple(activation), "weight": tuple(weight), "error": tuple(error)}


def run_pass(mlsim, name, left, right, layer, **more):
    sizes = {}
    if layer["type"] == "conv2d":
        if name == "backward_data":
            sizes["in_size"] = layer["in_size"]
        if name == "backward_weight":
            sizes["kernel"] = layer["kernel"]
    return getattr(mlsim, name)(left, right, **sizes, **geometry(layer), **more)
