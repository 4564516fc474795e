from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

__version__: str

class Error(ValueError): ...

class Quantized:
    @property
    def codes(self) -> NDArray[Any]: ...
    @property
    def scales(self) -> Optional[NDArray[Any]]: ...
    @property
    def group_exponent(self) -> Optional[NDArray[np.uint8]]: ...
    @property
    def group_fraction(self) -> Optional[NDArray[np.uint8]]: ...
    @property
    def scale_values(self) -> Optional[NDArray[np.float64]]: ...
    @property
    def tensor_scale(self) -> float: ...
    @property
    def tile(self) -> Optional[Tuple[int, int, int, int]]: ...
    @property
    def integers(self) -> NDArray[np.int64]: ...
    @property
    def unit_exponent(self) -> int: ...
    def dequantize(self, threads: Optional[int] = None) -> NDArray[np.float64]: ...
    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> NDArray[Any]: ...
    @property
    def shape(self) -> Tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def format(self) -> str: ...
    @property
    def rounding(self) -> str: ...
    @property
    def operand(self) -> Optional[str]: ...
    @property
    def pass_name(self) -> Optional[str]: ...
    @property
    def statistics(self) -> Dict[str, Any]: ...

class PassResult:
    @property
    def values(self) -> NDArray[np.float32]: ...
    @property
    def overflows(self) -> int: ...
    @property
    def counts(self) -> Dict[str, int]: ...
    @property
    def pass_name(self) -> str: ...
    @property
    def shape(self) -> Tuple[int, ...]: ...
    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> NDArray[Any]: ...

_Pair = Union[int, Sequence[int]]
_Padding = Union[int, Sequence[Union[int, Sequence[int]]]]

def forward(
    activation: Quantized,
    weight: Quantized,
    stride: _Pair = 1,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    accumulator_bits: Optional[int] = None,
    overflow: str = "saturate",
    taps_per_cycle: int = 1,
    threads: Optional[int] = None,
) -> PassResult: ...
def backward_data(
    error: Quantized,
    weight: Quantized,
    in_size: Optional[_Pair] = None,
    stride: _Pair = 1,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    accumulator_bits: Optional[int] = None,
    overflow: str = "saturate",
    taps_per_cycle: int = 1,
    threads: Optional[int] = None,
) -> PassResult: ...
def backward_weight(
    error: Quantized,
    activation: Quantized,
    kernel: Optional[_Pair] = None,
    stride: _Pair = 1,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    accumulator_bits: Optional[int] = None,
    overflow: str = "saturate",
    taps_per_cycle: int = 1,
    threads: Optional[int] = None,
) -> PassResult: ...
def quantize(
    array: NDArray[np.float32],
    format: str,
    rounding: str,
    random_bits: int,
    seed: int,
    stream: int,
    operand: Optional[str],
    pass_name: Optional[str],
    threads: Optional[int],
    measure: bool,
    name: str,
) -> Quantized: ...
def fake_quantize(
    array: NDArray[np.float32],
    format: str,
    in_double: bool,
    rounding: str,
    random_bits: int,
    seed: int,
    stream: int,
    operand: Optional[str],
    pass_name: Optional[str],
    threads: Optional[int],
    name: str,
) -> NDArray[Any]: ...
def simulate(request: str) -> str: ...
def report(request: str) -> str: ...
def sweep(request: str) -> str: ...
def counts(request: str) -> str: ...
def results_file(request: str) -> str: ...
def sweep_file(request: str) -> str: ...
def sweep_table(request: str) -> str: ...
def write_file(path: str, text: str) -> None: ...
def remove_unfinished_files_on_signals() -> None: ...
def operand_formats(text: str) -> Dict[str, str]: ...
def same_tiles(format: str, operand: str, one: str, other: str) -> bool: ...
def format_family(format: str) -> str: ...
def keep_memory() -> None: ...
def scaled_values(
    array: NDArray[np.float32],
    format: str,
    operand: str,
    pass_name: str,
    rounding: str,
    random_bits: int,
    seed: int,
    stream: int,
    threads: Optional[int],
    name: str,
) -> Tuple[NDArray[np.float32], float]: ...
