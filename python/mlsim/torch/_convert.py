"""mlsim.torch.convert: the layers of a model with quantized operands."""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from torch import nn
from torch.nn.parameter import UninitializedParameter

from mlsim import _native
from mlsim._checks import whole_number
from mlsim._native import Error
from mlsim.torch._formats import FP32, LayerFormats, operand_formats, roundings
from mlsim.torch._geometry import OPERANDS
from mlsim.torch._modules import FLOAT, QUANTIZED, Arithmetic, Clock, LayerQuantization

Format = Union[str, Mapping[str, Any]]


def _layers_of(model: nn.Module) -> List[Tuple[str, nn.Module]]:
    """Convolutions, then linear layers, each in the order of the model: that of the layers' numbers in mlsim-train."""
    modules = [(name or type(model).__name__.lower(), module) for name, module in model.named_modules()]
    convolutions = [pair for pair in modules if isinstance(pair[1], (nn.Conv2d, nn.Conv1d))]
    return convolutions + [pair for pair in modules if isinstance(pair[1], nn.Linear)]


def _check(name: str, module: nn.Module) -> None:
    """Refuses a layer that would be quantized and cannot be."""
    kind = type(module)
    advice = f'expected it to stay float, as with format={{"{name}": "fp32", "*": …}}'
    if getattr(module, "padding_mode", "zeros") != "zeros":
        raise Error(f"{name}: pads with {module.padding_mode}, expected padding_mode zeros; {advice}")
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters(recurse=False)):
        raise Error(f"{name}: is a {kind.__name__} without sizes, expected a model that has been called once")
    if kind not in QUANTIZED and kind not in FLOAT:
        raise Error(f"{name}: is a {kind.__name__}, expected a plain Conv2d, Conv1d or Linear; {advice}")
    if "forward" in vars(module):
        raise Error(f"{name}: its forward is replaced, as in a trace, expected a plain {kind.__name__}; {advice}")
    if module.weight.is_complex():
        raise Error(f"{name}: has complex weights, expected real ones; {advice}")


def _skipped_by_parents(model: nn.Module) -> List[str]:
    """Linear layers whose weights a MultiheadAttention takes past them."""
    return [f"{name}.out_proj" if name else "out_proj" for name, module in model.named_modules()
            if isinstance(module, nn.MultiheadAttention)]


def _choose(
    layers: List[Tuple[str, nn.Module]], formats: LayerFormats, first: Optional[Format], quantize_linear: bool,
    skipped: List[str],
) -> Dict[str, Dict[str, str]]:
    """The formats of each layer by its name."""
    first_formats = None if first is None else operand_formats(first, "first")
    first_name = next((name for name, module in layers if not isinstance(module, nn.Linear)), None)
    chosen = {}
    for name, module in layers:
        own = formats.of(name) or FP32
        if not formats.in_full(name):
            if name == first_name and first_formats is not None:
                own = first_formats
            elif isinstance(module, nn.Linear) and (not quantize_linear or name in skipped):
                own = FP32
        chosen[name] = own
    return chosen


def _keep_out_of_the_fast_path(model: nn.Module) -> None:
    """Encoder layers have a path for evaluation that takes the weights of their linear layers past them."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer) and any(type(part) in FLOAT for part in module.modules()):
            module.activation_relu_or_gelu = 0


def convert(
    model: nn.Module,
    format: Format = "e2m1",
    arithmetic: str = "dequantized",
    *,
    first: Optional[Format] = "fp32",
    quantize_linear: bool = False,
    rounding: Union[None, str, Mapping[str, str]] = None,
    evaluation_rounding: str = "nearest",
    random_bits: int = 16,
    seed: int = 1,
    accumulator_bits: Optional[int] = None,
    overflow: str = "saturate",
    taps_per_cycle: int = 1,
    threads: Optional[int] = None,
) -> nn.Module:
    """Makes the convolutions (and linear layers) of a model compute with quantized operands, in place.

    The three passes of each take them as mlsim-train does: activation and weight in forward, error and weight in
    backward data, error and activation in backward weight; the gradient of quantization is taken as 1. Parameters,
    names and state dicts stay what they were, so that optimizers and checkpoints go on; returns the model. Calling it
    again replaces what was asked for before, and format "fp32" makes the layers float again.

    format: a format such as "e2m1/g8m1/nc", "mxfp4", "nvfp4" or "bf16", one by operand
        ({"activation": …, "weight": …, "error": …}), or a mapping from patterns of layers' names to either, in which
        the first that matches counts ({"layer1.*": "e2m4", "*": "e2m1"}); what no pattern matches stays float.
    arithmetic: "dequantized" convolves the quantized values by PyTorch; "exact" computes the bits of the simulated
        machine, on the processor, with block-scaled operands alone.
    first: format of the first convolution; None: as of the others. quantize_linear: whether linear layers are
        quantized; by default they stay float, as mlsim-train's classifier does. A layer that format names in full is
        what is said there.
    rounding: "nearest" or "stochastic", for all operands or by operand; errors are rounded stochastically and the
        others to nearest unless told. evaluation_rounding: in evaluation mode everything is rounded to "nearest", or
        as in "training". random_bits (1 to 24) and seed (64 bits) are of stochastic rounding.
    accumulator_bits (2 to 64; None: as wide as no sum can overflow), overflow ("saturate" or "wrap") and taps_per_cycle
        (1 to 1024) are of exact arithmetic; mlsim.torch.overflows counts overflows.
    threads: the most that quantize and compute exactly; None: as many as PyTorch takes.

    Exact arithmetic trains a fifth faster in a process that has called mlsim.keep_freed_memory, as mlsim-train does.

    Raises mlsim.Error, before anything is changed, for a model without convolutions and linear layers, a layer that
    cannot be quantized (another padding_mode, a class of one's own), a pattern that matches nothing, and formats that
    the arithmetic does not take.
    """
    if not isinstance(model, nn.Module):
        raise Error(f"model: is a {type(model).__name__}, expected a torch.nn.Module")
    formats = LayerFormats(format)
    layers = _layers_of(model)
    if not layers:
        raise Error(f"model: {type(model).__name__} has neither convolutions nor linear layers")
    formats.check_used([name for name, _ in layers])
    chosen = _choose(layers, formats, first, quantize_linear, _skipped_by_parents(model))
    quantized = [(name, module) for name, module in layers if chosen[name] != FP32]
    if not quantized and not formats.all_float():
        raise Error(f"model: none of the {len(layers)} layers of {type(model).__name__} would be quantized, since the "
                    "first convolution and linear layers stay float; expected first=None or quantize_linear=True")
    shared = _arithmetic_of(
        arithmetic, len(quantized), rounding, evaluation_rounding, random_bits, seed, accumulator_bits, overflow,
        taps_per_cycle, threads,
    )
    for name, module in quantized:
        _check(name, module)
        _check_formats(name, chosen[name], shared.exact)
    _warn_of_skipped(_skipped_by_parents(model), quantize_linear)
    indices = {name: index for index, (name, _) in enumerate(quantized)}
    for name, module in layers:
        if name in indices:
            module.__class__ = QUANTIZED.get(type(module), type(module))
            module.quantization = LayerQuantization(name, indices[name], dict(chosen[name]), shared)
        elif type(module) in FLOAT:
            module.__class__ = FLOAT[type(module)]
            del module.quantization
    _keep_out_of_the_fast_path(model)
    return model


def _warn_of_skipped(skipped: List[str], quantize_linear: bool) -> None:
    if skipped and quantize_linear:
        warnings.warn(f"mlsim.torch.convert: the projections of MultiheadAttention stay float, {skipped[0]} among them",
                      stacklevel=3)


def _check_formats(name: str, formats: Dict[str, str], exact: bool) -> None:
    for operand in OPERANDS:
        if exact and _native.format_family(formats[operand]) != "block-scaled":
            raise Error(f"{name}: the {operand} is in {formats[operand]}, expected block-scaled formats alone of "
                        "arithmetic \"exact\"")


# What convert is asked for beside formats.
def _arithmetic_of(
    arithmetic: str, layers: int, rounding: Any, evaluation_rounding: str, random_bits: int, seed: int,
    accumulator_bits: Optional[int], overflow: str, taps_per_cycle: int, threads: Optional[int],
) -> Arithmetic:
    def choice(name: str, value: Any, first: str, second: str) -> None:
        if value not in (first, second):
            raise Error(f"{name}: is {value!r}, expected {first} or {second}")

    choice("arithmetic", arithmetic, "dequantized", "exact")
    choice("evaluation_rounding", evaluation_rounding, "nearest", "training")
    choice("overflow", overflow, "saturate", "wrap")
    exact = arithmetic == "exact"
    if accumulator_bits is not None:
        accumulator_bits = whole_number("accumulator_bits", accumulator_bits, 2, 64)
    taps_per_cycle = whole_number("taps_per_cycle", taps_per_cycle, 1, 1024)
    for name, given in (("accumulator_bits", accumulator_bits is not None), ("overflow", overflow != "saturate"),
                        ("taps_per_cycle", taps_per_cycle != 1)):
        if given and not exact:
            raise Error(f"{name}: expected only beside arithmetic \"exact\"")
    return Arithmetic(
        exact, roundings(rounding), evaluation_rounding, whole_number("random_bits", random_bits, 1, 24),
        whole_number("seed", seed, 0, 2**64 - 1), layers, accumulator_bits, overflow, taps_per_cycle,
        None if threads is None else whole_number("threads", threads, 1, 1024), Clock(),
    )


def _quantized_layers(model: nn.Module) -> List[LayerQuantization]:
    layers = [module.quantization for module in model.modules() if type(module) in FLOAT]
    if not layers:
        raise Error(f"model: {type(model).__name__} has no quantized layers, expected one that convert has made")
    return layers


def overflows(model: nn.Module, reset: bool = False) -> Dict[str, Dict[str, int]]:
    """How often the accumulators of each quantized layer overflowed in training: {layer: {pass: additions}}.

    Counted in training mode alone, since conversion or the last reset. Zeros where accumulator_bits was not given, and
    in "dequantized" arithmetic, which has no accumulators.
    """
    return {layer.name: layer.overflows.take(reset) for layer in _quantized_layers(model)}


def set_step(model: nn.Module, step: int) -> None:
    """Tells a converted model that the next training step is this one, 0 to 2^31 - 1, for its random bits.

    A model counts its steps from 0, one for each forward pass that follows a backward pass. State dicts do not hold the
    count: a run that goes on from one sets it.
    """
    number = whole_number("step", step, 0, 2**31 - 1)
    for layer in _quantized_layers(model):
        layer.arithmetic.clock.set(number)
