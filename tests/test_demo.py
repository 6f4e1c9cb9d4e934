"""The demo: a short run of the command, and the parts whose results can be checked against something else."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn

import gru_ext

pytest.importorskip("sklearn", reason="the demo needs scikit-learn: pip install 'gru_ext[demo]'")
pytest.importorskip("matplotlib", reason="the demo needs matplotlib: pip install 'gru_ext[demo]'")

from gru_ext.demo import cpp, data, model, saving, speed, training  # noqa: E402  (after the packages that they need)
from gru_ext.demo.gates import gates, gates_over_time  # noqa: E402

_PNG = b"\x89PNG"


def _demo(out: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gru_ext.demo", "--out", str(out), *options]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("no_ext", ["0", "1"], ids=["as installed", "fallback"])
def test_short_run(tmp_path: Path, no_ext: str) -> None:
    done = _demo(tmp_path, "--epochs", "2", "--skip", "cpp", "speed", GRU_EXT_NO_EXT=no_ext)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in ("  1/2", "  2/2", "test accuracy", "curves at most", "x as fast", "torch.jit.load", "torch.export.load"):
        assert line in done.stdout
    assert ("runs on torch's own cell" in done.stdout) == (no_ext == "1" or gru_ext._library.reason is not None)
    for name in ("loss_curves.png", "gates.png"):
        assert (tmp_path / name).read_bytes().startswith(_PNG)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<table>") == 2


@pytest.mark.slow
def test_whole_run(tmp_path: Path) -> None:
    done = _demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("One training step in C++" in done.stdout) == (cpp.why_not() is None)
    assert (tmp_path / "speed.png").exists() == (gru_ext._library.reason is None)


def test_epochs_must_be_positive(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--epochs", "0")
    assert done.returncode == 2
    assert "--epochs must be at least 1" in done.stderr


@pytest.mark.parametrize("missing", [["sklearn"], ["matplotlib"], ["sklearn", "matplotlib"]])
def test_says_what_to_install(missing: list[str], tmp_path: Path) -> None:
    hidden = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:]))"  # None in there: no such module
    start = f"{hidden}; from gru_ext.demo.__main__ import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", start, *missing], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'gru_ext[demo]'" in done.stderr
    assert [("scikit-learn" in done.stderr), ("matplotlib" in done.stderr)] == ["sklearn" in missing, "matplotlib" in missing]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell_class", [nn.GRUCell, gru_ext.GRUCell])
def test_gates_give_the_output_of_the_cell(cell_class: type[nn.GRUCell], bias: bool) -> None:
    torch.manual_seed(0)
    cell = cell_class(5, 7, bias=bias, dtype=torch.float64)
    x, h = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    r, z, n = gates(cell, x, h)
    torch.testing.assert_close(n + z * (h - n), cell(x, h), rtol=1e-12, atol=1e-12)
    # r is tested through n, which it enters.
    assert r.shape == z.shape == n.shape == (3, 7)


def test_gates_over_time_follow_the_cell() -> None:
    torch.manual_seed(0)
    cell = gru_ext.GRUCell(5, 7, dtype=torch.float64)
    sequence = torch.randn(4, 5, dtype=torch.float64)
    found = gates_over_time(cell, sequence)
    assert found.r.shape == found.z.shape == found.n.shape == (4, 7)
    h = torch.zeros(7, dtype=torch.float64)
    for t, x in enumerate(sequence):
        after = cell(x, h)
        torch.testing.assert_close(found.n[t] + found.z[t] * (h - found.n[t]), after, rtol=1e-12, atol=1e-12)
        h = after


def test_digits_are_split_without_overlap() -> None:
    digits = data.load(seed=0)
    assert digits.train_images.shape[1:] == digits.test_images.shape[1:] == (data.STEPS, data.INPUTS)
    assert len(digits.train_images) + len(digits.test_images) == 1797
    assert digits.train_images.min() == 0 and digits.train_images.max() == 1
    assert set(digits.test_labels.tolist()) == set(range(data.CLASSES))
    assert torch.equal(digits.test_images, data.load(seed=0).test_images)


def test_batches_cover_all_once() -> None:
    order = data.batches(10, 4, seed=1)
    assert [len(batch) for batch in order] == [4, 4, 2]
    assert sorted(torch.cat(order).tolist()) == list(range(10))
    assert torch.equal(torch.cat(order), torch.cat(data.batches(10, 4, seed=1)))
    assert not torch.equal(torch.cat(order), torch.cat(data.batches(10, 4, seed=2)))


def test_both_models_start_equal() -> None:
    stock, ours = (model.build(cell, 6, seed=3).state_dict() for cell in (nn.GRUCell, gru_ext.GRUCell))
    assert stock.keys() == ours.keys()
    assert all(torch.equal(stock[name], ours[name]) for name in stock)


def test_largest_difference_and_median() -> None:
    first, second = training.Curve([1.0, 0.5], [3.0, 1.0, 2.0]), training.Curve([1.25, 0.5], [])
    assert training.largest_difference(first, second) == 0.25
    assert first.median_seconds == median(first.seconds)


def test_a_wrong_file_is_noticed(tmp_path: Path) -> None:
    right, wrong = (model.build(gru_ext.GRUCell, 6, seed) for seed in (0, 1))
    images = torch.rand(4, data.STEPS, data.INPUTS)
    assert saving.save_torchscript(right, images, tmp_path / "m.pt").equal
    assert saving.save_exported(right, images, tmp_path / "m.pt2").equal
    assert not saving._compare(tmp_path / "m.pt", "torch.jit.load", wrong, torch.jit.load(tmp_path / "m.pt"), images).equal


def test_speed_measures_every_mode_and_size() -> None:
    found = speed.measure(hidden_size=4, batch_sizes=(1, 3))
    assert [(one.mode, one.batch_size) for one in found] == [(mode, size) for mode in speed.MODES for size in (1, 3)]
    assert all(one.stock > 0 and one.ours > 0 and one.ratio == one.stock / one.ours for one in found)


def test_output_of_the_cpp_program_is_read(tmp_path: Path) -> None:
    """With a stand-in that prints what examples/cpp_torchscript prints; the real one is run by the slow test."""
    classifier = model.build(gru_ext.GRUCell, 6, seed=0)
    images, labels = torch.rand(2, data.STEPS, data.INPUTS), torch.tensor([1, 2])
    with torch.no_grad():
        logits = classifier(images)
    rows = [" ".join(f"{value:.9g}" for value in row.tolist()) for row in logits + 0.5]
    program = tmp_path / "program"
    lines = "\n".join(["logits 2 10", *rows, "loss before 2.5", "loss after 2.25", "gradients 6 of 6 parameters"])
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    done = cpp.run(program, tmp_path / "digits.pt", classifier, images, labels)
    assert done.difference == pytest.approx(0.5, abs=1e-6)
    assert done.losses == (2.5, 2.25)
    assert torch.equal(torch.load(tmp_path / "batch.pt")[1], labels)


def test_says_why_there_is_no_cpp_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gru_ext._library, "reason", "not built")
    assert "compiled op library" in cpp.why_not()
    monkeypatch.setattr(gru_ext._library, "reason", None)
    monkeypatch.setattr(cpp, "SOURCES", tmp_path / "none")
    assert "examples/cpp_torchscript" in cpp.why_not()
    monkeypatch.setattr(cpp, "SOURCES", tmp_path)
    monkeypatch.setattr(cpp, "_tool", lambda *names: "found")
    assert cpp.why_not() is None
    monkeypatch.setattr(cpp, "_tool", lambda *names: None)
    assert cpp.why_not() == "it needs g++ and cmake and make"


def test_a_failing_command_shows_its_output() -> None:
    with pytest.raises(cpp.CppError, match="what went wrong"):
        cpp._check_call([sys.executable, "-c", "import sys; print('what went wrong'); sys.exit(3)"])
