"""What the tests of mlsim.torch share."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import unittest
from typing import Any, Dict, List

import numpy as np
import torch
from torch import nn

import mlsim

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "python" / "examples"))
import resnet  # noqa: E402,F401

PASSES = ("forward", "backward_data", "backward_weight")


class Case(unittest.TestCase):
    """With a folder of its own, one thread, and generators that begin anew."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.addCleanup(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        torch.manual_seed(7)

    def refuses(self, text: str) -> Any:
        return self.assertRaisesRegex(mlsim.Error, text)

    def traced(self, model: nn.Module, step: Any, **options: Any) -> "Traced":
        """A step of a model with what autograd makes of it, and its trace with what a simulation makes of that."""
        parent = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        autograd = _Autograd(model)
        options.setdefault("samples", None)
        try:
            with mlsim.torch.trace(model, parent / "trace", **options) as trace:
                step()
        finally:
            autograd.remove()
        results = mlsim.simulate(trace.workload, tensors=str(parent / "simulated"), baselines=False)
        return Traced(trace, parent, results, autograd)


class _Autograd:
    """Inputs, outputs and gradients of the layers of a model, by hooks; each layer is called once.

    Layers get copies of their inputs, whose gradients are of nothing but the layer.
    """

    def __init__(self, model: nn.Module) -> None:
        self.inputs: Dict[str, torch.Tensor] = {}
        self.outputs: Dict[str, torch.Tensor] = {}
        self.modules = dict(model.named_modules())
        self._handles: List[Any] = []
        for name, module in self.modules.items():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                self._handles.append(module.register_forward_pre_hook(lambda _, inputs: (inputs[0].clone(),)))
                self._handles.append(module.register_forward_hook(self._hook(name)))

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            if name not in self.inputs and torch.is_grad_enabled():
                self.inputs[name] = inputs[0]
                if inputs[0].requires_grad:
                    inputs[0].retain_grad()
                bias = 0 if module.bias is None else module.bias.detach()
                bias = bias if isinstance(module, nn.Linear) or isinstance(bias, int) else bias.reshape(
                    -1, *[1] * (len(module.kernel_size)))
                self.outputs[name] = output.detach().clone() - bias
        return hook

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def of(self, name: str) -> Dict[str, Any]:
        module = self.modules[name]
        return dict(zip(PASSES, (self.outputs.get(name), self.inputs[name].grad, module.weight.grad)))


class Traced:
    def __init__(self, trace: Any, folder: pathlib.Path, results: Any, autograd: _Autograd) -> None:
        self.trace, self.folder, self.results, self.autograd = trace, folder, results, autograd

    def simulated(self, layer: str) -> Dict[str, np.ndarray]:
        files = {name: self.folder / "simulated" / f"{layer}.{name}.npy" for name in PASSES}
        return {name: np.load(file) for name, file in files.items() if file.exists()}

    def operand(self, layer: str, operand: str) -> np.ndarray:
        return np.load(self.folder / "trace" / f"{layer}.{operand}.npy")

    def largest_difference(self, passes: Any = PASSES) -> float:
        """Of what was simulated from what autograd has, over the largest of a tensor; every pass that both have."""
        worst = 0.0
        for layer in self.trace.layers:
            expected, found = self.autograd.of(layer), self.simulated(layer)
            for name in passes:
                gradient = expected[name]
                if (gradient is None) != (name not in found):
                    raise AssertionError(f"{layer}: {name} is in one of simulation and autograd alone")
                if gradient is None:
                    continue
                numbers = gradient.detach().cpu().float().contiguous().numpy().reshape(found[name].shape)
                worst = max(worst, float(np.abs(numbers - found[name]).max() / max(np.abs(numbers).max(), 1e-30)))
        return worst


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def bits_of(model: nn.Module) -> bytes:
    return b"".join(value.detach().contiguous().numpy().tobytes() for value in model.state_dict().values())


def zero_gradients(*models: nn.Module) -> None:
    for model in models:
        for parameter in model.parameters():
            parameter.grad = None


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    unittest.main(verbosity=2)
