"""mlsim.torch: the layers of any PyTorch model as a workload, and training with the simulated machine's numbers.

    with mlsim.torch.trace(model, "folder", format="e2m4", samples=4):
        loss_fn(model(x), y).backward()                  # folder/workload.json and a .npy file for each operand
    mlsim.torch.convert(model, format="e2m1", arithmetic="exact", first="fp32")   # then train as before

Needs PyTorch 1.13 or later. `import mlsim` alone does not load it. docs/python.md has the details.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as _error:
    raise ImportError(f"mlsim.torch needs PyTorch 1.13 or later: {_error}") from _error

from mlsim.torch._checkpoint import Checkpoint, read_checkpoint
from mlsim.torch._convert import convert, overflows, set_step
from mlsim.torch._modules import QuantizedConv1d, QuantizedConv2d, QuantizedLinear
from mlsim.torch._trace import Trace, trace

__all__ = [
    "Checkpoint",
    "QuantizedConv1d",
    "QuantizedConv2d",
    "QuantizedLinear",
    "Trace",
    "convert",
    "overflows",
    "read_checkpoint",
    "set_step",
    "trace",
]
