"""Whatever holds numbers: memory in any order, types, other packages' arrays, and what is no array."""

import array as buffers
import resource
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from conftest import NAMED_FORMATS, random_tensor, same_bits
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

import mlsim

FORMATS = some.sampled_from(NAMED_FORMATS + ["fp16", "bf16", "int8", "fp8-e5m2"])
SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=7)
TYPES = some.sampled_from(["<f4", ">f4", "<f2", ">f2", "<f8", ">f8", "i1", "<i2", ">i4", "<i8", "u1", "<u4", "<u8"])


@given(some.data())
def test_memory_of_any_order_and_type(data):
    dtype = np.dtype(data.draw(TYPES))
    elements = {"allow_nan": False, "allow_infinity": False, "width": 16} if dtype.kind == "f" else None
    base = data.draw(arrays.arrays(dtype, SHAPES, elements=elements and some.floats(**elements)))
    # A view: reversed, every other, transposed.
    steps = [data.draw(some.sampled_from([1, -1, 2, -2])) for _ in base.shape]
    view = base[tuple(slice(None, None, step) for step in steps)].transpose(data.draw(some.permutations(range(base.ndim))))
    kept = view.copy()
    format = data.draw(FORMATS)
    q = mlsim.quantize(view, format)
    plain = mlsim.quantize(np.array(view, dtype=np.float32, order="C"), format)
    assert np.array_equal(q.codes, plain.codes) and q.tensor_scale == plain.tensor_scale
    assert q.statistics == plain.statistics and q.shape == view.shape
    assert same_bits(q.dequantize(), plain.dequantize())
    assert np.array_equal(view, kept)


@given(some.data())
def test_numbers_that_are_none_are_named(data):
    values = data.draw(arrays.arrays(np.float32, SHAPES, elements=some.floats(-4, 4, width=32)))
    place = tuple(data.draw(some.integers(0, extent - 1)) for extent in values.shape)
    kind = data.draw(some.sampled_from([np.nan, np.inf, -np.inf]))
    values[place] = kind
    with pytest.raises(mlsim.Error) as error:
        mlsim.quantize(np.asfortranarray(values), data.draw(FORMATS), name="gradient")
    said = "NaN" if np.isnan(kind) else "infinite"
    index = ", ".join(map(str, place))
    assert str(error.value) == f"gradient: the element at [{index}] is {said}, expected a finite number"


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (2, 0), (2, 3, 0, 1), (1, 1, 1, 1, 1), (0,)])
def test_shapes_that_are_none_are_refused(shape):
    for format in ("e2m4", "fp16"):
        for function in (mlsim.quantize, mlsim.fake_quantize):
            with pytest.raises(mlsim.Error, match="^array: has "):
                function(np.ones(shape, np.float32), format)


def test_broadcast_memory():
    wide = np.broadcast_to(np.float32(3), (5, 6, 7))
    assert np.array_equal(mlsim.quantize(wide, "e2m4").codes, mlsim.quantize(wide.copy(), "e2m4").codes)


def test_arrays_beyond_memory_are_an_error():
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**42, limits[1]))  # some kernels promise any memory
    try:
        with pytest.raises(MemoryError):
            mlsim.quantize(np.broadcast_to(np.float32(3), (2**23, 2**20)), "e2m4")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_numbers_beyond_float32_are_named():
    values = np.ones((2, 3))
    values[1, 2] = -1e300
    with pytest.raises(mlsim.Error) as error:
        mlsim.quantize(values, "e2m4")
    assert str(error.value) == "array: the element at [1, 2] is -1e+300, beyond the largest float32"


def test_float32_is_not_copied(monkeypatch):
    values = np.ones((64, 64), np.float32)
    seen = []
    monkeypatch.setattr(mlsim._native, "quantize", lambda given, *_: seen.append(given))
    mlsim.quantize(values, "e2m4")
    assert seen[0] is values
    mlsim.quantize(memoryview(values), "e2m4")
    assert np.shares_memory(seen[1], values)


class HasArray:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None):
        return self.values


class HasDlpack:
    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def test_whatever_has_numbers():
    values = random_tensor(np.random.default_rng(1), (3, 4))
    codes = mlsim.quantize(values, "e2m4").codes
    unaligned = np.frombuffer(b"x" + values.tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 4)
    assert not unaligned.flags.aligned
    buffer = memoryview(buffers.array("f", values.ravel())).cast("B").cast("f", [3, 4])
    for given_as in (values.tolist(), HasArray(values), HasDlpack(values), buffer, unaligned):
        assert np.array_equal(mlsim.quantize(given_as, "e2m4").codes, codes)


def test_what_holds_no_numbers_is_refused():
    for value in (None, "text", b"bytes", object(), {}, [[1, 2], [3]], np.array([[1j]]), np.array([["x"]]),
                  np.array([[None]]), np.array([["2026"]], "datetime64"), np.zeros((2, 2), "f4,f4"),
                  np.zeros((2, 2), bool)):  # fmt: skip
        with pytest.raises(mlsim.Error, match="^array: "):
            mlsim.quantize(value, "e2m4")


def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch")
    values = random_tensor(np.random.default_rng(1), (3, 4, 5, 6))
    tensor = torch.from_numpy(values).requires_grad_()
    expected = mlsim.quantize(values, "e2m1").codes
    assert np.array_equal(mlsim.quantize(tensor, "e2m1").codes, expected)
    last = tensor.to(memory_format=torch.channels_last)
    assert np.array_equal(mlsim.quantize(last, "e2m1").codes, expected)
    assert np.array_equal(mlsim.quantize(tensor.to_sparse(), "e2m1").codes, expected)
    for narrow in (torch.bfloat16, torch.float16):
        rounded = tensor.to(narrow)
        exact = rounded.float().detach().numpy()
        assert np.array_equal(mlsim.quantize(rounded, "e2m4").codes, mlsim.quantize(exact, "e2m4").codes)
    assert mlsim.fake_quantize(tensor.double(), "e2m4").dtype == np.float64
    with pytest.raises(mlsim.Error, match="^array: "):
        mlsim.quantize(tensor.to(torch.complex64), "e2m4")


def test_flushing_denormals_changes_nothing():
    """Whatever another package has done to the processor's arithmetic, and back as it was afterwards."""
    torch = pytest.importorskip("torch")
    values = np.ldexp(random_tensor(np.random.default_rng(1), (4, 8)), -135).astype(np.float32)
    a, w = mlsim.quantize(values, "e2m4"), mlsim.quantize(values, "e2m4")
    expected = mlsim.forward(a, w).values
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        b = mlsim.quantize(values, "e2m4", threads=2)
        assert np.array_equal(a.codes, b.codes) and np.array_equal(a.scales, b.scales)
        assert same_bits(mlsim.forward(b, w).values, expected)
        assert torch.tensor([1e-39]).mul(0.5).item() == 0
    finally:
        torch.set_flush_denormal(False)


def test_other_threads_run_meanwhile():
    """The interpreter's lock is released: a thread counts while another computes."""
    a = mlsim.quantize(np.ones((64, 64, 32, 32), np.float32), "e2m4")
    w = mlsim.quantize(np.ones((64, 64, 3, 3), np.float32), "e2m4")
    counted = []
    done = threading.Event()

    def count():
        while not done.is_set():
            counted.append(1)
            done.wait(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    before = len(counted)
    mlsim.forward(a, w, padding=1, threads=1)
    after = len(counted)
    done.set()
    thread.join()
    assert after - before > 3


def test_more_threads_than_cores_are_taken_in_silence(capfd):
    a = mlsim.quantize(np.ones((64, 64), np.float32), "e2m4", threads=1024)
    mlsim.forward(a, a, threads=1000)
    mlsim.simulate({"schema": "mlsim.workload/1", "name": "x", "seed": 1, "format": "e2m4", "layers": "resnet20"},
                   engine="analytic", threads=1024)  # fmt: skip
    assert capfd.readouterr() == ("", "")


FORKED = """
    import os, numpy as np, mlsim
    values = np.random.default_rng(1).standard_normal((32, 32, 16, 16)).astype(np.float32)
    codes = mlsim.quantize(values, "e2m4").codes
    child = os.fork()
    same = np.array_equal(mlsim.quantize(values, "e2m4").codes, codes)
    if child == 0:
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0 and same
"""


def test_a_forked_process_computes_on():
    """As workers of data loaders do."""
    subprocess.run([sys.executable, "-c", textwrap.dedent(FORKED)], check=True, timeout=60)


def test_calls_from_many_threads_at_once():
    values = [random_tensor(np.random.default_rng(i), (16, 33)) for i in range(8)]
    expected = [mlsim.quantize(value, "nvfp4").codes for value in values]
    found = [None] * len(values)

    def run(i):
        for _ in range(20):
            found[i] = mlsim.quantize(values[i], "nvfp4", threads=2).codes

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(values))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(expected, found))
