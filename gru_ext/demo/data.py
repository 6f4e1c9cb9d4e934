"""The handwritten digits that come with scikit-learn, as sequences of rows."""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

#: T and I: an image has 8 rows, read from top to bottom, and each row has 8 pixels.
STEPS, INPUTS = 8, 8
CLASSES = 10
_BRIGHTEST = 16.0  # the data set counts the dark pixels of a 4x4 block: 0 to 16
_NOISE = 0.2  # standard deviation; the least that keeps 20 epochs from learning the training images by heart


@dataclass(frozen=True)
class Digits:
    """A fixed split of the 1,797 images; float32 images ``[N, 8, 8]`` with values in [0, 1], int64 labels ``[N]``."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load(seed: int) -> Digits:
    """The images, which scikit-learn contains (no download); a quarter, a like share of each digit, is kept for testing."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=seed)
    train_images, test_images = (
        torch.tensor(part / _BRIGHTEST, dtype=torch.float32).reshape(-1, STEPS, INPUTS) for part in split[:2]
    )
    train_labels, test_labels = (torch.tensor(part, dtype=torch.int64) for part in split[2:])
    return Digits(train_images, train_labels, test_images, test_labels)


def with_noise(images: Tensor, seed: int) -> Tensor:
    """The images with Gaussian noise that depends on the seed alone: every epoch shows others, both models see the same."""
    return images + _NOISE * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def batches(count: int, size: int, seed: int) -> list[Tensor]:
    """Indices ``0 … count-1`` in a random order that depends on the seed alone, cut into batches; the last may be smaller."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return list(order.split(size))
