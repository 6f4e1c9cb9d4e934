"""The CUDA kernels without CUDA: their sources, compiled by the system's compiler with the headers of
tests/cuda_on_cpu/include, run on the CPU, each CUDA thread as a fiber.

Every object is compiled once for all tests here, at most two at a time.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from commands import CXX, ROOT, needs_compiler, plant, run, two_at_a_time
from cuda_faults import FAULTS

TESTS = ROOT / "tests" / "cuda_on_cpu"
SHIM = TESTS / "shim"
KERNELS = ["gates_forward", "gates_backward", "small_batch_forward", "small_batch_weights"]
WITH_SHARED_MEMORY = ["gates_backward", "small_batch_forward"]

# How kernels are compiled, and the shim with them. Unoptimised code compiles so much faster under AddressSanitizer that it
# loses nothing by running slower. The shim's own turns are no business of ThreadSanitizer's: see shim/sanitizers.h.
ADDRESS = ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
VARIANTS = {
    "plain": (["-O1", "-g1"], ["-O1", "-g1"]),
    "address": (ADDRESS, ADDRESS),
    "thread": (["-O1", "-g1", "-fsanitize=thread"], ["-O1", "-g1", "-DCUDA_ON_CPU_THREAD_SANITIZER"]),
}

pytestmark = [
    needs_compiler,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fibers and their poisoned memory are Linux's"),
]


class Build:
    """Objects and programs in one folder, from the kernels under one root."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.root = folder, root
        includes = [TESTS / "include", root / "csrc", ROOT / "tests" / "cpp"]
        self.flags = ["-std=c++17", "-Wall", "-Wno-unknown-pragmas", "-ffp-contract=off", *[f"-I{path}" for path in includes]]

    def object(self, source: Path, variant: str) -> Path:
        of_kernels, of_shim = VARIANTS[variant]
        target = self.folder / variant / f"{source.stem}.o"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            flags = of_kernels if source.suffix == ".cu" else of_shim
            run(CXX, *self.flags, *flags, "-x", "c++", "-c", source, "-o", target)
        return target

    def objects(self, sources: Iterable[tuple[Path, str]]) -> list[Path]:
        return two_at_a_time(lambda one: self.object(*one), sources)

    def link(self, name: str, variant: str, objects: list[Path]) -> Path:
        program = self.folder / variant / name
        if not program.exists():
            run(CXX, *VARIANTS[variant][0], *objects, "-o", program)
        return program

    def kernel(self, name: str) -> Path:
        return self.root / "csrc" / "cuda" / "kernels" / f"{name}.cu"

    def shim(self, variant: str) -> list[Path]:
        return self.objects((SHIM / f"{n}.cpp", variant) for n in ("block", "fibers", "memory", "order", "poison", "runtime"))

    def tests(self) -> list[Path]:
        """What runs no kernel itself needs no sanitizer."""
        sources = [TESTS / f"{name}_test.cu" for name in ["kernels", *KERNELS]] + [ROOT / "tests" / "cpp" / "check.cpp"]
        return self.objects((source, "plain") for source in sources)

    def kernels_test(self, variant: str, kernels: list[str] = KERNELS) -> Path:
        """The program; only these kernels are compiled as the variant wants."""
        of_kernels = self.objects((self.kernel(name), variant if name in kernels else "plain") for name in KERNELS)
        return self.link("kernels_test", variant, [*self.tests(), *self.shim(variant), *of_kernels])

    def shim_test(self, variant: str) -> Path:
        return self.link("shim_test", variant, [self.object(SHIM / "shim_test.cu", variant), *self.shim(variant)])


@pytest.fixture(autouse=True)
def threads_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ThreadSanitizer waits a second at the end for other threads, of which there are none."""
    monkeypatch.setenv("TSAN_OPTIONS", "atexit_sleep_ms=0")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build(tmp_path_factory.mktemp("cuda_on_cpu"))


def runner(variant: str, folder: Path) -> list[str]:
    """What a program of the variant is started with; skips where the compiler has not got the sanitizer."""
    if variant == "plain":
        return []
    empty = folder / f"empty_{variant}"
    empty.with_suffix(".cpp").write_text("int main() {}\n")
    compiled = subprocess.run([CXX, *VARIANTS[variant][0], empty.with_suffix(".cpp"), "-o", empty], capture_output=True)
    # A sanitizer within the program would have its thread-local memory among that of the kernels: see shim/poison.cpp.
    if compiled.returncode == 0 and re.search(rb"\0lib[at]san\.so\.\d+\0", empty.read_bytes()):
        # Older ThreadSanitizers do not start where the system spreads addresses further than they know.
        for start in ([], ["setarch", "-R"]):
            if not start or shutil.which(start[0]):
                if subprocess.run([*start, empty], capture_output=True).returncode == 0:
                    return start
    pytest.skip(f"{CXX} has no {variant} sanitizer in a library of its own, or none that starts here")


def bits(output: str) -> list[str]:
    """The lines that say which bits the results have."""
    return re.findall(r"^bits of .*$", output, re.MULTILINE)


def expect_all_good(output: str, kernels: list[str] = KERNELS) -> None:
    for kernel in kernels:
        assert len(re.findall(rf"^{kernel} .* ok$", output, re.MULTILINE)) == 4, output  # float, double and the 16-bit types
    assert len(bits(output)) == 4 * len(kernels)


@pytest.fixture(scope="module")
def forward(build: Build) -> str:
    """What kernels_test prints where threads and blocks take turns in the order of their numbers."""
    return run(build.kernels_test("plain"), CUDA_ON_CPU_ORDER="forward")


def test_kernels_give_the_numbers_of_the_equations(forward: str) -> None:
    expect_all_good(forward)


@pytest.mark.parametrize("order", ["reverse", "1"])
def test_numbers_do_not_depend_on_the_order_of_threads_and_blocks(order: str, build: Build, forward: str) -> None:
    output = run(build.kernels_test("plain"), CUDA_ON_CPU_ORDER=order)
    expect_all_good(output)
    assert bits(output) == bits(forward)


def test_refuses_a_kernel_that_is_not_there(build: Build) -> None:
    assert "usage" in run(build.kernels_test("plain"), "nonsense", status=2)


def test_address_and_undefined_behavior_sanitizers(build: Build, tmp_path: Path) -> None:
    start = runner("address", tmp_path)
    output = run(*start, build.kernels_test("address"), "--few", UBSAN_OPTIONS="print_stacktrace=1")
    expect_all_good(output)
    # What is read but was never written need not be the same in another build.
    assert bits(output) == bits(run(build.kernels_test("plain"), "--few"))


def test_thread_sanitizer(build: Build, tmp_path: Path) -> None:
    start = runner("thread", tmp_path)
    expect_all_good(
        run(*start, build.kernels_test("thread", WITH_SHARED_MEMORY), "--few", *WITH_SHARED_MEMORY), WITH_SHARED_MEMORY
    )


@pytest.mark.slow
@pytest.mark.parametrize("order", ["forward", "reverse", "2"])
@pytest.mark.parametrize("variant", ["address", "thread"])
def test_all_sizes_with_sanitizers(variant: str, order: str, build: Build, forward: str, tmp_path: Path) -> None:
    kernels = WITH_SHARED_MEMORY if variant == "thread" else KERNELS
    start = runner(variant, tmp_path)
    output = run(*start, build.kernels_test(variant, kernels), *kernels, timeout=1800, CUDA_ON_CPU_ORDER=order)
    expect_all_good(output, kernels)
    assert set(bits(output)) <= set(bits(forward))


def test_conversions_of_the_shim(build: Build) -> None:
    program = build.link("sixteen_bits_test", "plain", [build.object(SHIM / "sixteen_bits_test.cpp", "plain")])
    assert run(program).count(": ok") == 2


ABORTED = -6  # by SIGABRT
# What the shim finds in any build: the case, and what it says.
SHIM_FINDS = {
    "barrier_of_half_a_block": r"a barrier that part of the block never reaches: of 64 threads: .*32 waiting at the barrier",
    "barrier_after_return": r"thread \(7, 0, 0\): a barrier that part of the block never reaches",
    "two_barriers_for_one": r"one barrier at different places",
    "barrier_and_shuffle": r"deadlock: of 64 threads: .*16 waiting at the shuffle .*shim_test.cu:\d+ with mask ffffffff",
    "shuffle_without_itself": r"lane 0 calls with mask fffffffe, which leaves it out",
    "shuffle_with_two_masks": r"lanes of one warp disagree about the mask",
    "shuffle_beyond_the_mask": r"lane 0 wants the value of lane 16, which mask 0000ffff leaves out",
    "shuffle_after_return": r"lane 21, which a shuffle expects, has ended",
    "shuffle_then_return": r"lane 20, which a shuffle expects, has ended",
    "misaligned_load": r"access of 16 bytes at 0x\w+4, which is not a multiple of that",
    "misaligned_store": r"access of 16 bytes at 0x\w+8, which is not a multiple of that",
    "store_past_the_end": r"wrote past the end of device memory of 132 bytes",
    "store_before_the_beginning": r"wrote before the beginning of device memory of 132 bytes",
}
GOOD = ["sums", "halves", "stale shared memory", "stale shared memory, double", "launches", "memory", "streams"]
ADDRESS_FINDS = {
    "load_past_the_end": "heap-buffer-overflow",
    "store_past_the_end": "heap-buffer-overflow",
    "store_before_the_beginning": "heap-buffer-overflow",
    "shared_row_too_far": "index 38 out of bounds",
}
THREAD_FINDS = ["race", "race_after_barrier", "race_across_shuffle"]


@pytest.mark.parametrize("order", ["forward", "reverse", "1"])
@pytest.mark.parametrize("case", GOOD)
def test_shim_runs_kernels_that_break_no_rule(case: str, order: str, build: Build) -> None:
    assert run(build.shim_test("plain"), case, CUDA_ON_CPU_ORDER=order) == f"{case}: ok\n"


@pytest.mark.parametrize("case", SHIM_FINDS)
def test_shim_finds(case: str, build: Build) -> None:
    assert re.search(SHIM_FINDS[case], run(build.shim_test("plain"), case, status=ABORTED))


@pytest.mark.parametrize("case", SHIM_FINDS)
def test_shim_finds_in_any_order(case: str, build: Build) -> None:
    for order in ("reverse", "1", "2"):
        run(build.shim_test("plain"), case, status=ABORTED, CUDA_ON_CPU_ORDER=order)


def test_shim_closes_the_page_after_memory(build: Build) -> None:
    run(build.shim_test("plain"), "load_past_the_end, no gap", status=-11)  # SIGSEGV


def test_shim_refuses_an_order_that_is_none(build: Build) -> None:
    output = run(build.shim_test("plain"), "sums", status=2, CUDA_ON_CPU_ORDER="backward")
    assert "CUDA_ON_CPU_ORDER is forward, reverse or a number, not backward" in output


def test_address_sanitizer_understands_fibers(build: Build, tmp_path: Path) -> None:
    start = runner("address", tmp_path)
    for case in GOOD:
        run(*start, build.shim_test("address"), case)
    for case, message in ADDRESS_FINDS.items():
        assert message in run(*start, build.shim_test("address"), case, status=1), case


def test_thread_sanitizer_understands_fibers(build: Build, tmp_path: Path) -> None:
    start = runner("thread", tmp_path)
    for case in GOOD:
        run(*start, build.shim_test("thread"), case)
    for case in THREAD_FINDS:
        assert "data race" in run(*start, build.shim_test("thread"), case, status=66), case


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, build: Build, tmp_path: Path) -> None:
    (name, kernel), text, changed, variant, message = FAULTS[fault]
    start = runner(variant, tmp_path)
    shutil.copytree(ROOT / "csrc" / "cuda" / "kernels", tmp_path / "csrc" / "cuda" / "kernels")
    shutil.copy(ROOT / "csrc" / "gates.h", tmp_path / "csrc")
    plant(tmp_path / "csrc", name, text, changed)
    faulty = Build(tmp_path, root=tmp_path)
    kernels = [
        faulty.object(faulty.kernel(kernel), variant),
        *build.objects((build.kernel(other), "plain") for other in KERNELS if other != kernel),
    ]
    program = faulty.link("kernels_test", variant, [*build.tests(), *build.shim(variant), *kernels])
    few = [] if variant == "plain" else ["--few"]
    done = subprocess.run([*start, program, *few, kernel], capture_output=True, text=True, errors="replace", timeout=600)
    output = done.stdout + done.stderr
    if text:
        assert done.returncode != 0 and re.search(message, output), output[-4000:]
    else:
        assert done.returncode == 0, output
