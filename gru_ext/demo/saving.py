"""Saves the model in PyTorch's two formats, loads each file back and compares."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

#: Logits are some tens at most, so float32 rounds them to about 1e-6; a loaded model that orders its sums differently may
#: differ by a few such roundings, a wrong one by far more.
ALLOWED = 1e-5


@dataclass(frozen=True)
class Loaded:
    """A file, what loaded it, and the largest difference between what the loaded model and the one in memory give."""

    path: Path
    by: str
    difference: float

    @property
    def equal(self) -> bool:
        """True if the difference is no more than rounding."""
        return self.difference <= ALLOWED


@torch.no_grad()
def _compare(path: Path, by: str, model: nn.Module, loaded: Callable[[Tensor], Tensor], images: Tensor) -> Loaded:
    return Loaded(path, by, (loaded(images) - model(images)).abs().max().item())


def save_torchscript(model: nn.Module, images: Tensor, path: Path) -> Loaded:
    """Writes `path` with torch.jit and compares on images ``[N, 8, 8]``; a C++ program can load this file."""
    torch.jit.script(model).save(path)
    return _compare(path, "torch.jit.load", model, torch.jit.load(path), images)


def save_exported(model: nn.Module, images: Tensor, path: Path) -> Loaded:
    """Writes `path` with torch.export, the batch size left open, and compares on images ``[N, 8, 8]``."""
    # Traced with another batch size than it is compared with: a batch size frozen into the file would fail here.
    program = torch.export.export(model, (images[:2],), dynamic_shapes={"images": {0: Dim("N")}})
    torch.export.save(program, path)
    return _compare(path, "torch.export.load", model, torch.export.load(path).module(), images)
