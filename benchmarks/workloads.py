"""What real users of GRU cells run on a CPU, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product


class Mode(str, Enum):
    """How a workload is run: one step or all its T steps, with or without the backward pass."""

    INFERENCE = "inference"
    TRAINING = "training"
    LOOP_INFERENCE = "loop-inference"
    LOOP_TRAINING = "loop-training"

    @property
    def trains(self) -> bool:
        return self in (Mode.TRAINING, Mode.LOOP_TRAINING)

    @property
    def loops(self) -> bool:
        return self in (Mode.LOOP_INFERENCE, Mode.LOOP_TRAINING)


INFERENCE = (Mode.INFERENCE, Mode.LOOP_INFERENCE)
TRAINING = (Mode.TRAINING, Mode.LOOP_TRAINING)


@dataclass(frozen=True)
class Cell:
    """One cell of a model. Several batch sizes are taken in turn, call by call."""

    batches: tuple[int, ...]
    input_size: int
    hidden_size: int


@dataclass(frozen=True)
class Workload:
    """A model's use of GRU cells: at each of `steps` time steps every cell is called once on an input of its own.

    All cells have the same number of batch sizes; `modes` are those in which the workload occurs in practice.
    """

    name: str
    cells: tuple[Cell, ...]
    steps: int
    modes: tuple[Mode, ...]
    bias: bool = True

    def __post_init__(self) -> None:
        if len({len(cell.batches) for cell in self.cells}) != 1:
            raise ValueError(f"{self.name}: every cell needs the same number of batch sizes")

    @property
    def usual_modes(self) -> tuple[Mode, ...]:
        """Its loops; the single steps of a workload that has no loop."""
        return tuple(mode for mode in self.modes if mode.loops) or self.modes


def cell(batch: int, input_size: int, hidden_size: int) -> Cell:
    """A cell whose batch size stays the same."""
    return Cell((batch,), input_size, hidden_size)


def _fargan(batch: int) -> tuple[Cell, ...]:
    return cell(batch, 272, 160), cell(batch, 240, 128), cell(batch, 208, 128)


def _wavernn(batch: int) -> tuple[Cell, ...]:
    return cell(batch, 512, 512), cell(batch, 544, 512)


def _tacotron(batch: int) -> tuple[Cell, ...]:
    return cell(batch, 384, 256), cell(batch, 256, 256), cell(batch, 256, 256)


# Batch sizes of W14: the nodes that a batch of events touches, a number that jumps from call to call.
_TOUCHED_NODES = (200, 1310, 431, 2000, 873, 257, 1502, 640)


def _awkward_sizes() -> Sequence[Workload]:
    """No size is a multiple of a vector or of a register block."""
    return [
        Workload(f"W21 awkward {n}x{i}x{h}", (cell(n, i, h),), 16, INFERENCE + TRAINING)
        for n, i, h in product((1, 3, 7, 33), (17, 129), (31, 65, 100))
    ]


# The numbering leaves out workloads that run on GPUs only.
WORKLOADS: tuple[Workload, ...] = (
    Workload("W1 TransFuser way-points", (cell(1, 4, 64),), 4, INFERENCE),
    Workload("W2 DeepFilterNet stream", (cell(1, 256, 256),) * 3, 100, INFERENCE),
    Workload("W2 RNNoise stream", (cell(1, 384, 384),) * 3, 100, INFERENCE),
    Workload("W3 FARGAN", _fargan(1), 400, INFERENCE, bias=False),
    Workload("W3t FARGAN training", _fargan(64), 60, TRAINING, bias=False),
    Workload("W4 WaveRNN, 1 fold", _wavernn(1), 1000, INFERENCE),
    Workload("W4 WaveRNN, 16 folds", _wavernn(16), 1000, INFERENCE),
    Workload("W5 Tacotron decoder", _tacotron(1), 200, INFERENCE),
    Workload("W5 Tacotron decoder training", _tacotron(32), 200, TRAINING),
    Workload("W6 QMIX acting", (cell(8, 64, 64),), 1, INFERENCE),
    Workload("W6 QMIX training", (cell(256, 64, 64),), 60, TRAINING),
    Workload("W8 PlaNet, Dreamer v1", (cell(50, 200, 200),), 50, TRAINING),
    Workload("W9 PlaNet planning", (cell(1000, 200, 200),), 12, INFERENCE),
    Workload("W12 AttentiveFP", (cell(5200, 200, 200), cell(200, 200, 200)), 2, TRAINING),
    Workload("W13 GatedGraphConv", (cell(3200, 200, 200),), 6, TRAINING),
    Workload("W14 TGN", (Cell(_TOUCHED_NODES, 472, 100),), 1, TRAINING),
    Workload("W17 D2STGNN traffic", (cell(6624, 32, 32),), 12, TRAINING),
    Workload("W18 GRU-D", (cell(32, 138, 64),), 48, TRAINING),
    Workload("W19 OpenNMT stacked", (cell(64, 1000, 500), cell(64, 500, 500)), 30, TRAINING),
    *_awkward_sizes(),
)
