"""tools/gpu_check.sh on a machine without a GPU, and how it goes on after a stage that failed, with stand-ins for its tools."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "gpu_check.sh"
STAGES = ["build", "tests", "sanitizer", "bench", "ncu", "cpu"]
NO_DEVICE = {"CUDA_VISIBLE_DEVICES": ""}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def _run(out: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(out), "PROGRAMS": str(out / "programs"), **env}
    environment.setdefault("FAIL_WITHOUT_CUDA", "0")
    return subprocess.run(["bash", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _totals(output: str) -> dict[str, tuple[int, int, int]]:
    """Passed, failed, skipped for each stage."""
    lines = re.findall(r"^(\w+): (\d+) passed, (\d+) failed, (\d+) skipped$", output, re.MULTILINE)
    return {stage: (int(passed), int(failed), int(skipped)) for stage, passed, failed, skipped in lines}


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    run = _run(tmp_path, **NO_DEVICE)
    assert run.returncode == 0, run.stdout
    assert run.stdout.startswith("no CUDA device: ")
    totals = _totals(run.stdout)
    assert sorted(totals) == sorted(STAGES)
    assert all((passed, failed) == (0, 0) and skipped > 0 for passed, failed, skipped in totals.values())
    assert totals["tests"][2] == sum(
        len(re.findall("^def test_", f.read_text(), re.M)) for f in ROOT.glob("tests/gpu/test_*.py")
    )


def test_a_missing_gpu_can_be_a_failure(tmp_path: Path) -> None:
    run = _run(tmp_path, **NO_DEVICE, FAIL_WITHOUT_CUDA="1")
    assert run.returncode == 1
    assert all(passed == skipped == 0 and failed > 0 for passed, failed, skipped in _totals(run.stdout).values())


def test_a_python_that_does_not_run(tmp_path: Path) -> None:
    run = _run(tmp_path, PYTHON=str(tmp_path / "no-python"))
    assert run.returncode == 0 and "no CUDA device: " in run.stdout and "no-python" in run.stdout


@pytest.mark.compiled
@pytest.mark.parametrize("fail", ["0", "1"])
def test_gpu_tests_without_a_gpu(fail: str) -> None:
    """They are skipped with a reason; or fail, where that is asked for."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/gpu/test_gpu_opcheck.py"]
    environment = {**os.environ, **NO_DEVICE, "FAIL_WITHOUT_CUDA": fail, "GPU_TESTS_DEVICE": "cuda"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == int(fail) and "needs a CUDA device" in run.stdout, run.stdout
    assert re.search(r"^\d+ (errors|skipped) in " if fail == "1" else r"^\d+ skipped in ", run.stdout, re.M), run.stdout


@pytest.mark.slow
@pytest.mark.compiled
def test_gpu_tests_on_the_cpu() -> None:
    """Their bodies are right as far as a CPU can tell; but for those that mean nothing there."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "GPU_TESTS_DEVICE": "cpu"}, capture_output=True, text=True)
    assert run.returncode == 0 and re.search(r"^\d+ passed, \d+ skipped", run.stdout, re.M), run.stdout[-8000:]


# Each writes down its arguments and what of the environment it is told by; `python` and `nvcc` make what later stages look for.
# A call in whose arguments $BROKEN is found fails.
STUB = r"""#!/bin/sh
echo "${0##*/} $* [FAIL_WITHOUT_CUDA=$FAIL_WITHOUT_CUDA GRU_EXT_CUDA=$GRU_EXT_CUDA ARCH=$TORCH_CUDA_ARCH_LIST]" >>"$CALLS"
case "${0##*/} $*" in *$BROKEN*) echo "broken"; exit 3 ;; esac
case "$*" in *is_available*) echo "9.0 Stub GPU" ;; esac
while [ $# -gt 0 ]; do
    case $1 in
    -o) case $2 in *.o) : >"$2" ;; *) cp "$0" "$2" ;; esac ;;
    --junitxml=*) echo '<testsuite name="pytest" errors="0" failures="1" skipped="2" tests="10" time="1">' >"${1#*=}" ;;
    --json | --markdown | --log-file) echo "{}" >"$2" ;;
    esac
    shift
done
"""


def _with_stand_ins(tmp_path: Path, broken: str) -> tuple[subprocess.CompletedProcess[str], list[str], Path]:
    tools, out, calls = tmp_path / "bin", tmp_path / "out", tmp_path / "calls"
    tools.mkdir()
    for name in ("python", "nvcc", "nvidia-smi", "compute-sanitizer", "ncu", "cuobjdump"):
        (tools / name).write_text(STUB)
        (tools / name).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    run = _run(out, PYTHON=str(tools / "python"), PATH=path, CALLS=str(calls), BROKEN=broken, FAIL_WITHOUT_CUDA="")
    return run, calls.read_text().splitlines(), out


def test_all_stages_run_and_pass(tmp_path: Path) -> None:
    run, calls, out = _with_stand_ins(tmp_path, "nothing of this is broken")
    totals = _totals(run.stdout)
    assert run.returncode == 0 and list(totals) == ["probe", *STAGES], run.stdout
    assert all(passed > 0 and failed == skipped == 0 for passed, failed, skipped in totals.values()), run.stdout
    assert "tests/gpu: 7 passed, 1 failed, 2 skipped" in run.stdout
    assert len([path for path in out.iterdir() if path.is_file()]) <= 8
    (build,) = [call for call in calls if "build_ext" in call]
    assert "GRU_EXT_CUDA=1 ARCH=9.0" in build
    assert any("tests/gpu" in call and "[FAIL_WITHOUT_CUDA=1" in call for call in calls)
    assert all("-arch=sm_90" in call for call in calls if call.startswith("nvcc") and "--version" not in call)
    assert {"memcheck", "racecheck", "synccheck", "initcheck"} == set(re.findall(r"--tool (\w+)", "\n".join(calls)))


@pytest.mark.parametrize(
    "broken, stage",
    [("build_ext", "build"), ("tests/gpu", "tests"), ("racecheck", "sanitizer"), ("--budget", "bench"), ("--csv", "ncu")],
)
def test_a_failed_stage_does_not_stop_the_others(broken: str, stage: str, tmp_path: Path) -> None:
    run, _, _ = _with_stand_ins(tmp_path, broken)
    totals = _totals(run.stdout)
    assert run.returncode == 1 and list(totals) == ["probe", *STAGES], run.stdout
    assert {name for name, (_, failed, _) in totals.items() if failed} == {stage}, run.stdout
    assert re.search(rf"^{stage} +FAILED ", run.stdout, re.MULTILINE)


def test_device_settings_are_left_alone(tmp_path: Path) -> None:
    _, calls, _ = _with_stand_ins(tmp_path, "nothing of this is broken")
    assert all("--clock-control none" in call for call in calls if call.startswith("ncu") and "--version" not in call)
    assert all(not re.search(r"nvidia-smi .*(-pm|-pl|-ac|-lgc|-r\b|-mig|-c\b)", call) for call in calls)
