"""Layers whose three passes have quantized operands."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch import nn

from mlsim import _native
from mlsim.torch._geometry import OPERANDS, PASSES, Geometry, as_images, as_kernels, geometry_of, to_array

# Replicas of a layer on several devices draw from streams this many calls apart.
_CALLS_OF_A_REPLICA = 1 << 12

_local = threading.local()


class Watching:
    """While it is entered, `record` hears of the calls of quantized layers in this thread."""

    def __init__(self, record: Callable[..., None]) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._before = getattr(_local, "record", None)
        _local.record = self._record

    def __exit__(self, *exception: Any) -> None:
        _local.record = self._before


class Clock:
    """The steps of a converted model, which choose the streams of random bits.

    The first training call of a layer after a backward pass begins a step. The calls of a layer in a step are counted.
    """

    def __init__(self) -> None:
        self.step = 0
        self._ended = False
        self._calls: Dict[Tuple[int, Optional[int]], int] = {}
        self._lock = threading.Lock()

    def begin(self, index: int, replica: Optional[int]) -> Tuple[int, int]:
        """The step of a training call and the number of the layer's calls before it in that step."""
        with self._lock:
            if self._ended:
                self.step += 1
                self._ended = False
                self._calls.clear()
            number = self._calls.get((index, replica), 0)
            self._calls[index, replica] = number + 1
            return self.step, number

    def end(self) -> None:
        with self._lock:
            self._ended = True

    def set(self, step: int) -> None:
        with self._lock:
            self.step = step
            self._ended = False
            self._calls.clear()

    def __getstate__(self) -> Dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


class Overflows:
    """How often the accumulators of a layer overflowed in training, by pass; replicas of the layer share it."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(PASSES, 0)
        self._lock = threading.Lock()

    def add(self, pass_name: str, count: int) -> None:
        with self._lock:
            self._counts[pass_name] += count

    def take(self, reset: bool) -> Dict[str, int]:
        with self._lock:
            counts = dict(self._counts)
            if reset:
                self._counts = dict.fromkeys(PASSES, 0)
            return counts

    def __getstate__(self) -> Dict[str, Any]:
        return {"_counts": self._counts}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """What the layers of a conversion have in common."""

    exact: bool
    rounding: Dict[str, str]
    evaluation_rounding: str  # "nearest", or "training": as in training
    random_bits: int
    seed: int
    layers: int  # that are quantized
    accumulator_bits: Optional[int] = None
    overflow: str = "saturate"
    taps_per_cycle: int = 1
    threads: Optional[int] = None
    clock: Clock = dataclasses.field(default_factory=Clock)

    def most_threads(self) -> int:
        return self.threads if self.threads is not None else min(torch.get_num_threads(), 1024)


@dataclasses.dataclass(frozen=True)
class LayerQuantization:
    """How a layer is quantized."""

    name: str
    index: int  # among the quantized layers: with the step and the operand it chooses the stream of random bits
    formats: Dict[str, str]  # by operand
    arithmetic: Arithmetic
    overflows: Overflows = dataclasses.field(default_factory=Overflows)

    def begin_call(self, training: bool, replica: Optional[int]) -> "Call":
        shared = self.arithmetic
        rounding = shared.rounding
        if not training and shared.evaluation_rounding == "nearest":
            rounding = dict.fromkeys(OPERANDS, "nearest")
        step, number = shared.clock.step, 0
        if training and torch.is_grad_enabled():
            step, number = shared.clock.begin(self.index, replica)
            if replica is not None:
                number += replica * _CALLS_OF_A_REPLICA
        return Call(self, rounding, step, self.index + number * shared.layers, training)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a quantized layer, in both directions."""

    layer: LayerQuantization
    rounding: Dict[str, str]
    step: int
    index: int  # in the streams
    training: bool

    def same_tiles(self, operand: str, one: str, other: str) -> bool:
        return _native.same_tiles(self.layer.formats[operand], operand, one, other)

    def quantize(self, tensor: torch.Tensor, operand: str, pass_name: str) -> Any:
        """An operand as `convolve` takes it. Always from float32, with the same random words whatever the pass."""
        shared = self.layer.arithmetic
        format = self.layer.formats[operand]
        if not shared.exact and format == "fp32":
            return tensor.detach().float(), None
        stream = (self.step << 32) + 3 * self.index + OPERANDS.index(operand)
        name = f"{self.layer.name} {operand}"
        array = to_array(tensor)
        if shared.exact:
            return _native.quantize(array, format, self.rounding[operand], shared.random_bits, shared.seed, stream,
                                    operand, pass_name, shared.most_threads(), False, name)
        values, scale = _native.scaled_values(array, format, operand, pass_name, self.rounding[operand],
                                              shared.random_bits, shared.seed, stream, shared.most_threads(), name)
        return torch.from_numpy(values).to(tensor.device), torch.tensor(scale, device=tensor.device)

    def convolve(self, pass_name: str, geometry: Geometry, left: Any, right: Any, device: torch.device) -> torch.Tensor:
        if self.layer.arithmetic.exact:
            return self._convolve_exactly(pass_name, geometry, left, right).to(device)
        with _without_autocast(device):
            result = _convolve_values(pass_name, geometry, left[0], right[0])
        scales = [scale for _, scale in (left, right) if scale is not None]
        if not scales:
            return result
        # The product of the scales is rounded first, as in the numeric contract.
        return result.mul_(scales[0] * scales[1] if len(scales) == 2 else scales[0])

    def _convolve_exactly(self, pass_name: str, geometry: Geometry, left: Any, right: Any) -> torch.Tensor:
        shared = self.layer.arithmetic
        sums = {"accumulator_bits": shared.accumulator_bits, "overflow": shared.overflow,
                "taps_per_cycle": shared.taps_per_cycle, "threads": shared.most_threads()}
        if not geometry.linear:
            sums.update(stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation,
                        groups=geometry.groups)
        if pass_name == "forward":
            result = _native.forward(left, right, **sums)
        elif pass_name == "backward_data":
            result = _native.backward_data(left, right, in_size=geometry.in_size, **sums)
        else:
            result = _native.backward_weight(left, right, kernel=geometry.kernel, **sums)
        if self.training:
            self.layer.overflows.add(pass_name, result.overflows)
        return torch.from_numpy(result.values)


def _without_autocast(device: torch.device) -> Any:
    """Autocast would round operands again."""
    if device.type in ("cpu", "cuda"):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def _convolve_values(pass_name: str, geometry: Geometry, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A pass by PyTorch, in float32. A linear layer is the 1×1 convolution of 1×1 images, as in mlsim-train."""
    if geometry.linear:
        pixels = [matrix.reshape(*matrix.shape, 1, 1) for matrix in (left, right)]
        return _convolve_values(pass_name, dataclasses.replace(geometry, linear=False), *pixels).flatten(1)
    (top, bottom), (left_side, right_side) = geometry.padding
    padding, margin = (top, left_side), (0, 0, 0, 0)
    if geometry.one_sided():
        padding, margin = (0, 0), (left_side, right_side, top, bottom)
    rest = {"stride": geometry.stride, "padding": padding, "dilation": geometry.dilation, "groups": geometry.groups}
    height, width = geometry.in_size
    if pass_name == "forward":
        return nn.functional.conv2d(nn.functional.pad(left, margin) if any(margin) else left, right, **rest)
    if pass_name == "backward_data":
        padded = (geometry.batch, geometry.in_channels, height + sum(margin[2:]), width + sum(margin[:2]))
        result = nn.grad.conv2d_input(padded, right, left, **rest)
        return result[:, :, margin[2]:margin[2] + height, margin[0]:margin[0] + width].contiguous()
    kernels = (geometry.out_channels, geometry.in_channels // geometry.groups, *geometry.kernel)
    images = nn.functional.pad(right, margin) if any(margin) else right
    return nn.grad.conv2d_weight(images, kernels, left, **rest)


class _QuantizedPasses(torch.autograd.Function):
    """activation * weight and its gradients, of quantized operands; the gradient of quantization is taken as 1."""

    @staticmethod
    def forward(ctx: Any, activation: torch.Tensor, weight: torch.Tensor, geometry: Geometry, call: Call) -> Any:
        quantized = {"activation": call.quantize(activation, "activation", "forward"),
                     "weight": call.quantize(weight, "weight", "forward")}
        result = call.convolve("forward", geometry, quantized["activation"], quantized["weight"], activation.device)
        ctx.geometry, ctx.call, ctx.kept = geometry, call, {}
        ctx.dtypes = {"activation": activation.dtype, "weight": weight.dtype}
        saved = []
        takers = (("activation", activation, "backward_weight", 1), ("weight", weight, "backward_data", 0))
        for operand, tensor, pass_name, gradient in takers:
            if not ctx.needs_input_grad[gradient]:
                continue
            # Where the backward pass has other tiles it quantizes anew.
            if not call.same_tiles(operand, "forward", pass_name):
                ctx.kept[operand] = None
                saved.append(tensor)
            else:
                ctx.kept[operand] = quantized[operand]
        ctx.save_for_backward(*saved)
        return result.to(torch.promote_types(activation.dtype, weight.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, error: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        call: Call = ctx.call
        call.layer.arithmetic.clock.end()
        raw = dict(zip((operand for operand, kept in ctx.kept.items() if kept is None), ctx.saved_tensors))
        gradients = []
        quantized = None
        passes = (("backward_data", "weight", "activation", 0), ("backward_weight", "activation", "weight", 1))
        for pass_name, other, result_operand, gradient in passes:
            if not ctx.needs_input_grad[gradient]:
                gradients.append(None)
                continue
            if quantized is None or not call.same_tiles("error", "backward_data", pass_name):
                quantized = call.quantize(error, "error", pass_name)
            right = ctx.kept[other]
            if right is None:
                right = call.quantize(raw[other], other, pass_name)
            result = call.convolve(pass_name, ctx.geometry, quantized, right, error.device)
            gradients.append(result.to(ctx.dtypes[result_operand]))
        return gradients[0], gradients[1], None, None


class _Quantized:
    """What the quantized layers add to those of PyTorch: nothing that a state dict has."""

    quantization: LayerQuantization

    @property
    def overflows(self) -> Dict[str, int]:
        """How often accumulators overflowed in training, by pass."""
        return self.quantization.overflows.take(reset=False)

    def extra_repr(self) -> str:
        formats = self.quantization.formats
        alike = len(set(formats.values())) == 1
        text = formats["activation"] if alike else ", ".join(f"{key} {value}" for key, value in formats.items())
        return f"{super().extra_repr()}, {text}"  # type: ignore[misc]

    def _quantized(self, input: torch.Tensor, dimensions: int, **arguments: Any) -> torch.Tensor:
        replica = input.device.index if getattr(self, "_is_replica", False) else None
        call = self.quantization.begin_call(self.training, replica)  # type: ignore[attr-defined]
        weight, bias = self.weight, self.bias  # type: ignore[attr-defined]
        images = as_images(input, dimensions)
        kernels = as_kernels(weight, dimensions)
        geometry = geometry_of(images, kernels, dimensions=dimensions, **arguments)
        output = _QuantizedPasses.apply(images, kernels, geometry, call)
        record = getattr(_local, "record", None)
        if record is not None:
            record(geometry, images, kernels, output, bias is not None, input.shape, call)
        if bias is not None:
            output = output + bias.reshape(1, -1, *[1] * (output.dim() - 2))
        if dimensions == 2:
            return output.reshape(*input.shape[:-1], output.shape[-1])
        if dimensions == 3:
            output = output.squeeze(2)
        return output.squeeze(0) if input.dim() < dimensions else output

    def _convolved(self, input: torch.Tensor, dimensions: int) -> torch.Tensor:
        names = ("stride", "padding", "dilation", "groups")
        return self._quantized(input, dimensions, **{name: getattr(self, name) for name in names})


class QuantizedConv2d(_Quantized, nn.Conv2d):
    """A Conv2d with quantized operands, as mlsim.torch.convert makes it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._convolved(input, 4)


class QuantizedConv1d(_Quantized, nn.Conv1d):
    """A Conv1d with quantized operands, as mlsim.torch.convert makes it: images of height 1."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._convolved(input, 3)


class QuantizedLinear(_Quantized, nn.Linear):
    """A Linear with quantized operands, as mlsim.torch.convert makes it: leading dimensions are rows of a matrix."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._quantized(input, 2)


# What PyTorch's layers become.
QUANTIZED = {nn.Conv2d: QuantizedConv2d, nn.Conv1d: QuantizedConv1d, nn.Linear: QuantizedLinear}
FLOAT = {quantized: plain for plain, quantized in QUANTIZED.items()}
