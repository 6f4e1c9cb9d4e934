"""Proofs of the stream library that take minutes: sanitizers, hostile files, planted faults, other compilers and processors."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import CXX, FOUND, ROOT, needs, needs_compiler, plant, run
from stream_build import CPP, LEVELS, WIDE_LEVELS, StreamBuild
from stream_faults import FAULTS

pytestmark = [
    pytest.mark.slow,
    needs_compiler,
]

# clang counts a float that no integer can hold as undefined behaviour, g++ only when asked.
SANITIZE = (
    "-O1",
    "-g",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)
CORPUS = sorted((CPP / "stream" / "corpus").iterdir())
FUZZ_SECONDS = "60"


def check_values(build: StreamBuild, levels: list[str]) -> None:
    checked = [level for level in levels if build.runs(level)]
    assert checked
    for level in checked:
        assert run(build.values(level), GRU_EXT_ISA=level, UBSAN_OPTIONS="print_stacktrace=1").count(": ok\n") == 16


def test_address_and_undefined_behaviour_sanitizers(tmp_path: Path) -> None:
    build = StreamBuild(tmp_path, *SANITIZE)
    check_values(build, LEVELS + WIDE_LEVELS)
    run("gcc", *SANITIZE, *build.include, CPP / "stream" / "c_test.c", build.archive(), "-lm", "-o", tmp_path / "c_test")
    assert run(tmp_path / "c_test", tmp_path) == ""


def test_thread_sanitizer(tmp_path: Path) -> None:
    build = StreamBuild(tmp_path, "-O1", "-g", "-fsanitize=thread")
    assert run(build.program("threads_test")).count("equal") == 3


def test_hostile_files(tmp_path: Path) -> None:
    """Random changes of the corpus, from a fixed start."""
    build = StreamBuild(tmp_path, *SANITIZE)
    objects = build.objects(CPP / "stream" / "fuzz_file.cpp", CPP / "stream" / "fuzz_main.cpp")
    run(CXX, *build.flags, *objects, build.archive(), "-o", tmp_path / "fuzz")
    assert "Done" in run(tmp_path / "fuzz", FUZZ_SECONDS, *CORPUS)


@needs("clang++")
def test_hostile_files_of_libfuzzer(tmp_path: Path) -> None:
    (tmp_path / "empty.cpp").write_text('extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n')
    probe = ["clang++", "-fsanitize=fuzzer,address,undefined", tmp_path / "empty.cpp", "-o", tmp_path / "empty"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("this clang has no libFuzzer")
    flags = [flag for flag in SANITIZE if not flag.startswith("-fsanitize=")]
    build = StreamBuild(tmp_path, *flags, "-fsanitize=fuzzer-no-link,address,undefined", compiler="clang++")
    objects = build.objects(*build.sources(), CPP / "stream" / "fuzz_file.cpp")
    run("clang++", "-fsanitize=fuzzer,address,undefined", *objects, "-o", tmp_path / "fuzz")
    (tmp_path / "found").mkdir()
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=4096", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    assert "Done" in run(tmp_path / "fuzz", *limits, tmp_path / "found", CPP / "stream" / "corpus")


def test_the_benchmark_runs() -> None:
    command = (sys.executable, "-m", "benchmarks.stream", "--sizes", "8", "--batches", "1", "2", "--rounds", "1")
    rows = [line for line in run(*command, PYTHONPATH=str(ROOT)).splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == 8, rows  # nn.GRUCell and three types of weights, two batches


@pytest.mark.compiled
def test_the_benchmark_of_packed_steps_runs() -> None:
    output = run(sys.executable, "-m", "benchmarks.stream.packed", "--rounds", "1", PYTHONPATH=str(ROOT))
    assert len(re.findall(r"^\| \d", output, re.MULTILINE)) == 6, output
    assert "`Stream.step(x, y)`" in output


@needs("clang++")
def test_clang(tmp_path: Path) -> None:
    build = StreamBuild(tmp_path, compiler="clang++")
    check_values(build, LEVELS)


def clang_with_realtime_sanitizer(folder: Path) -> str | None:
    """The first of clang++, clang++-29, ... clang++-20 that has it."""
    for name in ("clang++", *(f"clang++-{version}" for version in range(29, 19, -1))):
        probe = [name, "-fsanitize=realtime", "-x", "c++", "-c", "/dev/null", "-o", folder / "probe.o"]
        if shutil.which(name) is not None and subprocess.run(probe, capture_output=True).returncode == 0:
            return name
    return None


@pytest.mark.parametrize("blocks", [False, True], ids=["steps", "what it is to find"])
def test_realtime_sanitizer(blocks: bool, tmp_path: Path) -> None:
    """clang 20 and newer: it stops at whatever may block within a function that says it does not."""
    (tmp_path / "step.cpp").write_text(
        '#include <cstdlib>\n#include "cell.h"\nusing namespace gru_ext::stream;\n'
        "static void step(const Packed& p, const float* x, float* h) [[clang::nonblocking]] {\n"
        "  gru_step(p.get(), x, h, p.scratch.data());\n  gru_steps(p.get(), x, 1, h, nullptr, p.scratch.data());\n"
        "  gru_step_batch(p.get(), 1, x, 9, h, 19, p.scratch.data());\n"
        f"  if ({int(blocks)}) std::free(std::malloc(p.get() == nullptr ? 1 : 64));\n}}\n"
        "int main() {\n  Random random;\n  const Cell cell(9, 19, 3, random);\n  const Buffer<float> x(9), h(19);\n"
        "  random.fill(x, -1, 1);\n  random.fill(h, -1, 1);\n"
        "  for (auto type : {GRU_F32, GRU_BF16, GRU_INT8}) step(Packed({&cell.weights, 1, 0}, type), x.data(), h.data());\n}\n"
    )
    clang = clang_with_realtime_sanitizer(tmp_path)
    if clang is None:
        pytest.skip("needs clang 20 or newer, which has RealtimeSanitizer")
    build = StreamBuild(tmp_path, "-fsanitize=realtime", compiler=clang)
    run(
        clang,
        *build.flags,
        f"-I{CPP / 'stream'}",
        tmp_path / "step.cpp",
        CPP / "check.cpp",
        *build.library(),
        "-o",
        tmp_path / "step",
    )
    done = subprocess.run([tmp_path / "step"], capture_output=True, text=True)
    assert ("unsafe-library-call" in done.stderr) == blocks, done.stderr
    assert (done.returncode != 0) == blocks, done.stderr


@needs("aarch64-linux-gnu-g++")
@needs("qemu-aarch64-static")
def test_default_level_of_arm(tmp_path: Path) -> None:
    """NEON, cross-compiled and run in emulation."""
    build = StreamBuild(tmp_path, "-static", compiler="aarch64-linux-gnu-g++")
    assert run("qemu-aarch64-static", build.program("values_test")).count(": ok\n") == 16


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    name, text, changed, level = FAULTS[fault]
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    plant(tmp_path / "csrc", name, text, changed)
    build = StreamBuild(tmp_path, "-O1", root=tmp_path)
    program = build.values(level)
    if not build.runs(level):
        pytest.skip(f"this processor does not run {level}")
    done = subprocess.run([program], capture_output=True, text=True, env={"GRU_EXT_ISA": level})
    if text:
        assert done.returncode != 0 and re.search(FOUND, done.stdout + done.stderr), done.stdout + done.stderr
    else:
        assert done.returncode == 0, done.stdout + done.stderr
