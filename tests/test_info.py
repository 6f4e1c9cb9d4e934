"""`python -m gru_ext.info`: what it reports, and that its self-test can fail."""

import json
import re

import pytest
import torch
from torch import Tensor

import gru_ext
from gru_ext import _library, info, selftest


def test_report() -> None:
    report = info.info()
    assert report["version"] == gru_ext.__version__
    assert report["torch"]["running"] == torch.__version__
    assert report["cuda"]["running"] == torch.version.cuda
    assert report["fallback"] == _library.reason
    assert report["self_test"]["passed"]
    assert json.loads(json.dumps(report)) == report


@pytest.mark.compiled
def test_report_of_the_compiled_library() -> None:
    report = info.info()
    assert report["torch"]["built"] == _library.build_info()["torch"]
    assert report["compiler"]
    assert report["isa"]["chosen"] in report["isa"]["built"]
    assert {"gru_ext::gru_cell", "gru_ext::_cell_forward", "gru_ext::_cell_backward"} <= set(report["ops"])


def test_prints_a_line_a_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main([]) == 0
    topics = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert topics == ["gru_ext", "torch", "CUDA", "ISA", "ops", "compiler", "kernels", "self-test"]


def test_says_for_which_gpus_there_are_kernels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    built = {**_library.build_info(), "cuda": "13.0", "architectures": ["sm_80", "compute_80"]}
    monkeypatch.setattr(_library, "build_info", lambda: built)
    assert info.main([]) == 0
    assert re.search(r"^CUDA +built for 13\.0 \(sm_80, compute_80\), running ", capsys.readouterr().out, re.MULTILINE)


def test_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == info.info()


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_a_wrong_cell_fails(error: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(gru_ext.GRUCell):
        def forward(self, input: Tensor, hx: Tensor) -> Tensor:
            y = super().forward(input, hx)
            # One element of one gradient, and no value, is off: x * (1 + error) - x * error with the second x detached.
            return y + error * (input[0, 0] - input[0, 0].detach())

    monkeypatch.setattr(selftest, "GRUCell", Wrong)
    assert info.main([]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_leaves_the_random_generator_alone() -> None:
    before = torch.get_rng_state()
    selftest.self_test()
    assert torch.equal(torch.get_rng_state(), before)
