"""examples/by_hand: the walk-through gives torch's and the published numbers, its drawing is readable, its notebook runs."""

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

matplotlib = pytest.importorskip("matplotlib", reason="the by-hand example draws with matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.transforms import Bbox  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "by_hand"
DRAWINGS = ("gru_cell_step1.svg", "gru_cell_step2.svg")

# What https://github.com/itmorn/AI.handbook/blob/main/DL/torch/nn/Recurrent/GRUCell.ipynb shows as the output of its cell 101.
PUBLISHED = {
    "input": "tensor([[[-2.1188,  0.0635, -1.4555]],\n\n        [[-0.0126, -0.1548, -0.0927]]])",
    "h_0": "tensor([[ 2.5916,  0.4542, -0.6890, -0.9962]])",
    "h_1": "tensor([[ 2.0482,  0.3345, -0.1018, -0.3265]], grad_fn=<AddBackward0>)",
    "h_2": "tensor([[ 1.4025,  0.2701, -0.2244,  0.0220]], grad_fn=<AddBackward0>)",
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"by_hand_{name}", EXAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference() -> dict[str, torch.Tensor]:
    """The tensors of the walk-through, made in its order of random draws, with torch's cell."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(666)
        inputs, h = torch.randn(2, 1, 3), torch.randn(1, 4)
        cell = nn.GRUCell(3, 4, bias=False)
    tensors = {"input": inputs, "h_0": h, "weight_hh": cell.weight_hh, "weight_ih": cell.weight_ih}
    for t, x in enumerate(inputs, start=1):
        tensors[f"h_{t}"] = h = cell(x, h)
    return tensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by_hand")


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(EXAMPLE / "by_hand.py")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_torch_output(output: str) -> None:
    for name, tensor in reference().items():
        assert f"{name}:\n {tensor}" in output, f"{name} is not printed as torch prints it"


def test_prints_what_torch_prints(output: str) -> None:
    check_torch_output(output)


@pytest.mark.parametrize("name", PUBLISHED)
def test_prints_what_was_published(output: str, name: str) -> None:
    assert f"{name}:\n {PUBLISHED[name]}" in output


@pytest.mark.parametrize("t", (1, 2))
def test_hand_calculation_ends_at_the_state_of_torch(output: str, t: int) -> None:
    step = output.split(f"Step {t} by hand")[1].split("h' = (1 - z) ∘ n + z ∘ h")[1]
    results = [float(line.rsplit("=", 1)[1]) for line in step.strip().splitlines()[:4]]
    assert torch.equal(torch.tensor(results), torch.round(reference()[f"h_{t}"][0].detach(), decimals=4))


def test_both_cells_are_compared_in_both_steps(output: str) -> None:
    pattern = r"(torch\.nn|gru_ext)\.GRUCell +tensor.* largest difference from by hand (\S+)"
    found = re.findall(pattern, output)
    assert [name for name, _ in found] == ["torch.nn", "gru_ext"] * 2
    assert all(float(difference) <= 2 * 20 * 2**-23 for _, difference in found)  # the bound that by_hand.py derives


def test_compares_parameters_and_time_with_an_lstm(output: str) -> None:
    rows = re.findall(r"^  (\S+Cell) +([\d,]+)  \(([\d.]+)x\) +([\d.,]+)  .*? +([\d.,]+)  ", output, re.MULTILINE)
    assert [row[0] for row in rows] == ["torch.nn.LSTMCell", "torch.nn.GRUCell", "gru_ext.GRUCell"] * 2
    for name, parameters, ratio, forward, both in rows:
        inputs, hidden = (3, 4) if int(parameters.replace(",", "")) < 1000 else (128, 128)
        blocks = 4 if "LSTM" in name else 3
        assert int(parameters.replace(",", "")) == blocks * hidden * (inputs + hidden)
        assert float(ratio) == blocks / 4
        assert 0 < float(forward.replace(",", "")) and 0 < float(both.replace(",", ""))


def labels(svg: Path) -> list[str]:
    """The texts of a drawing: matplotlib writes each of them as a comment beside its outline."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"))


@pytest.mark.parametrize("t", (1, 2))
def test_drawing_carries_the_numbers_of_its_step(output: str, folder: Path, t: int) -> None:
    tensors = {name: tensor.detach().double() for name, tensor in reference().items()}
    x, h = tensors["input"][t - 1], tensors[f"h_{t - 1}"]
    (ir, iz, i_n), (hr, hz, hn) = ((v @ tensors[w].T).chunk(3, dim=1) for v, w in ((x, "weight_ih"), (h, "weight_hh")))
    r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
    n = torch.tanh(i_n + r * hn)
    wires = (x, h, ir, hr, ir + hr, r, iz, hz, iz + hz, z, i_n, hn, r * hn, i_n + r * hn, n, 1 - z, (1 - z) * n, z * h)
    expected = [value for wire in (*wires, tensors[f"h_{t}"]) for value in wire[0].tolist()]
    drawn = [float(label) for label in labels(folder / DRAWINGS[t - 1]) if re.fullmatch(r"-?\d\.\d{4}", label)]
    # Half a unit of the last digit drawn, and the float32 roundings of h_t, which the hand calculation does not have.
    assert torch.allclose(torch.tensor(sorted(drawn)), torch.tensor(sorted(expected)), rtol=0, atol=0.5e-4 + 1e-6)


@pytest.mark.parametrize("name", DRAWINGS)
def test_stored_drawing_is_the_one_the_script_makes(output: str, folder: Path, name: str) -> None:
    assert labels(EXAMPLE / name) == labels(folder / name)
    assert (folder / name).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_nothing_in_the_drawing_lies_over_a_text() -> None:
    widest = defaultdict(lambda: [-9.9999] * 4, x=[-9.9999] * 3)
    figure = load("drawing").draw(widest, 1)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    texts = [(text.get_text(), text.get_window_extent()) for text in axes.texts if text.get_text()]
    for (first, a), (second, b) in itertools.combinations(texts, 2):
        assert not a.overlaps(b), f"{first!r} overlaps {second!r}"
    segments = [axes.transData.transform([arrow.xyann, arrow.xy]) for arrow in axes.texts if not arrow.get_text()]
    for line in axes.lines:
        points = axes.transData.transform(line.get_xydata())
        segments += [points[k : k + 2] for k in range(len(points) - 1)]
    assert len(segments) > 50
    for name, box in texts:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, f"{name!r} leaves the page"
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, f"{name!r} leaves the page"
        for segment in segments:
            assert not box.overlaps(Bbox([segment.min(axis=0), segment.max(axis=0)])), f"a wire crosses {name!r}"


def test_notebook_is_the_one_that_make_notebook_makes() -> None:
    pytest.importorskip("nbformat", reason="the notebook is made with nbformat")
    maker = load("make_notebook")
    source = maker.SOURCE.read_text(encoding="utf-8")
    assert maker.NOTEBOOK.read_text(encoding="utf-8") == maker.text(maker.convert(source)), "run make_notebook.py"
    with pytest.raises(ValueError, match="must start with a cell"):
        maker.convert("import torch\n")
    with pytest.raises(ValueError, match="a line of a text cell"):
        maker.convert("# %% [markdown]\nprint()\n")


def test_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="running the notebook needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="running the notebook needs nbclient")
    pytest.importorskip("ipykernel", reason="running the notebook needs ipykernel")
    for name in ("by_hand.ipynb", "drawing.py", "timing.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    notebook = nbformat.read(tmp_path / "by_hand.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    check_torch_output("".join(output.text for output in outputs if output.get("name") == "stdout"))
    assert all((tmp_path / name).exists() for name in DRAWINGS)
