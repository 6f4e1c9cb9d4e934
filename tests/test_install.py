"""Installing: without a compiler or nvcc, with a library for another torch, and `make` where something is missing."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import gru_ext

ROOT = Path(__file__).parents[1]

# A step, what the package says of itself, and the warning that torch's own cell is at work, counted over two calls.
USE = """
import warnings, torch, gru_ext
from gru_ext import _library
cell, x, h = gru_ext.GRUCell(3, 5), torch.randn(2, 3), torch.randn(2, 5)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    y = cell(x, h)
    gru_ext.gru_cell(x, h, *cell.parameters())
assert torch.equal(y, torch.gru_cell(x, h, *cell.parameters()))
print(_library.reason)
print([str(warning.message) for warning in caught])
try:
    gru_ext.library_path()
except RuntimeError as error:
    print(error)
"""


def run(*command: str | Path, cwd: Path, status: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GRU_EXT_NO_EXT": "0", **env}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done


def assert_falls_back(done: subprocess.CompletedProcess[str], reason: str) -> None:
    said, warned, refused = done.stdout.splitlines()
    assert reason in said
    assert warned == str([f"gru_ext runs on torch's own GRU cell: {said}"])
    assert refused == f"gru_ext has no compiled op library: {said}"


def copy_of_the_sources(folder: Path) -> Path:
    """What a clone has: none of what was built or installed here."""
    built = shutil.ignore_patterns(".*", "build", "dist", "*.so", "build.json", "*.egg-info", "__pycache__")
    demo = {"demo"}  # what `make demo` leaves; gru_ext/demo makes it
    return shutil.copytree(
        ROOT, folder, symlinks=True, ignore=lambda where, names: built(where, names) | (demo if Path(where) == ROOT else set())
    )


def test_the_fallback_can_be_asked_for(tmp_path: Path) -> None:
    assert_falls_back(run(sys.executable, "-c", USE, cwd=tmp_path, GRU_EXT_NO_EXT="1"), "GRU_EXT_NO_EXT=1 is set")


def test_info_says_that_the_fallback_is_in_use(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "gru_ext.info", "--json", cwd=tmp_path, GRU_EXT_NO_EXT="1")
    report = json.loads(done.stdout)
    assert report["fallback"] == "GRU_EXT_NO_EXT=1 is set"
    assert report["isa"]["chosen"] is None
    assert report["self_test"]["passed"]
    assert done.stderr == ""


def refusal(tmp_path: Path, **build: str | None) -> str:
    """The last line of `import gru_ext` from a copy of the package that says it was built like this."""
    shutil.copytree(
        Path(gru_ext.__file__).parent, tmp_path / "gru_ext", ignore=lambda _, names: {"lib", "include", "share"} & set(names)
    )
    (tmp_path / "gru_ext" / "build.json").write_text(json.dumps({"compiler": "none", **build}))
    done = run(sys.executable, "-c", "import gru_ext", cwd=tmp_path, status=1, PYTHONPATH=str(tmp_path))
    return done.stderr.splitlines()[-1]


def test_a_library_for_another_torch_is_refused_in_one_sentence(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, torch="99.1.0", cuda=None)
    assert sentence.startswith(f"ImportError: gru_ext was built for torch 99.1.0 but torch {torch.__version__} is running")
    assert "reinstall" in sentence


def test_a_library_for_another_cuda_is_refused_in_one_sentence(tmp_path: Path) -> None:
    has = f"with CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    built, running = f"torch {torch.__version__} with CUDA 99.1", f"torch {torch.__version__} {has}"
    sentence = refusal(tmp_path, torch=torch.__version__, cuda="99.1")
    assert sentence.startswith(f"ImportError: gru_ext was built for {built} but {running} is running: reinstall")


def test_a_demand_for_cuda_kernels_that_cannot_be_met_ends_the_build(tmp_path: Path) -> None:
    sources = copy_of_the_sources(tmp_path / "sources")
    asked = {"GRU_EXT_CUDA": "1", "CUDA_HOME": str(tmp_path)}
    done = run(sys.executable, "setup.py", "build_ext", cwd=sources, status=1, **asked)
    missing = f"there is none in {tmp_path}" if torch.version.cuda else f"torch {torch.__version__} has no CUDA"
    assert done.stderr.splitlines()[-1].startswith("error: GRU_EXT_CUDA=1 demands the CUDA kernels") and missing in done.stderr
    assert not list(sources.rglob("*.o"))


@pytest.mark.parametrize("missing", ["compiler", "headers"])
def test_installs_without_a_compiler(missing: str, tmp_path: Path) -> None:
    sources = copy_of_the_sources(tmp_path / "sources")
    site = tmp_path / "site"
    env = {"CXX": "no-such-compiler"}
    if missing == "headers":
        # A compiler that must not be called, and a sitecustomize that moves the folder where Python says its headers are.
        env = {"CXX": "false", "PYTHONPATH": str(tmp_path / "without_headers")}
        (tmp_path / "without_headers").mkdir()
        (tmp_path / "without_headers" / "sitecustomize.py").write_text(
            "import sysconfig\nfind = sysconfig.get_path\n"
            "sysconfig.get_path = lambda name, *a, **k: '/nowhere' if name == 'include' else find(name, *a, **k)\n"
        )
    pip = [sys.executable, "-m", "pip", "install", "-v", "--no-build-isolation", "--no-deps", "--target", site, sources]
    output = run(*pip, cwd=tmp_path, **env)
    reason = "no C++ compiler (no-such-compiler) was found" if missing == "compiler" else "Python.h"
    said = [line.strip() for line in (output.stdout + output.stderr).splitlines() if "gru_ext: nothing is compiled" in line]
    assert len(said) == 1 and reason in said[0]
    assert_falls_back(run(sys.executable, "-c", USE, cwd=tmp_path, PYTHONPATH=str(site)), reason)
    assert (site / "gru_ext" / "include" / "gru_ext" / "ops.h").is_file()
    assert (site / "gru_ext" / "share" / "cmake" / "gru_ext" / "gru_extConfig.cmake").is_file()
    assert (site / "gru_ext" / "py.typed").is_file()


@pytest.mark.slow
@pytest.mark.compiled
def test_a_wheel_contains_all_that_is_needed(tmp_path: Path) -> None:
    """The op library and the headers as well, and it works away from the sources."""
    sources = copy_of_the_sources(tmp_path / "sources")
    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", tmp_path, sources, cwd=tmp_path)
    (wheel,) = tmp_path.glob("gru_ext-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for component in ("ops", "stream"):
        for name in (f"include/gru_ext/{component}.h", f"share/cmake/gru_ext/gru_ext-{component}.cmake"):
            assert f"gru_ext/{name}" in names
    for name in ("lib/libgru_ext_ops.so", "lib/libgru_ext_stream.a", "build.json"):
        assert f"gru_ext/{name}" in names
    run(*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    done = run(sys.executable, "-m", "gru_ext.info", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    report = json.loads(done.stdout)
    assert report["fallback"] is None and report["self_test"]["passed"]


def make(folder: Path, *arguments: str, status: int = 2, **env: str) -> str:
    """`make` in a folder that has nothing but the Makefile and its tools; returns what it complains about."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    if not (folder / "Makefile").exists():
        shutil.copytree(ROOT / "tools", folder / "tools")
        (folder / "csrc").mkdir()
        for name in ("Makefile", "constraints.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
    done = run("make", *arguments, cwd=folder, status=status, MAKEFLAGS="", **env)
    return "".join(line for line in done.stderr.splitlines() if not line.startswith("make: ***"))


def test_make_alone_lists_the_targets(tmp_path: Path) -> None:
    make(tmp_path, status=0)
    listed = run("make", cwd=tmp_path, MAKEFLAGS="").stdout
    for word in ("demo", "test ", "test-slow", "bench", "cuda-build", "lint", "clean"):
        assert f"make {word}" in listed
    for word in ("PYTHON", "TORCH", "GRU_EXT_CUDA"):
        assert word in listed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "Makefile",
        "constraints.txt",
        "csrc",
        "pyproject.toml",
        "tools",
    ]


def test_make_without_python(tmp_path: Path) -> None:
    complaint = make(tmp_path, "demo", "PYTHON=no-such-python")
    assert complaint.startswith("gru_ext: 'no-such-python' does not run: install Python 3.10 or newer")


def test_make_without_the_venv_module(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "ensurepip.py").write_text("raise ImportError")
    complaint = make(tmp_path, "test", f"PYTHON={sys.executable}", PYTHONPATH=str(tmp_path / "hidden"))
    assert "cannot make virtual environments: install its venv module" in complaint


def test_make_without_a_network(tmp_path: Path) -> None:
    # Port 9 of this machine answers nobody.
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    complaint = make(tmp_path, "test", f"PYTHON={sys.executable}", PIP_NO_CACHE_DIR="1", **offline)
    assert complaint.startswith("gru_ext: pip could not reach a package index: connect to the network")
