"""The CUDA adapter and its kernels, end to end on CPU tensors, without a GPU: csrc/cuda is compiled with the headers of
tests/cuda_on_cpu, registered for the CPU instead of its own kernels, and runs tests of the package in processes of their own.
"""

import platform
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from commands import CXX, ROOT, needs_compiler, run, two_at_a_time
from torch.utils import cpp_extension

import gru_ext

ON_CPU = ROOT / "tests" / "cuda_on_cpu"
# Of the package's own build; the adapter takes the place of csrc/cpu's.
OBJECTS = ROOT / "build" / f"torch{torch.__version__}-py{platform.python_version()}" / "csrc"

pytestmark = [
    pytest.mark.compiled,
    needs_compiler,
    pytest.mark.skipif(not OBJECTS.exists(), reason="needs the object files of a build in this folder"),
]


def compile_to(folder: Path, source: Path, *flags: str) -> Path:
    target = folder / f"{source.stem}.o"
    includes = [f"-I{ON_CPU / 'include'}", f"-I{ON_CPU / 'shim'}", f"-I{ROOT / 'csrc'}"]
    run(CXX, "-O1", "-fPIC", "-w", *flags, *includes, "-x", "c++", "-c", source, "-o", target)
    return target


def adapter_for_cpu_tensors(folder: Path, source: Path) -> Path:
    text, count = re.subn(r"TORCH_LIBRARY_IMPL\(gru_ext, CUDA, m\)", "TORCH_LIBRARY_IMPL(gru_ext, CPU, m)", source.read_text())
    assert count == 1, source
    copy = folder / source.name
    copy.write_text(text)
    torch_headers = [f"-isystem{path}" for path in cpp_extension.include_paths()]
    public = f"-I{ROOT / 'csrc' / 'include'}"
    # The first folder stands in for c10/cuda. Torch's headers want C++20 in new versions, and C++17 in none.
    return compile_to(folder, copy, "-std=c++20", f"-I{ON_CPU / 'adapter'}", public, *torch_headers)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of gru_ext whose CPU operators are those of csrc/cuda."""
    folder = tmp_path_factory.mktemp("adapter")
    kernels = sorted((ROOT / "csrc" / "cuda" / "kernels").glob("*.cu"))
    shim = [path for path in (ON_CPU / "shim").glob("*.cpp") if path.stem not in {"poison"} and not path.stem.endswith("_test")]
    objects = two_at_a_time(lambda source: adapter_for_cpu_tensors(folder, source), (ROOT / "csrc" / "cuda").glob("*.cpp"))
    others = [*kernels, *shim, ON_CPU / "adapter" / "no_poison.cpp"]
    objects += two_at_a_time(lambda source: compile_to(folder, source, "-std=c++17"), others)
    objects += [*OBJECTS.glob("ops/*.o"), OBJECTS / "cpu" / "levels.o"]
    objects += [OBJECTS / Path(source).with_suffix(".o") for source in ("cpu/kernels/select.cpp",)]
    objects += [path for path in (OBJECTS / "cpu" / "kernels").glob("isa_*.o")]
    shutil.copytree(Path(gru_ext.__file__).parent, folder / "gru_ext")
    library = folder / "gru_ext" / "lib" / "libgru_ext_ops.so"
    libraries = [f"-L{path}" for path in cpp_extension.library_paths()] + ["-lc10", "-ltorch_cpu", "-ltorch"]
    objects.append(OBJECTS.parent / "libgru_ext_stream.a")
    run(CXX, "-shared", "-o", library, *objects, *libraries, "-fopenmp", "-pthread")
    return folder


def run_tests(package: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={package / 'tmp'}", *arguments]
    return run(*command, cwd=package, PYTHONPATH=str(package))


def test_is_what_runs(package: Path) -> None:
    program = (
        "import torch, gru_ext; print(torch._C._dispatch_dump('gru_ext::_cell')); "
        "print(gru_ext.__file__); print(gru_ext.GRUCell(3, 4)(torch.randn(9, 3)).shape)"
    )
    output = run(sys.executable, "-c", program, cwd=package, PYTHONPATH=str(package))
    assert re.search(r"CPU: registered at .*/adapter\d*/cell_forward\.cpp", output), output
    assert str(package) in output


VALUES, AUTOGRAD = str(ROOT / "tests" / "test_values.py"), str(ROOT / "tests" / "test_autograd.py")


def test_values_and_gradients(package: Path) -> None:
    """One sample of each kind: the small-batch kernels, those around matrix products, no state, no bias, strides."""
    chosen = "equations and float32 or gradients and float32"
    assert " passed" in run_tests(package, VALUES, AUTOGRAD, "-k", chosen)


@pytest.mark.slow
def test_whole_suites(package: Path) -> None:
    # The number of threads changes bits of at::mm on the CPU, which is not ours.
    run_tests(package, VALUES, AUTOGRAD, str(ROOT / "tests" / "test_sizes.py"), "-k", "not threads")
    run_tests(package, str(ROOT / "tests" / "test_gradcheck.py"), str(ROOT / "tests" / "test_vmap.py"))
