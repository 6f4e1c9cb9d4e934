"""The CUDA half without a GPU: it compiles and links, with a torch for the CPU too, registers itself when it is loaded, and the
machine code of its kernels is what they were written for: 16-byte accesses, and nothing spilled from registers to memory."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import cuda_build  # noqa: E402
import cuda_toolkit  # noqa: E402

GPUS = ["sm_80", "sm_90"]
DTYPES = ["float", "double", "__half", "__nv_bfloat16"]

pytestmark = pytest.mark.skipif(
    shutil.which(cuda_build.CXX) is None, reason=f"needs a C++ compiler; there is no {cuda_build.CXX}"
)


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-8000:]}"
    )
    return done.stdout


@pytest.fixture(scope="module")
def toolkit() -> cuda_toolkit.Toolkit:
    try:
        return cuda_toolkit.find(torch.version.cuda)
    except LookupError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def library(toolkit: cuda_toolkit.Toolkit) -> Path:
    """What `make cuda-build` makes; what that has compiled before is not compiled again."""
    run(sys.executable, ROOT / "tools" / "cuda_build.py")
    return cuda_build.LIBRARY


# --- Loaded, with stand-ins for the libraries that a torch for the CPU lacks. A function is looked for when it is first called.

LOAD = """
import ctypes, os, sys
import torch
library, *stubs = sys.argv[1:]
for stub in stubs:
    ctypes.CDLL(stub, mode=ctypes.RTLD_GLOBAL)
ctypes.CDLL(library, mode=os.RTLD_LAZY)
ops = torch.ops.gru_ext
"""


def with_library(library: Path, code: str) -> str:
    stubs = cuda_build.STUBS if torch.version.cuda is None else []
    return run(sys.executable, "-c", LOAD + code, library, *stubs, cwd=library.parent)


@pytest.mark.parametrize("op", ["_cell", "_cell_forward", "_cell_backward"])
def test_registers_the_operators(op: str, library: Path) -> None:
    """That the C++ signatures are those of the schemas is checked by the registration itself."""
    dump = with_library(library, f"print(torch._C._dispatch_dump('gru_ext::{op}'))")
    where = dict(re.findall(r"^(\w+)(?:\[alias\])?: registered at .*?(csrc/\w+/\w+\.cpp)", dump, re.MULTILINE))
    source = "cell_backward.cpp" if op == "_cell_backward" else "cell_forward.cpp"
    assert (where["CPU"], where["CUDA"]) == (f"csrc/cpu/{source}", f"csrc/cuda/{source}")
    assert {"Meta", "Autograd", "FuncTorchBatched", "CompositeExplicitAutograd"} <= set(where)


def test_gives_shapes(library: Path) -> None:
    code = """
for dtype in (torch.float32, torch.bfloat16):
    x, h, w_ih, w_hh, b = (torch.empty(s, device="meta", dtype=dtype) for s in ((5, 3), (5, 7), (21, 3), (21, 7), (21,)))
    hy = ops.gru_cell(x, h, w_ih, w_hh, b, None)
    saved = ops._cell_forward(x, h, w_ih, w_hh, b, b, True)[1]
    grads = ops._cell_backward(h, saved, x, h, w_ih, w_hh, [True] * 6)
    print(*[tuple(t.shape) for t in (hy, saved, *grads) if t.dtype == dtype and t.is_meta])
"""
    assert with_library(library, code).splitlines() == ["(5, 7) (5, 28) (5, 3) (5, 7) (21, 3) (21, 7) (21,) (21,)"] * 2


def test_computes_on_the_cpu(library: Path) -> None:
    code = """
args = [torch.randn(s, dtype=torch.double, requires_grad=True) for s in ((5, 3), (5, 7), (21, 3), (21, 7), (21,), (21,))]
results = []
for cell in (ops.gru_cell, torch.gru_cell):
    hy = cell(*args)
    results.append([hy, *torch.autograd.grad(hy.square().sum(), args)])
torch.testing.assert_close(*results)
print("equal")
"""
    assert with_library(library, code) == "equal\n"


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
def test_is_linked_to_libtorch_alone(library: Path) -> None:
    """Neither to Python, as C++ programs have none, nor to a CUDA runtime beside that of libtorch."""
    dynamic = run("readelf", "-d", library)
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\.so", dynamic)
    assert {"libc10_cuda", "libtorch_cpu", "libc10"} <= set(needed)
    assert [name for name in needed if name.startswith(("libpython", "libtorch_python", "libcudart"))] == []
    assert "[libgru_ext_ops.so]" in dynamic


def test_cmake_builds_the_same(toolkit: cuda_toolkit.Toolkit, library: Path, tmp_path: Path) -> None:
    """As far as its commands show: the same sources, for the same GPUs."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if missing := [tool for tool in ("cmake", "ninja") if shutil.which(tool, path=tools) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    settings = {
        "CMAKE_PREFIX_PATH": torch.utils.cmake_prefix_path,
        "CMAKE_CUDA_COMPILER": toolkit.home / "bin" / "nvcc",
        "GRU_EXT_EXAMPLES": "OFF",
    }
    if torch.version.cuda is None:
        settings |= dict(zip(("LibTorch_c10_cuda_LIBRARY", "LibTorch_torch_cuda_LIBRARY"), cuda_build.STUBS, strict=True))
    env = {**os.environ, "PATH": tools, "TORCH_CUDA_ARCH_LIST": cuda_toolkit.ARCHITECTURES}
    definitions = [f"-D{name}={value}" for name, value in settings.items()]
    run("cmake", "-G", "Ninja", "-S", ROOT, "-B", tmp_path, *definitions, env=env)
    commands = run("ninja", "-C", tmp_path, "-t", "commands", "libgru_ext_ops.so", env=env).splitlines()
    for source in (ROOT / "csrc" / "cuda").rglob("*.c*"):
        if source.suffix in (".cpp", ".cu"):
            (command,) = (command for command in commands if f"-c {source} " in f"{command} ")
            codes = re.findall(r",code=\[?([\w,]+)", command)
            built = {code for group in codes for code in group.split(",")}
            assert built == ({"sm_80", "sm_90", "compute_90"} if source.suffix == ".cu" else set()), command
    assert json.loads((tmp_path / "build.json").read_text())["cuda"] == f"{toolkit.version[0]}.{toolkit.version[1]}"


# --- Machine code, kernel by kernel.


@dataclass(frozen=True)
class Kernel:
    gpu: str
    name: str
    dtype: str
    size: int  # the template argument after the dtype: numbers in a pack, or rows; 0 where there is none
    instructions: Counter[str]
    resources: dict[str, int]  # STACK and LOCAL in bytes

    def __str__(self) -> str:
        return f"{self.name}<{self.dtype}, {self.size}> on {self.gpu}"

    def matching(self, pattern: str) -> dict[str, int]:
        return {name: number for name, number in self.instructions.items() if re.match(pattern, name)}

    def count(self, pattern: str) -> int:
        return sum(self.matching(pattern).values())


@pytest.fixture(scope="module")
def cuobjdump(toolkit: cuda_toolkit.Toolkit) -> str:
    folders = [toolkit.home / "bin", *os.get_exec_path(), *Path(sysconfig.get_path("purelib"), "nvidia").glob("cu[0-9]*/bin")]
    for folder in map(Path, folders):
        if (folder / "cuobjdump").exists() and (folder / "nvdisasm").exists():
            return str(folder / "cuobjdump")
    pytest.skip("needs cuobjdump and nvdisasm: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")


@pytest.fixture(scope="module")
def kernels(library: Path, cuobjdump: str) -> list[Kernel]:
    found = []
    for gpu in GPUS:
        listing = run(cuobjdump, "-sass", "-arch", gpu, library)
        usage = run(cuobjdump, "-res-usage", "-arch", gpu, library)
        resources = {
            symbol: {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", used)}
            for symbol, used in re.findall(r"Function (\w+):\s+(REG:.*)", usage)
        }
        for function in re.split(r"\n\s*Function : ", listing)[1:]:
            symbol = function.split("\n", 1)[0].strip()
            name = run("c++filt", symbol)
            template = re.search(r"(\w+)<(\w+)(?:, (\d+))?>\(", name)
            assert template, f"not a template of a dtype: {name}"
            instructions = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]+)", function))
            found.append(Kernel(gpu, template[1], template[2], int(template[3] or 0), instructions, resources[symbol]))
    return found


def wide_accesses(kernel: Kernel) -> tuple[int, int]:
    """How many 16-byte loads and stores a kernel must have at least: one for each array that it goes through in packs."""
    packs = kernel.size > 1
    return {
        "gates_forward_kernel": (13, 5) if packs else (0, 0),  # both products, h, both biases; h', r, z, n, q
        "gates_backward_kernel": (6, 7) if packs else (0, 0),  # the gradient, h, r, z, n, q; both gate gradients, d_h
        "sum_slabs_kernel": (0, 0),
        "small_batch_forward_kernel": (3 + kernel.size, 0),  # a row of each gate's weights and all of x or h
        "small_batch_weights_kernel": (kernel.size, 1),  # all of x or h; the gradient of the weights
    }[kernel.name]


def test_every_kernel_is_there(kernels: list[Kernel]) -> None:
    packs = {"float": 4, "double": 2, "__half": 8, "__nv_bfloat16": 8}
    expected = set()
    for gpu in GPUS:
        for dtype in DTYPES:
            for name in ("gates_forward_kernel", "gates_backward_kernel"):
                expected |= {(gpu, name, dtype, size) for size in (1, packs[dtype])}
            for name in ("small_batch_forward_kernel", "small_batch_weights_kernel"):
                expected |= {(gpu, name, dtype, rows) for rows in (1, 2, 4, 8)}
            expected.add((gpu, "sum_slabs_kernel", dtype, 0))
    assert {(kernel.gpu, kernel.name, kernel.dtype, kernel.size) for kernel in kernels} == expected


def test_later_gpus_get_ptx(library: Path, cuobjdump: str) -> None:
    sources = len(list((ROOT / "csrc" / "cuda").rglob("*.cu")))
    assert run(cuobjdump, "-lptx", library).count("sm_90.ptx") == sources


def test_nothing_is_spilled(kernels: list[Kernel]) -> None:
    for kernel in kernels:
        assert kernel.resources["REG"] > 0
        assert (kernel.resources["STACK"], kernel.resources["LOCAL"]) == (0, 0), f"{kernel} has local memory"
        assert kernel.count("LDL|STL") == 0, f"{kernel} spills"


def test_packs_are_read_and_written_whole(kernels: list[Kernel]) -> None:
    for kernel in kernels:
        wide = kernel.count(r"LDG\.E\.128"), kernel.count(r"STG\.E\.128")
        loads, stores = wide_accesses(kernel)
        assert wide[0] >= loads and wide[1] >= stores, f"{kernel} has {wide} wide loads and stores, not {(loads, stores)}"


def test_kernels_of_packs_access_nothing_else(kernels: list[Kernel]) -> None:
    """But for the sums of the gradients of the biases, which gates_backward stores one by one."""
    for kernel in kernels:
        if kernel.size > 1 and kernel.name in ("gates_forward_kernel", "gates_backward_kernel"):
            narrow = kernel.matching(r"(LDG|STG)(?!\.E\.128)" if "forward" in kernel.name else r"LDG(?!\.E\.128)")
            assert not narrow, f"{kernel} accesses single numbers: {narrow}"


def test_addresses_are_known_to_be_global(kernels: list[Kernel]) -> None:
    """An access to a generic address has to find out first which memory it is in."""
    for kernel in kernels:
        generic = kernel.matching(r"(LD|ST)(\.|$)")
        assert not generic, f"{kernel}: {generic}"


def test_only_doubles_are_computed_in_double(kernels: list[Kernel]) -> None:
    """One literal without its f is enough to have a gate in double precision, at a small part of the speed."""
    for kernel in kernels:
        doubles = kernel.matching(r"D(ADD|MUL|FMA|SETP)|.*\.F64")
        assert bool(doubles) == (kernel.dtype == "double"), f"{kernel} computes with doubles: {doubles}"
