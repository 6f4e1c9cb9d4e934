"""Parameters and measured time of the LSTM cell and both GRU cells at equal sizes."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

import gru_ext

CELLS = {"torch.nn.LSTMCell": nn.LSTMCell, "torch.nn.GRUCell": nn.GRUCell, "gru_ext.GRUCell": gru_ext.GRUCell}


def medians(jobs: dict[str, Callable[[], object]], rounds: int = 41, calls: int = 10) -> dict[str, float]:
    """Runs the jobs in turn, `rounds` times `calls` calls each.

    Returns:
        By name, the median over the rounds of the microseconds that one call took.
    """
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            for _ in range(calls):
                job()
            samples[name].append((time.perf_counter() - start) / calls * 1e6)
    return {name: statistics.median(times) for name, times in samples.items()}


def _jobs(cell: nn.Module, batch: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One step without gradients, and one step with the gradients of all weights."""
    x, h = torch.randn(batch, cell.input_size), torch.randn(batch, cell.hidden_size)
    state = (h, torch.randn_like(h)) if isinstance(cell, nn.LSTMCell) else h
    weights = list(cell.parameters())

    def forward() -> object:
        with torch.no_grad():
            return cell(x, state)

    def forward_backward() -> object:
        y = cell(x, state)
        return torch.autograd.grad((y[0] if isinstance(y, tuple) else y).sum(), weights)

    return forward, forward_backward


def compare(batch: int, input_size: int, hidden_size: int) -> None:
    """Prints a table: parameters, time of a step, and time of a step with its gradients, each also relative to the LSTM."""
    cells = {name: kind(input_size, hidden_size, bias=False) for name, kind in CELLS.items()}
    jobs = {name: _jobs(cell, batch) for name, cell in cells.items()}
    columns = {
        "parameters": {name: sum(p.numel() for p in cell.parameters()) for name, cell in cells.items()},
        "forward": medians({name: forward for name, (forward, _) in jobs.items()}),
        "forward + backward": medians({name: both for name, (_, both) in jobs.items()}),
    }
    print(f"\nbatch {batch}, {input_size} inputs, {hidden_size} hidden units")
    print(" " * 19 + "".join(f"{title:>22}" for title in columns))
    baseline = next(iter(CELLS))
    for name in CELLS:
        numbers = (
            f"{column[name]:10,.{0 if title == 'parameters' else 1}f}  ({column[name] / column[baseline]:.2f}x)"
            for title, column in columns.items()
        )
        print(f"  {name:<17}" + "".join(f"{number:>22}" for number in numbers))
