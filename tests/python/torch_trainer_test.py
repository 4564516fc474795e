"""mlsim.torch.convert beside mlsim-train: the same weights after ten steps from the same state on the same batches."""

from __future__ import annotations

import math
import os
import subprocess
import unittest
from typing import Any, List

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

import mlsim
import torch_support
from torch_support import Case, resnet
from trainer_data import SIDE, Batches, write_mnist

STEPS = 10
BATCH = 8
SEED = 5
IMAGES = 96


def initialize(model: nn.Module) -> None:
    """Weights as mlsim-train draws them from PyTorch's generator."""
    torch.manual_seed(SEED)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Linear):
            module.reset_parameters()


@unittest.skipUnless("MLSIM_TRAIN" in os.environ, "MLSIM_TRAIN does not name mlsim-train")
class Training(Case):
    batch = BATCH

    def setUp(self) -> None:
        super().setUp()
        random = np.random.default_rng(1)
        self.labels = random.integers(0, 10, IMAGES).astype(np.uint8)
        self.images = (20 * self.labels[:, None, None] + random.integers(0, 64, (IMAGES, SIDE, SIDE))).astype(np.uint8)
        write_mnist(self.folder, self.images, self.labels, tests=8)

    def train(self, options: List[str]) -> Any:
        """The checkpoint of mlsim-train after the last step."""
        file = self.folder / "checkpoint.pt"
        subprocess.run(
            [os.environ["MLSIM_TRAIN"], "--model", "resnet8", "--dataset", "mnist", "--data", self.folder,
             "--threads", "1", "--batch", str(self.batch), "--steps", str(STEPS), "--seed", str(SEED), "--checkpoint", file,
             *options],
            check=True, capture_output=True)
        return mlsim.torch.read_checkpoint(file)

    def train_here(self, **options: Any) -> nn.Module:
        model = resnet.ResNet(blocks=1, channels=1)
        initialize(model)
        mlsim.torch.convert(model, seed=SEED, **options)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        batches = Batches(self.images, self.labels, SEED)
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = 0.1 * ((1 + math.cos(math.pi * (step / STEPS))) / 2)
            images, labels = (torch.from_numpy(array) for array in batches.batch(step, self.batch))
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return model

    def agree(self, options: List[str], **converted: Any) -> Any:
        checkpoint = self.train(options)
        model = self.train_here(**converted)
        ours, theirs = model.state_dict(), checkpoint.model
        self.assertEqual(list(ours), list(theirs))
        different = [key for key in ours if not torch.equal(ours[key], theirs[key])]
        self.assertEqual(different, [])
        self.assertEqual(checkpoint.step, STEPS)
        return model

    def test_exact_arithmetic(self) -> None:
        model = self.agree(["--arithmetic", "exact", "--format", "e2m1"], format="e2m1", arithmetic="exact")
        initialize(model)
        self.assertFalse(torch.equal(self.train_here(format="e2m1", arithmetic="exact", random_bits=8).fc.weight,
                                     self.train_here(format="e2m1", arithmetic="exact").fc.weight))

    def test_blocks_along_the_reduction_and_all_layers(self) -> None:
        self.agree(["--arithmetic", "exact", "--format", "mxfp8", "--weight-format", "nvfp4", "--float-layers", "none",
                    "--quantize-linear", "--rounding", "stochastic", "--random-bits", "8"],
                   format={"activation": "mxfp8", "weight": "nvfp4", "error": "mxfp8"}, arithmetic="exact", first=None,
                   quantize_linear=True, rounding="stochastic", random_bits=8)

    def test_narrow_accumulators(self) -> None:
        self.batch = 2  # Sums that may overflow are checked one by one.
        model = self.agree(["--arithmetic", "exact", "--format", "e2m4/g8m1/n", "--accumulator-bits", "12",
                            "--overflow", "wrap", "--taps-per-cycle", "4"],
                           format="e2m4/g8m1/n", arithmetic="exact", accumulator_bits=12, overflow="wrap",
                           taps_per_cycle=4)
        self.assertGreater(mlsim.torch.overflows(model)["layer1.0.conv1"]["forward"], 0)

    def test_dequantized_arithmetic(self) -> None:
        for format in ("nvfp4", "bf16"):
            with self.subTest(format):
                self.agree(["--format", format, "--quantize-linear"], format=format, quantize_linear=True)

    def test_checkpoints(self) -> None:
        checkpoint = self.train(["--format", "fp32"])
        self.assertEqual(checkpoint.recipe["model"], "resnet8")
        resnet.ResNet(blocks=1, channels=1).load_state_dict(checkpoint.model)
        file = self.folder / "checkpoint.pt"
        content = file.read_bytes()
        damaged = self.folder / "damaged.pt"
        damaged.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        with self.refuses("damaged.pt: is damaged, its checksum"):
            mlsim.torch.read_checkpoint(damaged)
        damaged.write_bytes(b"text")
        with self.refuses("damaged.pt: cannot be read, expected a checkpoint of mlsim-train"):
            mlsim.torch.read_checkpoint(damaged)
        torch.save({"a": 1}, damaged)
        with self.refuses("damaged.pt: cannot be read, expected a checkpoint of mlsim-train"):
            mlsim.torch.read_checkpoint(damaged)
        with self.refuses("missing.pt: cannot be read: No such file"):
            mlsim.torch.read_checkpoint(self.folder / "missing.pt")


if __name__ == "__main__":
    torch_support.main()
