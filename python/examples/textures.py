"""Images to learn from that need no download: gratings of ten directions in noise."""

from __future__ import annotations

import math
from typing import Callable, Tuple

import torch
import torch.nn.functional as functional
from torch import nn

CLASSES = 10
SIDE = 16


def textures(count: int, seed: int, noise: float = 0.8) -> Tuple[torch.Tensor, torch.Tensor]:
    """Images (count, 3, SIDE, SIDE) and labels: the direction of a grating of any phase, wavelength and color."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    labels = torch.randint(CLASSES, (count,), generator=generator)
    angle = (labels / CLASSES * math.pi).reshape(-1, 1, 1)
    wavelength = 3 + 3 * uniform(count, 1, 1)
    along = torch.arange(SIDE, dtype=torch.float32)
    distance = along.reshape(1, -1, 1) * angle.sin() + along.reshape(1, 1, -1) * angle.cos()
    grating = (2 * math.pi * (distance / wavelength + uniform(count, 1, 1))).sin()
    color = (0.5 + uniform(count, 3)).reshape(count, 3, 1, 1)
    images = grating.unsqueeze(1) * color + noise * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    return images, labels


# A recipe has as many numbers as a paper's table.
def train(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, batch: int = 64, rate: float = 0.1,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """SGD with momentum and a cosine schedule; the order of the images comes from a seed of its own."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(1)
    step = 0
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for first in range(0, len(labels) - batch + 1, batch):
            chosen = order[first:first + batch]
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            report(step, loss.item())


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """In percent."""
    model.eval()
    with torch.no_grad():
        return 100 * (model(images).argmax(1) == labels).float().mean().item()
