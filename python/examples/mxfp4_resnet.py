#!/usr/bin/python3
"""What does MXFP4 do to my ResNet?

Trains ResNet-20 in float on generated images, traces a training step, and asks of MXFP4 and its neighbors: how far are
the three passes from float (SQNR), what does a step cost, and does the network still learn with it?

    PYTHONPATH=build/release/python python/examples/mxfp4_resnet.py [FOLDER]

FOLDER, by default a temporary one, keeps the trace and report.html.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile

import torch
import torch.nn.functional as functional

import mlsim
from resnet import resnet20
from textures import accuracy, textures, train

FORMATS = ["mxfp4", "nvfp4", "e2m1", "mxfp6-e2m3", "mxfp8", "bf16"]


def trace_a_step(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, folder: pathlib.Path) -> str:
    """The path of a workload with the operands of a step on these images."""
    model.train()
    with mlsim.torch.trace(
        model, folder / "trace", format="mxfp4", samples=None, layers="layer*", overwrite=True
    ) as trace:
        functional.cross_entropy(model(images), labels).backward()
    return trace.workload


def worst_layers(results: mlsim.Results, count: int) -> None:
    passes = [(entry["sqnr_db"], layer["name"], entry["pass"]) for layer in results["layers"]
              for entry in layer["passes"] if isinstance(entry["sqnr_db"], float)]
    for sqnr, layer, name in sorted(passes)[:count]:
        print(f"  {layer:<16} {name:<16} {sqnr:5.1f} dB")


def main(folder: pathlib.Path) -> None:
    torch.manual_seed(1)
    images, labels = textures(1280, seed=1)
    test_images, test_labels = textures(500, seed=2)

    model = resnet20()
    train(model, images, labels, epochs=3)
    print(f"float: {accuracy(model, test_images, test_labels):.1f} % of the test images after training")

    workload = trace_a_step(model, images[:8], labels[:8], folder)
    sweep = mlsim.sweep(workload, formats=FORMATS)
    print("\nA training step in each format, energy and error of the three passes:")
    print(sweep)

    results = mlsim.simulate(workload)
    print("\nWhere MXFP4 is farthest from float:")
    worst_layers(results, 5)
    report = mlsim.report(results)
    report.save(folder / "report.html")
    print(report)

    # The weights as they are, then a network that is trained with MXFP4 in all three passes from the start.
    mlsim.torch.convert(model, "mxfp4")
    print(f"\nMXFP4 without training: {accuracy(model, test_images, test_labels):.1f} %")
    torch.manual_seed(1)
    model = mlsim.torch.convert(resnet20(), "mxfp4")
    train(model, images, labels, epochs=3)
    print(f"trained with MXFP4: {accuracy(model, test_images, test_labels):.1f} %")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
