"""What setup.py does about the CUDA kernels, for every torch and every nvcc, as far as that shows without compiling."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Machine = Callable[[str | None, str | None, str | None], Path]

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import cuda_toolkit  # noqa: E402
import install  # noqa: E402


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets GRU_EXT_CUDA, torch's CUDA, and the version of an nvcc in the folder that CUDA_HOME names; None: it has none."""

    def has(asked: str | None, torch_cuda: str | None, nvcc: str | None) -> Path:
        for name, value in (("GRU_EXT_CUDA", asked), ("CUDA_HOME", str(tmp_path))):
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.version, "cuda", torch_cuda)
        if nvcc:
            script(tmp_path / "bin" / "nvcc", f"echo 'Cuda compilation tools, release {nvcc}, V{nvcc}.61'")
        return tmp_path

    return has


def script(file: Path, *lines: str) -> None:
    file.parent.mkdir()
    file.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("asked", "torch_cuda", "nvcc", "version"),
    [
        (None, "13.0", "13.0", (13, 0)),
        (None, "13.0", "13.2", (13, 2)),
        ("1", "12.6", "12.8", (12, 8)),
        ("check", None, "12.9", (12, 9)),
        ("0", "13.0", "13.0", None),
        ("0", "13.0", None, None),
        (None, None, "13.0", None),
    ],
)
def test_builds_or_silently_does_not(
    asked: str | None, torch_cuda: str | None, nvcc: str | None, version: tuple[int, int] | None, machine: Machine
) -> None:
    home = machine(asked, torch_cuda, nvcc)
    plan = cuda_toolkit.plan()
    assert plan.toolkit == (cuda_toolkit.Toolkit(home, version) if version else None)
    assert plan.sentence == ""


@pytest.mark.parametrize(
    ("torch_cuda", "nvcc", "unfit"),
    [
        ("13.0", None, "need an nvcc 12.8 or newer, of CUDA 13 as torch is, but there is none in {home}: "),
        ("13.0", "12.9", "need an nvcc 12.8 or newer, of CUDA 13 as torch is, but the one in {home} is 12.9: "),
        ("12.6", "12.6", "need an nvcc 12.8 or newer, of CUDA 12 as torch is, but the one in {home} is 12.6: "),
    ],
)
def test_without_a_fitting_nvcc(
    torch_cuda: str, nvcc: str | None, unfit: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that says how to get one; the end of the build only if the kernels were demanded."""
    home = machine(None, torch_cuda, nvcc)
    cuda_toolkit.plan().announce()
    said = capsys.readouterr().err
    assert said.startswith(
        f"gru_ext: CUDA tensors will run on PyTorch's own operators: the CUDA kernels {unfit.format(home=home)}"
    )
    assert "install NVIDIA's CUDA toolkit and name its folder in CUDA_HOME" in said
    assert ("pip install 'nvidia-cuda-nvcc==13.0.*'" in said) == (torch_cuda == "13.0")  # PyPI has no nvcc 12
    assert said.endswith("; then reinstall gru_ext\n") and said.count("\n") == 1

    machine("1", torch_cuda, None)
    with pytest.raises(SystemExit) as stopped:
        cuda_toolkit.plan().announce()
    assert f"demands the CUDA kernels: the CUDA kernels {unfit.format(home=home)}" in str(stopped.value)
    assert (
        install.explanation(f"  {stopped.value}\n  error: subprocess-exited-with-error") == str(stopped.value)[len("error: ") :]
    )


@pytest.mark.parametrize(
    ("asked", "complaint"), [("1", "has no CUDA: install one that has"), ("yes", "GRU_EXT_CUDA is 'yes': ")]
)
def test_cannot_be_done(asked: str, complaint: str, machine: Machine) -> None:
    machine(asked, None, "13.0")
    with pytest.raises(SystemExit, match=complaint):
        cuda_toolkit.plan().announce()


def test_an_nvcc_on_the_path_says_where_its_toolkit_is(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = machine(None, "13.0", "13.1")
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.delenv("CUDA_PATH", raising=False)
    script(tmp_path / "elsewhere" / "nvcc", f"echo '#$ _HERE_={home}/bin' >&2")
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    assert cuda_toolkit.find("13.0") == cuda_toolkit.Toolkit(home, (13, 1))


def test_the_build_alone_says_what_it_lacks(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "tools" / "cuda_build.py"]
    done = subprocess.run(command, env={**os.environ, "CUDA_HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("gru_ext: the CUDA kernels need an nvcc 12.8 or newer")


def test_for_which_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", cuda_toolkit.ARCHITECTURES)
    assert cuda_toolkit.architectures() == ["sm_80", "sm_90", "compute_90"]
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0;8.6;10.0+PTX")
    assert cuda_toolkit.architectures() == ["sm_86", "sm_90", "sm_100", "compute_100"]
