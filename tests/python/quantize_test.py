"""mlsim.quantize and fake_quantize against the command and the worked examples."""

import json

import numpy as np
import pytest
from conftest import BASELINES, NAMED_FORMATS, floats, random_tensor, refused_by_command, run_command, same_bits, vectors

import mlsim


def options(rounding):
    return {"rounding": rounding, "random_bits": 9, "seed": 2**63 + 5, "stream": 2**40 + 3}


def roles():
    yield None, None
    yield "weight", None
    yield "weight", "backward_data"
    yield "error", "backward_weight"


@pytest.mark.parametrize("format", NAMED_FORMATS + BASELINES)
def test_equals_the_command(format, tmp_path):
    random = np.random.default_rng(NAMED_FORMATS.index(format) if format in NAMED_FORMATS else 99)
    for number, (operand, pass_name) in enumerate(roles()):
        rounding = "stochastic" if number % 2 else "nearest"
        array = random_tensor(random, ((3, 5, 4, 3), (7, 6), (4, 3, 5), (5, 7, 1, 2))[number])
        np.save(tmp_path / "in.npy", array)
        more = [] if operand is None else ["--operand", operand]
        more += [] if pass_name is None else ["--pass", pass_name]
        run_command("quantize", "in.npy", "--format", format, "--rounding", rounding, "--random-bits", 9, "--seed",
                    2**63 + 5, "--stream", 2**40 + 3, "--out", "out", *more, folder=tmp_path)  # fmt: skip
        q = mlsim.quantize(array, format, operand=operand, pass_name=pass_name, **options(rounding))

        said = json.loads((tmp_path / "out" / "quantized.json").read_text())
        assert q.format == said["format"]
        assert q.shape == tuple(said["shape"])
        assert q.tile == (tuple(said["tile"]) if "tile" in said else None)
        assert np.float32(q.tensor_scale).view(np.uint32) == int(said["tensor_scale_hex"], 16)
        statistics = q.statistics
        for key in ("saturated", "flushed_to_zero", "exact"):
            assert statistics[key] == said[key]
        sqnr = statistics["sqnr_db"]
        assert (sqnr if np.isfinite(sqnr) else None) == said["sqnr_db"]

        codes = np.load(tmp_path / "out" / "codes.npy")
        assert codes.dtype == q.codes.dtype and np.array_equal(codes, q.codes)
        values = np.load(tmp_path / "out" / "dequantized.npy")
        assert same_bits(values, q.dequantize())
        assert same_bits(values, np.asarray(q))
        check_fake_quantized(array, values, format=format, operand=operand, pass_name=pass_name, **options(rounding))
        check_scales(q, tmp_path / "out")


def check_fake_quantized(array, values, **arguments):
    """The same numbers; those of a tile whose scale is zero have no sign."""
    exact = mlsim.fake_quantize(array, dtype=np.float64, **arguments)
    assert exact.dtype == np.float64 and np.array_equal(values, exact)
    narrow = mlsim.fake_quantize(array, **arguments)
    with np.errstate(over="ignore"):
        assert narrow.dtype == np.float32 and np.array_equal(values.astype(np.float32), narrow)


def check_scales(q, folder):
    if (folder / "scale.npy").exists():
        assert np.array_equal(np.load(folder / "scale.npy"), q.scales)
        assert q.scales.dtype == np.uint8 and q.group_exponent is None and q.group_fraction is None
    elif (folder / "group_exponent.npy").exists():
        for name, field in (("group_exponent", "exponent"), ("group_fraction", "fraction")):
            stored = np.load(folder / f"{name}.npy")
            assert stored.dtype == np.uint8
            assert np.array_equal(stored, getattr(q, name))
            assert np.array_equal(stored, q.scales[field])
    else:
        assert q.scales is None and q.scale_values is None and q.group_exponent is None


@pytest.mark.parametrize("format", NAMED_FORMATS)
def test_numbers_are_scale_times_integer(format):
    array = random_tensor(np.random.default_rng(7), (5, 6, 3, 4))
    q = mlsim.quantize(array, format)
    assert q.integers.dtype == np.int64 and q.integers.shape == array.shape
    tile = np.array(q.tile)
    place = np.indices(array.shape) // tile.reshape(4, 1, 1, 1, 1)
    scales = q.scale_values[tuple(place)]
    assert np.array_equal(q.tensor_scale * scales * q.integers * 2.0**-q.unit_exponent, q.dequantize())


def test_integers_of_int8_are_its_numbers():
    array = random_tensor(np.random.default_rng(1), (4, 5))
    q = mlsim.quantize(array, "int8")
    assert np.array_equal(q.integers * q.tensor_scale, q.dequantize())
    for format in ("fp32", "bf16", "fp8-e4m3"):
        with pytest.raises(mlsim.Error, match=f"integers: {format} has none"):
            mlsim.quantize(array, format).integers


@pytest.mark.parametrize("name", ["quantize", "blocks-quantize"])
def test_equals_worked_examples(name):
    for case in vectors(name):
        q = mlsim.quantize(
            floats(case["input_hex"], case["shape"]), case["format"], case["rounding"], case["random_bits"],
            case["seed"], case["stream"],
        )  # fmt: skip
        assert np.float32(q.tensor_scale).view(np.uint32) == int(case["tensor_scale_hex"], 16)
        assert q.codes.ravel().tolist() == case["codes"]
        assert q.integers.ravel().tolist() == case["integers"]
        if "scale" in case:
            assert q.scales.ravel().tolist() == case["scale"]
            assert list(q.scales.shape) == case["grid"]
        else:
            scales = q.scales
            if "grid" in case and scales.ndim == 2:
                # Of each index pair, as the command has it; the examples have one of each tile.
                scales = scales[:: q.tile[0], :: q.tile[1]]
            assert scales["exponent"].ravel().tolist() == case["group_exponent"]
            assert scales["fraction"].ravel().tolist() == case["group_fraction"]


def test_threads_change_nothing():
    array = random_tensor(np.random.default_rng(3), (9, 64, 17, 13))
    for format in ("e2m4", "nvfp4", "fp16"):
        one = mlsim.quantize(array, format, rounding="stochastic", threads=1)
        many = mlsim.quantize(array, format, rounding="stochastic", threads=7)
        assert np.array_equal(one.codes, many.codes) and one.statistics == many.statistics


def test_measures_only_where_it_is_asked_to():
    array = random_tensor(np.random.default_rng(3), (4, 4))
    assert mlsim.quantize(array, "e2m1", measure=False).statistics["sqnr_db"] is None
    assert mlsim.quantize(np.zeros((2, 2), np.float32), "e2m1").statistics["sqnr_db"] == np.inf


def test_views_are_read_only_and_outlive_the_tensor():
    array = random_tensor(np.random.default_rng(3), (4, 4))
    codes = mlsim.quantize(array, "e2m4").codes
    assert np.array_equal(codes, mlsim.quantize(array, "e2m4").codes)
    with pytest.raises(ValueError):
        codes[0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({"format": "e9m1"}, ["--format", "e9m1"]),
        ({"format": "mxfp4/sat"}, ["--format", "mxfp4/sat"]),
        ({"format": "mxfp4/t1x1x2x1"}, ["--format", "mxfp4/t1x1x2x1"]),
    ],
)
def test_formats_are_refused_with_the_sentences_of_the_command(arguments, command, tmp_path):
    array = np.ones((2, 2), np.float32)
    np.save(tmp_path / "in.npy", array)
    with pytest.raises(mlsim.Error) as error:
        mlsim.quantize(array, **arguments)
    sentence = refused_by_command("quantize", "in.npy", "--out", "out", *command, folder=tmp_path)
    assert sentence.removeprefix("--format: ") == str(error.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rounding": "up"}, "rounding 'up' is neither nearest nor stochastic"),
        ({"random_bits": 25}, "random_bits: is 25, expected a whole number from 1 to 24"),
        ({"random_bits": 2.0}, "random_bits: is 2.0, expected a whole number from 1 to 24"),
        ({"random_bits": True}, "random_bits: is True, expected a whole number from 1 to 24"),
        ({"seed": -1}, "seed: is -1, expected a whole number from 0 to 2^64 - 1"),
        ({"stream": 2**64}, "stream: is 18446744073709551616, expected a whole number from 0 to 2^64 - 1"),
        ({"threads": 0}, "threads: is 0, expected a whole number from 1 to 1024"),
        ({"operand": "bias"}, "operand 'bias' is none of activation, weight and error"),
        ({"operand": "error", "pass_name": "back"}, "pass 'back' is none of forward, backward_data and backward_weight"),
        ({"operand": "error", "pass_name": "forward"}, "pass_name is forward, which takes no error"),
        ({"pass_name": "forward"}, "pass_name is given without operand, expected both"),
    ],
)
def test_arguments_are_refused(arguments, sentence):
    for function in (mlsim.quantize, mlsim.fake_quantize):
        with pytest.raises(mlsim.Error) as error:
            function(np.ones((2, 2), np.float32), "e2m4", **arguments)
        assert str(error.value) == sentence
        assert isinstance(error.value, ValueError)


def test_fake_quantize_has_the_type_that_is_asked_for():
    array = random_tensor(np.random.default_rng(3), (4, 4))
    assert mlsim.fake_quantize(array, "e2m4").dtype == np.float32
    assert mlsim.fake_quantize(array.astype(np.float64), "e2m4").dtype == np.float64
    assert mlsim.fake_quantize(array.astype(np.float64), "e2m4", dtype="float32").dtype == np.float32
    for dtype in (np.int32, "float16", "no type"):
        with pytest.raises(mlsim.Error, match="expected float32 or float64"):
            mlsim.fake_quantize(array, "e2m4", dtype=dtype)


def test_representation_says_what_it_is():
    q = mlsim.quantize(np.ones((2, 3), np.float32), "mxfp4", operand="weight", pass_name="backward_data")
    assert repr(q).startswith("<mlsim.Quantized mxfp4/k32 (2, 3) weight of backward_data, SQNR inf dB, saturated 0")
    assert (q.ndim, q.size, q.operand, q.pass_name, q.rounding) == (2, 6, "weight", "backward_data", "nearest")
