"""The three pictures. Titles state what the data shows, so they are made from the data."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from .data import INPUTS
from .gates import Gates
from .speed import MODES, Speed
from .training import Curve, largest_difference

# Blue and orange stay apart for every kind of colour vision.
_STOCK, _OURS = "#e8a33d", "#1f5fa8"
_STOCK_NAME, _OURS_NAME = "torch.nn.GRUCell", "gru_ext.GRUCell"
_INK, _FAINT = "#222222", "#d9d9d9"


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    figure.suptitle(title, fontsize=12, fontweight="bold", color=_INK, x=0.01, ha="left")
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def plot_losses(stock: Curve, ours: Curve, path: Path) -> None:
    """Both loss curves in one frame, and below it how far apart they are."""
    apart = largest_difference(stock, ours)
    finding = "are exactly equal" if apart == 0 else f"are at most {apart:.1g} apart"
    title = f"While the loss falls from {stock.losses[0]:.2f} to {stock.losses[-1]:.2f}, the two curves {finding}"
    figure = _figure(8, 5, title)
    figure.set_layout_engine("constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    epochs = range(1, len(stock.losses) + 1)
    top.plot(epochs, stock.losses, color=_STOCK, linewidth=7, solid_capstyle="round", label=_STOCK_NAME)
    top.plot(epochs, ours.losses, color=_OURS, linewidth=1.8, marker="o", markersize=3.5, label=_OURS_NAME)
    top.set_ylabel("training loss\n(cross-entropy, nats)")
    top.set_ylim(bottom=0)
    top.legend(frameon=False)
    differences = [abs(a - b) for a, b in zip(stock.losses, ours.losses, strict=True)]
    bottom.plot(epochs, differences, color=_INK, linewidth=1, marker="o", markersize=3)
    bottom.set_ylabel("difference")
    bottom.set_xlabel("epoch")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    for axes in (top, bottom):
        _tidy(axes)
    figure.align_ylabels()
    figure.savefig(path)


def plot_gates(image: Tensor, gates: Gates, label: int, predicted: int, path: Path) -> None:
    """One digit beside its gates: row t of each heat map is what the cell does when it reads row t of the digit.

    Args:
        image: ``[8, 8]``.
        gates: each ``[8, H]``.
        label: the digit that it is.
        predicted: the digit that the model sees in it.
        path: where the PNG goes.
    """
    kept = gates.z.mean(dim=1)
    most, least = int(kept.argmin()), int(kept.argmax())
    verdict = "recognised" if predicted == label else f"mistaken for a {predicted}"
    title = (
        f"Reading a {label} ({verdict}): row {most + 1} renews {1 - kept[most]:.0%} of the state, "
        f"row {least + 1} only {1 - kept[least]:.0%}"
    )
    figure = _figure(13, 3.6, title)
    # A plain grid keeps all panels at one height, so that row t of the digit stands beside row t of every map.
    widths = [1, 1.45, 1.45, 1.45]
    grid = figure.add_gridspec(1, 4, width_ratios=widths, wspace=0.25, left=0.045, right=0.96, bottom=0.1, top=0.77)
    panels = [figure.add_subplot(cell) for cell in grid]
    units = gates.z.mean(dim=0).argsort()  # one order for all three maps: what happens to a unit stays in one column
    steps, hidden_size = gates.z.shape
    panels[0].imshow(image, cmap="gray_r", aspect="auto", vmin=0, vmax=1)
    panels[0].set_title("the digit, 8 × 8 pixels", fontsize=10)
    panels[0].set_xticks([])
    panels[0].set_ylabel("row = time step")
    maps = (
        (gates.r, "reset gate r\n(0: candidate ignores the state)", "viridis", 0),
        (gates.z, "update gate z\n(1: unit keeps its value)", "viridis", 0),
        (gates.n, "candidate n\n(what a unit would become)", "RdBu_r", -1),
    )
    for axes, (gate, name, colours, lowest) in zip(panels[1:], maps, strict=True):
        shown = axes.imshow(gate[:, units], cmap=colours, vmin=lowest, vmax=1, aspect="auto", interpolation="nearest")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(f"the {hidden_size} units, sorted by mean z")
        axes.set_xticks([])
        figure.colorbar(shown, cax=axes.inset_axes((1.02, 0, 0.03, 1)), ticks=[lowest, (lowest + 1) / 2, 1])
    for axes in panels:
        axes.set_yticks(range(steps), [str(step + 1) for step in range(steps)])
        axes.tick_params(length=0)
    figure.savefig(path)


def _microseconds(value: float, _position: int) -> str:
    return f"{value:g} µs" if value < 1000 else f"{value / 1000:g} ms"


def plot_speed(speeds: Sequence[Speed], path: Path) -> None:
    """Processor time per call and speed-up over the batch size, a column for each mode, a line style for each hidden size."""
    low, high = min(speed.ratio for speed in speeds), max(speed.ratio for speed in speeds)
    figure = _figure(11, 6.4, f"gru_ext.GRUCell runs at {low:.1f} to {high:.1f} times the speed of torch.nn.GRUCell")
    figure.set_layout_engine("constrained")
    grid = figure.subplots(2, len(MODES), sharex=True, sharey="row", height_ratios=[3, 2])
    hidden_sizes = sorted({speed.hidden_size for speed in speeds})
    for column, mode in enumerate(MODES):
        times, ratios = grid[:, column]
        for hidden_size, style in zip(hidden_sizes, itertools.cycle(["-", "--", ":"])):
            chosen = [speed for speed in speeds if (speed.mode, speed.hidden_size) == (mode, hidden_size)]
            sizes = [speed.batch_size for speed in chosen]
            line = {"linestyle": style, "marker": "o", "markersize": 3.5, "linewidth": 1.6}
            stock, ours = np.array([speed.stock for speed in chosen]), np.array([speed.ours for speed in chosen])
            times.plot(sizes, stock * 1e6, color=_STOCK, label=f"{_STOCK_NAME}, H = {hidden_size}", **line)
            times.plot(sizes, ours * 1e6, color=_OURS, label=f"{_OURS_NAME}, H = {hidden_size}", **line)
            ratios.plot(sizes, stock / ours, color=_OURS, label=f"H = {hidden_size}", **line)
        ratios.axhline(1, color=_STOCK, linewidth=2, zorder=1)
        ratios.set_xlabel("batch size N")
        ratios.set_xscale("log", base=2)
        ratios.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
        times.set_yscale("log")
        times.yaxis.set_major_formatter(FuncFormatter(_microseconds))
        times.set_title(f"{mode}, {INPUTS} inputs, float32, one thread", fontsize=10)
        for axes in (times, ratios):
            _tidy(axes)
    grid[1, 0].set_ylim(bottom=0)  # both columns share it; set when both are drawn
    grid[0, 0].set_ylabel("processor time per call")
    grid[1, 0].set_ylabel("speed-up\n(1 = torch.nn.GRUCell)")
    grid[0, 0].legend(frameon=False, fontsize=9)
    grid[1, 0].legend(frameon=False, fontsize=9)
    figure.align_ylabels()
    figure.savefig(path)
