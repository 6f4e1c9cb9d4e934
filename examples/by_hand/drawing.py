"""Draws one step of the cell as a diagram with that step's numbers on the wires."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

Points = list[tuple[float, float]]
Wires = dict[str, list[float]]

INK, STATE, INPUT = "#333a45", "#5b3f8c", "#5f6875"
RESET, UPDATE, NEW = "#1f6fb4", "#b85c0b", "#24834a"
TINT = {RESET: "#edf4fb", UPDATE: "#fdf3e9", NEW: "#ebf6ef", STATE: "#f1eef7", INPUT: "#f1f2f4"}

# Centres of the rows: three bands, in each of them the input's product above the state's; the state runs along the top.
ROW = {"W_hr h": 0.0, "W_ir x": 1.9, "W_hn h": 4.4, "W_in x": 6.3, "W_hz h": 8.8, "W_iz x": 10.7, "h": 13.1}
MIDDLE = {"r": 0.95, "n": 5.35, "z": 9.75}
# Centres of the columns, left to right.
SOURCE, X_BUS, H_BUS, WEIGHTS, PRODUCT, PLUS, SUM, SQUASH, GATE = -0.7, 0.55, 1.1, 2.6, 4.5, 6.0, 7.4, 8.8, 10.2
SPLIT, SEEN, N_PLUS, N_SUM, N_SQUASH, N = 11.8, 13.3, 14.8, 16.2, 17.6, 19.0
BLEND, BLENDED, H_PLUS, RESULT, EDGE = 20.5, 22.0, 23.5, 25.1, 26.6


class _Canvas:
    """The few shapes that the diagram is made of."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(18, 10.6), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(-1.75, 26.85), ylim=(-1.4, 15.44))
        self.axes.set_axis_off()

    def text(self, x: float, y: float, text: str, color: str = INK, size: float = 11, align: str = "center", **style: str):
        self.axes.text(x, y, text, color=color, fontsize=size, ha=align, va="center", zorder=5, **style)

    def band(self, name: str, right: float, color: str, title: str) -> None:
        bottom = MIDDLE[name] - 1.95
        self.axes.add_patch(Rectangle((1.65, bottom), right - 1.65, 4.2, color=TINT[color], linewidth=0, zorder=0))
        self.text(PLUS + 0.5, bottom + 3.82, title, color, 11.5, "left", weight="bold")

    def wire(self, points: Points, color: str, arrow: bool = True) -> None:
        """A line through the points; the arrow head takes the last stretch, since a line up to the tip would blunt it."""
        xs, ys = zip(*points, strict=True)
        shaft = len(points) - 1 if arrow else len(points)
        self.axes.plot(xs[:shaft], ys[:shaft], color=color, linewidth=1.7, solid_capstyle="projecting", snap=False, zorder=1)
        if arrow:
            style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.7, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
            self.axes.annotate("", points[-1], points[-2], arrowprops={**style, "capstyle": "butt"}, zorder=1.5)

    def gap(self, x: float, y: float) -> None:
        """Interrupts the vertical wire at x, so that the wire that crosses it at height y does not seem to touch it."""
        self.axes.plot([x, x], [y - 0.14, y + 0.14], color="white", linewidth=3, solid_capstyle="butt", zorder=1.2)

    def dot(self, x: float, y: float, color: str) -> None:
        """A junction: the wires that meet here carry the same numbers."""
        self.axes.add_patch(Circle((x, y), 0.09, color=color, zorder=3))

    def vector(self, x: float, y: float, title: str, values: list[float], color: str, strong: bool = False) -> None:
        """A box with one number per unit and its name above."""
        height = 0.31 * len(values) + 0.12
        box = FancyBboxPatch((x - 0.56, y - height / 2), 1.12, height, boxstyle="round,pad=0,rounding_size=0.12", zorder=4)
        box.set(facecolor=TINT[color] if strong else "white", edgecolor=color, linewidth=2.2 if strong else 1.1)
        self.axes.add_patch(box)
        for unit, value in enumerate(values):
            middle = y + 0.31 * ((len(values) - 1) / 2 - unit)
            self.text(x + 0.46, middle - 0.015, f"{value:.4f}", size=9.5, align="right", family="DejaVu Sans Mono")
        self.text(x, y + height / 2 + 0.24, title, color, 12.5 if strong else 11.5)

    def weights(self, x: float, y: float, name: str, columns: int, color: str) -> None:
        self.axes.add_patch(Rectangle((x - 0.55, y - 0.5), 1.1, 1.0, facecolor=color, edgecolor=color, zorder=4))
        self.text(x, y + 0.14, name, "white", 13)
        self.text(x, y - 0.27, f"4 × {columns}", "white", 8.5)

    def operation(self, x: float, y: float, symbol: str, color: str) -> None:
        self.axes.add_patch(Circle((x, y), 0.37, facecolor="white", edgecolor=color, linewidth=1.9, zorder=4))
        self.text(x, y - 0.015, symbol, color, 9.5 if len(symbol) > 2 else 15, weight="bold")


def _products(canvas: _Canvas, wires: Wires, gate: str, color: str) -> None:
    """The two matrix products of a gate, from the wires of x and h to their boxes of numbers."""
    for source, bus, columns, side in (("x", X_BUS, 3, "i"), ("h", H_BUS, 4, "h")):
        name = f"W_{side}{gate} {source}"
        y = ROW[name]
        if source == "x":
            canvas.gap(H_BUS, y)
        canvas.wire([(bus, y), (WEIGHTS - 0.55, y)], INPUT if source == "x" else STATE)
        canvas.weights(WEIGHTS, y, f"$W_{{{side}{gate}}}$", columns, color)
        canvas.wire([(WEIGHTS + 0.55, y), (PRODUCT - 0.56, y)], color)
        canvas.vector(PRODUCT, y, f"$W_{{{side}{gate}}}\\,{source}$", wires[name], color)


def _squashed(canvas: _Canvas, wires: Wires, gate: str, columns: tuple[float, ...], symbol: str, color: str) -> None:
    """Sum, sigmoid or tanh, result: the part that all three bands share."""
    plus, total, squash, result = columns
    y = MIDDLE[gate]
    canvas.operation(plus, y, "+", color)
    canvas.wire([(plus + 0.37, y), (total - 0.56, y)], color)
    canvas.vector(total, y, "sum", wires[f"sum {gate}"], color)
    canvas.wire([(total + 0.56, y), (squash - 0.37, y)], color)
    canvas.operation(squash, y, symbol, color)
    canvas.wire([(squash + 0.37, y), (result - 0.56, y)], color)
    canvas.vector(result, y, f"${gate}$", wires[gate], color, strong=True)


def _gate(canvas: _Canvas, wires: Wires, gate: str, color: str) -> None:
    """A band with a sigmoid: the reset gate or the update gate."""
    _products(canvas, wires, gate, color)
    canvas.wire([(PRODUCT + 0.56, ROW[f"W_i{gate} x"]), (PLUS, ROW[f"W_i{gate} x"]), (PLUS, MIDDLE[gate] + 0.37)], color)
    canvas.wire([(PRODUCT + 0.56, ROW[f"W_h{gate} h"]), (PLUS, ROW[f"W_h{gate} h"]), (PLUS, MIDDLE[gate] - 0.37)], color)
    _squashed(canvas, wires, gate, (PLUS, SUM, SQUASH, GATE), "σ", color)


def _candidate(canvas: _Canvas, wires: Wires) -> None:
    """The middle band: r, coming up from below, scales W_hn h before the sum."""
    y, above, below = MIDDLE["n"], ROW["W_in x"], ROW["W_hn h"]
    _products(canvas, wires, "n", NEW)
    canvas.wire([(PRODUCT + 0.56, above), (N_PLUS, above), (N_PLUS, y + 0.37)], NEW)
    canvas.wire([(PRODUCT + 0.56, below), (SPLIT - 0.37, below)], NEW)
    canvas.wire([(GATE + 0.56, MIDDLE["r"]), (SPLIT, MIDDLE["r"]), (SPLIT, below - 0.37)], RESET)
    canvas.operation(SPLIT, below, "×", NEW)
    canvas.wire([(SPLIT + 0.37, below), (SEEN - 0.56, below)], NEW)
    canvas.vector(SEEN, below, r"$r \circ W_{hn}\,h$", wires["seen"], NEW)
    canvas.wire([(SEEN + 0.56, below), (N_PLUS, below), (N_PLUS, y - 0.37)], NEW)
    _squashed(canvas, wires, "n", (N_PLUS, N_SUM, N_SQUASH, N), "tanh", NEW)


def _new_state(canvas: _Canvas, wires: Wires, t: int) -> None:
    """What z does: it scales the old state along the top and, as 1 - z, the candidate."""
    top, z, n = ROW["h"], MIDDLE["z"], MIDDLE["n"]
    canvas.wire([(SOURCE + 0.56, top), (SPLIT - 0.37, top)], STATE)
    canvas.wire([(GATE + 0.56, z), (SPLIT, z), (SPLIT, top - 0.37)], UPDATE)
    canvas.wire([(SPLIT, z), (SEEN - 0.37, z)], UPDATE)
    canvas.dot(SPLIT, z, UPDATE)
    canvas.operation(SEEN, z, "1−", UPDATE)
    canvas.wire([(SEEN + 0.37, z), (N_PLUS - 0.56, z)], UPDATE)
    canvas.vector(N_PLUS, z, r"$1 - z$", wires["1 - z"], UPDATE)
    canvas.wire([(N_PLUS + 0.56, z), (BLEND, z), (BLEND, n + 0.37)], UPDATE)
    canvas.operation(SPLIT, top, "×", STATE)
    canvas.wire([(SPLIT + 0.37, top), (SEEN - 0.56, top)], STATE)
    canvas.vector(SEEN, top, r"$z \circ h$", wires["old"], STATE)
    canvas.wire([(SEEN + 0.56, top), (H_PLUS - 0.37, top)], STATE)
    canvas.wire([(N + 0.56, n), (BLEND - 0.37, n)], NEW)
    canvas.operation(BLEND, n, "×", NEW)
    canvas.wire([(BLEND + 0.37, n), (BLENDED - 0.56, n)], NEW)
    canvas.vector(BLENDED, n, r"$(1 - z) \circ n$", wires["new"], NEW)
    canvas.wire([(BLENDED + 0.56, n), (H_PLUS, n), (H_PLUS, top - 0.37)], NEW)
    canvas.operation(H_PLUS, top, "+", STATE)
    canvas.wire([(H_PLUS + 0.37, top), (RESULT - 0.56, top)], STATE)
    canvas.vector(RESULT, top, f"$h' = h_{t}$", wires["h'"], STATE, strong=True)
    canvas.wire([(RESULT + 0.56, top), (EDGE, top)], STATE)
    canvas.text(RESULT, top - 1.05, "new state,\nalso the output", STATE, 10.5)


def _words(canvas: _Canvas, t: int) -> None:
    """Title, equations and how to read the drawing."""
    canvas.text(
        -1.26, 15.0, f"A GRU cell in step {t}: from $x_{t}$ and $h_{t - 1}$ to $h_{t}$", size=17, align="left", weight="bold"
    )
    canvas.text(EDGE, 15.0, "torch.manual_seed(666), batch 1, 3 inputs, 4 hidden units, no biases", INPUT, 11.5, "right")
    equations = (
        (RESET, r"$r = \sigma(W_{ir}\,x + W_{hr}\,h)$"),
        (UPDATE, r"$z = \sigma(W_{iz}\,x + W_{hz}\,h)$"),
        (NEW, r"$n = \tanh(W_{in}\,x + r \circ (W_{hn}\,h))$"),
        (STATE, r"$h' = (1 - z) \circ n + z \circ h$"),
    )
    for line, (color, equation) in enumerate(equations):
        canvas.text(13.3, 2.45 - 0.8 * line, equation, color, 15, "left")
    legend = (
        "A box holds one number per unit, unit 0 on top.",
        "A filled square multiplies its matrix by the",
        "vector that comes in. A circle works on each",
        "unit alone: + adds, × multiplies, 1− subtracts",
        "from one, σ is the sigmoid function.",
    )
    for line, words in enumerate(legend):
        canvas.text(19.4, 2.45 - 0.6 * line, words, INPUT, 11.5, "left")


def draw(wires: Wires, t: int) -> Figure:
    """Draws the cell of step t (counted from 1) with the numbers of `wires`, as `by_hand.step_by_hand` names them."""
    canvas = _Canvas()
    canvas.band("z", 15.7, UPDATE, "update gate z: what stays of h")
    canvas.band("n", 22.85, NEW, "candidate n: what the new state would be")
    canvas.band("r", 11.1, RESET, "reset gate r: what n sees of h")
    canvas.wire([(H_BUS, ROW["h"]), (H_BUS, ROW["W_hr h"])], STATE, arrow=False)
    canvas.wire([(X_BUS, ROW["W_iz x"]), (X_BUS, ROW["W_ir x"])], INPUT, arrow=False)
    canvas.wire([(SOURCE + 0.56, ROW["W_in x"]), (X_BUS, ROW["W_in x"])], INPUT, arrow=False)
    _gate(canvas, wires, "z", UPDATE)
    _gate(canvas, wires, "r", RESET)
    _candidate(canvas, wires)
    _new_state(canvas, wires, t)
    for name, x, color in (("W_in x", X_BUS, INPUT), ("h", H_BUS, STATE), ("W_hz h", H_BUS, STATE), ("W_hn h", H_BUS, STATE)):
        canvas.dot(x, ROW[name], color)
    canvas.vector(SOURCE, ROW["W_in x"], f"$x = x_{t}$", wires["x"], INPUT, strong=True)
    canvas.text(SOURCE, ROW["W_in x"] - 0.8, "input", INPUT, 10.5)
    canvas.vector(SOURCE, ROW["h"], f"$h = h_{t - 1}$", wires["h"], STATE, strong=True)
    canvas.text(SOURCE, ROW["h"] - 0.9, "old state", STATE, 10.5)
    _words(canvas, t)
    return canvas.figure


def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Writes the figure as SVG and PNG; the SVG holds no date and no random ids, so equal numbers give an equal file."""
    paths = [folder / f"{stem}.svg", folder / f"{stem}.png"]
    with matplotlib.rc_context({"svg.hashsalt": stem}):
        figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=110)
    return paths
