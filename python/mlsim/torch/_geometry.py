"""A layer as the simulated machine sees it: tensors of images, or matrices, and how one moves over the other."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Tuple

import numpy as np
import torch
import torch.nn.functional as functional

OPERANDS = ("activation", "weight", "error")
PASSES = ("forward", "backward_data", "backward_weight")

Pair = Tuple[int, int]

# PyTorch's functions and the dimensions of their tensors of images, batch and channels among them.
_FUNCTIONS = {functional.conv2d: 4, functional.conv1d: 3, functional.linear: 2}


def dimensions_of(function: Any) -> int:
    """4 of conv2d, 3 of conv1d, 2 of linear, else 0."""
    try:
        return _FUNCTIONS.get(function, 0)
    except TypeError:  # What has no hash is none of them.
        return 0


def arguments_of(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of a call of conv2d, conv1d or linear by name, those that are left out not among them."""
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    return {**dict(zip(names, args)), **kwargs}


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """float32 in C order in the processor's memory; not copied where the tensor is that."""
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def as_images(tensor: torch.Tensor, dimensions: int) -> torch.Tensor:
    """An activation, an error or a result: with a batch, rows of height 1 as images, leading dimensions as rows."""
    if dimensions == 2:
        return tensor.reshape(-1, tensor.shape[-1])
    if tensor.dim() < dimensions:
        tensor = tensor.unsqueeze(0)
    return tensor.unsqueeze(2) if dimensions == 3 else tensor


def as_kernels(weight: torch.Tensor, dimensions: int) -> torch.Tensor:
    """A weight in as many dimensions as the images have."""
    return weight.unsqueeze(2) if dimensions == 3 else weight


def _pair(value: Any, dimensions: int, neutral: int) -> Pair:
    """Down and across. A convolution along one axis has `neutral` down."""
    axes = dimensions - 2
    numbers = [int(number) for number in value] if isinstance(value, (tuple, list)) else [int(value)]
    if len(numbers) < axes:
        numbers *= axes
    return (neutral, numbers[0]) if axes == 1 else (numbers[0], numbers[1])


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Sizes are (height, width), steps (down, across); padding is ((top, bottom), (left, right))."""

    linear: bool
    batch: int
    in_channels: int
    out_channels: int
    in_size: Pair = (1, 1)
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    def one_sided(self) -> bool:
        return any(before != after for before, after in self.padding)

    def to_json(self) -> Dict[str, Any]:
        """A layer of a workload but for its name and its operands."""
        entry: Dict[str, Any] = {"type": "linear" if self.linear else "conv2d", "batch": self.batch,
                                 "in_channels": self.in_channels, "out_channels": self.out_channels}
        if self.linear:
            return entry
        entry.update(in_size=list(self.in_size), kernel=list(self.kernel), stride=list(self.stride))
        entry["padding"] = [before if before == after else [before, after] for before, after in self.padding]
        entry.update(dilation=list(self.dilation), groups=self.groups)
        return entry


# The arguments are those of PyTorch's functions.
def geometry_of(
    images: torch.Tensor,
    kernels: torch.Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    dimensions: int = 4,
) -> Geometry:
    """Of tensors as as_images and as_kernels make them and arguments as PyTorch's functions take them."""
    if dimensions == 2:
        return Geometry(True, images.shape[0], images.shape[1], kernels.shape[0])
    kernel = (int(kernels.shape[2]), int(kernels.shape[3]))
    steps = _pair(dilation, dimensions, 1)
    if padding == "valid":
        padding = 0
    if padding == "same":
        # What does not divide by two is behind, as PyTorch has it.
        totals = [distance * (size - 1) for distance, size in zip(steps, kernel)]
        sides = tuple((total // 2, total - total // 2) for total in totals)
    else:
        sides = tuple((zeros, zeros) for zeros in _pair(padding, dimensions, 0))
    return Geometry(
        linear=False, batch=int(images.shape[0]), in_channels=int(images.shape[1]), out_channels=int(kernels.shape[0]),
        in_size=(int(images.shape[2]), int(images.shape[3])), kernel=kernel, stride=_pair(stride, dimensions, 1),
        padding=(sides[0], sides[1]), dilation=steps, groups=int(groups),
    )
