"""What is measured: sizes that the targets speak of, and single steps of what real users run on GPUs."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..selection import Case
from ..workloads import Mode, Workload, cell

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(frozen=True)
class Shape:
    """One step of one cell. `compiled`: also as a compiled cell, which takes seconds to make."""

    name: str
    n: int
    i: int
    h: int
    number: str  # the dtype, in short
    mode: Mode
    compiled: bool = False

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.number]

    @property
    def case(self) -> Case:
        return Case(Workload(self.name, (cell(self.n, self.i, self.h),), 1, (self.mode,)), self.mode)

    @property
    def bytes(self) -> int:
        """The least that has to be read and written: weights, inputs, states; in training also what is kept between the passes,
        the gradients, and the weights once more."""
        n, i, h = self.n, self.i, self.h
        weights = 3 * h * (i + h + 2)
        numbers = weights + n * (i + 2 * h)
        if self.mode.trains:
            # Forward: 4 n h kept. Backward: weights, gradient, kept numbers, input and state read; all gradients written.
            numbers += 4 * n * h + weights + n * (h + 4 * h + i + h) + weights + n * (i + h)
        return numbers * self.dtype.itemsize

    @property
    def operations(self) -> int:
        """Of the matrix products: one multiplication and one addition each."""
        return 2 * self.n * 3 * self.h * (self.i + self.h) * (3 if self.mode.trains else 1)


_STEP, _TRAIN = Mode.INFERENCE, Mode.TRAINING


def _targets() -> Iterator[Shape]:
    compiled = {
        (1, 256, "f32", _STEP),
        (8, 256, "f32", _STEP),
        (1, 1024, "bf16", _STEP),
        (8, 1024, "bf16", _STEP),
        (1024, 1024, "bf16", _STEP),
        (1024, 1024, "f32", _STEP),
        (4096, 1024, "bf16", _STEP),
        (1, 256, "f32", _TRAIN),
        (16, 512, "f32", _TRAIN),
        (64, 512, "bf16", _TRAIN),
    }
    grid = [
        (_STEP, (1, 8), (64, 256, 512, 1024), ("f32", "bf16")),
        (_STEP, (1024, 4096), (256, 1024), ("f32", "bf16")),
        (_TRAIN, (1, 16, 64), (256, 512), ("f32", "bf16")),
        (_STEP, (8, 1024), (1024,), ("f16",)),
        (_STEP, (64, 256), (512,), ("f32", "bf16")),
        (_TRAIN, (1024,), (1024,), ("f32", "bf16")),
    ]
    for mode, batches, sizes, numbers in grid:
        for n in batches:
            for h in sizes:
                for number in numbers:
                    yield Shape("grid", n, h, h, number, mode, (n, h, number, mode) in compiled)


def _users() -> Iterator[Shape]:
    """By the names of the workloads in workloads.py; those that it leaves out, because they run on GPUs only, as well."""
    for name, n, i, h, numbers, mode in (
        ("W1 TransFuser", 1, 4, 64, "f32", _STEP),
        ("W3t FARGAN", 64, 272, 160, "f32", _TRAIN),
        ("W4 WaveRNN", 1, 512, 512, "f32", _STEP),
        ("W4 WaveRNN", 16, 544, 512, "f32", _STEP),
        ("W5 Tacotron", 32, 384, 256, "f32", _TRAIN),
        ("W6 QMIX acting", 8, 64, 64, "f32", _STEP),
        ("W6 QMIX", 256, 64, 64, "f32", _TRAIN),
        ("W7 simulators", 4096, 256, 256, "f32 bf16", _TRAIN),
        ("W8 PlaNet", 50, 200, 200, "f32", _TRAIN),
        ("W9 PlaNet planning", 1000, 200, 200, "f32", _STEP),
        ("W10 DreamerV3 XL", 16, 1024, 4096, "bf16", _TRAIN),
        ("W11 DreamerV3 imagine", 1024, 512, 512, "bf16", _TRAIN),
        ("W12 AttentiveFP", 5200, 200, 200, "f32", _TRAIN),
        ("W13 GatedGraphConv", 50000, 200, 200, "f32 bf16", _TRAIN),
        ("W14 TGN", 873, 472, 100, "f32", _TRAIN),
        ("W15 slot attention", 448, 64, 64, "f32 bf16", _TRAIN),
        ("W16 GTrXL gate", 4096, 512, 512, "bf16", _TRAIN),
        ("W17 D2STGNN", 6624, 32, 32, "f32", _TRAIN),
        ("W18 GRU-D", 32, 138, 64, "f32", _TRAIN),
        ("W19 OpenNMT", 64, 1000, 500, "f32", _TRAIN),
        ("W21 awkward", 7, 129, 65, "f32", _TRAIN),
    ):
        for number in numbers.split():
            yield Shape(name, n, i, h, number, mode)


#: Those that the targets need first, so that what a limited time leaves out is the rest.
SHAPES: tuple[Shape, ...] = tuple(sorted(_targets(), key=lambda s: not s.compiled)) + tuple(_users())
