#!/usr/bin/python3
"""The convolutions of a training step of ResNet-20 in mlsim.torch's exact arithmetic, beside the engine's own time and
beside PyTorch's float convolutions, layer by layer with synthetic operands, one thread.

    PYTHONPATH=build/release/python bench/torch_step.py [--step build/release/bench/step] [--formats e2m1 …]

All times are best of several rounds, in which the three take turns; those of PyTorch's layers are processor time.
"engine" is bench/step: quantization of three operands and three passes in C++. "converted" is a converted layer's
forward and backward pass by autograd, quantization included. "float" is the same of PyTorch's layer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import List, Tuple

import torch
from torch import nn

import mlsim

# in_channels, out_channels, stride and side of ResNet-20's convolutions.
LAYERS: List[Tuple[int, int, int, int]] = [
    (3, 16, 1, 32), *[(16, 16, 1, 32)] * 6, (16, 32, 2, 32), *[(32, 32, 1, 16)] * 5, (32, 64, 2, 16),
    *[(64, 64, 1, 8)] * 5,
]


class Step:
    """Layers with operands, and the least time of each."""

    def __init__(self, batch: int, format: str) -> None:
        arithmetic = "dequantized" if format == "fp32" else "exact"
        generator = torch.Generator().manual_seed(1)
        self.layers = []
        for in_channels, out_channels, stride, side in LAYERS:
            layer = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
            x = torch.randn(batch, in_channels, side, side, generator=generator).relu_().requires_grad_()
            error = torch.randn(batch, out_channels, side // stride, side // stride, generator=generator) * 1e-3
            self.layers.append((mlsim.torch.convert(layer, format, arithmetic, first=None), x, error))
        self.best = [float("inf")] * len(self.layers)

    def run(self) -> None:
        for i, (layer, x, error) in enumerate(self.layers):
            begin = time.process_time()
            torch.autograd.grad(layer(x), (x, layer.weight), error)
            self.best[i] = min(self.best[i], time.process_time() - begin)

    def milliseconds(self) -> float:
        return 1e3 * sum(self.best)


def engine(program: str, batch: int, format: str) -> float:
    """Milliseconds of bench/step with one thread."""
    done = subprocess.run([program, "resnet20", "--batch", str(batch), "--format", format], check=True, capture_output=True,
                          text=True)
    names, *rows = [line.replace("step ms", "step_ms").split() for line in done.stdout.splitlines()]
    return next(float(row[names.index("step_ms")]) for row in rows if row[names.index("threads")] == "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", default="build/release/bench/step")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--formats", nargs="+", default=["e2m1", "e2m4", "mxfp4/nc"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    mlsim.keep_freed_memory()
    print(f"{'format':<8} {'engine ms':>10} {'converted':>10} {'ratio':>6} {'float ms':>9} {'of float':>9}")
    for format in options.formats:
        converted, plain, own = Step(options.batch, format), Step(options.batch, "fp32"), float("inf")
        for _ in range(options.rounds):
            own = min(own, engine(options.step, options.batch, format))
            converted.run()
            plain.run()
        print(f"{format:<8} {own:10.1f} {converted.milliseconds():10.1f} {converted.milliseconds() / own:6.2f} "
              f"{plain.milliseconds():9.1f} {converted.milliseconds() / plain.milliseconds():9.2f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
