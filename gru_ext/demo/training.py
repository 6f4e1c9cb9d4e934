"""Trains two classifiers side by side: same batches, same optimizer, epochs in turns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn

from .data import Digits, batches, with_noise

_BATCH = 64
_PEAK_LEARNING_RATE = 1e-2
_LARGEST_GRADIENT = 1.0  # norm; without it the loss jumps up now and then

#: Two models whose steps differ by roundings alone stay within 1e-5 (measured by disturbing every state by one rounding, with
#: several seeds); a gradient that is 1 % too large at every step is off by more than 0.1 after two epochs.
ALLOWED = 1e-3


@dataclass
class Curve:
    """What training one model gave, epoch by epoch: mean loss over the epoch and seconds it took."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def median_seconds(self) -> float:
        """The typical duration of an epoch: the median is not moved by what else the machine did now and then."""
        return median(self.seconds)


@dataclass
class _Trainee:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    curve: Curve = field(default_factory=Curve)


def _prepare(model: nn.Module, steps: int) -> _Trainee:
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LEARNING_RATE, total_steps=steps)
    return _Trainee(model.train(), optimizer, schedule)


def _epoch(trainee: _Trainee, images: Tensor, labels: Tensor, order: list[Tensor]) -> None:
    """One pass over the training images; appends to the trainee's curve."""
    begin = time.perf_counter()
    total = 0.0
    for batch in order:
        loss = nn.functional.cross_entropy(trainee.model(images[batch]), labels[batch])
        trainee.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trainee.model.parameters(), _LARGEST_GRADIENT)
        trainee.optimizer.step()
        trainee.schedule.step()
        total += loss.item() * len(batch)
    trainee.curve.seconds.append(time.perf_counter() - begin)
    trainee.curve.losses.append(total / len(labels))


def train_in_turns(models: list[nn.Module], digits: Digits, epochs: int, after_epoch: Callable[..., None]) -> list[Curve]:
    """Trains every model on the same batches, one epoch each in turn, and returns a curve for each.

    Which model goes first changes from epoch to epoch, so that neither profits from the place.

    Args:
        models: trained in place.
        digits: the images.
        epochs: how many passes over the training images.
        after_epoch: called with the number of epochs done and each model's curve so far; for showing progress.
    """
    count = len(digits.train_labels)
    trainees = [_prepare(model, epochs * len(batches(count, _BATCH, seed=0))) for model in models]
    curves = [trainee.curve for trainee in trainees]
    for epoch in range(epochs):
        images = with_noise(digits.train_images, seed=epoch)
        order = batches(count, _BATCH, seed=epoch)
        for trainee in trainees if epoch % 2 == 0 else reversed(trainees):
            _epoch(trainee, images, digits.train_labels, order)
        after_epoch(epoch + 1, *curves)
    return curves


def largest_difference(first: Curve, second: Curve) -> float:
    """The largest distance between two loss curves of the same length."""
    return max(abs(a - b) for a, b in zip(first.losses, second.losses, strict=True))


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of the images ``[N, 8, 8]`` whose most likely digit is the label ``[N]``, in [0, 1]."""
    return (model.eval()(images).argmax(dim=1) == labels).float().mean().item()
