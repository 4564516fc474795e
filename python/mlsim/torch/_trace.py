"""mlsim.torch.trace: the operands of a training step as a workload."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import types
import warnings
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from mlsim._checks import whole_number
from mlsim._native import Error
from mlsim.torch._formats import FP32, LayerFormats, listed, matching, roundings
from mlsim.torch._geometry import (
    OPERANDS, Geometry, arguments_of, as_images, as_kernels, dimensions_of, geometry_of, to_array,
)
from mlsim.torch._modules import FLOAT, Call, Watching

_WORKLOAD = "workload.json"
_MOST_EXTENT = 1 << 20
_MOST_NAME = 150
_OTHERS = (nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Bilinear, nn.RNNBase,
           nn.RNNCellBase, nn.MultiheadAttention)

Format = Union[str, Mapping[str, Any]]


class _Watch(TorchFunctionMode):
    """Sees the convolutions and matrix products that a layer's forward asks PyTorch for, with their very operands."""

    def __init__(self, see: Callable[[int, Dict[str, Any], torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        dimensions = dimensions_of(func)
        return self._see(dimensions, arguments_of(args, kwargs), result) if dimensions else result


class _Layer:
    """A call of a layer: an entry of the workload to be."""

    def __init__(self, name: str, index: int, geometry: Geometry, rows: int, bias: bool, call: Optional[Call]) -> None:
        self.name = name
        self.index = index  # in the random streams
        self.geometry = geometry
        self.rows = rows  # of the samples
        self.bias = bias
        self.call = call  # of a quantized layer
        self.passes: List[str] = []
        self.tensors: Dict[str, str] = {}

    def file_of(self, operand: str) -> str:
        return f"{self.name}.{operand}.npy"


class Trace:
    """A trace under way, and then what was written.

    folder: where it is, once the block has ended. workload: the path of its workload.json, which mlsim.simulate reads.
    layers: names of the calls that were traced, in their order.
    """

    def __init__(self, model: nn.Module, folder: str, options: "_Options") -> None:
        self.folder = folder
        self.workload = os.path.join(folder, _WORKLOAD)
        self._model = model
        self._options = options
        self._layers: List[_Layer] = []
        self._calls: Dict[str, int] = {}
        self._calls_seen = 0
        self._weights: Dict[Tuple[str, bytes], str] = {}
        self._wrapped: List[Tuple[nn.Module, Any]] = []
        self._handles: List[Any] = []
        self._unfinished = ""
        self._entered = False

    @property
    def layers(self) -> List[str]:
        return [layer.name for layer in self._layers]

    def __repr__(self) -> str:
        return f"<mlsim.torch.Trace {self.folder}, {len(self._layers)} layers>"

    # ---- The block

    def __enter__(self) -> "Trace":
        if self._entered:
            raise Error(f"{self.folder}: this trace has been made, expected a new one")
        self._entered = True
        _check_folder(self.folder, self._options.overwrite)
        parent, name = os.path.split(os.path.abspath(self.folder))
        try:
            os.makedirs(parent, exist_ok=True)
            self._unfinished = tempfile.mkdtemp(prefix=f".{name[:100]}.", dir=parent)
            os.chmod(self._unfinished, 0o777 & ~_umask())
        except OSError as error:
            raise Error(f"{self.folder}: cannot be written: {error.strerror}") from error
        for module, layer_name in self._options.modules:
            self._wrapped.append((module, vars(module).get("forward")))
            module.forward = self._watched(module, layer_name)
        return self

    def __exit__(self, kind: Any, exception: Any, traceback: Any) -> None:
        self._let_go()
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def _let_go(self) -> None:
        for module, before in reversed(self._wrapped):
            if before is None:
                del module.forward
            else:
                module.forward = before
        for handle in self._handles:
            handle.remove()
        self._wrapped, self._handles = [], []

    def _watched(self, module: nn.Module, name: str) -> Callable[..., Any]:
        replaced = vars(module).get("forward")

        def see(dimensions: int, arguments: Dict[str, Any], result: torch.Tensor) -> torch.Tensor:
            return self._see_float(name, dimensions, arguments, result)

        # What a layer of convert knows of its call.
        def record(geometry: Geometry, images: torch.Tensor, kernels: torch.Tensor, output: torch.Tensor, bias: bool,
                   shape: Sequence[int], call: Call) -> None:
            self._record(name, geometry, (images, kernels), output, bias, shape, call)

        # As a method it goes with its module where that is copied; a copy is no layer of the model.
        def forward(this: nn.Module, *args: Any, **kwargs: Any) -> Any:
            original = replaced or type(this).forward.__get__(this)
            # What keeps no gradients is no part of a training step.
            if this is not module or not self._wrapped or not torch.is_grad_enabled():
                return original(*args, **kwargs)
            if type(module) in FLOAT:
                with Watching(record):
                    return original(*args, **kwargs)
            with _Watch(see):
                return original(*args, **kwargs)

        return types.MethodType(forward, module)

    # ---- A call

    def _see_float(self, name: str, dimensions: int, arguments: Dict[str, Any], result: torch.Tensor) -> torch.Tensor:
        if result.dim() != dimensions and result.requires_grad:
            # It may be a view. What changes a view in place takes its gradient past the node that made it.
            result = result.clone()
        tensors = [arguments["input"], arguments["weight"]]
        bias = arguments.get("bias") is not None
        shape = tensors[0].shape
        geometry_arguments = {key: arguments[key] for key in ("stride", "padding", "dilation", "groups")
                              if key in arguments}
        images = as_images(tensors[0], dimensions)
        kernels = as_kernels(tensors[1], dimensions)
        geometry = geometry_of(images, kernels, dimensions=dimensions, **geometry_arguments)
        if result.dtype != tensors[0].dtype and result.is_floating_point():
            # Autocast: these are the numbers that were multiplied.
            images, kernels = images.detach().to(result.dtype), kernels.detach().to(result.dtype)
        needs = (tensors[0].requires_grad, tensors[1].requires_grad)
        self._record(name, geometry, (images, kernels), result, bias, shape, None, dimensions, needs)
        return result

    # All that is known of a call: some of it by layers of convert alone, some by other layers alone.
    def _record(
        self, name: str, geometry: Geometry, operands: Tuple[torch.Tensor, torch.Tensor], output: torch.Tensor,
        bias: bool, shape: Sequence[int], call: Optional[Call], dimensions: int = 0,
        needs: Optional[Tuple[bool, bool]] = None,
    ) -> None:
        index = self._calls_seen if call is None else call.index
        self._calls_seen += 1
        if not self._options.takes(name):
            return
        number = self._calls[name] = self._calls.get(name, 0) + 1
        images, kernels = operands
        rows = _rows_of_samples(self._options.samples, geometry, shape)
        layer = _Layer(name if number == 1 else f"{name}#{number}", index, geometry, rows, bias, call)
        _check_extents(layer)
        self._write_activation(layer, images)
        self._write_weight(layer, name, kernels)
        self._layers.append(layer)
        needs = needs or (images.requires_grad, kernels.requires_grad)
        if output.requires_grad and any(needs):
            self._await_error(layer, output, needs, dimensions)

    def _await_error(self, layer: _Layer, output: torch.Tensor, needs: Tuple[bool, bool], dimensions: int) -> None:
        # Of the node, not of the tensor: a later layer may change the tensor in place.
        number = output.output_nr

        def hook(_inputs: Any, gradients: Sequence[Optional[torch.Tensor]]) -> None:
            error = gradients[number]
            if error is None or not self._wrapped:
                return
            layer.passes = [name for name, wanted in zip(("backward_data", "backward_weight"), needs) if wanted]
            self._write_error(layer, as_images(error, dimensions) if dimensions else error)

        self._handles.append(output.grad_fn.register_hook(hook))

    # ---- Files

    def _write_activation(self, layer: _Layer, images: torch.Tensor) -> None:
        self._write(layer, "activation", _numbers(images, layer.rows, f"{layer.name} activation"))

    def _write_weight(self, layer: _Layer, module_name: str, kernels: torch.Tensor) -> None:
        weight = _numbers(kernels, layer.geometry.out_channels, f"{layer.name} weight")
        # Calls of one layer in a step mostly share its weight.
        key = (module_name, hashlib.sha256(memoryview(weight).cast("B")).digest())
        if key in self._weights:
            layer.tensors["weight"] = self._weights[key]
            return
        self._write(layer, "weight", weight)
        self._weights[key] = layer.tensors["weight"]

    def _write_error(self, layer: _Layer, error: torch.Tensor) -> None:
        numbers = _numbers(error, layer.rows, f"{layer.name} error")
        if "error" in layer.tensors:
            # The graph is walked again, and the gradients of the parameters add up.
            before = np.load(os.path.join(self._unfinished, layer.tensors["error"]))
            with np.errstate(over="ignore"):
                numbers = before + numbers
        self._write(layer, "error", numbers)

    def _write(self, layer: _Layer, operand: str, numbers: np.ndarray) -> None:
        name = layer.file_of(operand)

        def write(file: Any) -> None:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(numbers))
            # By the file, whose errors have reasons.
            file.write(memoryview(numbers).cast("B"))

        self._write_file(name, write)
        layer.tensors[operand] = name

    def _write_file(self, name: str, write: Callable[[Any], None]) -> None:
        try:
            with open(os.path.join(self._unfinished, name), "wb") as file:
                write(file)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Error(f"{os.path.join(self.folder, name)}: cannot be written: {reason}") from error

    # ---- The end

    def _finish(self) -> None:
        if not self._layers:
            raise Error(f"{self.folder}: nothing was traced, expected a call of the model with gradients enabled "
                        "inside the block")
        if not any(layer.passes for layer in self._layers):
            raise Error(f"{self.folder}: the trace saw no backward pass through its {len(self._layers)} layers, "
                        "expected loss.backward() inside the block")
        text = json.dumps(self._document(), indent=2, ensure_ascii=False) + "\n"
        self._write_file(_WORKLOAD, lambda file: file.write(text.encode()))
        never = [name for _, name in self._options.modules if self._options.takes(name) and name not in self._calls]
        if never:
            warnings.warn(
                f"mlsim.torch.trace: never called, and so not in {self.folder}: {listed(never)}", stacklevel=3)
        self._put_into_place()

    def _put_into_place(self) -> None:
        replaced = ""
        try:
            if self._options.overwrite and os.path.lexists(self.folder):
                parent = os.path.dirname(self._unfinished)
                replaced = tempfile.mkdtemp(prefix=os.path.basename(self._unfinished) + ".", dir=parent)
                os.rename(self.folder, os.path.join(replaced, "trace"))
            os.rename(self._unfinished, self.folder)
        except OSError as error:
            if replaced and os.path.lexists(os.path.join(replaced, "trace")):
                os.rename(os.path.join(replaced, "trace"), self.folder)
            raise Error(f"{self.folder}: cannot be written: {error.strerror}") from error
        finally:
            if replaced:
                shutil.rmtree(replaced, ignore_errors=True)

    def _document(self) -> Dict[str, Any]:
        options = self._options
        calls = [layer.call for layer in self._layers if layer.call is not None]
        document: Dict[str, Any] = {"schema": "mlsim.workload/1", "name": options.name, "seed": options.seed,
                                    "step": options.step, "random_bits": options.random_bits}
        rounding = options.rounding
        accumulator: Dict[str, Any] = {}
        if calls:
            document.update(seed=self._agreed("seed", calls, lambda call: call.layer.arithmetic.seed))
            document.update(step=self._agreed("step", calls, lambda call: call.step))
            document.update(
                random_bits=self._agreed("random_bits", calls, lambda call: call.layer.arithmetic.random_bits))
            rounding = self._agreed("rounding", calls, lambda call: call.rounding)
            bits, overflow = self._agreed("accumulator_bits", calls, lambda call: (
                call.layer.arithmetic.accumulator_bits, call.layer.arithmetic.overflow))
            if bits is not None:
                accumulator = {"accumulator_bits": bits, "overflow": overflow}
        entries = [self._entry(place, layer, bool(calls)) for place, layer in enumerate(self._layers)]
        return {**document, **accumulator, "rounding": dict(rounding), "layers": entries}

    def _agreed(self, what: str, calls: List[Call], value_of: Callable[[Call], Any]) -> Any:
        values = [value_of(call) for call in calls]
        for call, value in zip(calls, values):
            if value != values[0]:
                raise Error(f"{self.folder}: {what} of {call.layer.name} is {value}, of {calls[0].layer.name} "
                            f"{values[0]}; a workload has one, expected layers= to choose those that agree")
        return values[0]

    def _entry(self, place: int, layer: _Layer, converted: bool) -> Dict[str, Any]:
        entry = {"name": layer.name, **layer.geometry.to_json(), "batch": layer.rows}
        if layer.index != place:
            if layer.index > _MOST_EXTENT:
                raise Error(f"{layer.name}: is call {layer.index} of its step, more than a workload can number")
            entry["index"] = layer.index
        if layer.bias:
            entry["bias"] = True
        formats = layer.call.layer.formats if layer.call else self._options.formats_of(layer.name, converted)
        alike = len(set(formats.values())) == 1
        entry["format"] = formats["activation"] if alike else dict(formats)
        entry["passes"] = ["forward", *layer.passes]
        entry["tensors"] = {operand: layer.tensors[operand] for operand in OPERANDS if operand in layer.tensors}
        return entry


class _Options:
    """What was asked for, checked."""

    # The arguments of trace.
    def __init__(
        self, model: nn.Module, format: Optional[Format], samples: Optional[int],
        layers: Union[None, str, Sequence[str]], rounding: Union[None, str, Mapping[str, str]],
        random_bits: int, seed: int, step: int, name: Optional[str],
        overwrite: bool,
    ) -> None:
        self.modules = _layers_of(model)
        names = [layer for _, layer in self.modules]
        self.samples = None if samples is None else whole_number("samples", samples, 1, _MOST_EXTENT)
        self._formats = None if format is None else LayerFormats(format)
        if self._formats is not None:
            self._formats.check_used(names)
        self._taken = set(names)
        if layers is not None:
            self._taken = _chosen([layers] if isinstance(layers, str) else layers, names)
        for module, layer in self.modules:
            if layer in self._taken:
                _check_module(module, layer)
        self.rounding = roundings(rounding)
        self.random_bits = whole_number("random_bits", random_bits, 1, 24)
        self.seed = whole_number("seed", seed, 0, 2**64 - 1)
        self.step = whole_number("step", step, 0, 2**32 - 1)
        self.name = name or type(model).__name__
        self.overwrite = overwrite

    def takes(self, name: str) -> bool:
        return name in self._taken

    def formats_of(self, name: str, converted: bool) -> Dict[str, str]:
        """Of a layer that is not quantized."""
        if self._formats is not None:
            return self._formats.of(name.rpartition("#")[0] or name) or FP32
        return FP32 if converted else _DEFAULT.of(name) or FP32


_DEFAULT = LayerFormats("e2m4")


def trace(
    model: nn.Module,
    folder: Union[str, "os.PathLike[str]"],
    format: Optional[Format] = None,
    samples: Optional[int] = 1,
    layers: Union[None, str, Sequence[str]] = None,
    rounding: Union[None, str, Mapping[str, str]] = None,
    random_bits: int = 16,
    seed: int = 1,
    step: int = 0,
    name: Optional[str] = None,
    overwrite: bool = False,
) -> Trace:
    """Writes the operands of one training step of a model as a workload for mlsim simulate.

        with mlsim.torch.trace(model, "folder", format="e2m4", samples=4):
            loss_fn(model(x), y).backward()

    Each call of a Conv2d, a Conv1d (images of height 1) and a Linear (leading dimensions are rows) becomes a layer of
    folder/workload.json, with its activation, its weight and its error, float32 .npy files of what was multiplied,
    before quantization. The error is the gradient of the loss by the layer's output, as autograd has it: a loss that is
    a mean over the batch has its divisor in it. Layers have the names of modules; further calls of one in the step are
    called NAME#2, NAME#3. The numbers of the model do not change.

    format: of the layers that are not converted, as mlsim.torch.convert takes it; None: "e2m4", and "fp32" in a model
        that has converted layers. Those have their own formats, rounding, seed and step in any case.
    samples: the first so many along the first dimension of each activation and error; None: all. Where they are not the
        whole batch, backward weight of the workload is the part of the gradient that they add.
    layers: patterns of names, as of fnmatch; None: all.
    rounding, random_bits, seed, step: of the workload, as in docs/workload-format.md. name: what reports call it; None:
        the model's class. overwrite: whether a trace that is there may be replaced.

    A layer has the passes that autograd computes: no backward data where the input needs no gradient, no backward
    weight where the weight is frozen. Calls without gradients, as in torch.no_grad(), are not part of the step.

    Raises mlsim.Error for a model without such layers, a layer with another padding_mode than zeros, a DataParallel, a
    folder that is there; in the step for a NaN or an infinity, with the layer and the operand, and for what cannot be
    written; at the end of the block where no backward pass was seen. The folder appears whole at the end of the block
    or not at all.
    """
    if not isinstance(model, nn.Module):
        raise Error(f"model: is a {type(model).__name__}, expected a torch.nn.Module")
    options = _Options(model, format, samples, layers, rounding, random_bits, seed, step, name, overwrite)
    return Trace(model, os.fspath(folder), options)


def _layers_of(model: nn.Module) -> List[Tuple[nn.Module, str]]:
    """Convolutions and linear layers with names that are fit for files."""
    found: List[Tuple[nn.Module, str]] = []
    others = set()
    taken = set()
    for path, module in model.named_modules():
        if isinstance(module, nn.DataParallel):
            raise Error(
                f"{path or 'model'}: is a DataParallel, whose copies compute; expected the model inside, .module")
        if isinstance(module, _OTHERS):
            others.add(type(module).__name__)
        if not isinstance(module, (nn.Conv2d, nn.Conv1d, nn.Linear)):
            continue
        name = _file_name(path or type(module).__name__.lower())
        while name in taken:
            name += "_"
        taken.add(name)
        found.append((module, name))
    if not found:
        raise Error(f"model: {type(model).__name__} has neither convolutions nor linear layers to trace")
    if others:
        warnings.warn(f"mlsim.torch.trace: the products of {', '.join(sorted(others))} are not traced", stacklevel=4)
    return found


def _file_name(path: str) -> str:
    name = re.sub(r"[/\x00-\x1f\x7f#]", "_", path)
    if len(name.encode()) <= _MOST_NAME:
        return name
    digest = hashlib.sha256(path.encode()).hexdigest()[:12]
    return f"{name.encode()[:_MOST_NAME - 13].decode(errors='ignore')}~{digest}"


def _chosen(patterns: Sequence[str], names: Sequence[str]) -> "set[str]":
    chosen = set()
    for pattern in patterns:
        found = matching(pattern, names)
        if not found:
            raise Error(f"layers: '{pattern}' matches no convolution or linear layer, expected some of {listed(names)}")
        chosen.update(found)
    if not chosen:
        raise Error("layers: is empty, expected patterns of names")
    return chosen


def _check_module(module: nn.Module, name: str) -> None:
    mode = getattr(module, "padding_mode", "zeros")
    if mode != "zeros":
        raise Error(f"{name}: has padding_mode {mode}, expected zeros; leave it out with layers=")


def _check_folder(folder: str, overwrite: bool) -> None:
    if not os.path.lexists(folder):
        return
    if os.path.isdir(folder) and not os.path.islink(folder):
        content = os.listdir(folder)
        if not content or (overwrite and _WORKLOAD in content):
            return
        if overwrite:
            raise Error(f"{folder}: is a folder without a {_WORKLOAD}, expected an earlier trace to overwrite")
        if _WORKLOAD in content:
            raise Error(f"{folder}: is there, expected a new folder or overwrite=True")
    raise Error(f"{folder}: is there, expected a new folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _rows_of_samples(samples: Optional[int], geometry: Geometry, shape: Sequence[int]) -> int:
    """Images, or rows of a matrix, of the first samples."""
    if samples is None or samples >= shape[0]:
        return geometry.batch
    if not geometry.linear:
        return min(samples, geometry.batch)
    return geometry.batch // shape[0] * samples if len(shape) > 1 else geometry.batch


def _check_extents(layer: _Layer) -> None:
    if layer.rows < 1:
        raise Error(f"{layer.name}: was called with an empty batch, expected one sample or more")
    if layer.rows > _MOST_EXTENT:
        raise Error(f"{layer.name}: has {layer.rows} rows, expected at most {_MOST_EXTENT}; take fewer samples")


def _numbers(tensor: torch.Tensor, rows: int, what: str) -> np.ndarray:
    """The first rows in float32. Raises mlsim.Error for a tensor that has a NaN or an infinity anywhere."""
    if tensor.is_complex():
        raise Error(f"{what}: is complex, expected real numbers")
    numbers = to_array(tensor)
    finite = np.isfinite(numbers)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), numbers.shape)
        shown = "NaN" if np.isnan(numbers[place]) else "infinite"
        index = ", ".join(map(str, place))
        raise Error(f"{what}: the element at [{index}] is {shown} in float32, expected a finite number")
    return numbers[:rows]
