"""Sizes from one row of 4 units to 6,624 rows: single steps of one cell, and sequences of 100 steps."""

from itertools import product

from .workloads import Mode, Workload, cell

_SIZES = (
    (1, 3, 4),
    (1, 32, 32),
    (1, 64, 64),
    (1, 128, 128),
    (1, 272, 160),
    (1, 256, 256),
    (1, 512, 512),
    (1, 1024, 1024),
    (8, 128, 128),
    (8, 256, 256),
    (32, 138, 64),
    (32, 256, 256),
    (50, 200, 200),
    (64, 512, 512),
    (200, 472, 100),
    (256, 512, 512),
    (1000, 200, 200),
    (1024, 128, 128),
    (3200, 200, 200),
    (4096, 64, 64),
    (6624, 32, 32),
)

GRID: tuple[Workload, ...] = (
    *(Workload(f"grid {n}x{i}x{h}", (cell(n, i, h),), 1, (Mode.INFERENCE, Mode.TRAINING)) for n, i, h in _SIZES),
    *(
        Workload(f"sequence {n}x{h}x{h}", (cell(n, h, h),), 100, (Mode.LOOP_INFERENCE,))
        for n, h in product((1, 8, 64), (64, 128, 256, 512))
    ),
)
