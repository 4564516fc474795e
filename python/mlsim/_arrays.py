"""What callers give as arrays, as the compiled part takes them: float32, in C order, without a copy where it can be."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from mlsim._native import Error


def _of_torch(value: Any) -> Any:
    """A tensor of PyTorch as what NumPy knows, its narrow floats exactly as float32; others as they are."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "Tensor") or not isinstance(value, torch.Tensor):
        return value
    tensor = value.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    return tensor.cpu().resolve_neg().numpy()


def _as_array(value: Any, name: str) -> np.ndarray:
    try:
        value = _of_torch(value)
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise Error(f"{name}: a {type(value).__name__} is no array: {error}") from error


def is_double(value: Any) -> bool:
    """Whether numbers of this type have more digits than float32 holds."""
    dtype = getattr(value, "dtype", None)
    return str(dtype).rpartition(".")[2] in ("float64", "double", "longdouble", "float128")


def as_float32(value: Any, name: str) -> np.ndarray:
    """A float32 array in C order of whatever has __array__, the buffer protocol or DLPack, or of nested lists.

    float32 in C order is not copied; other numbers are rounded to the nearest float32. Raises mlsim.Error for what is no
    array of real numbers, and for numbers beyond float32.
    """
    array = _as_array(value, name)
    if array.dtype == np.float32:
        return np.require(array, np.float32, ["C", "A"])
    # Narrow floats of other packages are of kind V.
    if array.dtype.kind not in "fiu" and "float" not in array.dtype.name:
        raise Error(f"{name}: holds {array.dtype}, expected real numbers")
    with np.errstate(over="ignore"):
        try:
            narrow = np.require(array.astype(np.float32, order="C"), np.float32, ["C", "A"])
        except (TypeError, ValueError) as error:
            raise Error(f"{name}: holds {array.dtype}, expected real numbers") from error
    if array.dtype.kind != "V" and array.dtype.itemsize > 4:
        beyond = np.isinf(narrow) & np.isfinite(array)
        if beyond.any():
            place = ", ".join(str(i) for i in np.argwhere(beyond)[0])
            first = array[beyond].flat[0]
            raise Error(f"{name}: the element at [{place}] is {first}, beyond the largest float32")
    return narrow
