"""The rules of the source tree that a compiler does not check: who may include what, and what is written only once."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
NATIVE = sorted(path for path in CSRC.rglob("*") if path.suffix in {".cpp", ".h", ".cu", ".cuh"})
PYTHON = sorted(
    path for folder in ("gru_ext", "tests", "benchmarks", "examples", "tools") for path in (ROOT / folder).rglob("*.py")
)

TORCH = re.compile(r"^(ATen|c10|torch)/")
# Their member functions are templates that the linker merges: one copy compiled for a new CPU would serve the old one too.
CONTAINERS = re.compile(
    r"^(any|array|bitset|deque|forward_list|functional|list|map|memory|optional|queue|set|span|sstream|stack|string"
    r"|tuple|unordered_map|unordered_set|variant|vector)$"
)


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def offenders(files: Iterable[Path], forbidden: re.Pattern[str]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {name}" for path in files for name in includes(path) if forbidden.search(name)]


def reached_from(paths: Iterable[Path]) -> set[Path]:
    """These files and all files of csrc that they include, directly or not."""
    reached: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            candidates = (folder / name for name in includes(path) for folder in (path.parent, CSRC, CSRC / "include"))
            waiting += [candidate.resolve() for candidate in candidates if candidate.is_file()]
    return reached


def test_there_is_something_to_check() -> None:
    assert CSRC / "ops" / "schema.cpp" in NATIVE
    assert includes(CSRC / "ops" / "schema.cpp")


def test_kernels_equations_and_the_stream_interface_know_no_torch() -> None:
    kernels = [path for path in NATIVE if path.parent.name == "kernels"]
    torch_free = [CSRC / "gates.h", CSRC / "include" / "gru_ext" / "stream.h", *(CSRC / "stream").glob("*.cpp")]
    assert offenders(reached_from([*kernels, *torch_free]), TORCH) == []


def compiled_for_an_instruction_set() -> set[Path]:
    return reached_from(path for path in NATIVE if path.name.startswith("isa_"))


def test_files_compiled_for_an_instruction_set_use_no_std_container() -> None:
    assert compiled_for_an_instruction_set()
    assert offenders(compiled_for_an_instruction_set(), CONTAINERS) == []


def test_files_compiled_for_an_instruction_set_define_no_static_data() -> None:
    data = re.compile(r"\s*(inline\s+)?(static|thread_local)\b(?!.*\bconstexpr\b)[^(]*[=;{]")  # a `(` first: a function
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in sorted(compiled_for_an_instruction_set())
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if data.match(line)
    ]
    assert found == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_nothing_outside_a_device_includes_it(device: str) -> None:
    outside = [path for path in NATIVE if CSRC / device not in path.parents and CSRC / "stream" not in path.parents]
    assert offenders(outside, re.compile(rf"(^|/){device}/")) == []


def test_the_stream_includes_vectors_of_the_cpu_kernels_and_nothing_else_of_a_device() -> None:
    stream = [path for path in NATIVE if CSRC / "stream" in path.parents]
    assert stream
    assert offenders(stream, re.compile(r"^(ops|cuda|cpu)/(?!kernels/(isa|vec|memory|activations|bf16_dot)\.h$)")) == []
    assert offenders(stream, CONTAINERS) == []  # the library needs no C++ runtime


def test_the_slow_header_is_included_nowhere() -> None:
    assert offenders(NATIVE, re.compile(r"^torch/(extension|all|torch)\.h$")) == []


def test_no_file_is_longer_than_one_idea() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {n} lines" for path in NATIVE + PYTHON if (n := len(path.read_text().splitlines())) > 300
    ]
    assert long == []


def test_no_file_is_named_after_nothing() -> None:
    assert [path for path in NATIVE + PYTHON if re.fullmatch(r"utils?|commons?|macros?|helpers?|misc", path.stem)] == []


def test_the_version_is_written_once() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    sources = [
        *NATIVE,
        *PYTHON,
        ROOT / "setup.py",
        *ROOT.glob("CMakeLists.txt"),
        *(ROOT / "gru_ext" / "share").rglob("*.cmake"),
    ]
    assert [path for path in sources if f'"{version}"' in path.read_text()] == []
