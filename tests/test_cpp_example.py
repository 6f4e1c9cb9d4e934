"""The ops in a C++ program without Python: the example is built as its README says, and must give Python's numbers."""

import functools
import os
import re
import shutil
import sys
from pathlib import Path

import commands
import pytest
import torch
from commands import ROOT
from torch.nn.functional import cross_entropy

import gru_ext
from examples import CMAKE_ENV, copy_of, needs_cmake_and

EXAMPLE = ROOT / "examples" / "cpp_torchscript"

# Many distributions link with --as-needed, which drops libraries that no symbol refers to; asking for it here makes the test as
# hard everywhere.
run = functools.partial(commands.run, **CMAKE_ENV, LDFLAGS="-Wl,--as-needed")

pytestmark = [pytest.mark.compiled, needs_cmake_and("g++")]


def prefix_path(*prefixes: str | Path) -> str:
    return f"-DCMAKE_PREFIX_PATH={';'.join(map(str, prefixes))}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder where the README's commands were run, and what they printed."""
    folder, commands = copy_of("cpp_torchscript", tmp_path_factory.mktemp("cpp"), "*.pt")
    return folder, run("sh", "-e", "-c", commands, cwd=folder)


def logits_of(output: str, rows: int) -> torch.Tensor:
    lines = output.splitlines()
    first = lines.index(f"logits {rows} 10") + 1
    return torch.tensor([[float(number) for number in line.split()] for line in lines[first : first + rows]])


def test_packed_weights(built: tuple[Path, str]) -> None:
    """Packed anew by the program: with the same instructions as here, so to the same bits but for the last layer's threads."""
    folder, output = built
    run(sys.executable, "save_model.py", "model.pt", "batch.pt", "packed.pt", cwd=folder)
    packed = run("build/gru_ext_torchscript", "packed.pt", "batch.pt", cwd=folder)
    x, _ = torch.load(folder / "batch.pt")
    logits = logits_of(packed, len(x))
    torch.testing.assert_close(logits, torch.jit.load(folder / "packed.pt")(x).detach(), rtol=1e-6, atol=1e-7)
    # It is int8, whose states are promised to be within 2e-2: near the other model's numbers, and not the same.
    error = (logits - logits_of(output, len(x))).abs().max()
    assert 0 < error < 2e-2
    assert packed.splitlines()[-1] == "gradients 2 of 2 parameters"


def test_prints_the_numbers_of_python(built: tuple[Path, str]) -> None:
    folder, output = built
    model = torch.jit.load(folder / "model.pt")
    x, labels = torch.load(folder / "batch.pt")
    logits = model(x)
    loss = cross_entropy(logits, labels)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
        loss_after = cross_entropy(model(x), labels)

    lines = output.splitlines()
    printed = logits_of(output, len(x))
    # Both processes run the same library on the same numbers; six digits leave room for another number of threads.
    torch.testing.assert_close(printed, logits.detach(), rtol=1e-6, atol=1e-7)
    before, after = (float(line.split()[-1]) for line in lines if line.startswith("loss "))
    assert before == pytest.approx(loss.item(), rel=1e-6)
    assert after == pytest.approx(loss_after.item(), rel=1e-6)
    assert after < before
    assert lines[-1] == "gradients 6 of 6 parameters"


def test_a_program_that_refers_to_nothing_keeps_the_library(tmp_path: Path) -> None:
    """Where the example links without the flag for it, that is luck: both happen to contain the same inline functions."""
    (tmp_path / "main.cpp").write_text("int main() {}\n")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(app LANGUAGES CXX)\nfind_package(gru_ext REQUIRED COMPONENTS ops)\n"
        "add_executable(app main.cpp)\ntarget_link_libraries(app PRIVATE gru_ext::ops)\n"
    )
    run("cmake", prefix_path(gru_ext.cmake_prefix_path(), torch.utils.cmake_prefix_path), ".", cwd=tmp_path)
    run("cmake", "--build", ".", cwd=tmp_path)
    assert str(gru_ext.library_path()) in run("ldd", "app", cwd=tmp_path)


def test_the_process_contains_no_python(built: tuple[Path, str]) -> None:
    libraries = run("ldd", "build/gru_ext_torchscript", cwd=built[0])
    assert "libgru_ext_ops.so" in libraries
    assert "python" not in re.sub(r"=>.*", "", libraries)


@pytest.mark.parametrize(
    ("files", "status", "complaint"),
    [
        ([], 2, "usage: "),
        (["nothing.pt", "batch.pt"], 1, "nothing.pt"),
        (["model.pt", "nothing.pt"], 1, "cannot read nothing.pt"),
    ],
)
def test_says_what_is_wrong(built: tuple[Path, str], files: list[str], status: int, complaint: str) -> None:
    output = run("build/gru_ext_torchscript", *files, cwd=built[0], status=status)
    assert complaint in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ("find_package(gru_ext REQUIRED COMPONENTS nonsense)", "gru_ext has no component 'nonsense' (it has: ops"),
        ("find_package(gru_ext 99 REQUIRED COMPONENTS ops)", 'compatible with requested version "99"'),
        ("find_package(gru_ext REQUIRED COMPONENTS ops OPTIONAL_COMPONENTS nonsense)", None),
        (f"find_package(gru_ext {gru_ext.__version__} EXACT REQUIRED)", None),
    ],
)
def test_find_package(request_: str, complaint: str | None, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.22)\nproject(app LANGUAGES NONE)\n{request_}\n"
        "get_target_property(where gru_ext::ops IMPORTED_LOCATION)\nmessage(STATUS ${where})\n"
    )
    prefixes = prefix_path(gru_ext.cmake_prefix_path(), torch.utils.cmake_prefix_path)
    output = run("cmake", prefixes, ".", cwd=tmp_path, status=1 if complaint else 0)
    assert (complaint or str(gru_ext.library_path())) in " ".join(output.split())


def test_find_package_refuses_another_torch(tmp_path: Path) -> None:
    package = Path(gru_ext.__file__).parent
    for folder in ("lib", "share"):
        shutil.copytree(package / folder, tmp_path / folder, copy_function=os.symlink)
    (tmp_path / "build.json").write_text('{"torch": "99.1.0"}')
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(app LANGUAGES NONE)\nfind_package(gru_ext REQUIRED)\n"
    )
    prefixes = prefix_path(tmp_path / "share" / "cmake", torch.utils.cmake_prefix_path)
    output = " ".join(run("cmake", prefixes, ".", cwd=tmp_path, status=1).split())
    assert (
        f"gru_ext was built for torch 99.1.0 but torch {torch.__version__.split('+')[0]} was found: reinstall gru_ext" in output
    )


@pytest.mark.slow
def test_cmake_builds_tests_and_installs_the_same(tmp_path: Path) -> None:
    torch_prefix = torch.utils.cmake_prefix_path
    run("cmake", "-S", ROOT, "-B", "build", prefix_path(torch_prefix), f"-DGRU_EXT_PYTHON={sys.executable}", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)
    assert "100% tests passed" in run("ctest", "--test-dir", "build", cwd=tmp_path)
    run("cmake", "--install", "build", "--prefix", tmp_path / "installed", cwd=tmp_path)

    run("cmake", "-S", EXAMPLE, "-B", "app", prefix_path(tmp_path / "installed", torch_prefix), cwd=tmp_path)
    run("cmake", "--build", "app", cwd=tmp_path)
    assert str(tmp_path / "installed") in run("ldd", "app/gru_ext_torchscript", cwd=tmp_path)
    run(sys.executable, EXAMPLE / "save_model.py", "model.pt", "batch.pt", cwd=tmp_path)
    assert "gradients 6 of 6 parameters" in run("app/gru_ext_torchscript", "model.pt", "batch.pt", cwd=tmp_path)
