"""The CPU kernels by themselves, in C++ without torch: tests/cpp is built with the system's compiler and run.

Every object is compiled once for all tests here, at most two at a time.
"""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import CXX, FOUND, ROOT, needs, needs_compiler, plant, run, two_at_a_time
from kernel_faults import FAULTS

import gru_ext
import gru_ext._library as library

CPP = ROOT / "tests" / "cpp"
FLAGS = (ROOT / "compile_flags.txt").read_text().split()
# Those with kernels of every kind, and those with bfloat16 products of pairs alone, which are added to the level below.
WHOLE_LEVELS = ["default", "avx2", "avx512", "wide"]
DOT_LEVELS = ["avx512_vnni_bf16", "amx_bf16", "wide_dot", "wide_tiles"]
LEVELS = WHOLE_LEVELS + DOT_LEVELS
# That only tests have, and whose kernels they are like.
WIDE_LEVELS = {"wide": "avx512", "wide_dot": "avx512_vnni_bf16", "wide_tiles": "amx_bf16"}

pytestmark = needs_compiler


def runs_here(level: str) -> bool:
    """Whether this processor runs it. Without the compiled ops nobody says so: yes."""
    return library.reason is not None or level in [*torch.ops.gru_ext._cpu_levels(), *WIDE_LEVELS]


def wrapper(level: str, root: Path = ROOT) -> Path:
    return (CPP if level in WIDE_LEVELS else root / "csrc" / "cpu" / "kernels") / f"isa_{level}.cpp"


def level_flags(level: str) -> list[str]:
    """What the level's wrapper defines, for the tests that are themselves compiled for one level."""
    source = wrapper(level).read_text()
    flags = [
        f"-D{name}={value}"
        for name, value in re.findall(r"^#define (GRU_EXT_VEC_BYTES|GRU_EXT_INTRINSICS) (\d+)", source, re.M)
    ]
    assert len(flags) == 2, source
    return flags + [f"-DGRU_EXT_FEATURES={features}" for features in re.findall(r'GRU_EXT_TARGET_BEGIN\((".*")\)', source)]


class Build:
    """Objects and programs in one folder, from the sources under one root, with one set of flags."""

    def __init__(self, folder: Path, *flags: str, root: Path = ROOT, compiler: str = CXX) -> None:
        self.folder, self.root, self.compiler = folder, root, compiler
        self.flags = [*FLAGS, *flags, f"-I{root / 'csrc'}", f"-I{CPP}"]

    def object(self, source: Path, *flags: str) -> Path:
        target = self.folder / f"{source.stem}.o"
        if not target.exists():
            run(self.compiler, *self.flags, *self.less_optimised(source), *flags, "-c", source, "-o", target)
        return target

    def less_optimised(self, source: Path) -> list[str]:
        """Flags for kernels whose tests take seconds, but which optimising takes minutes."""
        level = source.stem.removeprefix("isa_")
        if level in WIDE_LEVELS:  # vectors that no instruction handles
            # Functions that throw nothing refer to what exceptions need, if nothing is optimised.
            return ["-O0", "-g0", "-fno-exceptions"]
        return ["-O1"] if level in LEVELS and not runs_here(level) else []  # which are linked and not called

    def objects(self, sources: list[Path]) -> list[Path]:
        return two_at_a_time(self.object, sources)

    def kernels_test(self, levels: list[str], more: list[Path]) -> Path:
        """The program, with the kernels of these levels compiled here, and more objects from elsewhere."""
        sources = [wrapper(level, self.root) for level in levels]
        sources += [self.root / "csrc" / "cpu" / "kernels" / "select.cpp"]
        sources += [
            CPP / f"{name}.cpp" for name in ("kernels_test", "check", "forward_test", "gates_backward_test", "matmul_test")
        ]
        program = self.folder / "kernels_test"
        if not program.exists():
            run(self.compiler, *self.flags, *self.objects(sources), *more, "-o", program)
        return program

    def of_level(self, name: str, level: str) -> Path:
        program = self.folder / f"{name}_{level}"
        if not program.exists():
            run(self.compiler, *self.flags, *level_flags(level), CPP / f"{name}.cpp", "-pthread", "-o", program)
        return program


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build(tmp_path_factory.mktemp("kernels"), "-std=c++17")


@pytest.fixture(scope="module")
def kernels_test(build: Build) -> Path:
    return build.kernels_test(LEVELS, [])


@pytest.fixture(scope="module")
def runnable(kernels_test: Path) -> list[str]:
    """The levels that this processor runs, best last, without those that only tests have."""
    return [level for level in run(kernels_test, "--list").split() if level not in WIDE_LEVELS]


def skip_unless_runnable(level: str, runnable: list[str]) -> None:
    if level not in [*runnable, *WIDE_LEVELS]:
        pytest.skip(f"this processor does not run {level}")


def assert_all_kernels_ok(output: str) -> None:
    for kernel in ("forward", "gates_backward", "matmul"):
        assert len(re.findall(rf"^{kernel} .* ok$", output, re.MULTILINE)) == 4, output  # float, double and the 16-bit types


def test_kernels_give_the_numbers_of_the_equations(kernels_test: Path) -> None:
    assert_all_kernels_ok(run(kernels_test))


def test_refuses_a_level_that_is_not_there(kernels_test: Path) -> None:
    assert "usage" in run(kernels_test, "nonsense", status=2)


@pytest.mark.parametrize("level", WHOLE_LEVELS)
def test_sixteen_bit_numbers(level: str, build: Build, runnable: list[str]) -> None:
    skip_unless_runnable(level, runnable)
    assert run(build.of_level("conversions_test", level)).count(": ok") == 4


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, list[str]]]:
    """Those of each function of the installed library. Each level has functions of the same names."""
    if platform.machine() != "x86_64":
        pytest.skip("reads the instructions of x86-64")
    functions: list[tuple[str, list[str]]] = []
    for line in run("objdump", "-d", "-C", "--no-show-raw-insn", gru_ext.library_path()).splitlines():
        if line.endswith(">:"):
            functions.append((line[line.index("<") + 1 : -2], []))
        elif "\t" in line:
            functions[-1][1].append(line.split("\t", 1)[1])
    return functions


@pytest.mark.compiled
@needs("objdump")
@pytest.mark.parametrize("register", ["ymm", "zmm"])
def test_products_keep_their_sums_in_registers(register: str, instructions: list[tuple[str, list[str]]]) -> None:
    """A loop that is not unrolled to its end leaves what it indexes in memory, whence each addition takes it."""
    products = [code for name, code in instructions if re.search(r"cpu::.*\b(matmul_tiles|multiply_panels)<", name)]
    additions = [line for code in products for line in code if "vfmadd" in line and register in line]
    assert additions and [line for line in additions if re.search(r"vfmadd213p[sd] +\S*\(%r", line)] == []


@pytest.mark.compiled
@needs("objdump")
def test_bfloat16_is_multiplied_in_pairs(instructions: list[tuple[str, list[str]]]) -> None:
    kernels = [" ".join(code) for name, code in instructions if re.search(r"cpu::.*\bforward_block<.*BFloat16", name)]
    assert [code for code in kernels if "vdpbf16ps" in code and "vfmadd" in code]  # the sums; the gates


@pytest.mark.compiled
@needs("objdump")
@pytest.mark.parametrize("function", ["forward_of_tiles<2, 2>", "multiply_tiles<2, 2>|matmul<.*BFloat16"])
def test_bfloat16_is_multiplied_in_tiles(function: str, instructions: list[tuple[str, list[str]]]) -> None:
    products = [" ".join(code).count("tdpbf16ps") for name, code in instructions if re.search(f"cpu::.*({function})", name)]
    assert products and max(products) >= 4  # two registers by two


# A prime number of bit patterns between those tried, so that the low bits take every value.
STRIDE = "61"


@pytest.mark.parametrize("level", WHOLE_LEVELS)
def test_activations(level: str, build: Build, runnable: list[str]) -> None:
    """The level that runs on this machine is walked through every float, the others through a sample."""
    skip_unless_runnable(level, runnable)
    best = [name for name in runnable if name in WHOLE_LEVELS][-1]
    run(build.of_level("activations_test", level), *([] if level == best else [STRIDE]))


@pytest.mark.slow
@pytest.mark.parametrize("level", WHOLE_LEVELS)
def test_activations_of_every_float(level: str, build: Build, runnable: list[str]) -> None:
    skip_unless_runnable(level, runnable)
    run(build.of_level("activations_test", level))


@pytest.mark.slow
@needs("aarch64-linux-gnu-g++")
@needs("qemu-aarch64-static")
def test_default_level_of_arm(tmp_path: Path) -> None:
    """NEON, cross-compiled and run in emulation."""
    arm = Build(tmp_path, "-std=c++17", "-static", compiler="aarch64-linux-gnu-g++")
    assert_all_kernels_ok(run("qemu-aarch64-static", arm.kernels_test(["default", *WIDE_LEVELS], []), "default"))
    for name, stride in (("activations_test", "6007"), ("conversions_test", "")):
        run("qemu-aarch64-static", arm.of_level(name, "default"), *filter(None, [stride]))


@pytest.mark.slow
def test_sanitizers(build: Build, runnable: list[str], tmp_path: Path) -> None:
    # In C++20, in which torch's own build compiles us; all else here is C++17, the oldest that we promise.
    sanitized = Build(
        tmp_path,
        "-std=c++20",
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    )
    # A wide level takes half an hour to compile like this, so it is left out where the level can run that it is like.
    levels = [*runnable, *(wide for wide, like in WIDE_LEVELS.items() if like not in runnable)]
    others = [build.object(wrapper(level)) for level in LEVELS if level not in levels]
    run(sanitized.kernels_test(levels, others), *levels, UBSAN_OPTIONS="print_stacktrace=1")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, build: Build, runnable: list[str], tmp_path: Path) -> None:
    name, text, changed, level = FAULTS[fault]
    skip_unless_runnable(level, runnable)
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    plant(tmp_path / "csrc", name, text, changed)
    faulty = Build(tmp_path, "-std=c++17", "-O1", root=tmp_path).object(wrapper(level, tmp_path))
    others = build.objects([path for path in build.folder.glob("*.o") if path.name != faulty.name])
    program = tmp_path / "kernels_test"
    run(CXX, *build.flags, faulty, *others, "-o", program)
    done = subprocess.run([program, level], capture_output=True, text=True)
    if text:
        assert done.returncode != 0 and re.search(FOUND, done.stdout + done.stderr), done.stdout
    else:
        assert done.returncode == 0, done.stdout + done.stderr


@needs("nm")
def test_kernel_objects_share_no_function(build: Build, kernels_test: Path) -> None:
    """A function of std compiled for a newer processor could be the one that the linker takes for the whole library."""
    for level in LEVELS:
        symbols = [line.split() for line in run("nm", "-P", "-C", build.object(wrapper(level))).splitlines()]
        shared = [name for name, kind, *_ in symbols if kind in "VWuvw"]
        assert not shared, f"{level} compiles functions that other objects may take: {shared}"


@pytest.mark.compiled
@needs("objdump")
def test_only_the_kernels_need_a_newer_processor(instructions: list[tuple[str, list[str]]]) -> None:
    newer = re.compile(r"v[a-z0-9]+ .*%[xyz]mm")
    with_avx = {name for name, code in instructions if any(map(newer.match, code))}
    assert any("forward_block" in function for function in with_avx)
    ours = re.compile(r"gru_ext::(cpu|stream)::\(anonymous namespace\)::")
    strangers = [function for function in with_avx if not ours.search(function)]
    assert not strangers


SMOKE = """
import torch, gru_ext
level = torch.ops.gru_ext._cpu_level()
assert level in ("default", "avx2"), level
for n, dtype in ((3, torch.float32), (21, torch.float64), (21, torch.float32)):
    cell = gru_ext.GRUCell(9, 19, dtype=dtype)
    x = torch.randn(n, 9, dtype=dtype, requires_grad=True)
    h = torch.randn(n, 19, dtype=dtype)
    results = []
    for forward in (cell.forward, super(gru_ext.GRUCell, cell).forward):
        out = forward(x, h)
        results.append([out, *torch.autograd.grad(out.sum(), [x, *cell.parameters()])])
    torch.testing.assert_close(*results)
print("ran at level", level)
"""


@pytest.mark.slow
@pytest.mark.compiled
@needs("valgrind")
def test_runs_on_a_processor_without_avx512() -> None:
    """Valgrind's processor has no AVX-512 and stops at each instruction that it does not know."""
    output = run("valgrind", "--tool=none", sys.executable, "-c", SMOKE, OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    assert "ran at level" in output
