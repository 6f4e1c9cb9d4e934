"""`python -m benchmarks.plot RESULTS.json... --out FOLDER`: draws stored results, in SVG."""

import argparse
import io
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from . import not_faster, stored
from .peers import REFERENCE
from .runner import Measured
from .stored import OURS, Run
from .targets import size_of
from .workloads import Mode

# Okabe and Ito's colours, which stay apart for every kind of colour vision; markers tell the peers apart without any colour.
_COLOURS = ("#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")
_MARKERS = "svD^P*X<>hd"
_OURS_COLOUR, _STOCK_COLOUR, _INK, _FAINT = "#0072b2", "#e69f00", "#222222", "#d9d9d9"
_TITLES = {Mode.INFERENCE: "one step, inference", Mode.TRAINING: "one step, forward and backward"}

_FIXED = {"svg.fonttype": "none", "font.size": 9, "path.simplify": True}


def write(runs: Iterable[Run], folder: Path) -> list[Path]:
    """Draws all pictures of all runs.

    Args:
        runs: stored results.
        folder: of the pictures; it is there.
    """
    written = []
    with matplotlib.rc_context(_FIXED):
        for run in runs:
            for kind in kinds(run):
                path = folder / file_name(run, kind)
                path.write_text(_svg(_KINDS[kind](run)))
                written.append(path)
    return written


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    # Matplotlib names a dozen fonts at each word and a millionth of a point at each line: a third of the file.
    short = re.sub(r"font-family: [^;\"]+", "font-family: sans-serif", text.getvalue())
    short = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), short)
    return _numbered(short)


def _numbered(svg: str) -> str:
    """The same with numbers for the random names of shapes."""
    for i, name in enumerate(re.findall(r'id="([a-z][0-9a-f]{10})"', svg)):
        svg = svg.replace(name, f"shape{i}")
    return svg


def kinds(run: Run) -> list[str]:
    """The pictures that a run has enough results for."""
    steps = [result for mode in _TITLES for result, _, _ in run.measured(mode)]
    known = {
        "speed": any(size_of(result) for result in steps),
        "share of the limit": any(result.limit is not None for result in steps),
        "where not faster": any(not_faster.find(run)),
    }
    return [kind for kind, there in known.items() if there]


def file_name(run: Run, kind: str) -> str:
    """Of a picture, beside the results."""
    return f"{run.name}-{kind.replace(' ', '-')}.svg"


def _speed(run: Run) -> Figure:
    """For each H a frame: how many times as fast as nn.GRUCell each peer is, by N."""
    points = {
        (mode, name, size): peer.ratio
        for mode in _TITLES
        for result, _, _ in run.measured(mode)
        if (size := size_of(result)) is not None
        for name, peer in result.peers.items()
        if isinstance(peer, Measured) and name != REFERENCE
    }
    hidden = sorted({size[2] for _, _, size in points})
    most = max(size[0] for _, _, size in points)
    ticks = [8**k for k in range(5) if 8**k <= most]
    columns = min(5, len(hidden))
    lines = math.ceil(len(hidden) / columns)
    figure = _figure(
        2.3 * columns + 1, 2.1 * lines * len(_TITLES) + 1, f"Speed by batch size, {run.title}, {run.machine['cpu']}"
    )
    parts = figure.subfigures(len(_TITLES), 1)
    for part, (mode, title) in zip(parts, _TITLES.items(), strict=True):
        part.suptitle(title, fontsize=10, x=0.01, ha="left")
        frames = part.subplots(lines, columns, sharey=True, squeeze=False).flatten()
        for frame in frames[len(hidden) :]:
            frame.set_visible(False)
        for frame, h in zip(frames, hidden, strict=False):
            for name in run.peers:
                here = sorted((size[0], ratio) for (m, n, size), ratio in points.items() if (m, n, size[2]) == (mode, name, h))
                if here:
                    frame.plot([n for n, _ in here], [ratio.median for _, ratio in here], label=name, **_style(run, name))
            frame.axhline(1, color=_STOCK_COLOUR, linewidth=1.5, zorder=1, label=REFERENCE)
            frame.set_title(f"H = {h}", fontsize=9)
            frame.set_xscale("log", base=2)
            frame.set_yscale("log", base=2)
            frame.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            frame.set_xlim(0.7, 1.4 * most)
            frame.set_xticks(ticks, list(map(str, ticks)))
            frame.xaxis.set_minor_locator(NullLocator())
            _tidy(frame)
        part.supxlabel("N, rows of a batch", fontsize=9)
        part.supylabel(f"{REFERENCE}'s time / theirs", fontsize=9)
    _legend(figure, [*figure.subfigs[0].axes, *figure.subfigs[1].axes])
    return figure


def _share(run: Run) -> Figure:
    """Each case a line: the share of what the processor allows that ours, nn.GRUCell and the best of the others reach."""
    found = {mode: [case for case in run.measured(mode) if case[0].limit is not None] for mode in _TITLES}
    length = max(len(cases) for cases in found.values())
    figure = _figure(9, 0.2 * length + 1.6, f"Share of the processor's limit, {run.title}, {run.machine['cpu']}")
    frames = figure.subplots(1, len(_TITLES), sharex=True)
    for frame, (mode, title) in zip(frames, _TITLES.items(), strict=True):
        for y, (result, reference, ours) in enumerate(found[mode]):
            rivals = run.rivals(result)
            times = [(reference, "o", _STOCK_COLOUR, REFERENCE), (ours, "o", _OURS_COLOUR, OURS)]
            if rivals:
                best = min(rivals.values(), key=lambda peer: peer.microseconds.median)
                times.append((best, "D", _INK, "the best of the others"))
            shares = [100 * result.limit / peer.microseconds.median for peer, *_ in times]
            frame.plot([min(shares), max(shares)], [y, y], color=_FAINT, linewidth=2, zorder=1)
            for share, (_, marker, colour, name) in zip(shares, times, strict=True):
                hollow = "none" if marker == "D" else colour
                frame.plot(
                    [share], [y], marker, color=colour, markerfacecolor=hollow, markersize=5, label=name if y == 0 else None
                )
        names = [result.case.workload.name.removeprefix("grid ").replace("x", " × ") for result, _, _ in found[mode]]
        frame.set_yticks(range(len(names)), names, fontsize=8)
        frame.invert_yaxis()
        frame.set_title(title, fontsize=10, loc="left")
        frame.set_xlabel("share of the limit, %")
        # With --level the limit is the level's, which a library that knows no level can pass.
        frame.set_xlim(0, max(100.0, frame.get_xlim()[1]))
        frame.axvline(100, color=_INK, linewidth=0.8)
        _tidy(frame)
    frames[0].set_ylabel("N × I × H")
    _legend(figure, frames)
    return figure


def _not_faster(run: Run) -> Figure:
    """Each case in which ours is not faster a line: ours and the fastest, with their quartiles."""
    cases = list(not_faster.find(run))
    figure = _figure(9, 0.2 * len(cases) + 1.6, f"Where gru_ext is not faster, {run.title}, {run.machine['cpu']}")
    frame = figure.subplots()
    for y, case in enumerate(cases):
        name, fastest = next(iter(case.others.items()))
        for peer, colour, marker, label in ((case.ours, _OURS_COLOUR, "o", OURS), (fastest, "#d55e00", "D", "the fastest")):
            ratio = peer.ratio
            frame.plot([ratio.q1, ratio.q3], [y, y], color=colour, linewidth=1.5)
            frame.plot([ratio.median], [y], marker, color=colour, markersize=5, label=label if y == 0 else None)
        frame.annotate(name, (max(fastest.ratio.q3, case.ours.ratio.q3), y), (6, 0), textcoords="offset points", va="center")
    frame.axvline(1, color=_STOCK_COLOUR, linewidth=1.5, label=REFERENCE, zorder=1)
    frame.set_yticks(range(len(cases)), [case.result.case.name for case in cases], fontsize=8)
    frame.set_ylim(len(cases) - 0.5, -0.5)
    frame.set_xscale("log", base=2)
    frame.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    frame.set_xlabel(f"{REFERENCE}'s time / theirs, with quartiles")
    frame.margins(x=0.25)
    _tidy(frame)
    _legend(figure, [frame])
    return figure


_KINDS: dict[str, Callable[[Run], Figure]] = {
    "speed": _speed,
    "share of the limit": _share,
    "where not faster": _not_faster,
}


def _style(run: Run, name: str) -> dict[str, object]:
    if name == OURS:
        return {"color": _OURS_COLOUR, "marker": "o", "linewidth": 2.2, "markersize": 4.5, "zorder": 3}
    at = [other for other in run.peers if other not in (REFERENCE, OURS)].index(name)
    colour, marker = _COLOURS[at % len(_COLOURS)], _MARKERS[at % len(_MARKERS)]
    return {"color": colour, "marker": marker, "linewidth": 0.9, "markersize": 3.5}


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold", color=_INK, x=0.01, ha="left")
    return figure


def _legend(figure: Figure, frames: Sequence[Axes]) -> None:
    """One for all frames, below them, each name once."""
    known = {label: line for frame in frames for line, label in zip(*frame.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)


def _tidy(frame: Axes) -> None:
    frame.spines[["top", "right"]].set_visible(False)
    frame.grid(color=_FAINT, linewidth=0.5)
    frame.set_axisbelow(True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS.json", help="written by python -m benchmarks --json")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for the pictures; made if it is not there")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("\n".join(map(str, write(map(stored.load, arguments.results), arguments.out))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
