"""Checkpoints of mlsim-train as PyTorch reads them."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import zlib
from typing import Any, Dict, Union

import torch

from mlsim._native import Error

_LINE = re.compile(rb"\nmlsim-train CRC-32 ([0-9a-f]{8})\n\Z")
_LINE_BYTES = len(b"\nmlsim-train CRC-32 00000000\n")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What mlsim-train --checkpoint writes.

    model: the state dict of the network, with torchvision's names; model.load_state_dict(checkpoint.model) takes it.
    step: steps that were trained. recipe: the options of the run.
    """

    model: Dict[str, torch.Tensor]
    step: int
    recipe: Dict[str, Any]


def read_checkpoint(path: Union[str, "os.PathLike[str]"]) -> Checkpoint:
    """Reads a checkpoint of mlsim-train into the processor's memory.

    Raises mlsim.Error for a file that cannot be read, is no checkpoint, or is damaged.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise Error(f"{name}: cannot be read: {error.strerror}") from error
    line = _LINE.search(content[-_LINE_BYTES:])
    if line:
        content = content[:-_LINE_BYTES]
        if zlib.crc32(content) != int(line.group(1), 16):
            raise Error(f"{name}: is damaged, its checksum is not that of its bytes")
    try:
        archive = torch.jit.load(io.BytesIO(content), map_location="cpu")
        model = {key: value.detach().clone() for key, value in archive.model.state_dict().items()}
        return Checkpoint(model, int(archive.step), json.loads(archive.recipe))
    except Exception as error:
        raise Error(f"{name}: cannot be read, expected a checkpoint of mlsim-train") from error
