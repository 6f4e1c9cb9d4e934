"""benchmarks/cuda without a GPU: the command on the CPU, tables, verdicts on the targets. Nothing depends on how fast anything
is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

ROOT = Path(__file__).resolve().parents[1]
# For a bare `pytest`, as in test_benchmarks.py.
sys.path.append(str(ROOT))

from benchmarks.cuda import __main__ as command  # noqa: E402
from benchmarks.cuda import counters, report, targets  # noqa: E402
from benchmarks.cuda.ceilings import Ceilings  # noqa: E402
from benchmarks.cuda.shapes import SHAPES, Shape  # noqa: E402
from benchmarks.workloads import Mode  # noqa: E402


def test_shapes_of_the_targets_come_first() -> None:
    compiled = [shape.compiled for shape in SHAPES]
    assert any(compiled) and sorted(compiled, reverse=True) == compiled
    labels = [command._label(shape) for shape in SHAPES]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: f"{target.about}, {target.peer}")
def test_every_target_has_shapes(target: targets.Target) -> None:
    rows = [_row(s.n, s.h, s.number, s.mode.value, {}) for s in SHAPES if s.compiled or target.peer != "torch.compile"]
    assert any(target.applies(row) for row in rows)


def _timed(ratio: float) -> dict[str, Any]:
    return {"microseconds": {"q1": 9.0, "median": 10.0, "q3": 11.0}, "ratio": {"q1": 1, "median": ratio, "q3": 9}, "rounds": 5}


def _outcome(wall: Optional[float], graph: Optional[float] = None, skipped: str = "") -> dict[str, Any]:
    return {
        "wall": None if wall is None else _timed(wall),
        "graph": None if graph is None else _timed(graph),
        "error": 0.0,
        "skipped": skipped,
        "wrong": False,
    }


def _row(n: int, h: int, number: str, mode: str, peers: dict[str, Any]) -> dict[str, Any]:
    sizes = {"name": "grid", "n": n, "i": h, "h": h, "number": number, "mode": mode}
    return {**sizes, "bytes": 1, "operations": 1, "floor_us": 5.0, "peers": peers}


def _results(rows: list[dict[str, Any]], kernels: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "machine": {key: "?" for key in ("gpu", "driver", "cuda", "torch", "python", "cpu", "cpus", "load_average", "gru_ext")}
        | {"cuda_kernels": True},
        "ceilings": None,
        "shapes": rows,
        "kernels": kernels,
        "sweep": [],
        "left_out": 2,
        "seconds": 1.0,
    }


def test_ratios_to_other_peers_than_the_reference() -> None:
    """nn.GRUCell takes 6 times as long as ours and twice as long as the compiled cell, which takes 3 times as long as ours."""
    row = _row(1, 64, "f32", "inference", {"gru_ext.GRUCell": _outcome(6.0), "torch.compile": _outcome(2.0)})
    assert targets.ratio_to(row, "torch.compile", "wall") == 3
    assert targets.ratio_to(row, "torch.compile", "graph") != targets.ratio_to(row, "torch.compile", "graph"), "NaN"


def test_verdicts() -> None:
    peers = [{"nn.GRUCell": _outcome(1.0, 1.0), "gru_ext.GRUCell": _outcome(wall, 2.5)} for wall in (3.5, 2.9)]
    rows = [_row(1, 64, "f32", "inference", peers[0]), _row(8, 64, "f32", "inference", peers[1])]
    kernel = {"what": "gates backward, biases", "sizes": "bf16 N=1024 I=H=2048", "operands": "memory", "kernels": 2, "bytes": 0}
    kernels = [{**kernel, "who": who, "microseconds": {"median": us}} for who, us in (("ours", 14.0), ("torch", 40.0))]
    found = {(about, wanted): (text, verdict) for about, wanted, text, verdict in targets.verdicts(_results(rows, kernels))}
    small = "inference, N <= 8, H <= 1024"
    assert found[small, "nn.GRUCell / ours >= 3"] == ("in 1 of 2; least 2.90 (f32 N=8 H=64)", "MISSED")
    assert found[f"{small}, in a CUDA graph", "nn.GRUCell / ours >= 2.2"][1] == "met"
    assert found[small, "torch.compile / ours >= 1.3"] == ("", "not measured")
    about = "gates backward, biases, bf16 N=1024 I=H=2048"
    assert found[about, "<= 16 us"] == ("14.0 us", "met")
    assert found[about, "torch's kernels / ours >= 2.5"] == ("2.86", "met")


def test_tables_say_what_is_missing() -> None:
    peers = {"nn.GRUCell": _outcome(1.0), "gru_ext.GRUCell": _outcome(2.0), "nn.GRU": _outcome(None, skipped="no such library")}
    text = report.markdown(_results([_row(1, 64, "f32", "inference", peers)], []))
    assert "2 shapes were left out" in text and "not timed: nn.GRU: no such library" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| grid")]
    assert [cell.strip() for cell in row.split("|")][7:13] == ["10 (10)", "2.00", "-", "-", "-", "-"]


def test_floor_is_the_slower_of_bytes_and_operations() -> None:
    ceilings = Ceilings(4e6, 8e6, 50 * 2**20, {"f32": 6e7, "bf16": 8e8}, 3.0, 1.5)
    row = Shape("", 1, 1024, 1024, "bf16", Mode.INFERENCE)
    assert row.bytes == 2 * (3 * 1024 * 2050 + 3 * 1024)
    assert ceilings.floor_us(row) == row.bytes / 8e6, "it fits the cache"
    large = Shape("", 4096, 1024, 1024, "f32", Mode.TRAINING)
    assert large.operations == 3 * 2 * 4096 * 3 * 1024 * 2048
    assert ceilings.floor_us(large) == large.operations / 6e7


def test_counters_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ncu.csv"
    file.write_text(
        "==PROF== Connected to process 1\n"
        '"ID","Kernel Name","Grid Size","dram__bytes.sum","gpu__time_duration.sum","launch__registers_per_thread"\n'
        '"","","","Mbyte","ns","register/thread"\n'
        '"0","void gru_ext::cuda::<unnamed>::gates_forward_kernel<float, (int)4>(T1)","(8, 1, 1)","1,024.5","12,500","40"\n'
        "==PROF== Disconnected\n"
    )
    counters.main(str(file))
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["kernel", "grid", "us"]
    assert row.split()[0] == "gates_forward_kernel<float," and row.split()[-3:] == ["12.5", "1024", "40"]
    file.write_text("==ERROR== ERR_NVGPUCTRPERM\n")
    counters.main(str(file))
    assert "no table" in capsys.readouterr().out


def test_a_quick_run_on_the_cpu(tmp_path: Path) -> None:
    target, tables = tmp_path / "out.json", tmp_path / "out.md"
    arguments = [
        "--device",
        "cpu",
        "--quick",
        "--only",
        "^W1 |^W6 QMIX acting|^W18 ",
        "--peers",
        "nn.GRUCell,gru_ext.GRUCell,nn.GRU",
    ]
    arguments += ["--json", str(target), "--markdown", str(tables)]
    run = subprocess.run([sys.executable, "-m", "benchmarks.cuda", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    written = json.loads(target.read_text())
    assert [shape["name"] for shape in written["shapes"]] == ["W1 TransFuser", "W6 QMIX acting", "W18 GRU-D"]
    for shape in written["shapes"]:
        assert list(shape["peers"]) == ["nn.GRUCell", "gru_ext.GRUCell", "nn.GRU"]
        for outcome in shape["peers"].values():
            assert outcome["wall"]["microseconds"]["median"] > 0 and outcome["graph"] is None and not outcome["wrong"]
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.cuda", "--show", str(target)], cwd=ROOT, capture_output=True, text=True
    )
    assert shown.stdout == run.stdout and "not measured" in run.stdout
    assert tables.read_text().startswith("# GRU cells on a GPU")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--only", "("], "'(' is not a regular expression"),
        (["--json", "no-such-folder/out.json"], "--json: there is no folder"),
        (["--markdown", "no-such-folder/out.md"], "--markdown: there is no folder"),
    ],
)
def test_bad_options_are_errors_before_anything_is_measured(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([*options, "--device", "cpu"])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    assert stopped.value.code == 2 and "there is no CUDA device" in capsys.readouterr().err
