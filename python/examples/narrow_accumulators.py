#!/usr/bin/python3
"""Train with 16-bit accumulators: and with narrower ones, until it hurts.

Trains ResNet-8 on generated images in the arithmetic of the simulated machine, e2m4 operands and integer accumulators
of several widths, and prints what is learned and how often the accumulators of each layer overflow.

    PYTHONPATH=build/release/python python/examples/narrow_accumulators.py
"""

from __future__ import annotations

import time

import torch

import mlsim
from resnet import ResNet
from textures import accuracy, textures, train


def train_with(bits: int, overflow: str) -> None:
    images, labels = textures(1280, seed=1)
    test_images, test_labels = textures(500, seed=2)
    torch.manual_seed(1)
    model = ResNet(blocks=1)
    mlsim.torch.convert(model, format="e2m4/none", arithmetic="exact", accumulator_bits=bits, overflow=overflow)
    losses = []
    start = time.perf_counter()
    train(model, images, labels, epochs=2, report=lambda step, loss: losses.append(loss))
    seconds = time.perf_counter() - start
    counts = mlsim.torch.overflows(model)
    total = sum(sum(passes.values()) for passes in counts.values())
    print(f"{bits} bits, {overflow}: loss {losses[0]:.2f} to {losses[-1]:.2f}, "
          f"{accuracy(model, test_images, test_labels):.1f} % of the test images, {total} overflows, {seconds:.1f} s")
    for layer, passes in counts.items():
        if sum(passes.values()):
            print(f"  {layer:<16} " + ", ".join(f"{name} {count}" for name, count in passes.items()))


def main() -> None:
    mlsim.keep_freed_memory()
    for bits, overflow in ((32, "saturate"), (16, "saturate"), (12, "saturate")):
        train_with(bits, overflow)


if __name__ == "__main__":
    main()
