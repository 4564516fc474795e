"""mlsim: bit-accurate simulation and energy of low-bit training.

    q = mlsim.quantize(array, "e2m1/g8m1/nc")       # codes, scales, integers, exact values
    z = mlsim.forward(qa, qw, stride=1, padding=1)  # the contract's bits, float32
    r = mlsim.simulate("workload.json")             # operations, cycles and bits moved
    p = mlsim.report(r)                             # energy and area

Every mistake of a caller is a mlsim.Error, a ValueError with one sentence: the place, what is there, what was expected.
"""

from __future__ import annotations

import importlib
from typing import Any, Optional

import numpy as np

from mlsim import _arrays, _native
from mlsim._evaluation import counts, report, simulate, sweep
from mlsim._native import (
    Error,
    PassResult,
    Quantized,
    __version__,
    backward_data,
    backward_weight,
    forward,
    keep_freed_memory,
)
from mlsim._results import Report, Results, Sweep

__all__ = [
    "Error",
    "PassResult",
    "Quantized",
    "Report",
    "Results",
    "Sweep",
    "backward_data",
    "backward_weight",
    "counts",
    "fake_quantize",
    "forward",
    "keep_freed_memory",
    "quantize",
    "report",
    "simulate",
    "sweep",
]


def quantize(
    array: Any,
    format: str,
    rounding: str = "nearest",
    random_bits: int = 16,
    seed: int = 0,
    stream: int = 0,
    operand: Optional[str] = None,
    pass_name: Optional[str] = None,
    threads: Optional[int] = None,
    measure: bool = True,
    name: str = "array",
) -> Quantized:
    """Quantizes an array to a format, bit by bit as `mlsim quantize` does.

    array: of 2 to 4 dimensions; whatever has __array__, the buffer protocol or DLPack. float32 in C order is not copied,
        other real numbers are rounded to the nearest float32.
    format: such as "e2m4", "e2m1/g8m1/nc", "mxfp4", "nvfp4/t16x16x1x1", "fp16" or "int8".
    rounding: "nearest" or "stochastic"; random_bits (1 to 24), seed and stream (64 bits each) are of the latter.
    operand, pass_name: the operand ("activation", "weight", "error") and the pass ("forward", "backward_data",
        "backward_weight") that the array is for, on which the tiles of bB and kB depend.
    threads: the most that compute, 1 to 1024; None: all cores.
    measure: whether to measure the SQNR, which takes a pass over the numbers.
    name: what errors call the array.

    Raises mlsim.Error for a format that is none, a NaN or an infinity (with its index), and what has no 2 to 4
    dimensions of 1 or more.
    """
    return _native.quantize(
        _arrays.as_float32(array, name), format, rounding, random_bits, seed, stream, operand, pass_name, threads,
        measure, name,
    )


def fake_quantize(
    array: Any,
    format: str,
    rounding: str = "nearest",
    random_bits: int = 16,
    seed: int = 0,
    stream: int = 0,
    operand: Optional[str] = None,
    pass_name: Optional[str] = None,
    threads: Optional[int] = None,
    dtype: Any = None,
    name: str = "array",
) -> np.ndarray:
    """The real values of an array after quantization, in its shape: what a format does to a tensor, in one call.

    dtype: float64, in which every value is exact, or float32, in which the product of the tensor's scale and the rest,
        itself exact, is rounded once. By default float64 for arrays of float64, else float32.

    Other arguments and errors as those of quantize.
    """
    if dtype is None:
        in_double = _arrays.is_double(array)
    else:
        try:
            kind = np.dtype(dtype)
        except TypeError as error:
            raise Error(f"dtype: is {dtype!r}, expected float32 or float64") from error
        if kind not in (np.float32, np.float64):
            raise Error(f"dtype: is {kind}, expected float32 or float64")
        in_double = kind == np.float64
    return _native.fake_quantize(
        _arrays.as_float32(array, name), format, in_double, rounding, random_bits, seed, stream, operand, pass_name,
        threads, name,
    )


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to load, and need not be there.
    if name == "torch":
        return importlib.import_module("mlsim.torch")
    raise AttributeError(f"module 'mlsim' has no attribute '{name}'")
