"""The images and the batches of mlsim-train, drawn again: files in MNIST's format and docs/trainer.md's draws."""

from __future__ import annotations

import pathlib
from typing import Tuple

import numpy as np

SIDE = 28
PADDING = 2  # of MNIST
_MASK = 0xFFFFFFFF


def _philox(counter: Tuple[int, int, int, int], key: Tuple[int, int]) -> Tuple[int, int, int, int]:
    """Philox4x32-10 of Salmon et al., SC 2011."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        low, high = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (high >> 32) ^ b ^ k0, high & _MASK, (low >> 32) ^ d ^ k1, low & _MASK
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return a, b, c, d


def _below(bound: int, seed: int, stream: int, index: int) -> int:
    block = index // 4
    counter = (block & _MASK, block >> 32, stream & _MASK, stream >> 32)
    return _philox(counter, (seed & _MASK, seed >> 32))[index % 4] * bound >> 32


def write_mnist(folder: pathlib.Path, images: np.ndarray, labels: np.ndarray, tests: int) -> None:
    """Training images (count, 28, 28) and labels, uint8; the first `tests` of them are the test set, too."""
    for name, count in (("train", len(labels)), ("t10k", tests)):
        header = b"".join(n.to_bytes(4, "big") for n in (0x803, count, SIDE, SIDE))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images[:count].tobytes())
        header = b"".join(n.to_bytes(4, "big") for n in (0x801, count))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + labels[:count].tobytes())


class Batches:
    """Those of an epoch of mlsim-train --dataset mnist."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int, epoch: int = 0) -> None:
        self._labels = labels
        count = float(images.size)
        mean = float(images.sum(dtype=np.uint64)) / count
        variance = float((images.astype(np.uint64) ** 2).sum()) / count - mean * mean
        deviation = np.float32(max(np.sqrt(variance), 1.0) / 255)
        scale = np.float32(1) / (np.float32(255) * deviation)
        offset = np.float32(mean / 255) / deviation
        normalized = images.astype(np.float32) * scale - offset
        self._padded = np.pad(normalized, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
        self._seed = seed
        self._stream = 1 << 63 | epoch << 1
        self._order = list(range(len(labels)))
        for left in range(len(labels), 1, -1):
            other = _below(left, seed, self._stream, left - 1)
            self._order[left - 1], self._order[other] = self._order[other], self._order[left - 1]

    def batch(self, step: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
        """Images (size, 1, 28, 28), float32, and labels, int64."""
        images, labels = [], []
        for position in range(step * size, (step + 1) * size):
            chosen = self._order[position]
            y, x = (_below(2 * PADDING + 1, self._seed, self._stream | 1, 4 * position + axis) for axis in (0, 1))
            images.append(self._padded[chosen, y:y + SIDE, x:x + SIDE])
            labels.append(self._labels[chosen])
        return np.stack(images)[:, None], np.array(labels, np.int64)
