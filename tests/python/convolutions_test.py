"""The three passes against the command, the worked examples and a plain convolution of integers."""

import json

import numpy as np
import pytest
from conftest import (
    BASELINES,
    NAMED_FORMATS,
    OPERANDS,
    floats,
    random_layer,
    random_tensor,
    run_command,
    run_pass,
    same_bits,
    shapes,
    vectors,
)
from hypothesis import given
from hypothesis import strategies as some

import mlsim

ROUNDING = {"activation": "nearest", "weight": "stochastic", "error": "stochastic"}
KINDS = ["activation", "weight", "error"]


def random_workload(random, folder):
    """A workload whose layers have a format of any system each, or one for each operand; its tensors are files."""
    layers = []
    for index in range(24):
        layer = random_layer(random, index)
        if random.random() < 0.2:
            layer["format"] = str(random.choice(BASELINES))
        elif random.random() < 0.5:
            layer["format"] = str(random.choice(NAMED_FORMATS))
        else:
            layer["format"] = {kind: str(random.choice(NAMED_FORMATS)) for kind in KINDS}
        layer["tensors"] = {}
        for kind, shape in shapes(layer).items():
            # Scales whose product leaves binary32 are refused, which other tests look at.
            values = np.clip(random_tensor(random, shape), -(2.0**40), 2.0**40).astype(np.float32)
            layer["tensors"][kind] = f"{layer['name']}.{kind}.npy"
            np.save(folder / layer["tensors"][kind], values)
        layers.append(layer)
    return {
        "schema": "mlsim.workload/1", "name": "random", "seed": 11, "step": 3, "random_bits": 8, "format": "e2m4",
        "rounding": ROUNDING, "layers": layers,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("accumulator_bits", "overflow", "taps_per_cycle"), [(0, "saturate", 1), (9, "saturate", 1), (10, "wrap", 3)]
)
def test_equal_the_command(accumulator_bits, overflow, taps_per_cycle, tmp_path):
    random = np.random.default_rng(accumulator_bits)
    workload = {
        **random_workload(random, tmp_path),
        "accumulator_bits": accumulator_bits,
        "overflow": overflow,
    }
    (tmp_path / "w.json").write_text(json.dumps(workload))
    (tmp_path / "array.json").write_text(json.dumps({"taps_per_cycle": taps_per_cycle}))
    run_command("simulate", "w.json", "--tensors", "t", "--results", "r.json", "--no-baselines", "--array", "array.json",
                folder=tmp_path)  # fmt: skip
    results = json.loads((tmp_path / "r.json").read_text())
    overflows = 0
    for index, (layer, record) in enumerate(zip(workload["layers"], results["layers"])):
        for entry in record["passes"]:
            name = entry["pass"]
            operands = []
            for kind in OPERANDS[name]:
                format = layer["format"] if isinstance(layer["format"], str) else layer["format"][kind]
                operands.append(
                    mlsim.quantize(
                        np.load(tmp_path / layer["tensors"][kind]), format, ROUNDING[kind], 8, 11,
                        3 * 2**32 + 3 * index + KINDS.index(kind), operand=kind, pass_name=name, measure=False,
                    )  # fmt: skip
                )
            more = {}
            if layer["format"] not in BASELINES:
                more = {"overflow": overflow, "taps_per_cycle": taps_per_cycle}
                more["accumulator_bits"] = accumulator_bits or None
            result = run_pass(mlsim, name, *operands, layer, **more)
            assert same_bits(np.load(tmp_path / "t" / f"{layer['name']}.{name}.npy"), result.values), (layer, name)
            assert result.overflows == entry["counts"]["overflows"]
            if layer["format"] not in BASELINES:
                assert result.counts == entry["counts"]
            overflows += result.overflows
    assert (overflows > 0) == (accumulator_bits > 0)


@pytest.mark.parametrize("name", ["convolution", "blocks-convolution"])
def test_equal_worked_examples(name):
    for case in vectors(name):
        case = {"type": "conv2d", "groups": 1, **case}
        for pass_name, kinds in OPERANDS.items():
            operands = [
                mlsim.quantize(
                    floats(case[f"{kind}_hex"], shapes(case)[kind]), case["format"][kind], case["rounding"][kind],
                    case["random_bits"], case["seed"],
                    case["step"] * 2**32 + 3 * case["layer_index"] + KINDS.index(kind), kind, pass_name,
                )
                for kind in kinds
            ]  # fmt: skip
            result = run_pass(
                mlsim, pass_name, *operands, case, accumulator_bits=case["accumulator_bits"],
                overflow=case["overflow"], taps_per_cycle=case.get("taps_per_cycle", 1), threads=2,
            )  # fmt: skip
            assert result.overflows == case["overflows"][pass_name]
            assert same_bits(floats(case[f"{pass_name}_hex"], result.shape), np.asarray(result))


def plain_forward(activation, weight, layer):
    """Integers, one tap after the other."""
    groups, stride, dilation = layer["groups"], layer["stride"], layer["dilation"]
    padding = [sides if isinstance(sides, list) else [sides, sides] for sides in layer["padding"]]
    padded = np.pad(activation, [(0, 0), (0, 0), *map(tuple, padding)])
    out = np.zeros(shapes(layer)["error"], np.int64)
    per_group = layer["out_channels"] // groups
    for co in range(layer["out_channels"]):
        first = co // per_group * weight.shape[1]
        for ci in range(weight.shape[1]):
            for y in range(weight.shape[2]):
                for x in range(weight.shape[3]):
                    rows = slice(y * dilation[0], y * dilation[0] + (out.shape[2] - 1) * stride[0] + 1, stride[0])
                    columns = slice(x * dilation[1], x * dilation[1] + (out.shape[3] - 1) * stride[1] + 1, stride[1])
                    out[:, co] += padded[:, first + ci, rows, columns] * weight[co, ci, y, x]
    return out


@given(some.integers(0, 2**32 - 1))
def test_equal_a_plain_convolution_of_integers(seed):
    """And both ways back are its transposes: <z, e> is linear in activation and weight."""
    random = np.random.default_rng(seed)
    layer = {"type": "linear"}
    while layer["type"] == "linear":
        layer = random_layer(random, 0)
    numbers = {kind: random.integers(-7, 8, shape) for kind, shape in shapes(layer).items()}
    # Small integers are exact in mxint8 with one power of two for the tensor.
    q = {kind: mlsim.quantize(value, "mxint8/none") for kind, value in numbers.items()}
    forward = run_pass(mlsim, "forward", q["activation"], q["weight"], layer)
    assert np.array_equal(forward.values, plain_forward(numbers["activation"], numbers["weight"], layer))
    paired = np.sum(forward.values.astype(np.int64) * numbers["error"])
    data = run_pass(mlsim, "backward_data", q["error"], q["weight"], layer)
    weight = run_pass(mlsim, "backward_weight", q["error"], q["activation"], layer)
    assert data.shape == numbers["activation"].shape and weight.shape == numbers["weight"].shape
    assert np.sum(data.values.astype(np.int64) * numbers["activation"]) == paired
    assert np.sum(weight.values.astype(np.int64) * numbers["weight"]) == paired


def test_one_dimension_is_a_convolution_of_one_column():
    random = np.random.default_rng(5)
    a, w, e = (random_tensor(random, shape) for shape in ((2, 6, 11), (4, 3, 3), (2, 4, 6)))
    for format in ("e2m4", "nvfp4", "fp16"):
        q = {}
        for kind, value in (("activation", a), ("weight", w), ("error", e)):
            for name in OPERANDS:
                if kind in OPERANDS[name]:
                    q[kind, name] = [mlsim.quantize(v, format, operand=kind, pass_name=name) for v in (value, value[..., None])]
        common = {"padding": 1, "stride": 2, "groups": 2}
        wide = {"padding": (1, 0), "stride": (2, 1), "groups": 2}
        for name, sizes, wide_sizes in (
            ("forward", {}, {}),
            ("backward_data", {"in_size": 11}, {"in_size": (11, 1)}),
            ("backward_weight", {"kernel": [3]}, {"kernel": (3, 1)}),
        ):
            left, right = (q[kind, name] for kind in OPERANDS[name])
            line = getattr(mlsim, name)(left[0], right[0], **common, **sizes)
            column = getattr(mlsim, name)(left[1], right[1], **wide, **wide_sizes)
            assert same_bits(line.values, column.values[..., 0])


def quantized(shape, format="e2m4", **more):
    return mlsim.quantize(np.ones(shape, np.float32), format, **more)


A, W, E = (2, 4, 6, 6), (3, 4, 3, 3), (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mlsim.forward(quantized(A), quantized((3, 5, 3, 3))),
         "weight: has the shape (3, 5, 3, 3), expected (3, 4, 3, 3) for forward"),
        (lambda: mlsim.forward(quantized(A), quantized(W), groups=3),
         "forward: /groups: is 3, expected a divisor of in_channels 4 and out_channels 3"),
        (lambda: mlsim.forward(quantized((2, 4, 2, 2)), quantized(W)),
         "forward: /kernel: is 3, larger than the padded input of 2"),
        (lambda: mlsim.forward(quantized(A), quantized((3, 4))), "weight: has 2 dimensions, expected the 4 of the activation"),
        (lambda: mlsim.forward(np.ones(A), quantized(W)),
         "activation: is a numpy.ndarray, expected what mlsim.quantize returns"),
        (lambda: mlsim.forward(quantized(A), None), "weight: is a NoneType, expected what mlsim.quantize returns"),
        (lambda: mlsim.forward(quantized(A, "mxfp4"), quantized(W, "fp16")),
         "forward would multiply mxfp4/k32 by fp16, expected block-scaled, floating-point or int8 for both"),
        (lambda: mlsim.forward(quantized(A, operand="weight"), quantized(W)),
         "activation: was quantized as weight, expected activation"),
        (lambda: mlsim.forward(quantized(A, "mxfp4"), quantized(W, "mxfp4", operand="weight", pass_name="backward_data")),
         'weight: was quantized in tiles of t32x1x1x1, expected t1x32x1x1 for forward: quantize it with operand="weight", '
         'pass_name="forward"'),
        (lambda: mlsim.forward(quantized(A), quantized(W), stride=(1, 2, 3)),
         "stride: is (1, 2, 3), expected a whole number or two"),
        (lambda: mlsim.forward(quantized(A), quantized(W), stride=1.5),
         "stride: is 1.5, expected a whole number from 1 to 1048576"),
        (lambda: mlsim.forward(quantized(A), quantized(W), padding=[(1, 2, 3), 1]),
         "padding: has (1, 2, 3), expected one number for both sides or two"),
        (lambda: mlsim.forward(quantized(A), quantized(W), padding=-1),
         "padding: is -1, expected a whole number from 0 to 1048576"),
        (lambda: mlsim.forward(quantized(A), quantized(W), dilation="2"),
         "dilation: is '2', expected a whole number from 1 to 1048576"),
        (lambda: mlsim.forward(quantized(A), quantized(W), accumulator_bits=65),
         "accumulator_bits: is 65, expected a whole number from 2 to 64"),
        (lambda: mlsim.forward(quantized(A, "int8"), quantized(W, "int8"), accumulator_bits=16),
         "accumulator_bits: is 16, expected none: int8 adds in its own numbers"),
        (lambda: mlsim.forward(quantized(A), quantized(W), overflow="trap"),
         "overflow: is 'trap', expected saturate or wrap"),
        (lambda: mlsim.forward(quantized(A), quantized(W), taps_per_cycle=0),
         "taps_per_cycle: is 0, expected a whole number from 1 to 1024"),
        (lambda: mlsim.backward_data(quantized(E), quantized(W)), "in_size: is missing, expected the height and width"),
        (lambda: mlsim.backward_data(quantized(E), quantized(W), in_size=(9, 6)),
         "error: has the shape (2, 3, 4, 4), expected (2, 3, 7, 4) for backward_data"),
        (lambda: mlsim.backward_data(quantized(E), quantized(W), (2**20, 2**20), padding=2**20),
         "error: has the shape (2, 3, 4, 4), expected (2, 3, 3145726, 3145726) for backward_data"),
        (lambda: mlsim.backward_data(quantized(E), quantized(W), (2**20, 2**20), groups=2**40),
         "backward_data: /groups: is 1099511627776, expected a divisor of in_channels 4398046511104 and out_channels 3"),
        (lambda: mlsim.backward_weight(quantized(E), quantized(A)), "kernel: is missing, expected the height and width"),
        (lambda: mlsim.backward_weight(quantized(E), quantized(A), 5),
         "error: has the shape (2, 3, 4, 4), expected (2, 3, 2, 2) for backward_weight"),
        (lambda: mlsim.forward(quantized((2, 4)), quantized((3, 4)), padding=1),
         "padding: is 1, expected its default of a linear layer"),
        (lambda: mlsim.forward(mlsim.quantize(np.full((1, 1), 3e38), "e2m4"), mlsim.quantize(np.full((1, 1), 3e38), "e2m4")),
         "forward: the product of the tensor scales"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(call, sentence):
    with pytest.raises(mlsim.Error) as error:
        call()
    assert str(error.value).startswith(sentence)
    if "product" not in sentence:
        assert str(error.value) == sentence


def test_results_that_no_memory_holds_are_an_error_of_memory():
    """One error meets a step that leaves 2^40 positions to one image."""
    with pytest.raises((MemoryError, mlsim.Error)):
        mlsim.backward_data(quantized((1, 1, 1, 1)), quantized((1, 2**12, 1, 1)), (2**20, 2**20), stride=2**20)


def test_tensors_of_other_passes_serve_where_their_tiles_are_the_same():
    w = quantized(W, "e2m4", operand="weight", pass_name="forward")
    assert mlsim.backward_data(quantized(E), w, (6, 6)).shape == A


def test_threads_change_nothing():
    random = np.random.default_rng(1)
    a, w = (mlsim.quantize(random_tensor(random, shape), "e2m4") for shape in ((4, 16, 20, 20), (32, 16, 3, 3)))
    assert same_bits(mlsim.forward(a, w, threads=1).values, mlsim.forward(a, w, threads=5).values)


def test_a_result_converts_and_says_what_it_is():
    result = mlsim.forward(quantized(A), quantized(W), padding=1)
    assert np.asarray(result).dtype == np.float32
    assert np.asarray(result, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(result), result.values)
    assert np.add(result, 1).shape == (2, 3, 6, 6)
    assert result.pass_name == "forward" and repr(result) == "<mlsim.PassResult forward (2, 3, 6, 6), overflows 0>"
    assert result.counts["mantissa_multiply"] > 0
